"""Outlines of all kinds, above all those at ±180° and at the poles."""

import json
import math

import pytest
import shapely
from cubehub_catalogue import aoi
from cubehub_catalogue.errors import InputError
from hypothesis import example, given, settings
from hypothesis import strategies as st
from shapely.geometry import Point, box, mapping, shape

NUMBERS = st.floats(-179.9, 179.9).map(lambda n: round(n, 3))


def feature(geometry):
    return {"type": "Feature", "properties": {}, "geometry": geometry}


@settings(deadline=None)
@given(
    west=NUMBERS,
    east=NUMBERS,
    south=st.floats(-90, 89).map(lambda n: round(n, 3)),
    height=st.floats(0.01, 90),
    lon=NUMBERS,
    lat=st.floats(-90, 90),
)
def test_a_box_holds_the_points_that_are_in_it_whichever_way_round_the_globe(
    west, east, south, height, lon, lat
):
    north = min(90.0, south + height)
    if west == east:
        east = west + 1 if west < 179 else west - 1
    outline = shape(aoi.box_aoi([west, south, east, north]))
    inside = (west <= lon <= east) if west <= east else (lon >= west or lon <= east)
    assert outline.is_valid
    assert outline.bounds[0] >= -180
    assert outline.bounds[2] <= 180
    assert outline.buffer(1e-9).intersects(Point(lon, lat)) == (
        (inside and south <= lat <= north) or outline.distance(Point(lon, lat)) <= 1e-9
    )


@settings(deadline=None)
@given(st.floats(-170, 170), st.floats(1, 170), st.sampled_from([0, 360, -360]))
def test_longitudes_beyond_180_mean_the_same_place(west, width, turn):
    usual = shape(aoi.box_aoi([west, -10, west + width, 10]))
    turned = shape(aoi.box_aoi([west + turn, -10, west + width + turn, 10]))
    assert shapely.symmetric_difference(usual, turned).area < 1e-6
    assert usual.area == pytest.approx(width * 20)


def test_the_parts_of_a_box_over_the_antimeridian_lie_on_both_sides_of_it():
    assert aoi.boxes(aoi.box_aoi([170, -20, -170, -10])) == [(-180, -20, -170, -10), (170, -20, 180, -10)]


@pytest.mark.parametrize("winding", [1, -1])
def test_a_ring_that_jumps_is_taken_to_cross(winding):
    ring = [[178, 60], [-178, 61], [-177, 65], [179, 66], [178, 60]][::winding]
    found = shape(aoi.aoi_of({"type": "Polygon", "coordinates": [ring]}))
    assert found.intersects(Point(180, 62))
    assert found.intersects(Point(-180, 62))
    assert not found.intersects(Point(0, 62))
    assert found.area < 40


def test_a_wide_box_is_what_it_says_and_one_written_the_other_way_round_crosses():
    wide = shape(aoi.aoi_of(mapping(box(-170, -10, 170, 10))))
    assert wide.intersects(Point(0, 0))
    assert not wide.intersects(Point(179, 0))
    crossing = [[170, -10], [-170, -10], [-170, 10], [170, 10], [170, -10]]
    found = shape(aoi.aoi_of({"type": "Polygon", "coordinates": [crossing]}))
    assert found.intersects(Point(179, 0))
    assert not found.intersects(Point(0, 0))


def test_the_whole_world_is_itself():
    world = aoi.aoi_of(mapping(box(-180, -90, 180, 90)))
    assert aoi.boxes(world) == [(-180, -90, 180, 90)]
    assert aoi.boxes(aoi.box_aoi([-300, -90, 300, 90])) == [(-180, -90, 180, 90)]


@pytest.mark.parametrize(("latitude", "pole"), [(75, 90), (-75, -90)])
@pytest.mark.parametrize("winding", [1, -1])
def test_a_ring_round_a_pole_holds_the_pole(latitude, pole, winding):
    ring = [[lon, latitude + (lon % 40) / 10] for lon in range(-180, 180, 20)]
    ring = [*ring, ring[0]][::winding]
    found = shape(aoi.aoi_of({"type": "Polygon", "coordinates": [ring]}))
    assert found.is_valid
    assert found.intersects(Point(33, pole))
    assert not found.intersects(Point(33, 0))


def test_holes_stay_holes_on_both_sides():
    outer = [[170, -10], [190, -10], [190, 10], [170, 10], [170, -10]]
    hole = [[175, -5], [175, 5], [-175, 5], [-175, -5], [175, -5]]
    found = shape(aoi.aoi_of({"type": "Polygon", "coordinates": [outer, hole]}))
    assert not found.intersects(Point(179, 0))
    assert not found.intersects(Point(-179, 0))
    assert found.intersects(Point(172, 0))
    assert found.intersects(Point(-172, 0))


def test_all_the_forms_of_one_outline_give_the_same():
    polygon = mapping(box(26, 58, 28, 59))
    forms = [
        "26,58,28,59",
        " 26 58 28 59\n",
        "26; 58; 28; 59",
        "[26, 58, 28, 59]",
        "[26, 58, 0, 28, 59, 100]",
        "POLYGON((26 58, 28 58, 28 59, 26 59, 26 58))",
        "SRID=4326;POLYGON Z((26 58 1, 28 58 1, 28 59 1, 26 59 1, 26 58 1))",
        json.dumps(polygon),
        json.dumps(feature(polygon)),
        "\ufeff" + json.dumps({"type": "FeatureCollection", "features": [feature(polygon)]}),
        json.dumps({"type": "GeometryCollection", "geometries": [polygon]}),
        json.dumps(
            {**polygon, "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}}
        ),
    ]
    for form in forms:
        found = aoi.parse_aoi(form)
        assert shape(found).equals(shape(polygon)), form
        assert aoi.whole_box(found) == (26, 58, 28, 59)


def test_several_polygons_become_one_outline():
    found = aoi.aoi_of(
        {
            "type": "FeatureCollection",
            "features": [
                feature(mapping(box(0, 0, 2, 2))),
                feature(mapping(box(1, 1, 3, 3))),
                feature(mapping(box(9, 9, 10, 10))),
            ],
        }
    )
    assert found["type"] == "MultiPolygon"
    assert shape(found).area == pytest.approx(8)
    assert aoi.whole_box(found) is None
    assert len(aoi.boxes(found)) == 2


WIDE = [(-100, -10, 100, 10), (-20, 5, 20, 30)]


def together(corners):
    return {"type": "GeometryCollection", "geometries": [mapping(box(*edges)) for edges in corners]}


@settings(deadline=None, max_examples=50)
@example(WIDE)
@given(
    st.lists(
        st.tuples(
            st.integers(-180, 0), st.integers(-90, 0), st.integers(1, 180), st.integers(1, 90)
        ),
        min_size=1, max_size=4,
    )
)  # fmt: skip
def test_an_outline_that_is_read_again_is_the_same(corners):
    once = aoi.aoi_of(together(corners))
    assert aoi.aoi_of(once) == once
    assert shape(once).equals(shapely.union_all([box(*edges) for edges in corners]))


def test_a_wide_area_stays_as_large_as_it_is_and_so_does_one_with_a_hole():
    once = aoi.aoi_of(together(WIDE))
    assert aoi.area_km2(aoi.aoi_of(once)) == pytest.approx(58.2e6, rel=0.001)
    ring = aoi.aoi_of(mapping(box(-100, -10, 100, 10) - box(-95, -5, 95, 5)))
    assert aoi.aoi_of(ring) == ring
    assert not shape(ring).intersects(Point(0, 0))
    # the pole in it, with an edge along it that is wider than half the globe
    cap = aoi.parse_aoi("POLYGON((33 70, 153 70, -87 70, 33 70))")
    assert aoi.aoi_of(cap) == cap


def test_a_bow_tie_is_made_valid():
    found = shape(aoi.parse_aoi("POLYGON((0 0, 2 2, 2 0, 0 2, 0 0))"))
    assert found.is_valid
    assert found.area == pytest.approx(2)


def test_areas_are_those_of_the_ellipsoid():
    assert aoi.area_km2(aoi.box_aoi([0, 0, 1, 1])) == pytest.approx(12308.46, rel=1e-6)
    assert aoi.area_km2(aoi.box_aoi([-180, -90, 180, 90])) == pytest.approx(510_065_622, rel=1e-8)
    crossing = aoi.area_km2(aoi.box_aoi([179, 10, -179, 20]))
    assert crossing == pytest.approx(aoi.area_km2(aoi.box_aoi([10, 10, 12, 20])))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-180, 175), st.integers(-90, 85)), min_size=1, max_size=30))
def test_boxes_cover_the_outline_and_do_not_overlap(corners):
    outline = aoi.aoi_of(
        {"type": "GeometryCollection", "geometries": [mapping(box(x, y, x + 4, y + 4)) for x, y in corners]}
    )
    found = aoi.boxes(outline)
    assert shapely.union_all([box(*b) for b in found]).buffer(1e-9).contains(shape(outline))
    assert (
        all(not box(*a).intersects(box(*b)) for i, a in enumerate(found) for b in found[i + 1 :])
        or len(found) == 2
    )
    assert 1 <= len(found) <= 10


def test_thousands_of_islands_cost_no_more_than_looking_at_them(monkeypatch):
    asked = []
    monkeypatch.setattr(aoi, "_touch", lambda *_: asked.append(1))
    islands = [box(x, y, x + 0.5, y + 0.5) for x in range(-60, 60) for y in range(-10, 10)]
    assert aoi.boxes(mapping(shapely.union_all(islands))) == [(-60, -10, 59.5, 9.5)]
    assert not asked
    # those within one another are one, however many
    rings = [
        box(-n, -n, n, n) - box(0.05 - n, 0.05 - n, n - 0.05, n - 0.05)
        for n in (m / 10 for m in range(1, 301))
    ]
    assert aoi.boxes(mapping(shapely.union_all(rings))) == [(-30, -30, 30, 30)]
    assert not asked


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "nothing to read"),
        ("1 2 3", "four numbers"),
        ("1,2,3,nan", "four numbers"),
        ("0 10 5 1", "lies north of"),
        ("0 0 0 1", "no area"),
        ("26,95,28,96", "beyond 90"),
        ("500000 4600000 500010 4600010", "not degrees"),
        ("{", "no JSON"),
        ("{}", "type is 'None'"),
        ("[[1,2],[3,4]]", "four numbers"),
        ('{"type": "Polygon"}', "coordinates are no Polygon"),
        ('{"type": "Polygon", "coordinates": [[["a", 1], [2, 2], [3, 1], [0, 1]]]}', "no Polygon"),
        ('{"type": "Polygon", "coordinates": [[[0, NaN], [2, 2], [3, 1], [0, NaN]]]}', "NaN is no number"),
        ('{"type": "Polygon", "coordinates": []}', "no polygon in it"),
        ('{"type": "Feature", "geometry": null}', "of the feature is 'None'"),
        ('{"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}}]}', "Point of feature 1"),
        ('{"type": "FeatureCollection", "features": {}}', "no list of features"),
        ('{"type": "Polygon", "crs": {"properties": {"name": "EPSG:3301"}}, "coordinates": []}', "EPSG:3301"),
        ("SRID=3301;POLYGON((0 0, 1 0, 1 1, 0 0))", "EPSG:3301"),
        ("POINT(1 2)", "no area"),
        ("LINESTRING(1 2, 3 4)", "no area"),
        ("POLYGON((0 0, 1 1, 2 2, 0 0))", "no area"),
        ("somewhere", "neither GeoJSON nor WKT"),
        ('{"type": "GeometryCollection", "geometries": [' * 9 + "]}" * 9, "nested too deeply"),
        ("[" * 100_000, "no JSON"),
    ],
)  # fmt: skip
def test_what_is_no_outline_is_told_clearly(text, says):
    with pytest.raises(InputError) as caught:
        aoi.parse_aoi(text)
    assert says in caught.value.message
    assert caught.value.code == "bad_aoi"
    assert caught.value.hint


def test_an_outline_with_too_many_points_is_refused():
    ring = [[10 * math.cos(a / 10_000), 10 * math.sin(a / 10_000)] for a in range(62_000)]
    with pytest.raises(InputError, match="50000 are the most"):
        aoi.aoi_of({"type": "Polygon", "coordinates": [[*ring, ring[0]]]})

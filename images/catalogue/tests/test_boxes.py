import pytest
import shapely
from cubehub_stac.boxes import boxes_geometry, crosses_unsplit, flat_box, split_box
from cubehub_stac.repair import repaired_geometry
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import box, mapping, shape

longitudes = st.floats(-180, 180).map(lambda x: round(x, 3))
latitudes = st.floats(-90, 90).map(lambda x: round(x, 3))


def meets(west, east, longitude):
    """The oracle: go east from `west` to `east`, around the globe if need be."""
    return west <= longitude <= east if west <= east else longitude >= west or longitude <= east


@given(longitudes, latitudes, longitudes, latitudes, longitudes, latitudes)
def test_a_split_box_holds_what_going_east_holds(west, a, east, b, longitude, latitude):
    south, north = sorted((a, b))
    area = shape(boxes_geometry(split_box([west, south, east, north])))
    expected = meets(west, east, longitude) and south <= latitude <= north
    assert shapely.intersects_xy(area, longitude, latitude) == expected


@given(longitudes, latitudes, longitudes, latitudes, st.floats(0, 9000))
def test_heights_change_nothing(west, a, east, b, height):
    south, north = sorted((a, b))
    assert split_box([west, south, 0, east, north, height]) == split_box([west, south, east, north])


@pytest.mark.parametrize("bbox", [[], [1, 2, 3], [1, 2, 3, 4, 5], [0, 10, 1, 5], ["a", 0, 0, 0]])
def test_what_is_no_box_is_refused(bbox):
    with pytest.raises(ValueError):  # noqa: PT011 -- float() has its own words
        flat_box(bbox)


def degrees(low, high):
    """Coordinates as files have them; GEOS cuts wrongly where one is 5e-324."""
    return st.floats(low, high).map(lambda x: round(x, 6))


@given(degrees(170, 179.9), degrees(-179.9, -170), degrees(-80, 70), degrees(0.1, 10))
def test_a_scene_written_across_the_globe_is_put_together(west, east, south, height):
    ring = [[west, south], [east, south], [east, south + height], [west, south + height], [west, south]]
    assert crosses_unsplit([point[0] for point in ring])
    found = repaired_geometry({"type": "Polygon", "coordinates": [ring]})
    expected = shapely.union_all([box(*part) for part in split_box([west, south, east, south + height])])
    assert found.is_valid
    assert found.symmetric_difference(expected).area < 1e-6


@given(longitudes, latitudes, longitudes, latitudes)
def test_other_boxes_are_left_alone(a, b, c, d):
    (west, east), (south, north) = sorted((a, c)), sorted((b, d))
    area = box(west, south, east, north)
    if area.area > 1e-6 and not crosses_unsplit([west, east]):
        assert repaired_geometry(mapping(area)).equals(area)


def test_a_global_box_stays_global():
    assert repaired_geometry(mapping(box(-180, -90, 180, 90))).bounds == (-180, -90, 180, 90)


def test_degrees_beyond_180_come_back():
    assert repaired_geometry(mapping(box(175, 0, 185, 1))).equals(
        shapely.union_all([box(175, 0, 180, 1), box(-180, 0, -175, 1)])
    )

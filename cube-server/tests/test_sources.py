"""Finding scenes: folders, catalogues, an API, stores; whole, broken and hostile ones."""

import contextlib
import json

import fsspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scenes import WQSF, catalogue, make_s2, make_safe, make_wfr, wfr_name
from support import SAMPLES
from xcube_cubehub.errors import (
    BadInputError,
    CubeError,
    SceneBrokenError,
    SourceMissingError,
)
from xcube_cubehub.making.planning import without_duplicates
from xcube_cubehub.sources import open_source
from xcube_cubehub.sources.files import parse_xml
from xcube_cubehub.sources.model import unwrapped_bounds
from xcube_cubehub.sources.sentinel2 import scale_and_offset
from xcube_cubehub.sources.stac import bounds_of, found_in_items, scene_of_item
from xcube_cubehub.steps import Area, TimeRange

WORLD, ALWAYS = Area(-180, -90, 180, 90), TimeRange()
LON, LAT = np.meshgrid(np.linspace(1, 1.3, 4), np.linspace(52, 51.8, 3))
CODES, WATER = np.full(LON.shape, 100, np.uint8), np.full(LON.shape, WQSF["WATER"], np.uint64)
SMALL = np.full((4, 4), 1000, np.uint16)


def find(text, **options):
    return open_source(str(text), options).find(WORLD, ALWAYS)


def reasons(found):
    return {line.scene: line.reason for line in found.report}


def test_a_folder_of_products(tmp_path):
    make_wfr(tmp_path / "2023" / "06", LON, LAT, CODES, WATER)
    make_wfr(tmp_path, LON, LAT, CODES, WATER, unit="B", frame="2700")
    found = find(tmp_path)
    assert [scene.ref.platform for scene in sorted(found.scenes, key=lambda s: s.name)] == [
        "sentinel-3a",
        "sentinel-3b",
    ]
    scene = min(found.scenes, key=lambda s: s.name)
    assert scene.ref.sensing == np.datetime64("2023-06-10T09:50:00")
    assert scene.ref.version == "003"
    assert scene.bounds == pytest.approx((1, 51.8, 1.3, 52))
    assert set(scene.assets) == {"chl_nn", "tsm_nn", "chl_oc4me", "trsp", "wqsf", "geo_coordinates"}
    assert len({s.key for s in found.scenes}) == 2


def test_reprocessed_products_share_a_key_and_rank_by_collection_then_timeliness(tmp_path):
    for changes in (
        {"timeliness": "NR"},
        {"collection": "004", "timeliness": "NR"},
        {"made": "20230612T000000"},
    ):
        make_wfr(tmp_path, LON, LAT, CODES, WATER, **changes)
    scenes = sorted(find(tmp_path).scenes, key=lambda scene: scene.rank)
    assert len({scene.key for scene in scenes}) == 1
    assert ["_NR_003" in scenes[0].name, "_NT_003" in scenes[1].name, "_NR_004" in scenes[2].name] == [
        True
    ] * 3


def test_a_file_that_was_written_anew_changes_the_fingerprint(tmp_path):
    product = make_wfr(tmp_path, LON, LAT, CODES, WATER)
    before = find(tmp_path).scenes[0].fingerprint
    assert find(tmp_path).scenes[0].fingerprint == before
    (product / "wqsf.nc").write_bytes(b"short")
    assert find(tmp_path).scenes[0].fingerprint != before


def test_a_product_that_was_not_copied_whole_says_so_without_being_opened(tmp_path):
    make_wfr(tmp_path, LON, LAT, CODES, WATER, claim=1000)
    assert "no pixels" in find(tmp_path).scenes[0].assets["wqsf"].problem


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>'


@pytest.mark.parametrize("manifest", [None, b"", b"<x", BOMB, b"\xff\xfe<x/>", b"\0" * 100])
def test_a_product_with_a_broken_manifest_is_a_line(tmp_path, manifest):
    product = make_wfr(tmp_path, LON, LAT, CODES, WATER)
    (product / "xfdumanifest.xml").unlink()
    if manifest is not None:
        (product / "xfdumanifest.xml").write_bytes(manifest)
    found = find(tmp_path)
    assert not found.scenes
    assert list(reasons(found)) == [product.name]


@given(st.binary(max_size=400))
def test_any_bytes_as_xml_end_in_an_answer(data):
    try:
        parse_xml(data, "x.xml")
    except SceneBrokenError as error:
        assert error.message  # noqa: PT017 - either way is fine


@pytest.mark.parametrize("data", [b"", b"CDF\x01", b"\x89HDF\r\n\x1a\n" + b"\0" * 200, b"x" * 1000])
def test_a_netcdf_that_is_none_is_a_line(tmp_path, data):
    (tmp_path / "a.nc").write_bytes(data)
    found = find(tmp_path)
    assert not found.scenes
    assert list(reasons(found)) == ["a.nc"]


def test_other_products_are_named(tmp_path):
    for name in (
        "S3A_SL_2_LST____x.SEN3",
        "S1A_IW_GRDH.SAFE",
        "S2A_MSIL2A_odd.SAFE",
        wfr_name()[:40] + ".SEN3",
    ):
        (tmp_path / name).mkdir()
    assert len(reasons(find(tmp_path))) == 4


def test_a_hidden_or_linked_circle_ends(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path)
    make_wfr(tmp_path, LON, LAT, CODES, WATER)
    assert len(find(tmp_path).scenes) == 1


def test_scenes_on_an_object_store(tmp_path):
    product = make_wfr(tmp_path, LON, LAT, CODES, WATER)
    store = fsspec.filesystem("memory")
    store.put(str(product), f"/bucket/{product.name}", recursive=True)
    scene = find("memory://bucket").scenes[0]
    assert scene.assets["wqsf"].href == f"memory:///bucket/{product.name}/wqsf.nc"


def test_a_static_catalogue(tmp_path):
    path = make_s2(tmp_path / "items", SMALL, SMALL, SMALL[:2, :2].astype(np.uint8))
    catalogue(tmp_path, [path])
    scene = find(tmp_path).scenes[0]
    assert scene.ref.version == "05.09"
    assert scene.crs == "EPSG:32633"
    assert scene.cloud_cover == 10
    assert scene.assets["B04"].offset == -0.1
    assert find(tmp_path / "catalog.json").scenes == (scene,)


def test_files_of_a_catalogue_that_are_written_anew_or_missing(tmp_path):
    path = make_s2(tmp_path, SMALL, SMALL, SMALL)
    catalogue(tmp_path, [path])
    before = find(tmp_path).scenes[0]
    assert find(tmp_path).scenes[0].fingerprint == before.fingerprint
    (path.parent / "B04.tif").write_bytes(b"other")
    assert find(tmp_path).scenes[0].fingerprint != before.fingerprint
    (path.parent / "B04.tif").unlink()
    assert find(tmp_path).scenes[0].assets["B04"].problem == "B04.tif is missing"


def test_a_catalogue_does_not_choose_what_is_read(tmp_path):
    inside = tmp_path / "catalogue"
    path = make_s2(inside, SMALL, SMALL, SMALL)
    outside = make_s2(tmp_path, SMALL, SMALL, SMALL, identity="S2A_33TWM_20230816_0_L2A")
    item = json.loads(path.read_text())
    for name, href in (
        ("red", "../../secret.tif"),
        ("nir", "/etc/hostname"),
        ("scl", "file:///etc/hostname"),
    ):
        item["assets"][name]["href"] = href
    path.write_text(json.dumps(item))
    start = catalogue(inside, [path])
    document = json.loads(start.read_text())
    document["links"] += [
        {"rel": "item", "href": f"../{outside.relative_to(tmp_path)}"},
        {"rel": "item", "href": "http://127.0.0.1:1/x.json"},
    ]
    start.write_text(json.dumps(document))
    found = find(inside)
    assert [scene.name for scene in found.scenes] == [item["id"]]
    assert found.scenes[0].assets == {}
    (line,) = found.report
    assert "without B04, B08, SCL" in line.reason


@pytest.mark.parametrize(
    ("base", "href", "read"),
    [
        ("https://host/a/item.json", "B04.tif", "https://host/a/B04.tif"),
        ("https://host/a/item.json", "/etc/hostname", "https://host/etc/hostname"),
        ("https://host/a/item.json", "//other/B04.tif?x=1", "https://other/B04.tif?x=1"),
        ("https://host/a/item.json", "HTTP://other/B04.tif", "http://other/B04.tif"),
        ("https://host/a/item.json", "file:/etc/hostname", None),
        ("https://host/a/item.json", "\tfi\nle:/etc/hostname", None),
        ("https://host/a/item.json", "FILE:///etc/hostname", None),
        ("https://host/a/item.json", "simplecache::file:/etc/hostname", None),
        ("https://host/a/item.json", "x::file:///etc/hostname", None),
        ("https://host/a/item.json", "tar+file:/x.tar!B04.tif", None),
        ("https://host/a/item.json", "data:image/tiff;base64,AAAA", None),
        ("https://host/a/item.json", "s3://private/B04.tif", None),
        ("https://host/a/item.json", "http:///etc/hostname", None),
        ("https://h::file:///etc/item.json", "B04.tif", None),
        ("s3://bucket/a/item.json", "../B04.tif", "s3://bucket/B04.tif"),
        ("s3://bucket/a/item.json", "s3://bucket/B04.tif", "s3://bucket/B04.tif"),
        ("s3://bucket/a/item.json", "https://host/B04.tif", "https://host/B04.tif"),
        ("s3://bucket/a/item.json", "file:/etc/hostname", None),
    ],
)
def test_an_item_from_elsewhere_names_no_file_here(base, href, read):
    item = {
        "id": "S2A_33TWM_20230815_0_L2A", "collection": "sentinel-2-l2a", "bbox": [1, 2, 3, 4], "geometry": None,
        "properties": {"datetime": "2023-08-15T09:57:57Z", "platform": "sentinel-2a", "grid:code": "MGRS-33TWM"},
        "assets": {"red": {"href": href}, "thumbnail": {"href": "file:/x.png"}},
    }  # fmt: skip
    found = found_in_items([(item, base)], None)
    assert {name: asset.href.replace("HTTP:", "http:") for name, asset in found.scenes[0].assets.items()} == (
        {} if read is None else {"B04": read}
    )
    assert len(found.report) == (read is None)


@pytest.mark.parametrize(
    ("href", "read"),
    [
        ("s3://eodata/a/B04.tif", True),
        ("s3://eodata-private/a/B04.tif", False),
        ("s3://other/eodata/B04.tif", False),
        ("s3://eodata@host/B04.tif", False),
        ("s3://eodata::file:///etc/hostname", False),
        ("file://eodata/etc/hostname", False),
    ],
)
def test_buckets_that_were_named_are_read(href, read):
    item = {
        "id": "S2A_33TWM_20230815_0_L2A", "collection": "sentinel-2-l2a", "bbox": [1, 2, 3, 4], "geometry": None,
        "properties": {"datetime": "2023-08-15T09:57:57Z", "platform": "sentinel-2a", "grid:code": "MGRS-33TWM"},
        "assets": {"red": {"href": href}},
    }  # fmt: skip
    found = found_in_items([(item, "https://host/a/item.json")], None, {"eodata"})
    assert [asset.href for asset in found.scenes[0].assets.values()] == [href] * read
    if not read:
        assert "--allow-bucket" in found.report[0].reason


def test_a_link_in_a_catalogue_leads_nowhere_else(tmp_path):
    inside = tmp_path / "catalogue"
    path = make_s2(inside, SMALL, SMALL, SMALL)
    catalogue(inside, [path])
    band = path.parent / "B04.tif"
    band.rename(tmp_path / "secret.tif")
    band.symlink_to(tmp_path / "secret.tif")
    found = find(inside)
    assert set(found.scenes[0].assets) == {"B08", "SCL"}
    assert "B04" in found.report[0].reason


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"type": "Feature"}',
        '{"type": "Feature", "id": 1, "properties": null, "assets": []}',
        "[" * 100_000,
    ],
)
def test_a_broken_item_is_a_line(tmp_path, text):
    path = make_s2(tmp_path, SMALL, SMALL, SMALL)
    path.write_text(text)
    catalogue(tmp_path, [path])
    found = find(tmp_path)
    assert not found.scenes
    assert len(found.report) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    JSON,
    st.sampled_from(
        [
            "properties",
            "assets",
            "id",
            "geometry",
            "bbox",
            "collection",
            "datetime",
            "grid:code",
            "red",
            "href",
        ]
    ),
)
def test_an_item_with_anything_anywhere_ends_in_an_answer(value, where):
    item = {
        "id": "S2A_33TWM_20230815_0_L2A", "collection": "sentinel-2-l2a", "bbox": [1, 2, 3, 4], "geometry": None,
        "properties": {"datetime": "2023-08-15T09:57:57Z", "platform": "sentinel-2a", "grid:code": "MGRS-33TWM"},
        "assets": {"red": {"href": "https://host/B04.tif"}},
    }  # fmt: skip
    for place in (item, item["properties"], item["assets"], item["assets"]["red"]):
        if where in place:
            place[where] = value
            break
    with contextlib.suppress(SceneBrokenError):
        scene_of_item(item, "https://host/item.json", None)


@pytest.mark.parametrize(
    ("band", "properties", "expected"),
    [
        (
            {"raster:bands": [{"scale": 0.0001, "offset": -0.1}]},
            {"s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": True},
            (0.0001, 0),
        ),
        (
            {"raster:bands": [{"scale": 0.0001, "offset": -0.1}]},
            {"s2:processing_baseline": "05.09"},
            (0.0001, -0.1),
        ),
        (
            {"raster:bands": [{"scale": 0.0001, "offset": 0}]},
            {"s2:processing_baseline": "02.14", "earthsearch:boa_offset_applied": False},
            (0.0001, 0),
        ),
        ({}, {"s2:processing_baseline": "04.00"}, (0.0001, -0.1)),
        ({}, {"s2:processing_baseline": "03.01"}, (0.0001, 0)),
        ({"raster:scale": 0.0001, "raster:offset": -0.1}, {"processing:version": "05.00"}, (0.0001, -0.1)),
        (
            {},
            {"s2:product_uri": "S2A_MSIL2A_20230815T095031_N0509_R079_T33TWM_20230815T155057.SAFE"},
            (0.0001, -0.1),
        ),
        ({"raster:bands": ["odd"]}, {}, (0.0001, 0)),
    ],
)
def test_the_offset_of_reflectances(band, properties, expected):
    """Products Specification Document 14.9: (DN - 1000) / 10000 from baseline 04.00 on, unless it is taken already."""
    assert scale_and_offset(band, properties) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("item", "box"),
    [
        ({"bbox": [179, 66, -179, 68]}, (179, 66, 181, 68)),
        ({"bbox": [1, 2, 0, 3, 4, 9]}, (1, 2, 3, 4)),
        ({"geometry": {"coordinates": [[[-179, 66], [179, 66], [179, 68], [-179, 66]]]}}, (179, 66, 181, 68)),
        (
            {"geometry": {"coordinates": [[[[179, 66], [180, 68]]], [[[-180, 66], [-179, 68]]]]}},
            (179, 66, 181, 68),
        ),
        ({"geometry": None, "bbox": None}, None),
    ],
)
def test_boxes_across_the_antimeridian(item, box):
    assert bounds_of(item) == (pytest.approx(box) if box else None)


def test_around_a_pole_a_box_is_the_whole_circle():
    assert unwrapped_bounds([-170, 0, 170], [85, 89, 85]) == (-180, 85, 180, 89)
    assert unwrapped_bounds([0], [91]) is None


def test_a_sentinel_2_product_in_its_folder(tmp_path):
    make_safe(tmp_path, SMALL, SMALL, SMALL)
    scene = find(tmp_path).scenes[0]
    assert scene.ref.id == "S2A_MSIL2A_20230815T095031_T33TWM"
    assert (scene.ref.version, scene.ref.platform, scene.crs) == ("05.09", "sentinel-2a", "EPSG:32633")
    assert scene.bounds == pytest.approx((14.9, 45.9, 15.5, 46.4))
    assert scene.cloud_cover == 12.5
    assert {name: (asset.scale, asset.offset) for name, asset in scene.assets.items()} == {
        "B04": (1e-4, pytest.approx(-0.1)), "B08": (1e-4, pytest.approx(-0.1)), "SCL": (1, 0),
    }  # fmt: skip
    item = tmp_path / "items"
    catalogue(
        item,
        [make_s2(item, SMALL, SMALL, SMALL, properties={"s2:datastrip_id": "x_S20230815T095630_N05.09"})],
    )
    both = without_duplicates([scene, *find(item).scenes])
    assert len(both) == 1  # the same granule, found twice


def test_a_cube_in_a_store():
    source = open_source("store:file/ndvi_utm33.zarr", {"root": str(SAMPLES / "s2-ndvi-slovenia")})
    found = source.find(WORLD, ALWAYS)
    assert len(found.scenes) >= 60
    assert found.scenes[0].kind == "cube"
    assert found.scenes[0].crs == "EPSG:32633"
    assert {"ndvi", "clp"} <= set(found.scenes[0].assets)


@pytest.mark.parametrize(
    "text", ["store:", "store:file", "stac+ftp://x", "stac+https:///x", "", "a\0b", "nosuch://x"]
)
def test_what_names_no_source_is_refused(text):
    with pytest.raises(BadInputError):
        find(text)


def test_a_missing_place_is_said(tmp_path):
    with pytest.raises(SourceMissingError, match="nothing at"):
        find(tmp_path / "none")
    with pytest.raises(CubeError):
        find("store:file/none.zarr", root=str(tmp_path))
    with pytest.raises(CubeError):
        find("store:nosuch/none.zarr")


def test_secrets_stay_out_of_titles():
    for text in (
        "s3://user:secret@host/x",
        "stac+https://user:secret@host/x#c",
        "https://user:secret@host/a.zarr",
    ):
        assert "secret" not in open_source(text).title

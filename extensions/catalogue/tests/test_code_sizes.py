"""Bytes in memory: against sums done by hand, and honest where nothing is known."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from cubehub_catalogue.assets import data_assets
from cubehub_catalogue.code import Found, Options, Place, Task, write
from cubehub_catalogue.code.target import target_of
from cubehub_catalogue.query import Query
from cubehub_catalogue.sizes import Estimate, Room, of_cube, readable, solar_days, together
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

DATA = Path(__file__).parent / "data/code"
ROOM = Room(5 * 2**30, "Standard")
PLACES = {"earth": Place("earth", "Earth", "https://earth.example.org")}


def item(name: str) -> dict[str, Any]:
    return json.loads((DATA / f"{name}.json").read_text())


def estimate(
    *items: dict[str, Any], more: bool = False, query: Query | None = None, **options: Any
) -> Estimate:
    task = Task(
        places=PLACES, found=tuple(Found("earth", one) for one in items), query=query, chosen=not more, more=more,
        options=Options.model_validate(options), room=ROOM,
    )  # fmt: skip
    return write(task).estimate


def test_a_whole_scene_is_rows_times_columns_times_bytes() -> None:
    scene = item("sentinel-2-earth-search")
    # 10980 x 10980 at 10 m: two bands of uint16 and the classification, a byte, on the same grid
    assert estimate(scene, bands=["red", "nir", "scl"]).bytes == 10980**2 * (2 + 2 + 1)
    assert estimate(scene, bands=["red", "nir", "scl"], resolution=20).bytes == 5490**2 * 5
    # STAC 1.1: the type stands at the asset
    assert estimate(item("sentinel-2-cdse"), bands=["B04_10m", "SCL_20m"]).bytes == 10980**2 * 3


def test_a_second_day_doubles_it_and_a_second_tile_of_a_day_widens_it() -> None:
    scene = item("sentinel-2-earth-search")
    later = json.loads(json.dumps(scene)) | {"id": "later"}
    later["properties"]["datetime"] = "2020-03-06T10:37:27Z"
    one = estimate(scene, bands=["red", "nir"]).bytes
    assert estimate(scene, later, bands=["red", "nir"]).bytes == 2 * (one or 0)
    beside = json.loads(json.dumps(scene)) | {"id": "beside"}
    for asset in beside["assets"].values():
        if "proj:transform" in asset:
            asset["proj:transform"][2] += 100_000
    assert estimate(scene, beside, bands=["red", "nir"]).bytes == 10980 * 20980 * 4


def test_an_area_is_counted_in_the_grid_of_the_data() -> None:
    # a box of 0.1 degrees at the middle of zone 32, where the grid runs north: 7.4 km by 11.1 km
    west, south = 8.95, 48.2
    ring = [[west, south], [9.05, south], [9.05, 48.3], [west, 48.3], [west, south]]
    query = Query(aoi={"type": "Polygon", "coordinates": [ring]})
    found = estimate(item("sentinel-2-earth-search"), query=query, bands=["red", "nir"]).bytes
    width = math.cos(math.radians(48.2)) * 111_320 * 0.1 / 10
    assert found == pytest.approx(width * 11_120 / 10 * 4, rel=0.01)


def test_what_is_not_clipped_or_unknown_is_said_so() -> None:
    assert estimate(item("sentinel-2-earth-search"), more=True, bands=["red", "nir"]).at_least
    unknown = estimate(item("ecmwf-planetary"))
    assert (unknown.bytes, unknown.lazy, unknown.ratio) == (None, True, None)
    assert "Nobody knows" in unknown.text
    stored = estimate(item("sentinel-3-cdse"))
    assert stored.at_least
    assert stored.lazy
    assert stored.bytes == stored.stored
    assert stored.text.startswith("At least 64.")
    assert estimate(item("sentinel-1-planetary")).bytes is None


def test_a_cube_is_the_product_of_its_dimensions() -> None:
    era5 = item("era5-planetary")
    # 744 hours on 721 x 1440 points of float32
    assert of_cube(era5, 1.0, ["air_pressure_at_mean_sea_level"]) == 744 * 721 * 1440 * 4
    assert of_cube(era5, 1.0) == 9 * 744 * 721 * 1440 * 4
    whole = estimate(era5)
    assert whole.text.startswith("5.2 × your Standard 5 GiB (about 25.9 GiB); opened lazily")  # noqa: RUF001 - the sign of times
    assert whole.lazy
    assert (
        of_cube({"properties": {"cube:dimensions": {}, "cube:variables": {"a": {"dimensions": ["x"]}}}}, 1.0)
        is None
    )


STEPS = {"x": {"type": "spatial", "axis": "x", "extent": [0, 1], "step": 5e-324}}


@pytest.mark.parametrize(
    ("dimensions", "variable", "asset"),
    [
        (STEPS, {"dimensions": ["x"]}, {}),
        ({"x": STEPS["x"] | {"extent": [-1e308, 1e308], "step": 1}}, {"dimensions": ["x"]}, {}),
        ({"x": {}}, {"dimensions": ["x"], "shape": [2**62] * 20}, {}),
        ({"x": {}}, {"dimensions": ["x"], "shape": [10**300] * 50_000}, {}),
        ({"x": {}}, {"dimensions": ["x"]}, {"bands": [{"name": "a", "data_type": []}, 3]}),
    ],
)
def test_a_cube_of_odd_numbers_is_of_unknown_size(
    dimensions: dict[str, Any], variable: dict[str, Any], asset: dict[str, Any]
) -> None:
    odd = {
        "id": "a", "properties": {"cube:dimensions": dimensions, "cube:variables": {"a": variable}},
        "assets": {"a": {"href": "https://e.example/a.zarr", "type": "application/vnd+zarr"} | asset},
    }  # fmt: skip
    assert of_cube(odd, 1.0) is None
    assert estimate(odd).text.startswith("Nobody knows")


def test_a_product_of_an_odd_type_is_no_radar_scene() -> None:
    odd = {
        "id": "a", "properties": {"sar:product_type": [], "proj:epsg": 4326, "proj:shape": [2, 3], "proj:bbox": [0, 0, 3, 2]},
        "assets": {"a": {"href": "https://e.example/a.tif", "type": "image/tiff"}},
    }  # fmt: skip
    assert estimate(odd).bytes == 2 * 3 * 8


def test_what_is_opened_lazily_is_said_to_be() -> None:
    assert Estimate(12 * 2**30, room=ROOM, opened_lazily=True).text == (
        "2.4 × your Standard 5 GiB (about 12 GiB); opened lazily, so load a part of it at a time."  # noqa: RUF001
    )
    assert Estimate(2**30, room=ROOM, opened_lazily=True).text.endswith(
        "20 % of your Standard 5 GiB; opened lazily."
    )


def test_a_cube_of_the_platform_says_its_shape() -> None:
    cube = {
        "properties": {
            "cube:dimensions": {
                "time": {"type": "temporal", "values": ["2020-01-01T00:00:00Z", "2020-02-01T00:00:00Z"]},
                "lon": {"type": "spatial", "axis": "x", "extent": [10, 12], "step": 0.5},
                "lat": {"type": "spatial", "axis": "y", "extent": [50, 51], "step": 0.5},
            },
            # extents are outer edges here, so the pixels are counted by the shape
            "cube:variables": {
                "chl": {"type": "data", "dimensions": ["time", "lat", "lon"], "shape": [2, 2, 4]}
            },
        }
    }
    assert of_cube(cube, 1.0, ["zarr", "pyramid"]) == 2 * 2 * 4 * 4


def test_days_are_those_of_the_place() -> None:
    def taken(when: str, longitude: float) -> dict[str, Any]:
        return {"properties": {"datetime": when}, "bbox": [longitude, 0, longitude, 1]}

    # 23:30 and 00:10 UTC are one morning in Fiji
    assert solar_days([taken("2020-01-01T23:30:00Z", 178), taken("2020-01-02T00:10:00Z", 178)]) == 1
    assert solar_days([taken("2020-01-01T23:30:00Z", 0), taken("2020-01-02T00:10:00Z", 0)]) == 2
    assert solar_days([{"properties": {}}, {"properties": {"datetime": "rubbish"}}]) == 2
    # the end of all times and their beginning, where a place is on another day
    assert solar_days([taken("9999-12-31T23:59:59Z", 170), taken("9999-12-31T23:00:00Z", 0)]) == 1
    assert solar_days([taken("0001-01-01T00:00:00Z", -170)]) == 1


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (12 * 2**30, "2.4 × your Standard 5 GiB (about 12 GiB)."),  # noqa: RUF001
        (5 * 2**30, "1.0 × your Standard 5 GiB (about 5 GiB)."),  # noqa: RUF001
        (512 * 2**20, "About 512 MiB in memory, 10 % of your Standard 5 GiB."),
        (3, "About 3 B in memory, less than 1 % of your Standard 5 GiB."),
        (5000 * 2**30, "1000 × your Standard 5 GiB (about 4.88 TiB)."),  # noqa: RUF001
    ],
)
def test_the_size_is_said_by_the_profile(count: int, text: str) -> None:
    assert Estimate(count, room=ROOM).text == text


def test_without_a_profile_only_the_size_is_said() -> None:
    assert Estimate(2**30).text == "About 1 GiB in memory."
    assert Estimate(2**30).ratio is None
    assert not Estimate(2**30).lazy
    assert Estimate(2**30, room=Room(2**31)).text == "About 1 GiB in memory, 50 % of your 2 GiB."


def test_what_fits_comfortably_is_loaded_and_the_rest_is_lazy() -> None:
    assert not Estimate(2 * 2**30, room=ROOM).lazy
    assert Estimate(2 * 2**30 + 1, room=ROOM).lazy
    both = together([Estimate(10), Estimate(None)], ROOM)
    assert (both.bytes, both.at_least, both.lazy) == (10, True, True)


def test_the_limit_is_the_one_that_holds_now(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text(f"{10 * 2**30}\n")
    environ = {"MEM_LIMIT": str(5 * 2**30), "CUBEHUB_PROFILE": "premium", "CUBEHUB_PROFILE_TITLE": "Premium"}
    assert Room.here(environ) == Room(5 * 2**30, "Premium")
    environ["CUBEHUB_MEMORY_EVENTS"] = str(tmp_path / "memory.events")
    assert Room.here(environ) == Room(10 * 2**30, "Premium")
    (tmp_path / "memory.max").write_text("max\n")
    assert Room.here(environ) == Room(5 * 2**30, "Premium")
    assert Room.here({}) is None
    assert Room.here({"MEM_LIMIT": "much"}) is None


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**70))
def test_bytes_are_readable(count: int) -> None:
    number, unit = readable(count).split()
    scale = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}[unit]
    assert float(number) * scale == pytest.approx(count, rel=0.006)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_KEYS = st.sampled_from(
    [
        "proj:shape",
        "proj:transform",
        "proj:epsg",
        "proj:code",
        "proj:bbox",
        "gsd",
        "bands",
        "raster:bands",
        "sar:product_type",
    ]
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(_KEYS, _JSON), st.dictionaries(_KEYS, _JSON))
def test_no_item_is_too_strange_for_an_estimate(asset: dict[str, Any], properties: dict[str, Any]) -> None:
    strange = {
        "id": "a", "properties": properties,
        "assets": {"red": {"href": "a.tif", "type": "image/tiff"} | asset},
    }  # fmt: skip
    assets = list(data_assets(strange).values())
    target_of(assets, None, None, None)
    found = estimate(strange)
    assert found.bytes is None or found.bytes > 0
    assert found.text


def test_pixels_beyond_all_numbers_have_no_size():
    asset = {
        "href": "https://e.example/a.tif",
        "type": "image/tiff",
        "roles": ["data"],
        "proj:code": "EPSG:32635",
        "proj:shape": [10, 10],
        "proj:transform": [1e-300, 0, 1e308, 0, -1e-300, 1e308],
    }
    (found,) = data_assets({"id": "x", "properties": {}, "assets": {"a": asset}}).values()
    target = target_of([found], None, None, None)
    assert target is not None
    assert target.shape is None

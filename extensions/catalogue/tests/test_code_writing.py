"""Cells: what they call with which values, that they are Python whatever is in an item, and that no secret is in them."""

from __future__ import annotations

import ast
import builtins
import json
from datetime import UTC, datetime
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import pytest
import shapely
from cubehub_catalogue.assets import data_assets
from cubehub_catalogue.code import Found, Options, Place, Task, write
from cubehub_catalogue.code.target import outline, segment
from cubehub_catalogue.code.templates import templates, written_by
from cubehub_catalogue.errors import CatalogueError, InputError, UnknownError
from cubehub_catalogue.query import Query, Sort
from cubehub_catalogue.sizes import Room
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Mapping

DATA = Path(__file__).parent / "data/code"
PLATFORM = "https://hub.example.org"
BOX = {"type": "Polygon", "coordinates": [[[7.6, 48.2], [7.9, 48.2], [7.9, 48.5], [7.6, 48.5], [7.6, 48.2]]]}
TRIANGLE = {"type": "Polygon", "coordinates": [[[7.6, 48.2], [7.9, 48.2], [7.9, 48.5], [7.6, 48.2]]]}
MARCH = {"start": datetime(2020, 3, 1, tzinfo=UTC), "end": datetime(2020, 3, 31, tzinfo=UTC)}
PLACES = {
    place.id: place
    for place in (
        Place("earth", "Earth Search", "https://earth.example.org/v1"),
        Place("planetary", "Planetary", "https://planetarycomputer.microsoft.com/api/stac/v1"),
        Place("closed", "With a log-in", "https://closed.example.org/", direct=False),
        Place("cubehub", "Platform", f"{PLATFORM}/services/catalogue/", platform=True),
    )
}


def item(name: str) -> dict[str, Any]:
    return json.loads((DATA / f"{name}.json").read_text())


def raster(identity: str = "a", **more: Any) -> dict[str, Any]:
    asset = {
        "href": "https://data.example.org/a.tif",
        "type": "image/tiff; application=geotiff; profile=cloud-optimized",
        "roles": ["data"],
        "proj:epsg": 32632,
        "proj:shape": [100, 200],
        "proj:transform": [10, 0, 400_000, 0, -10, 5_400_000],
        "raster:bands": [{"data_type": "uint16", "nodata": 0}],
    }
    return {
        "type": "Feature",
        "id": identity,
        "collection": "scenes",
        "bbox": [7.6, 48.7, 7.7, 48.8],
        "properties": {"datetime": "2020-03-05T10:00:00Z"},
        "assets": {"red": asset},
        **more,
    }


def task(*items: dict[str, Any], catalogue: str = "earth", **more: Any) -> Task:
    options = more.pop("options", {})
    return Task(
        places=PLACES,
        found=tuple(Found(catalogue, one) for one in items),
        options=Options.model_validate(options),
        platform_url=PLATFORM,
        **more,
    )


class _Assets(dict[str, MagicMock]):
    def __missing__(self, key: str) -> MagicMock:
        asset = MagicMock(
            href="https://data.example.org/x/y", extra_fields={"xarray:open_kwargs": {"chunks": {}}}
        )
        asset.get_absolute_href.return_value = asset.href
        return asset

    def __contains__(self, name: object) -> bool:
        return True


def _dataset() -> MagicMock:
    """Stand in for a dataset, whose coordinates can be compared."""
    made = MagicMock()
    for selected in (made.sel, made.sortby, made.where, made.isel, made.chunk):
        selected.return_value = made
    made.map.return_value = made
    coordinate = made.__getitem__.return_value
    coordinate.values = coordinate
    for operation in ("__ge__", "__le__", "__sub__", "__add__", "__mod__", "__and__"):
        getattr(coordinate, operation).return_value = coordinate
    return made


class Calls:
    """Runs a cell where every module is a stand-in, and remembers what was called with which values."""

    def __init__(self, code: str, assets: Mapping[str, _Assets | _Named] | None = None) -> None:
        self._assets = assets or {}
        self.modules: dict[str, MagicMock] = {}
        self.space: dict[str, Any] = {"__builtins__": {**vars(builtins), "__import__": self._import}}
        exec(compile(code, "cell", "exec"), self.space)  # noqa: S102 - it is what is tested

    def _import(
        self, name: str, _globals: Any = None, _locals: Any = None, fromlist: Any = (), _level: int = 0
    ) -> Any:
        module = self.modules.setdefault(name.partition(".")[0], MagicMock(name=name))
        found = [MagicMock(id=identity, assets=self._assets.get(identity, _Assets())) for identity in "ab"]
        if name == "pystac_client":
            module.Client.open.return_value.search.return_value.items.return_value = found
        if name == "xarray":
            for function in (module.open_zarr, module.open_dataset, module.merge, module.concat):
                function.return_value = _dataset()
        if name == "cfgrib":
            module.open_datasets.return_value = [_dataset()]
        if name == "xcube.core.store":
            module.core.store.new_data_store.return_value.open_data.return_value = _dataset()
        if name == "cubehub_catalogue":
            module.search.return_value.items.return_value = found
        if name == "os":
            module.environ = {
                "CUBEHUB_CATALOGUE_URL": "CATALOGUE",
                "CUBEHUB_CUBES_URL": "CUBES",
                "CUBEHUB_URL": "HUB",
            }
        if not fromlist:
            return module
        for part in name.split(".")[1:]:
            module = getattr(module, part)
        return module

    @property
    def search(self) -> dict[str, Any]:
        return self.modules["pystac_client"].Client.open.return_value.search.call_args.kwargs


def test_a_search_is_carried_over_as_it_was_asked() -> None:
    query = Query(
        aoi=BOX,
        **MARCH,
        filter={"op": "<", "args": [{"property": "eo:cloud_cover"}, 20]},
        text="la \"niña\"\n'''",
        sort=(Sort("properties.eo:cloud_cover", descending=False),),
    )
    written = write(task(item("sentinel-2-earth-search"), query=query, more=True))
    calls = Calls(written.code)
    assert calls.modules["pystac_client"].Client.open.call_args.args == ("https://earth.example.org/v1",)
    assert calls.search == {
        "collections": ["sentinel-2-l2a"],
        "bbox": [7.6, 48.2, 7.9, 48.5],
        "datetime": "2020-03-01T00:00:00Z/2020-03-31T00:00:00Z",
        "filter": {"op": "<", "args": [{"property": "eo:cloud_cover"}, 20]},
        "q": "la \"niña\"\n'''",
        "sortby": ["+properties.eo:cloud_cover"],
        "max_items": 500,
    }
    loaded = calls.modules["odc"].stac.load.call_args.kwargs
    assert loaded == {
        "bands": ["blue", "green", "red", "nir"],
        "crs": "EPSG:32632",
        "resolution": 10,
        "bbox": [7.6, 48.2, 7.9, 48.5],
        "groupby": "solar_day",
        "chunks": {"x": 2048, "y": 2048},
    }
    assert calls.space["ds"] is calls.modules["odc"].stac.load.return_value


def test_chosen_items_are_asked_for_by_their_ids_and_what_was_chosen_of_them_is_loaded() -> None:
    query = Query(aoi=TRIANGLE, **MARCH)
    options = {"bands": ["red", "scl"], "resolution": 20, "crs": "EPSG:3035", "name": "lake"}
    written = write(task(item("sentinel-2-earth-search"), query=query, chosen=True, options=options))
    calls = Calls(written.code)
    assert calls.search == {"collections": ["sentinel-2-l2a"], "ids": ["S2A_32UMU_20200305_0_L2A"]}
    loaded = calls.modules["odc"].stac.load.call_args.kwargs
    outline = calls.modules["odc"].geo.geom.Geometry
    assert outline.call_args.args[1] == "EPSG:4326"
    assert loaded["geopolygon"] is outline.return_value
    ds = calls.modules["odc"].stac.load.return_value
    ds.odc.mask.assert_called_once_with(outline.return_value)
    assert calls.space["lake"] is ds.odc.mask.return_value
    assert calls.space["aoi"] == TRIANGLE
    assert (loaded["bands"], loaded["crs"], loaded["resolution"]) == (["red", "scl"], "EPSG:3035", 20)
    assert "chunks" not in loaded
    assert "lake" in calls.space
    assert {band["name"] for band in written.bands if band["chosen"]} == {"red", "scl"}


def test_an_area_over_180_degrees_is_loaded_in_metres_not_round_the_globe() -> None:
    parts = [[[[179, 60], [180, 60], [180, 61], [179, 61], [179, 60]]], [[[-180, 60], [-179.9, 60], [-179.9, 61], [-180, 61], [-180, 60]]]]  # fmt: skip
    aoi = {"type": "MultiPolygon", "coordinates": parts}
    one = raster()
    one["assets"]["red"] |= {"proj:epsg": 4326, "proj:transform": [0.0001, 0, 179, 0, -0.0001, 61]}
    other = json.loads(json.dumps(one)) | {"id": "b"}
    written = write(task(one, other, query=Query(aoi=aoi), chosen=True))
    calls = Calls(written.code)
    loaded = calls.modules["odc"].stac.load.call_args.kwargs
    assert (loaded["crs"], loaded["resolution"]) == ("EPSG:32660", pytest.approx(11.13, rel=1e-3))
    assert calls.space["aoi"] == aoi
    assert loaded["geopolygon"] is calls.space["outline"]
    # 1.1 degrees of longitude at 60 degrees north are 61 km, one of latitude 111 km; the box around it is tilted a little
    # outside of the area is NaN, so the values are floats
    assert written.estimate.bytes == pytest.approx(61_300 / 11.13 * 111_600 / 11.13 * 4, rel=0.1)


def boxed(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


@pytest.mark.parametrize(
    ("aoi", "crs", "size"),
    [
        # half a ring around the south pole: its corners lie on one line
        (boxed(-90, -80, 90, -70), "EPSG:3031", (2_194_494, 4_388_989)),
        # Estonia, whose southern edge runs 2.8 km south of its corners
        (boxed(21.5, 57.5, 28.3, 59.8), "EPSG:3301", (263_930, 407_538)),
    ],
)
def test_a_box_is_loaded_and_counted_with_what_its_bent_edges_run_around(
    aoi: dict[str, Any], crs: str, size: tuple[int, int]
) -> None:
    asked = task(
        raster(), query=Query(aoi=aoi), chosen=True, options={"crs": crs, "resolution": 50, "variant": "load"}
    )
    written = write(asked)
    assert written.estimate.bytes == pytest.approx(size[0] / 50 * size[1] / 50 * 2, rel=0.001)
    calls = Calls(written.code)
    loaded = calls.modules["odc"].stac.load.call_args.kwargs
    assert loaded["geopolygon"] is calls.space["outline"]
    assert "bbox" not in loaded
    calls.modules["shapely"].box.assert_called_once_with(*aoi["coordinates"][0][0], *aoi["coordinates"][0][2])
    assert not calls.modules["odc"].stac.load.return_value.odc.mask.called
    # and so is a raster by itself
    own = raster()
    own["assets"]["red"] |= {
        "proj:epsg": int(crs[5:]), "proj:shape": [200_000, 200_000], "proj:transform": [50, 0, -5_000_000, 0, -50, 9_000_000],
    }  # fmt: skip
    alone = write(task(own, query=Query(aoi=aoi), chosen=True))
    assert alone.estimate.bytes == pytest.approx(size[0] / 50 * size[1] / 50 * 4, rel=0.001)
    calls = Calls(alone.code)
    assert "outline" in calls.space
    assert calls.modules["rioxarray"].open_rasterio.return_value.rio.clip_box.called


def test_an_outline_gets_no_more_corners_than_can_be_looked_at() -> None:
    comb = [[x / 50, 60 + 20 * (x % 2)] for x in range(2000)]
    aoi = {"type": "Polygon", "coordinates": [[[0, 59], *comb, [40, 59], [0, 59]]]}
    assert len(shapely.get_coordinates(outline(aoi))) < 110_000
    written = write(task(raster(), query=Query(aoi=aoi), chosen=True, options={"variant": "load"}))
    Calls(written.code)
    assert f"{segment(aoi)})" in written.code
    assert segment(BOX) == 0.02


def test_a_raster_that_the_area_does_not_reach_is_opened_and_counted_whole() -> None:
    for query in (Query(aoi=boxed(100, 10, 100.01, 10.01)), None):
        written = write(task(raster(), query=query, chosen=True))
        assert written.estimate.bytes == 100 * 200 * 4
        assert "clip_box" not in written.code
        assert any("red does not reach the area" in one for one in written.warnings) == (query is not None)
    turned = raster()
    turned["assets"]["red"]["proj:transform"] = [7, 7, 400_000, 7, -7, 5_340_000]
    written = write(task(turned, query=Query(aoi=BOX), chosen=True))
    assert written.estimate.bytes == 100 * 200 * 4
    assert "clip_box" not in written.code
    assert any("across its map" in warning for warning in written.warnings)


def grid(
    *, step: tuple[float, float] = (10, 10), corner: tuple[float, float] = (400_000, 5_400_000), **more: Any
) -> dict[str, Any]:
    one = raster(**more)
    one["assets"]["red"]["proj:transform"] = [step[0], 0, corner[0], 0, -step[1], corner[1]]
    return one


@pytest.mark.parametrize(
    ("items", "told", "shape", "note"),
    [
        # on whole multiples of a pixel, as Sentinel-2, nothing needs be said
        ([grid()], {"resolution": 10}, (100, 200), None),
        # Landsat: half a pixel beside them
        ([grid(step=(30, 30), corner=(399_885, 5_400_015))], {"resolution": 30, "anchor": "center"}, (100, 200), None),
        ([grid(corner=(400_003, 5_400_001))], {"resolution": 10, "anchor": (0.3, 0.1)}, (100, 200), None),
        ([grid(corner=(400_003, 5_400_001)), grid(identity="b", corner=(401_003, 5_399_001))], {"resolution": 10, "anchor": (0.3, 0.1)}, (200, 300), None),
        # pixels that are no squares
        ([grid(step=(10, 20))], {"resolution": (10, -20)}, (100, 200), None),
        # whoever wants squares has them made
        ([grid(step=(10, 20))], {"resolution": 10}, (200, 200), "nearest pixel"),
        # the same pixels as a catalogue with few decimals writes them
        ([grid(corner=(400_000.00001, 5_400_000))], {"resolution": 10}, (100, 200), None),
        # others are resampled, and that is said
        ([grid(), grid(identity="b", corner=(400_005, 5_400_000))], {"resolution": 10}, (100, 201), "nearest pixel"),
        ([grid(), grid(identity="b", step=(20, 20))], {"resolution": 10}, (200, 400), "nearest pixel"),
    ],
)  # fmt: skip
def test_the_grid_that_is_loaded_is_that_of_the_files(
    items: list[dict[str, Any]], told: dict[str, Any], shape: tuple[int, int], note: str | None
) -> None:
    wanted = {"resolution": 10} if note and len(items) == 1 else {}
    written = write(task(*items, chosen=True, options={"variant": "load", **wanted}))
    calls = Calls(written.code)
    loaded = calls.modules["odc"].stac.load.call_args.kwargs
    found = {key: loaded[key] for key in ("resolution", "anchor") if key in loaded}
    made = calls.modules["odc"].geo if "odc" in calls.modules else None
    for key, function in (("resolution", "resxy_"), ("anchor", "xy_")):
        if made is not None and found.get(key) is getattr(made, function).return_value:
            found[key] = tuple(getattr(made, function).call_args.args)
    assert found.keys() == told.keys()
    for key, value in told.items():
        assert found[key] == (value if isinstance(value, str) else pytest.approx(value))
    assert written.estimate.bytes == shape[0] * shape[1] * 2
    assert ("# Not in every item on this grid" in written.code) == (note is not None)
    if note is not None:
        assert note in written.code


def test_a_radar_scene_as_the_satellite_saw_it_is_on_no_grid_whatever_the_catalogue_says() -> None:
    seen = raster()
    seen["properties"] |= {"sar:product_type": "GRD", "proj:epsg": 4326}
    del seen["assets"]["red"]["proj:epsg"]
    seen["assets"]["red"]["proj:transform"] = [0.032, 0, -179.8, 0, -0.0005, -68.8]
    written = write(task(seen, chosen=True, query=Query(aoi=BOX), options={"variant": "load"}))
    calls = Calls(written.code)
    assert calls.modules["rioxarray"].open_rasterio.called
    assert "odc" not in calls.modules
    assert any("not cut out" in warning for warning in written.warnings)
    # one that was put onto a map says that of itself
    mapped = raster()
    mapped["properties"]["sar:product_type"] = "GRD"
    assert "odc.stac.load" in write(task(mapped, chosen=True, options={"variant": "load"})).code


def test_a_grid_that_somebody_chose_is_one_that_the_data_are_resampled_to() -> None:
    centred = grid(step=(30, 30), corner=(399_885, 5_400_015))
    for options, resampled in (
        ({"resolution": 30}, False),
        ({"crs": "EPSG:32632"}, False),
        ({"resolution": 60}, True),
        ({"crs": "EPSG:3035"}, True),
    ):
        code = write(task(centred, chosen=True, options={"variant": "load", **options})).code
        assert ("# Not in every item on this grid" in code) == resampled
        assert ('anchor="center"' in code) == (not resampled)


def test_one_raster_is_opened_by_itself() -> None:
    written = write(
        task(
            item("sentinel-2-earth-search"), chosen=True, options={"bands": ["visual"]}, query=Query(aoi=BOX)
        )
    )
    calls = Calls(written.code)
    opened = calls.modules["rioxarray"].open_rasterio
    assert opened.call_args.kwargs == {"masked": True}
    opened.return_value.rio.clip_box.assert_called_once_with(7.6, 48.2, 7.9, 48.5, crs="EPSG:4326")
    assert "rioxarray" in written.needs


@pytest.mark.parametrize(
    ("name", "catalogue", "needs", "in_code"),
    [
        ("sentinel-2-earth-search", "earth", "odc-stac", "odc.stac.load"),
        ("sentinel-2-cdse", "closed", "odc-stac", "eodata.dataspace.copernicus.eu"),
        ("sentinel-3-cdse", "closed", "netcdf4", "xr.open_dataset"),
        ("sentinel-1-planetary", "planetary", "rioxarray", "rioxarray.open_rasterio"),
        ("era5-planetary", "planetary", "adlfs", "xarray:open_kwargs"),
        ("ecmwf-planetary", "planetary", "cfgrib", "cfgrib.open_datasets"),
    ],
)
@pytest.mark.parametrize("chosen", [True, False])
@pytest.mark.parametrize("compute", ["memory", "lazy", "cluster"])
def test_what_opens_an_item_follows_from_its_media_type(
    name: str, catalogue: str, needs: str, in_code: str, chosen: bool, compute: str
) -> None:
    query = Query(aoi=BOX, **MARCH)
    written = write(
        task(item(name), catalogue=catalogue, query=query, chosen=chosen, options={"compute": compute})
    )
    calls = Calls(written.code)
    assert in_code in written.code
    assert needs in written.needs or (needs == "netcdf4" and compute == "cluster")
    assert "ds" in calls.space
    assert all(len(line) <= 130 for line in written.code.splitlines())
    if catalogue == "closed":
        assert "pystac_client" not in calls.modules
        assert calls.modules["cubehub_catalogue"].search.call_args.args == ("closed",)
    if catalogue == "planetary":
        modifier = calls.modules["pystac_client"].Client.open.call_args.kwargs["modifier"]
        assert modifier is calls.modules["planetary_computer"].sign_inplace


def cube(identity: str, *, time: bool = False) -> dict[str, Any]:
    """Give an item of a cube of 100 times 100 values within 10 degrees."""
    axes = {
        name: {"type": "spatial", "axis": name, "extent": [low, low + 10], "values": [*range(100)]}
        for name, low in (("x", 0), ("y", 45))
    }
    when = {"t": {"type": "temporal", "values": ["2020-03-05T00:00:00Z"]}} if time else {}
    return raster(
        identity,
        properties={
            "datetime": "2020-03-05T00:00:00Z", "cube:dimensions": axes | when,
            "cube:variables": {"v": {"dimensions": [*axes, *when], "data_type": "uint8"}},
        },
        assets={"v": {"href": f"https://e.example/{identity}.zarr", "type": "application/vnd+zarr"}},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("items", "variant", "size", "told"),
    [
        # 0.3 by 0.3 of 10 degrees
        ([cube("a")], "auto", 9, None),
        ([cube("a", time=True), cube("b", time=True)], "auto", 18, None),
        # without a time they become a dictionary
        ([cube("a"), cube("b")], "auto", 20_000, "not one dataset"),
        ([cube("a", time=True), cube("b", time=True)], "xcube", 10_000, "opens it whole"),
        ([raster()], "xcube", 100 * 200 * 4, "opens it whole"),
    ],
)
def test_what_is_not_cut_is_counted_whole(
    items: list[dict[str, Any]], variant: str, size: int, told: str | None
) -> None:
    written = write(task(*items, query=Query(aoi=BOX), chosen=True, options={"variant": variant}))
    assert written.estimate.bytes == size
    warned = [one for one in written.warnings if "cut out" in one]
    assert len(warned) == (told is not None)
    assert told is None or told in warned[0]
    assert not any("name their axes" in one for one in written.warnings)
    Calls(written.code)


class _Named(dict[str, MagicMock]):
    """Assets of an item that has these alone."""

    def __init__(self, *names: str) -> None:
        super().__init__({name: MagicMock(extra_fields={}) for name in names})


@pytest.mark.parametrize(
    "media", ["image/tiff", "application/netcdf", "application/vnd+zarr", "application/wmo-GRIB2"]
)
@pytest.mark.parametrize("bands", [(), ("hh",)])
def test_items_that_have_different_assets_are_opened_with_those_they_have(
    media: str, bands: tuple[str, ...]
) -> None:
    """Sentinel-1 sees in VV and VH over land, and in HH and HV at the poles."""
    items = []
    for identity, names in (("a", ("vv", "vh")), ("b", ("hh", "hv"))):
        asset = {"href": f"https://e.example/{identity}", "type": media, "roles": ["data"]}
        items.append(raster(identity, assets=dict.fromkeys(names, asset)))
    for chosen in (True, False):
        written = write(task(*items, chosen=chosen, options={"bands": bands}))
        calls = Calls(written.code, {"a": _Named("vv", "vh"), "b": _Named("hh", "hv")})
        assert calls.space["ds"] is not None


@pytest.mark.parametrize(
    ("having", "bands", "loaded", "days", "left"),
    [
        ((("vv",), ("vv", "vh")), (), ["vv", "vh"], 2, None),
        ((("hh", "hv"), ("vv", "vh"), ("vv", "vh")), (), ["vv", "vh"], 2, "hh, hv is left out"),
        ((("hh", "hv"), ("vv", "vh")), ("vh",), ["vh"], 1, None),
    ],
)
def test_a_stack_is_of_bands_that_one_item_has_all_of_and_that_one_comes_first(
    having: tuple[tuple[str, ...], ...],
    bands: tuple[str, ...],
    loaded: list[str],
    days: int,
    left: str | None,
) -> None:
    """odc-stac refuses bands that the first item does not have."""
    items = []
    for day, names in enumerate(having, 1):
        one = raster("abc"[day - 1], properties={"datetime": f"2020-03-0{day}T10:00:00Z"})
        one["assets"] = dict.fromkeys(names, one["assets"]["red"])
        items.append(one)
    written = write(task(*items, chosen=True, options={"bands": bands, "variant": "load"}))
    calls = Calls(written.code, {one["id"]: _Named(*one["assets"]) for one in items})
    given, told = calls.modules["odc"].stac.load.call_args
    assert told["bands"] == loaded
    assert set(loaded) <= set(given[0][0].assets)
    assert all(set(loaded) & set(one.assets) for one in given[0])
    assert written.estimate.bytes == 100 * 200 * 2 * len(loaded) * days
    assert [left in one for one in written.warnings] == ([True] if left else [])


def test_several_collections_have_a_variable_each() -> None:
    found = (Found("earth", item("sentinel-2-earth-search")), Found("closed", item("sentinel-3-cdse")))
    written = write(Task(places=PLACES, found=found, query=Query(aoi=BOX)))
    calls = Calls(written.code)
    assert {"sentinel_2_l2a", "sentinel_3_sl_2_lst_ntc"} <= set(calls.space)
    assert "# sentinel-2-l2a (Earth Search)\n" in written.code


def test_a_cube_of_the_platform_is_opened_at_its_cube_server() -> None:
    cube = {
        "id": "msi-ndvi",
        "collection": "cubes",
        "bbox": [14, 45, 15, 46],
        "properties": {
            "datetime": None,
            "cube:dimensions": {
                "time": {"type": "temporal", "extent": ["2015-01-01T00:00:00Z", "2017-01-01T00:00:00Z"]},
                "x": {"type": "spatial", "axis": "x", "extent": [500_000, 501_000], "reference_system": 32632},
                "y": {"type": "spatial", "axis": "y", "extent": [5_300_000, 5_301_000], "reference_system": 32632},
            },
        },
        "assets": {"zarr": {"href": "/services/cubes/s3/datasets/msi-ndvi.zarr", "type": "application/vnd+zarr", "roles": ["data"]}},
    }  # fmt: skip
    query = Query(aoi=BOX, **MARCH)
    written = write(task(cube, catalogue="cubehub", query=query, chosen=True))
    assert written.cube == "msi-ndvi"
    calls = Calls(written.code)
    assert calls.modules["xarray"].open_zarr.call_args.args == ("CUBES/s3/pyramids/msi-ndvi.levels/0.zarr",)
    calls.modules["xarray"].open_zarr.return_value.sel.assert_called_once_with(
        time=slice("2020-03-01T00:00:00", "2020-03-31T00:00:00")
    )
    for variant in ("xcube", "load"):
        chosen = write(
            task(cube, catalogue="cubehub", query=query, chosen=True, options={"variant": variant})
        )
        Calls(chosen.code)
    assert 'os.environ["CUBEHUB_CATALOGUE_URL"]' in chosen.code
    # one that is not for everybody is not handed to a notebook, which is not signed in at the cube server
    own = cube | {
        "collection": "own.1",
        "properties": {**cube["properties"], "published": "2026-11-28T08:00:00Z"},
    }
    for variant in ("auto", "load", "cube", "xcube"):
        with pytest.raises(InputError) as raised:
            write(task(own, catalogue="cubehub", chosen=True, options={"variant": variant}))
        assert raised.value.code == "cube_not_public"
        assert "msi-ndvi" in raised.value.message
    # beside others it is left out
    both = write(task(own, raster(), catalogue="cubehub", chosen=True, query=Query()))
    assert Calls(both.code).modules["rioxarray"].open_rasterio.called
    assert "msi-ndvi" not in both.code
    assert any("msi-ndvi" in warning for warning in both.warnings)
    assert write(task(own | {"collection": "cubes"}, catalogue="cubehub", chosen=True)).cube == "msi-ndvi"
    # another catalogue's item of the same form is not this platform's cube
    other = write(task(cube, catalogue="earth", chosen=True))
    assert other.cube is None
    with pytest.raises(InputError, match="cube server"):
        write(task(cube, catalogue="earth", chosen=True, options={"variant": "cube"}))


def test_a_cube_is_built_by_publishing_or_by_a_recipe() -> None:
    scene, query = item("sentinel-2-earth-search"), Query(aoi=BOX, **MARCH)
    options = {"variant": "publish", "bands": ["red", "nir"], "resolution": 60}
    calls = Calls(write(task(scene, query=query, options=options)).code)
    made = calls.modules["cubehub"].publish.call_args
    assert made.args[1] == "sentinel-2-l2a"
    # one item gives its own name, also where its collection's is made of an account
    mine = scene | {
        "collection": "own.d5a5e5cf",
        "properties": scene["properties"] | {"title": "My lake, May"},
    }
    for chosen in (True, False):
        calls_of_one = Calls(write(task(mine, query=query, options=options, chosen=chosen)).code)
        (_, name), told = calls_of_one.modules["cubehub"].publish.call_args
        assert (name, told["title"]) == ("my-lake-may", "My lake, May")
    assert calls.modules["odc"].stac.load.call_args.kwargs["chunks"]
    calls = Calls(write(task(scene, query=query, options=options | {"variant": "build"})).code)
    (command,) = calls.modules["subprocess"].run.call_args.args
    assert command == [
        "cubehub", "cubes", "build", "msi-ndvi", "--source", "stac+https://earth.example.org/v1#sentinel-2-l2a",
        "--area=7.6,48.2,7.9,48.5", "--name", "msi-ndvi-n48-35-e7-75", "--time", "2020-03-01T00:00:00/2020-03-31T00:00:00", "--grid", "EPSG:32632@60",
    ]  # fmt: skip
    for refused in (
        task(scene, options=options | {"variant": "build"}),
        task(raster(), query=query, options={"variant": "build"}),
        task(scene, catalogue="closed", query=query, options=options | {"variant": "build"}),
        *(
            task(scene | {"collection": name}, query=query, options=options | {"variant": "build"})
            for name in ("sentinel-2-l2a,other", "sentinel-2-l2a#x", "sentinel-2-l2a\n", "sentinel-2-l2a/é")
        ),
    ):
        with pytest.raises(InputError):
            write(refused)


def test_a_search_of_which_nothing_is_known_lists_what_it_finds() -> None:
    query = Query(collections={"earth": ("a", "b")}, aoi=BOX)
    calls = Calls(write(Task(places={"earth": PLACES["earth"]}, query=query)).code)
    asked = calls.modules["pystac_client"].Client.open.return_value.search.call_args_list
    assert [call.kwargs["collections"] for call in asked] == [["a"], ["b"]]


def test_a_cell_is_no_longer_than_a_notebook_bears() -> None:
    query = Query(text="x" * 3 * 2**20)
    with pytest.raises(InputError, match="too much for a cell") as raised:
        write(task(raster(), query=query))
    assert raised.value.code == "too_large"


def test_assets_are_read_once_for_each_item_whatever_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def counted(one: dict[str, Any]) -> dict[str, Any]:
        asked.append(1)
        return data_assets(one)

    monkeypatch.setattr("cubehub_catalogue.code.blocks.data_assets", counted)
    few, many = raster(), raster()
    many["assets"] = {f"b{n}": few["assets"]["red"] for n in range(100)}
    write(task(few, chosen=True, options={"variant": "load"}))
    before = len(asked)
    write(task(many, chosen=True, options={"variant": "load"}))
    assert len(asked) == 2 * before


def test_a_band_that_no_item_has_is_named() -> None:
    written = write(task(item("sentinel-2-earth-search"), chosen=True, options={"bands": ["red", "B99"]}))
    assert any("B99" in warning and "red" in warning for warning in written.warnings)
    known = write(task(item("sentinel-2-earth-search"), chosen=True, options={"bands": ["red"]}))
    assert not any("None of these items has" in warning for warning in known.warnings)


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (Task(places=PLACES), "nothing_chosen"),
        (task(raster(), options={"bands": ["blue"]}), "unknown_bands"),
        (task(raster(), catalogue="nowhere"), "unknown_catalogue"),
        (task(raster(), options={"crs": "EPSG:1"}), "unknown_crs"),
        (task(*[raster(str(n), collection=str(n)) for n in range(7)]), "too_many_collections"),
        (task(raster(), options={"variant": "publish", "template": "no-such"}), "unknown_template"),
    ],
)
def test_what_cannot_be_written_is_refused_with_a_reason(wanted: Task, code: str) -> None:
    with pytest.raises(CatalogueError) as raised:
        write(wanted)
    assert raised.value.code == code
    assert raised.value.hint


@pytest.mark.parametrize(
    ("href", "media", "opener"),
    [
        ("https://x/a.tif", "image/tiff", "geotiff"),
        ("s3://b/a.jp2", "image/jp2", "j2k"),
        ("file:///a.zarr", "application/vnd+zarr", "zarr"),
        ("https://x/a.nc", "application/netcdf", "netcdf"),
        ("http://x/a.nc", "application/netcdf", None),
        ("https://x/a.grib", "application/wmo-GRIB2", None),
    ],
)
def test_a_store_of_xcube_opens_what_xcube_can(href: str, media: str, opener: str | None) -> None:
    one = raster()
    one["assets"]["red"] |= {"href": href, "type": media}
    asked = task(one, chosen=True, options={"variant": "xcube"})
    if opener is None:
        with pytest.raises(InputError) as raised:
            write(asked)
        assert raised.value.code == "not_for_xcube"
        return
    store = Calls(write(asked).code).modules["xcube"].core.store.new_data_store
    assert store.return_value.open_data.call_args.kwargs == {"opener_id": f"dataset:{opener}:https"}


def test_the_kernel_of_xcube_asks_catalogues_that_answer_strangers() -> None:
    """It has an environment of its own, without our search and its log-ins."""
    one = raster(collection="scenes")
    places = {
        **PLACES,
        "hub": Place("hub", "Hub", f"{PLATFORM}/x/", direct=False, public=True, platform=True),
    }
    options = Options.model_validate({"variant": "xcube"})
    for catalogue, query, works in (
        ("hub", None, True), ("closed", None, False), ("hub", Query(text="lake"), False), ("earth", Query(text="lake"), True),
    ):  # fmt: skip
        asked = Task(
            places=places, found=(Found(catalogue, one),), query=query, options=options, platform_url=PLATFORM
        )
        if works:
            assert "cubehub_catalogue" not in Calls(write(asked).code).modules
            continue
        with pytest.raises(InputError) as raised:
            write(asked)
        assert raised.value.code == "not_for_xcube"


@pytest.mark.parametrize(
    "options",
    [
        {"name": "import"}, {"name": "os"}, {"name": "next"}, {"name": "a b"}, {"name": "é"}, {"variant": "x"}, {"resolution": -1},
        {"resolution": float("nan")}, {"crs": "EPSG:4326'"}, {"bands": ["x" * 300]}, {"other": 1}, [], {"most_items": 0},
    ],
)  # fmt: skip
def test_options_that_cannot_be_are_refused(options: Any) -> None:
    if options == []:
        assert Options.from_json(options) == Options()
        return
    with pytest.raises(InputError) as raised:
        Options.from_json(options)
    assert raised.value.code == "bad_options"


SECRET = "sEcReT0"
VARIANTS = ["auto", "load", "raster", "xcube", "publish", "build"]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    "media", ["image/tiff", "application/vnd+zarr", "application/netcdf", "application/wmo-GRIB2"]
)
@pytest.mark.parametrize("chosen", [True, False])
def test_no_secret_of_an_item_or_a_catalogue_is_in_the_code(variant: str, media: str, chosen: bool) -> None:
    one = raster(collection="sentinel-2-l2a")
    one["assets"]["red"] |= {
        "type": media,
        "href": f"s3://user:{SECRET}@bucket/key?X-Amz-Signature={SECRET}&sig={SECRET}",
        "xarray:open_kwargs": {"storage_options": {"account_key": SECRET, "sas_token": SECRET}},
        "xarray:storage_options": {"account_name": f"?sig={SECRET}", "token": SECRET},
        "storage:refs": ["a"],
        "alternate": {"https": {"href": f"https://x/?token={SECRET}"}},
    }
    one["properties"] |= {
        "storage:schemes": {"a": {"type": "custom-s3", "platform": f"https://user:{SECRET}@host.example"}},
        "token": SECRET,
    }
    one["links"] = [{"rel": "self", "href": f"https://x/?key={SECRET}"}]

    class Catalogue:
        id, title, type = "earth", "Earth", "stac"
        url = f"https://earth.example.org/v1?api_key={SECRET}"
        auth = None

    place = Place.of(Catalogue)
    assert not place.direct
    made = Task(
        places={"earth": place}, found=(Found("earth", one),), query=Query(aoi=BOX), chosen=chosen,
        options=Options.model_validate({"variant": variant}),
    )  # fmt: skip
    try:
        told = json.dumps(write(made).to_dict())
    except InputError as error:
        told = f"{error.message} {error.hint}"
    assert SECRET not in told


_TEXT = st.text(st.characters(exclude_categories=[]), max_size=20) | st.sampled_from(
    [
        '"""',
        "'''\\",
        "\n__import__('os').system('x')\n",
        "\u202e",
        "\ud800",
        "x\x00y",
        "{name}",
        "%s",
        "\\N{BULLET}",
        "')#",
    ]
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=8,
)
_KEYS = st.sampled_from(
    ["href", "type", "roles", "title", "gsd", "bands", "raster:bands", "eo:bands", "proj:shape", "proj:transform", "proj:epsg",
     "proj:code", "proj:bbox", "file:size", "nodata", "data_type", "storage:refs", "xarray:open_kwargs", "auth:refs",
     "raster:scale"]
)  # fmt: skip
_PROPERTIES = st.sampled_from(
    [
        "datetime",
        "start_datetime",
        "cube:dimensions",
        "cube:variables",
        "proj:epsg",
        "storage:schemes",
        "gsd",
        "title",
    ]
)
_MEDIA = st.sampled_from(
    ["image/tiff", "image/jp2", "application/vnd+zarr", "application/netcdf", "application/grib"]
)


@st.composite
def _items(draw: st.DrawFn) -> dict[str, Any]:
    one = raster(draw(_TEXT), collection=draw(_TEXT | st.just("sentinel-2-l2a")))
    name = draw(_TEXT)
    asset = one["assets"].pop("red") | {"type": draw(_MEDIA)}
    one["assets"][name] = asset | draw(st.dictionaries(_KEYS, _JSON, max_size=3))
    one["properties"] |= draw(st.dictionaries(_PROPERTIES, _JSON, max_size=3))
    axes = st.fixed_dictionaries({"axis": st.sampled_from("xy"), "extent": st.just([0, 10]), "type": _TEXT})
    times = st.just({"type": "temporal", "extent": ["2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z"]})
    if draw(st.booleans()):
        one["properties"]["cube:dimensions"] = draw(st.dictionaries(_TEXT, axes | times, max_size=4))
    return one | draw(
        st.dictionaries(st.sampled_from(["assets", "properties", "bbox", "collection"]), _JSON, max_size=1)
    )


# the same cells each time: they are run with stand-ins, which know only so much
@settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(_items(), min_size=1, max_size=3),
    st.sampled_from(VARIANTS),
    st.sampled_from(["auto", "memory", "lazy", "cluster"]),
    st.booleans(),
    _TEXT,
    st.sampled_from(["earth", "closed", "planetary", "cubehub"]),
    st.sampled_from([BOX, TRIANGLE]),
)
def test_whatever_is_in_an_item_the_cell_is_python_and_its_values_come_back(
    items: list[dict[str, Any]],
    variant: str,
    compute: str,
    chosen: bool,
    text: str,
    catalogue: str,
    aoi: dict[str, Any],
) -> None:
    query = Query(aoi=aoi, text=text, filter={"op": "=", "args": [{"property": text}, text]}, **MARCH)
    made = task(
        *items, catalogue=catalogue, query=query, chosen=chosen, options={"variant": variant, "compute": compute},
        room=Room(2**30, text),
    )  # fmt: skip
    try:
        written = write(made)
    except InputError:
        return
    json.dumps(written.to_dict())
    ast.parse(written.code)
    assert all(character.isprintable() or character == "\n" for character in written.code)
    calls = Calls(written.code)
    if variant == "build" or written.cube:
        return
    if catalogue == "closed":
        asked = [call.kwargs for call in calls.modules["cubehub_catalogue"].search.call_args_list]
    else:
        asked = [
            call.kwargs
            for call in calls.modules["pystac_client"].Client.open.return_value.search.call_args_list
        ]
    if chosen:
        ids = [one for call in asked for one in call["ids"]]
        assert set(ids) == {one["id"] for one in items}
    elif text:
        assert {call.get("q", call.get("text")) for call in asked} == {text}
        assert all(call["filter"] == query.filter for call in asked)


class Good:
    title = "Mine"
    description = "What we always do"

    @staticmethod
    def write(task: Task) -> str:
        return f"n = {len(task.found)}\n"


class Bad:
    title = "Bad"
    description = ""

    @staticmethod
    def write(_task: Task) -> str:
        return "this is no python"


def test_an_administrators_template_writes_the_cell() -> None:
    module = "pytest_catalogue_templates"
    points = [
        EntryPoint(name, f"{module}:{name}", "cubehub_catalogue.code") for name in ("Good", "Bad", "Missing")
    ]
    import sys  # noqa: PLC0415
    import types  # noqa: PLC0415

    sys.modules[module] = stand_in = types.ModuleType(module)
    stand_in.Good, stand_in.Bad = Good, Bad  # type: ignore[attr-defined]
    try:
        assert [one.to_dict() for one in templates(points)] == [
            {"id": "Bad", "title": "Bad", "description": ""},
            {"id": "Good", "title": "Mine", "description": "What we always do"},
        ]
        assert written_by("Good", task(raster()), points) == "n = 1\n"
        with pytest.raises(CatalogueError, match="SyntaxError") as raised:
            written_by("Bad", task(raster()), points)
        assert raised.value.code == "template_failed"
        with pytest.raises(UnknownError):
            written_by("Other", task(raster()), points)
    finally:
        del sys.modules[module]

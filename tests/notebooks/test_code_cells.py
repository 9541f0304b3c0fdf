"""Every cell that the catalogue writes runs in a fresh kernel of the lab and gives the dataset that was expected."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from cubehub_catalogue.code import Found, Options, Place, Task, write
from cubehub_catalogue.query import Query
from cubehub_tests.catalogue_code import make_data, run_cells, served
from cubehub_tests.catalogue_scenes import box, degrees, grids, lake, real_scenes
from cubehub_tests.platform import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from cubehub_catalogue.sizes import Estimate

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.needs("packages")]

WEST, NORTH, STEP = 465_180, 5_080_260, 10
_LOADED = "sum(v.nbytes for v in ds.data_vars.values())"
_PIXELS = "[ds.ndvi.isel(time=t).sel(x=[465685 + 10 * n for n in range(4)], y=[5079855 - 10 * n for n in range(4)]).values.tolist() for t in range(ds.sizes['time'])]"


AREA = box(465_400, 5_079_500, 466_000, 5_080_100)
LAKE, SEA, ISLES = lake(14.552, 45.867, 14.561, 45.874), lake(1.4, 51.25, 1.5, 51.32), lake(-6, 50, 2, 55)
TIMES = {"start": datetime(2015, 8, 1, tzinfo=UTC), "end": datetime(2015, 9, 30, tzinfo=UTC)}
ASKED: dict[str, tuple[dict[str, Any], str]] = {
    "stack": (
        {"ids": ["scene-3", "scene-4"], "query": Query(aoi=AREA), "options": {"compute": "memory"}},
        f"{{'sizes': dict(ds.sizes), 'bytes': {_LOADED}, 'lazy': bool(ds.chunks), 'pixels': {_PIXELS}, 'vars': sorted(ds)}}",
    ),
    "search": (
        {
            "ids": ["scene-0", "scene-3"],
            "again": True,
            "query": Query(aoi=AREA, filter={"op": "<", "args": [{"property": "eo:cloud_cover"}, 35]}),
            "options": {"bands": ["ndvi"], "compute": "lazy"},
        },
        f"{{'bytes': {_LOADED}, 'lazy': bool(ds.chunks), 'pixels': {_PIXELS}}}",
    ),
    "closed": (
        {"ids": ["scene-3"], "catalogue": "closed", "query": None, "options": {"variant": "load", "bands": ["ndvi"]}},
        f"{{'sizes': dict(ds.sizes), 'bytes': {_LOADED}, 'pixels': {_PIXELS}}}",
    ),
    "raster": (
        {"ids": ["scene-3"], "query": Query(aoi=AREA), "options": {"bands": ["ndvi"]}},
        "{'sizes': dict(ds.sizes), 'crs': ds.rio.crs.to_epsg(), 'pixel': float(ds.sel(x=465685, y=5079855)[0])}",
    ),
    "jp2": (
        {"ids": ["jp2"], "query": None, "options": {"variant": "load", "compute": "lazy"}},
        "{'sum': int(ds.clp.astype('int64').sum()), 'dtype': str(ds.clp.dtype), **native(ds, items, 'clp')}",
    ),
    "cluster": (
        {"ids": ["scene-3", "scene-4"], "query": None, "options": {"bands": ["ndvi"], "compute": "cluster"}},
        "{'mean': float(ds.ndvi.mean().compute()), 'workers': len(client.scheduler_info()['workers'])}",
    ),
    "zarr": (
        {"ids": ["cube"], "query": Query(aoi=AREA, **TIMES)},
        (
            "{'times': [str(t)[:19] for t in ds.time.values], 'x': [float(ds.x.min()), float(ds.x.max())],"
            " 'y': [float(ds.y.min()), float(ds.y.max())], 'loaded': ds.ndvi.load().shape}"
        ),
    ),
    "cube": (
        {"ids": ["msi-ndvi"], "catalogue": "cubehub", "query": None},
        "{'sizes': dict(ds.sizes), 'corner': ds.ndvi[3, 0, :3].values.tolist()}",
    ),
    "netcdf": (
        {"ids": ["chl-0", "chl-1"], "query": None},
        "{'times': [str(t)[:10] for t in ds.time.values], 'sums': [float(ds.conc_chl[t].sum()) for t in range(2)], 'lazy': bool(ds.chunks)}",
    ),
    "netcdf3": (
        {"ids": ["chl-2"], "query": Query(aoi=degrees(1.45, 51.28, 1.48, 51.30))},
        "{'lat': ds.lat.values.tolist(), 'lon': ds.lon.values.tolist(), 'vars': sorted(ds)}",
    ),
    "publish": (
        {"ids": ["scene-3", "scene-4"], "query": Query(aoi=AREA), "options": {"variant": "publish"}},
        "{'url': made.url, 'title': made.title, 'structure': made.structure}",
    ),
    "half": ({"ids": ["half-0", "half-1"], "query": None}, "native(ds, items, 'ndvi')"),
    "lake": (
        {"ids": ["scene-3", "scene-4"], "query": Query(aoi=LAKE)},
        (
            "{'ndvi': touched(ds.ndvi[0], aoi, 'EPSG:32633'), 'clp': touched(ds.clp[1], aoi, 'EPSG:32633'),"
            f" 'bytes': {_LOADED}}}"
        ),
    ),
    "lake by itself": (
        {"ids": ["scene-3"], "query": Query(aoi=LAKE), "options": {"bands": ["ndvi"]}},
        "touched(ds[0], aoi, 'EPSG:32633')",
    ),
    "lake of a cube": (
        {"ids": ["msi-ndvi"], "catalogue": "cubehub", "query": Query(aoi=LAKE, **TIMES)},
        "within(ds.ndvi.max('time'), aoi, 'x', 'y', 'EPSG:32633')",
    ),
    "sea": (
        {"ids": ["chl-0", "chl-1"], "query": Query(aoi=SEA)},
        "{**within(ds.depth.isel(time=0, missing_dims='ignore'), aoi, 'lon', 'lat'), 'grid': float(ds.grid.max()), 'dims': list(ds.grid.dims)}",
    ),
    "isles": ({"ids": ["t2m"], "query": Query(aoi=ISLES)}, "within(ds.t2m, aoi, 'longitude', 'latitude')"),
    "grib": (
        {"ids": ["t2m"], "query": Query(aoi=degrees(-5, 50, 2, 55))},
        "{'shape': list(ds.t2m.shape), 'mean': float(ds.t2m.mean())}",
    ),
}  # fmt: skip


_PUBLISHING = """
import types, cubehub
from cubehub.publishing.structure import as_dataset, structure_of

def publish(ds, name, *, title):
    return types.SimpleNamespace(url=name, title=title, structure=structure_of(as_dataset(ds)))

cubehub.publish = publish
"""
"""There is no platform here: what `cubehub.publish` looks at first is looked at, and nothing is sent."""
_SIZES = """
import json, os, pystac, odc.stac
answers = []
for one in json.load(open(os.environ["HOME"] + "/../sizes.json")):
    space = {"items": [pystac.Item.from_dict(item) for item in one["items"]]}
    for item in space["items"]:
        item.set_self_href("https://open.example.org/item.json")  # links of some are relative to it
    exec(one["code"], space)
    answers.append(sum(variable.nbytes for variable in space["ds"].data_vars.values()))
"""
"""Makes datasets of real items without reading a pixel: what is lazy knows its size."""


_ALL = """
import json, os, shapely.geometry
answers = {}
for name, code in json.load(open(os.environ["HOME"] + "/../grids.json")).items():
    space = {}
    exec(code, space)
    answers[name] = native(space["ds"], space["items"], "ndvi")
"""
"""One kernel for them all: that cells run in a fresh one is seen by the others."""
CHECKS = (REPOSITORY / "tests/src/cubehub_tests/_cell_checks.py").read_text()


@dataclass
class Ran:
    """All cells, run."""

    answers: dict[str, Any]
    codes: dict[str, str]
    estimates: dict[str, Estimate]
    expected: dict[str, Any]

    def of(self, name: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.answers[name]
        assert "failed" not in answer, f"{self.codes[name]}\n{answer['failed']}"
        return answer


@pytest.fixture(scope="module")
def ran(lab_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Write and run all the cells once; two kernels at a time."""
    folder, home = tmp_path_factory.mktemp("files"), tmp_path_factory.mktemp("homes")
    made = make_data(lab_python, folder)
    with served(made["items"], folder) as (stand, root):
        items = {item["id"]: item for item in stand.items}
        places = {
            "open": Place("open", "Open", stand.url),
            "closed": Place("closed", "Closed", stand.url, direct=False),
            "cubehub": Place("cubehub", "Platform", f"{root}/services/catalogue/", platform=True),
        }
        (home / "catalogues.yaml").write_text(
            json.dumps(
                {"catalogues": [{"id": "closed", "title": "Closed", "url": stand.url, "private": True}]}
            )
        )
        env = {
            "CUBEHUB_URL": root,
            "CUBEHUB_CUBES_URL": f"{root}/services/cubes",
            "CUBEHUB_CATALOGUES": str(home / "catalogues.yaml"),
            # as it is here, whatever of it is installed there
            "PYTHONPATH": str(REPOSITORY / "extensions/catalogue"),
        }
        written = {}
        for name, (asked, _) in ASKED.items():
            task = Task(
                places=places,
                found=tuple(Found(asked.get("catalogue", "open"), items[one]) for one in asked["ids"]),
                query=asked["query"], chosen=not asked.get("again"),
                options=Options.model_validate(asked.get("options", {})), platform_url=root,
            )  # fmt: skip
            written[name] = write(task)
        cells = [
            {
                "name": name,
                "code": (_PUBLISHING if name == "publish" else "") + written[name].code + CHECKS,
                "ask": ask,
                "env": env,
            }
            for name, (_, ask) in ASKED.items()
        ]
        scenes = real_scenes()
        (home / "sizes.json").write_text(json.dumps(scenes))
        cells.append({"name": "sizes", "code": _SIZES, "ask": "{'bytes': answers}", "env": {}})
        (home / "grids.json").write_text(json.dumps(grids(items, places["open"])))
        cells.append({"name": "grids", "code": CHECKS + _ALL, "ask": "answers", "env": {}})
        answers = run_cells(lab_python, cells, home)
    return Ran(
        answers,
        {name: one.code for name, one in written.items()},
        {name: one.estimate for name, one in written.items()},
        made["expected"] | {"sizes": [one["bytes"] for one in scenes]},
    )


def near(found: Any, expected: Any) -> bool:
    """Tell whether nested lists of numbers are the same."""
    flat = [number for layer in found for row in layer for number in row]
    wanted = [number for layer in expected for row in layer for number in row]
    return flat == pytest.approx(wanted, abs=1e-6, nan_ok=True)


def test_chosen_rasters_become_a_stack_on_their_own_grid_within_the_area(ran: Ran) -> None:
    found = ran.of("stack")
    assert found["sizes"] == {"time": 2, "y": 60, "x": 60}
    assert found["vars"] == ["clp", "ndvi"]
    assert not found["lazy"]
    assert near(found["pixels"], [ran.expected["ndvi"]["3"], ran.expected["ndvi"]["4"]])
    # what the panel says is what it takes: the area is no box in degrees, so bytes became floats with NaN beside it
    assert ran.estimates["stack"].bytes == found["bytes"] == 2 * 60 * 60 * (4 + 4)


def test_a_search_finds_again_what_it_found_and_is_read_when_needed(ran: Ran) -> None:
    found = ran.of("search")
    assert found["lazy"]
    assert near(found["pixels"], [ran.expected["ndvi"]["0"], ran.expected["ndvi"]["3"]])
    assert ran.estimates["search"].bytes == found["bytes"]


def test_a_catalogue_that_wants_a_log_in_is_asked_by_our_own_search(ran: Ran) -> None:
    assert "pystac_client" not in ran.codes["closed"]
    found = ran.of("closed")
    assert found["sizes"] == {"time": 1, "y": 101, "x": 100}
    assert near(found["pixels"], [ran.expected["ndvi"]["3"]])
    assert ran.estimates["closed"].bytes == found["bytes"] == 101 * 100 * 4


def test_pixels_half_a_pixel_beside_are_those_of_the_files(ran: Ran) -> None:
    assert 'anchor="center"' in ran.codes["half"]
    found = ran.of("half")
    assert found["wrong"] == 0
    assert found["cube"] == found["files"] > 0
    assert found["shape"] == [101, 100]


def test_whatever_the_grid_of_the_files_its_pixels_are_loaded_as_they_are(ran: Ran) -> None:
    ran.codes["grids"] = _ALL
    found = ran.of("grids")
    shapes = {"half": [101, 100], "beside": [90, 70], "oblong": [101, 100], "degrees": [70, 80]}
    for name, shape in shapes.items():
        assert found[name]["shape"] == shape, name
        for one in (found[name], found[f"{name} by area"]):
            assert one["wrong"] == 0, name
            assert one["cube"] == one["files"] > 0, name
        assert 0 < found[f"{name} by area"]["files"] < found[name]["files"]


@pytest.mark.parametrize("name", ["lake", "lake by itself", "lake of a cube", "sea", "isles"])
def test_of_an_area_that_is_no_box_nothing_beside_it_is_left(ran: Ran, name: str) -> None:
    found = ran.of(name)
    for one in (found["ndvi"], found["clp"]) if name == "lake" else (found,):
        assert (one["missing"], one["beyond"]) == (0, 0)
        assert one["there"] > 0
        assert one["away"] > 0


def test_what_has_no_place_stays_whole_and_the_size_of_what_is_masked_is_told(ran: Ran) -> None:
    assert ran.of("sea")["grid"] == 1
    assert not {"lat", "lon"} & set(ran.of("sea")["dims"])
    # a byte becomes a float
    assert ran.of("lake")["bytes"] == ran.estimates["lake"].bytes


def test_one_raster_is_opened_by_itself_and_cut(ran: Ran) -> None:
    found = ran.of("raster")
    assert found["crs"] == 32633
    assert found["sizes"]["x"] in {60, 61}
    assert found["pixel"] == pytest.approx(ran.expected["ndvi"]["3"][0][0], abs=1e-6)


def test_jpeg_2000_is_loaded_as_it_is(ran: Ran) -> None:
    found = ran.of("jp2")
    assert (found["dtype"], found["sum"], found["wrong"]) == ("uint8", ran.expected["jp2"], 0)
    assert found["cube"] == found["files"] == 101 * 100


def test_a_cluster_computes(ran: Ran) -> None:
    found = ran.of("cluster")
    assert found["workers"] >= 1
    assert 0 < found["mean"] < 1


def test_zarr_is_cut_to_area_and_time(ran: Ran) -> None:
    found, cube = ran.of("zarr"), ran.expected["cube"]
    assert found["times"] == [time for time in cube["times"] if "2015-08-01" <= time < "2015-09-30"]
    for axis, low, high in (("x", 465_400, 466_000), ("y", 5_079_500, 5_080_100)):
        inside = [value for value in cube[axis] if low <= value <= high]
        assert found[axis] == pytest.approx([min(inside), max(inside)])
    assert found["loaded"][0] == len(found["times"])


def test_a_cube_of_the_platform_is_opened_at_its_cube_server(ran: Ran) -> None:
    found = ran.of("cube")
    assert found["sizes"] == {"time": 68, "y": 101, "x": 100}
    assert found["corner"] == pytest.approx(ran.expected["cube"]["corner"], abs=1e-6)


def test_netcdf_is_read_over_http_and_put_together_by_time(ran: Ran) -> None:
    assert "h5netcdf" in ran.codes["netcdf"]
    found = ran.of("netcdf")
    assert found["times"] == ["2017-01-16", "2017-01-17"]
    assert found["sums"] == pytest.approx(ran.expected["chl"]["sums"][:2], rel=1e-4)
    assert found["lazy"]


def test_netcdf_of_the_old_form_is_read_from_a_copy_and_cut(ran: Ran) -> None:
    assert "simplecache" in ran.codes["netcdf3"]
    found, sea = ran.of("netcdf3"), ran.expected["chl"]
    assert found["lat"] == [value for value in sea["lat"] if 51.28 <= value <= 51.30]
    assert found["lon"] == pytest.approx([value for value in sea["lon"] if 1.45 <= value <= 1.48])
    assert found["lat"]
    assert found["lon"]
    assert found["vars"] == ["conc_chl"]


def test_grib_is_cut_across_greenwich(ran: Ran) -> None:
    found = ran.of("grib")
    assert found["shape"] == ran.expected["grib"]["shape"]
    assert found["mean"] == pytest.approx(ran.expected["grib"]["mean"], abs=1e-3)


def test_what_is_to_be_published_has_the_form_of_a_cube(ran: Ran) -> None:
    found = ran.of("publish")
    assert (found["url"], found["title"]) == ("scenes", "scenes")
    assert set(found["structure"]["variables"]) == {"ndvi", "clp"}


def test_the_size_that_is_said_of_real_scenes_is_the_size_that_is_loaded(ran: Ran) -> None:
    ran.codes["sizes"] = _SIZES
    assert len(ran.expected["sizes"]) == 15
    assert ran.of("sizes")["bytes"] == ran.expected["sizes"]

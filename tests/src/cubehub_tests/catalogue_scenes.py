"""Areas, and cells for scenes whose grids and sizes are looked at."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pyproj
from cubehub_catalogue.code import Found, Options, Place, Task, write
from cubehub_catalogue.query import Query

from cubehub_tests.platform import REPOSITORY


def box(left: float, bottom: float, right: float, top: float, crs: str = "EPSG:32633") -> dict[str, Any]:
    """Give the outline in degrees of a box in another projection, corner by corner."""
    move = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    corners = [(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)]
    return {"type": "Polygon", "coordinates": [[list(move.transform(*corner)) for corner in corners]]}


def degrees(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    """Give the outline of a box in degrees."""
    return {
        "type": "Polygon",
        "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]],
    }


def lake(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    """Give an outline with a bay and an island that is no lake, of the size of a box."""
    width, height = east - west, north - south
    shore = [(0, 0.2), (0.5, 0), (1, 0.1), (0.75, 0.5), (0.95, 1), (0.3, 0.8), (0.25, 0.45), (0, 0.2)]
    island = [(0.4, 0.3), (0.55, 0.3), (0.5, 0.45), (0.4, 0.3)]
    return {
        "type": "Polygon",
        "coordinates": [
            [[west + x * width, south + y * height] for x, y in ring] for ring in (shore, island)
        ],
    }


def grids(items: dict[str, Any], place: Place) -> dict[str, str]:
    """Give cells for rasters whose pixels lie beside whole multiples of themselves, whole and by a box."""
    found = {}
    for name in ("half", "beside", "oblong", "degrees"):
        some = [item for identity, item in items.items() if identity.startswith(f"{name}-")]
        crs = "EPSG:4326" if name == "degrees" else "EPSG:32633"
        area = (
            box(465_403, 5_079_502, 465_777, 5_080_011)
            if crs != "EPSG:4326"
            else degrees(14.01, 45.97, 14.05, 45.99)
        )
        for query in (None, Query(aoi=area)):
            task = Task(
                places={"open": place}, found=tuple(Found("open", one) for one in some), chosen=True, query=query,
                options=Options.model_validate({"variant": "load"}),
            )  # fmt: skip
            found[name if query is None else f"{name} by area"] = write(task).code
    return found


def real_scenes() -> list[dict[str, Any]]:
    """Give cells for real scenes of three catalogues, chosen by lot, whole, by a box and by an outline; without the search."""
    folders = {
        "tests": REPOSITORY / "extensions/catalogue/tests/data/code",
        "scenes": REPOSITORY / "extensions/catalogue/tests/data/scenes/items",
        "items": REPOSITORY / "extensions/catalogue/tests/data/items",
    }
    scenes = {
        "earth": [json.loads((folders["tests"] / "sentinel-2-earth-search.json").read_text())],
        "cdse": [json.loads((folders["tests"] / "sentinel-2-cdse.json").read_text())],
        "alps": [json.loads(path.read_text()) for path in sorted(folders["scenes"].glob("*33T*"))],
        "series": [json.loads(path.read_text()) for path in sorted(folders["scenes"].glob("*T35MNM*"))],
        # half a pixel beside whole multiples of one
        "landsat": [
            json.loads(path.read_text()) for path in sorted(folders["items"].glob("*landsat-c2-l2*"))
        ],
    }
    lot, made = Random(6), []  # noqa: S311 - the same each time
    for items in scenes.values():
        assert items
        for shape in (None, degrees, lake):
            some = lot.sample(items, min(len(items), lot.randint(1, 4)))
            west, south, east, north = some[0]["bbox"]
            left, bottom = lot.uniform(west, east), lot.uniform(south, north)
            edges = (left, bottom, left + lot.uniform(0.01, 0.4), bottom + lot.uniform(0.01, 0.4))
            written = write(
                Task(
                    places={"open": Place("open", "Open", "https://open.example.org")},
                    found=tuple(Found("open", item) for item in some), chosen=True,
                    query=Query(aoi=shape(*edges)) if shape else None,
                    options=Options.model_validate({"variant": "load", "compute": "lazy"}),
                )
            )  # fmt: skip
            assert "odc.stac.load" in written.code
            assert ('anchor="center"' in written.code) == ("landsat" in str(some[0]["collection"]))
            loading = written.code.partition("items = list(search.items())")[2]
            made.append(
                {
                    "code": f"import odc.stac, shapely.geometry\nfrom odc.geo.geom import Geometry\n{loading}",
                    "items": some,
                    "bytes": written.estimate.bytes,
                }
            )
    return made

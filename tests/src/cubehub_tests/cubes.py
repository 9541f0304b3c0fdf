"""What a built cube holds according to xarray itself, read from the files without the server."""

from __future__ import annotations

import json
import math
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_FULLEST = """
import sys, json, numpy as np, xarray as xr
cube = xr.open_zarr(sys.argv[1] + "/pyramid.levels/0.zarr")
values = cube[sys.argv[2]].load()
seen = values.notnull().sum("time")
place = seen.isel(seen.argmax(["lat", "lon"]))
series = values.sel(lat=place["lat"], lon=place["lon"])
latest = values.isel(time=int(values.notnull().sum(["lat", "lon"]).argmax("time")))
rows, columns = np.nonzero(latest.notnull().values)
middle = len(rows) // 2  # of the pixels in order, so one in the thick of them
times = [str(time)[:19] for time in values["time"].values.astype("datetime64[s]")]
print(json.dumps({
    "lon": float(place["lon"]), "lat": float(place["lat"]),
    "series": {time: None if np.isnan(v) else float(v) for time, v in zip(times, series.values)},
    "fullest_time": str(latest["time"].values.astype("datetime64[s]")),
    "thick": [float(latest["lon"][columns[middle]]), float(latest["lat"][rows[middle]])],
    "mean_of_last": float(values.isel(time=-1).mean()),
}))
"""

_PICTURE = """
import sys, json, numpy as np
from PIL import Image
pixels = np.asarray(Image.open(sys.stdin.buffer).convert("RGBA"))
opaque = pixels[pixels[..., 3] > 0]
print(json.dumps({"shape": pixels.shape, "opaque": len(opaque), "colours": len(np.unique(opaque[:, :3], axis=0))}))
"""


@dataclass(frozen=True)
class Facts:
    """What xarray reads from a cube on a (lat, lon) grid."""

    lon: float
    lat: float
    """The place with the most values over time (centre of its pixel), in degrees."""
    series: dict[str, float]
    """The values at that place by time (to the second, UTC), without the missing ones."""
    fullest_time: str
    """The time with the most values."""
    thick: list[float]
    """Longitude and latitude of a pixel in the midst of the values at that time, in degrees."""
    mean_of_last: float
    """Mean over the last time step."""


def in_cubes_environment(envs: Path, code: str, *arguments: str, stdin: bytes = b"") -> Any:
    """Run code in the environment that has xarray and Pillow; gives the JSON it prints."""
    ended = subprocess.run(
        [str(envs / "cubes/bin/python"), "-W", "ignore", "-c", code, *arguments],
        input=stdin, capture_output=True, check=False, timeout=300,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr.decode()
    return json.loads(ended.stdout)


@lru_cache
def facts(data: Path, cube: str, variable: str) -> Facts:
    """Read a cube's files below a data folder."""
    found = in_cubes_environment(data / "envs", _FULLEST, str(data / "cubes" / cube), variable)
    found["series"] = {time: value for time, value in found["series"].items() if value is not None}
    return Facts(**found)


def picture(envs: Path, png: bytes) -> dict[str, Any]:
    """Shape, opaque pixels and number of colours of a picture."""
    found: dict[str, Any] = in_cubes_environment(envs, _PICTURE, stdin=png)
    return found


def tile_at(lon: float, lat: float, zoom: int) -> tuple[int, int]:
    """Row and column of the web-mercator tile that holds a place.

    References
    ----------
    OGC 17-083r4, Two Dimensional Tile Matrix Set, annex D.1 (WebMercatorQuad).
    """
    size = 2**zoom
    column = int((lon + 180) / 360 * size)
    angle = math.radians(lat)
    row = int((1 - math.asinh(math.tan(angle)) / math.pi) / 2 * size)
    return row, column


def data_tile(known: Facts, *, zoom: int = 8) -> tuple[int, int, int]:
    """Zoom, row and column of a tile in the midst of a cube's values."""
    lon, lat = known.thick
    return zoom, *tile_at(lon, lat, zoom)

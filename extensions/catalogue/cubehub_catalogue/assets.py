"""What is in an item: its assets by kind, with the grid and the type of their pixels, as far as the item says so.

Catalogues write what they like: whatever has not the form that STAC gives it counts as not there.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cubehub_catalogue.query import Item

_DTYPES = {
    "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "float16": 2, "cint16": 4, "int32": 4, "uint32": 4, "float32": 4,
    "cint32": 8, "cfloat32": 8, "int64": 8, "uint64": 8, "float64": 8, "cfloat64": 16,
}  # fmt: skip
"""Bytes by data type of STAC's raster extension 1.1 and of STAC 1.1's common metadata."""
_USUAL = "float32"
"""odc-stac 0.5 loads what says no type as this (`odc.stac.model.RasterBandMetadata`)."""
_EXACT = 1e-5
"""Of a pixel; less is rounding."""
_SLANTED = frozenset({"GRD", "SLC"})
"""Radar products whose rows follow the satellite; where they lie say points in the file. Catalogues (Earth Search) give
them a transform all the same, made of the box around the scene."""
_NO_DATA = frozenset({"thumbnail", "overview", "metadata", "archive", "index", "tiles"})
_PICTURES = frozenset({"visual"})
_BY_NAME = {
    ".tif": "raster", ".tiff": "raster", ".jp2": "raster", ".vrt": "raster", ".zarr": "zarr", ".nc": "netcdf",
    ".nc4": "netcdf", ".cdf": "netcdf", ".h5": "netcdf", ".grib": "grib", ".grib2": "grib", ".grb": "grib",
    ".grb2": "grib",
}  # fmt: skip
_CUBE = re.compile(
    r"/services/cubes/s3/(?:datasets|pyramids)/([A-Za-z0-9][A-Za-z0-9._~-]{0,199})\.(?:zarr|levels)/?"
)
_STEP = re.compile(r"[-_](?:jp2|\d+m)$", re.IGNORECASE)


class Kind(StrEnum):
    """How an asset is opened."""

    RASTER = "raster"
    ZARR = "zarr"
    NETCDF = "netcdf"
    GRIB = "grib"


@dataclass(frozen=True)
class Grid:
    """Where the pixels of a raster are."""

    crs: str
    """As ``EPSG:32635``."""
    shape: tuple[int, int]
    """Rows, columns."""
    bounds: tuple[float, float, float, float]
    """Outer edges: left, bottom, right, top."""
    steps: tuple[float, float]
    """Width and height of a pixel, in the unit of the CRS."""
    turned: bool = False
    """Whether rows and columns run across the axes of the CRS."""

    @property
    def resolution(self) -> float:
        """Length of a pixel's longer side."""
        return max(self.steps)

    @property
    def offset(self) -> tuple[float, float]:
        """How far beside whole multiples of a pixel its edges are, along x and y, in parts of it: 0 up to 1."""
        corner, steps = (self.bounds[0], self.bounds[3]), self.steps
        parts = [
            edge / step % 1 if math.isfinite(edge / step) else 0.0
            for edge, step in zip(corner, steps, strict=True)
        ]
        # what decimals in a catalogue leave of 0 and of a half
        x, y = (next((0.5 * n % 1 for n in range(3) if abs(part - 0.5 * n) < _EXACT), part) for part in parts)
        return x, y


@dataclass(frozen=True)
class Asset:
    """One asset with data."""

    name: str
    kind: Kind
    title: str
    href: str
    """As the catalogue gives it; it may be signed, so it never goes into code."""
    size: int | None
    """Bytes as stored."""
    dtype: str | None
    """As odc-stac would load it; None where the item does not say it."""
    nodata: float | None
    """The number that stands for nothing; None where there is none, or it is no number."""
    scaled: bool
    """Whether stored values are to be multiplied or shifted."""
    bands: int
    common_name: str
    grid: Grid | None
    gsd: float | None
    """Metres."""
    extra: Mapping[str, Any]
    """All the catalogue says of it."""

    @property
    def itemsize(self) -> int:
        """Bytes of one value in memory."""
        return _DTYPES[self.dtype or _USUAL]

    @property
    def itemsize_masked(self) -> int:
        """Bytes of one value where some are NaN: xarray makes floats of whole numbers, wide enough to hold them."""
        whole = "int" in (self.dtype or _USUAL) and not (self.dtype or "").startswith("c")
        return (4 if self.itemsize <= 2 else 8) if whole else self.itemsize


def data_assets(item: Item) -> dict[str, Asset]:
    """Give those assets of an item that can be opened, by name, in the catalogue's order."""
    assets = item.get("assets")
    found = {}
    for name, asset in assets.items() if isinstance(assets, dict) else ():
        if (
            isinstance(name, str)
            and isinstance(asset, dict)
            and (made := _asset(item, name, asset)) is not None
        ):
            found[name] = made
    return found


def usual_assets(assets: Mapping[str, Asset]) -> list[Asset]:
    """Choose what to load where nobody chose: one of each band, no pictures, and of many bands those everyone knows.

    Notes
    -----
    The same band may be there several times: as COG and as JPEG 2000 (Earth Search), or at 10, 20 and 60 m (Copernicus
    Data Space). The finest is taken, of equals the COG.
    """
    numbers = [
        asset
        for asset in assets.values()
        if not _roles(asset.extra) & _PICTURES and not (asset.kind is Kind.RASTER and asset.bands > 1)
    ]
    best: dict[str, Asset] = {}
    for asset in numbers or list(assets.values()):
        key = _STEP.sub("", asset.name)
        if key not in best or _rank(asset) < _rank(best[key]):
            best[key] = asset
    chosen = list(best.values())
    if len(chosen) > _MANY:
        known = [asset for asset in chosen if asset.common_name in _KNOWN]
        if {"red", "nir"} <= {asset.common_name for asset in known}:
            return sorted(known, key=lambda asset: _KNOWN.index(asset.common_name))
    return chosen


_MANY = 6
_KNOWN = ("blue", "green", "red", "nir")


def cube_name(item: Item) -> str | None:
    """Give the name under which the platform's cube server has an item; the item must be of the platform's catalogue."""
    assets = item.get("assets")
    for asset in assets.values() if isinstance(assets, dict) else ():
        href = asset.get("href") if isinstance(asset, dict) else None
        if isinstance(href, str) and (match := _CUBE.fullmatch(_path(href))):
            return match[1]
    return None


def is_for_some(item: Item) -> bool:
    """Tell whether a person published it for some people only; the item must be of the platform's catalogue.

    Notes
    -----
    What everybody may see is in the collection of cubes, the rest in those of people and groups.
    """
    return (
        cube_name(item) is not None and "published" in properties(item) and item.get("collection") != "cubes"
    )


def number(value: object) -> float | None:
    """Give a finite number, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        made = float(value)
    except OverflowError:
        return None
    return made if math.isfinite(made) else None


def properties(item: Item) -> Mapping[str, Any]:
    """Give an item's properties; {} where it has none."""
    found = item.get("properties")
    return found if isinstance(found, dict) else {}


def _asset(item: Item, name: str, asset: dict[str, Any]) -> Asset | None:
    href = asset.get("href")
    if not isinstance(href, str) or not href or _roles(asset) & _NO_DATA:
        return None
    kind = _kind(asset.get("type"), href, _roles(asset))
    if kind is None:
        return None
    bands = _bands(item, asset)
    first = bands[0] if bands else {}
    size = asset.get("file:size")
    return Asset(
        name=name,
        kind=kind,
        title=asset["title"] if isinstance(asset.get("title"), str) else name,
        href=href,
        size=size if isinstance(size, int) and not isinstance(size, bool) and 0 < size < 2**63 else None,
        dtype=_widest(band.get("data_type") for band in bands),
        nodata=number(first.get("nodata")),
        scaled=_is_scaled(asset, bands),
        bands=max(1, len(bands), len(_list(asset.get("eo:bands")))),
        common_name=_common_name(asset),
        grid=_grid(item, asset),
        gsd=_positive(asset.get("gsd")) or _positive(properties(item).get("gsd")),
        extra=asset,
    )


def _kind(media: object, href: str, roles: frozenset[str]) -> Kind | None:
    plain = media.partition(";")[0].strip().lower() if isinstance(media, str) else ""
    if plain in {"image/tiff", "image/jp2", "image/vnd.stac.geotiff", "image/geo+tiff"}:
        return Kind.RASTER
    if "zarr" in plain:
        return Kind.ZARR
    if "netcdf" in plain or plain in {"application/x-hdf5", "application/x-hdf", "application/x-netcdf4"}:
        return Kind.NETCDF
    if "grib" in plain:
        return Kind.GRIB
    if plain in {"", "application/octet-stream"} or (plain == "application/vnd.zarr"):
        path = _path(href).rstrip("/").lower()
        named = next((kind for ending, kind in _BY_NAME.items() if path.endswith(ending)), None)
        return Kind(named) if named and (plain or not roles or "data" in roles) else None
    return None


def _bands(item: Item, asset: dict[str, Any]) -> list[dict[str, Any]]:
    """Give type and no-data of each band, from where odc-stac takes them (`odc.stac._mdtools.band_metadata`)."""
    around = {key: asset.get(key, properties(item).get(key)) for key in ("data_type", "nodata")}
    around = {key: value for key, value in around.items() if value is not None}
    # STAC 1.1 has `bands`, which inherit from asset and item; 1.0 has `raster:bands`
    listed = _list(asset.get("bands"))
    bands = [
        around | {key: band[key] for key in ("data_type", "nodata") if band.get(key) is not None}
        for band in listed
    ]
    older = _list(asset.get("raster:bands"))
    if not any(bands) and not around and older:
        return older
    return bands or ([around] if around else [])


def _is_scaled(asset: dict[str, Any], bands: list[dict[str, Any]]) -> bool:
    places = [asset, *_list(asset.get("bands")), *_list(asset.get("raster:bands"))]
    factors = [number(place.get(key)) for place in places for key in ("scale", "raster:scale")]
    shifts = [number(place.get(key)) for place in places for key in ("offset", "raster:offset")]
    return bool(bands) and (any(f not in (None, 1) for f in factors) or any(shifts))


def _common_name(asset: dict[str, Any]) -> str:
    bands = _list(asset.get("eo:bands")) or _list(asset.get("bands"))
    names = [band.get("common_name", band.get("eo:common_name")) for band in bands]
    return names[0] if len(names) == 1 and isinstance(names[0], str) else ""


def _widest(types: Iterable[object]) -> str | None:
    known = [dtype for dtype in types if isinstance(dtype, str) and dtype in _DTYPES]
    return max(known, key=lambda dtype: _DTYPES[dtype]) if known else None


def _grid(item: Item, asset: dict[str, Any]) -> Grid | None:
    """Read the projection extension, of the asset or of the whole item; None where it does not say where pixels are."""

    def said(key: str) -> object:
        return asset.get(key, properties(item).get(key))

    crs, shape = _crs(said("proj:code"), said("proj:epsg")), said("proj:shape")
    product = properties(item).get("sar:product_type")
    if crs == "EPSG:4326" and isinstance(product, str) and product in _SLANTED:
        return None
    if crs is None or not isinstance(shape, list) or len(shape) != 2:
        return None
    rows, columns = shape
    if not (isinstance(rows, int) and isinstance(columns, int) and 0 < rows < 2**31 and 0 < columns < 2**31):
        return None
    transform, box = said("proj:transform"), said("proj:bbox")
    if isinstance(transform, list) and len(transform) >= 6:
        numbers = [number(value) for value in transform[:6]]
        if None not in numbers:
            a, b, c, d, e, f = (value or 0.0 for value in numbers)
            xs = [c + a * column + b * row for column in (0, columns) for row in (0, rows)]
            ys = [f + d * column + e * row for column in (0, columns) for row in (0, rows)]
            steps = (math.hypot(a, d), math.hypot(b, e))
            outer = (min(xs), min(ys), max(xs), max(ys))
            return Grid(crs, (rows, columns), outer, steps, turned=bool(b or d)) if min(steps) > 0 else None
    if isinstance(box, list) and len(box) == 4:
        edges = [number(value) for value in box]
        if None not in edges:
            left, bottom, right, top = (value or 0.0 for value in edges)
            if left < right and bottom < top:
                steps = ((right - left) / columns, (top - bottom) / rows)
                return Grid(crs, (rows, columns), (left, bottom, right, top), steps)
    return None


def _crs(code: object, epsg: object) -> str | None:
    if isinstance(code, str) and re.fullmatch(r"[A-Z]{2,10}:[0-9]{1,8}", code, re.ASCII):
        return code
    if isinstance(epsg, int) and not isinstance(epsg, bool) and 0 < epsg < 10**8:
        return f"EPSG:{epsg}"
    return None


def _rank(asset: Asset) -> tuple[float, bool, bool]:
    finest = asset.gsd or (asset.grid.resolution if asset.grid else math.inf)
    sampled = any(
        role.startswith("sampling:") and role != "sampling:original" for role in _roles(asset.extra)
    )
    return (finest, sampled, "jp2" in str(asset.extra.get("type")))


def _path(href: str) -> str:
    try:
        return urlsplit(href).path
    except ValueError:
        return ""


def _positive(value: object) -> float | None:
    found = number(value)
    return found if found is not None and found > 0 else None


def _roles(asset: Mapping[str, Any]) -> frozenset[str]:
    roles = asset.get("roles")
    return (
        frozenset(role for role in roles if isinstance(role, str)) if isinstance(roles, list) else frozenset()
    )


def _list(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []

"""Sentinel-2 level 2A scenes from STAC items and from SAFE folders.

References
----------
.. [1] ESA, "Sentinel-2 Products Specification Document", issue 14.9: from processing baseline 04.00 on, digital
   numbers carry an offset: reflectance = (DN + BOA_ADD_OFFSET) / QUANTIFICATION_VALUE, with -1000 and 10000.
.. [2] Element 84, Earth Search v1, ``earthsearch:boa_offset_applied``: where true, the offset has been taken from the
   pixels already, although ``raster:bands`` goes on to state it.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from xcube_cubehub.errors import SceneBrokenError
from xcube_cubehub.sources.files import Entry, Files, local_text, moment, parse_xml
from xcube_cubehub.sources.model import Asset, Bounds, SceneHandle, unwrapped_bounds
from xcube_cubehub.steps import SceneRef, digest

QUANTIFICATION = 10_000
BOA_OFFSET = -1000 / QUANTIFICATION
"""Reflectance, from `OFFSET_BASELINE` on."""

OFFSET_BASELINE = "04.00"

BANDS = {
    "B01": "coastal", "B02": "blue", "B03": "green", "B04": "red", "B05": "rededge1", "B06": "rededge2",
    "B07": "rededge3", "B08": "nir", "B8A": "nir08", "B09": "nir09", "B11": "swir16", "B12": "swir22", "SCL": "scl",
}  # fmt: skip
"""ESA's names of bands, and those of Earth Search."""

PRODUCT = re.compile(
    r"^(?P<unit>S2[A-D])_MSIL2A_(?P<take>\d{8}T\d{6})_N(?P<baseline>\d{4})_R\d{3}_T(?P<tile>\d{2}[A-Z]{3})_(?P<made>\d{8}T\d{6})"
)
STRIP = re.compile(r"_S(\d{8}T\d{6})")
TAKE = re.compile(r"(\d{8}T\d{6})")


def scale_and_offset(band: Mapping[str, Any], properties: Mapping[str, Any]) -> tuple[float, float]:
    """What turns a stored number into reflectance, for a reflectance band of an item.

    Parameters
    ----------
    band : mapping
        The asset.
    properties : mapping
        Of the item.

    Returns
    -------
    scale, offset : float
        Reflectance = DN * scale + offset.

    Notes
    -----
    In this order: pixels from which the offset has been taken need none, whatever else is stated; a stated non-zero
    offset holds; otherwise the processing baseline decides (Planetary Computer states nothing and leaves the offset
    in the pixels).
    """
    told = (band.get("raster:bands") or [{}])[0]
    told = told if isinstance(told, Mapping) else {}
    scale = _number(told.get("scale", band.get("raster:scale")), 1 / QUANTIFICATION)
    if properties.get("earthsearch:boa_offset_applied") is True:
        return scale, 0.0
    stated = _number(told.get("offset", band.get("raster:offset")), 0.0)
    if stated:
        return scale, stated
    return scale, BOA_OFFSET if baseline_of(properties) >= OFFSET_BASELINE else 0.0


def baseline_of(properties: Mapping[str, Any]) -> str:
    """Processing baseline as ``05.09``; ``00.00`` if nothing says it."""
    for name in ("s2:processing_baseline", "processing:version"):
        match = re.fullmatch(r"(\d{2})\.(\d{2})", str(properties.get(name, "")))
        if match:
            return match[0]
    match = re.search(r"_N(\d{2})(\d{2})_", str(properties.get("s2:product_uri", "")))
    return f"{match[1]}.{match[2]}" if match else "00.00"


def handle_of_item(item: Mapping[str, Any], hrefs: Mapping[str, str], bounds: Bounds | None) -> SceneHandle:
    """A handle for an item of any of the big catalogues.

    Parameters
    ----------
    item : mapping
        A STAC item of Sentinel-2 level 2A.
    hrefs : mapping of str to str
        Absolute addresses of those of its assets that may be read.
    bounds : tuple of float or None
        Of its geometry, in degrees.

    Raises
    ------
    SceneBrokenError
        It says neither tile nor time.
    """
    properties = item["properties"]
    identity, baseline = str(item["id"]), baseline_of(properties)
    product = PRODUCT.match(str(properties.get("s2:product_uri") or identity))
    tile = product["tile"] if product else _tile(properties, identity)
    if not tile:
        raise SceneBrokenError("it says no tile")
    sensing = moment(str(properties.get("datetime") or properties.get("start_datetime") or ""))
    take = TAKE.search(str(properties.get("s2:datatake_id") or properties.get("eopf:datatake_id") or ""))
    began = product["take"] if product else take[1] if take else re.sub(r"[-:]", "", str(sensing))
    strip = STRIP.search(str(properties.get("s2:datastrip_id", "")))
    platform = str(
        properties.get("platform", product["unit"].replace("S2", "sentinel-2") if product else "")
    ).lower()
    made = (
        product["made"]
        if product
        else re.sub(r"[^\dT]", "", str(properties.get("s2:generation_time", "")))[:15]
    )
    assets = {}
    for name, short in BANDS.items():
        found = _asset(item["assets"], hrefs, name, short)
        if found:
            asset = item["assets"][found]
            scale, offset = (1.0, 0.0) if name == "SCL" else scale_and_offset(asset, properties)
            assets[name] = Asset(hrefs[found], scale, offset, 0.0)
    key = f"s2 {platform} {tile} {began} {strip[1] if strip else ''}"
    mark = digest(
        identity,
        baseline,
        properties.get("updated"),
        [(n, a.href.partition("?")[0], a.offset) for n, a in assets.items()],
    )
    cover = _number(properties.get("eo:cloud_cover"), np.nan)
    return SceneHandle(
        SceneRef(_plain_id(identity, product), baseline, platform, sensing),
        mark,
        "s2-l2a",
        identity,
        key,
        (baseline, made),
        assets,
        bounds,
        cloud_cover=None if np.isnan(cover) else cover,
        crs=crs_of_tile(tile),
    )


def s2_of_folder(files: Files, folder: Entry) -> SceneHandle:
    """The product in a SAFE folder.

    Raises
    ------
    SceneBrokenError
        Its name or its ``MTD_MSIL2A.xml`` says nothing.
    """
    product = PRODUCT.match(folder.name)
    if not product:
        raise SceneBrokenError("the name is not that of a Sentinel-2 level 2A product")
    root = parse_xml(files.text(f"{folder.path}/MTD_MSIL2A.xml"), "MTD_MSIL2A.xml")
    quantification = _number(local_text(root, "BOA_QUANTIFICATION_VALUE"), float(QUANTIFICATION)) or float(
        QUANTIFICATION
    )
    offsets = [_number(e.text, 0.0) for e in root.iter() if e.tag.rsplit("}", 1)[-1] == "BOA_ADD_OFFSET"]
    offset = (offsets[0] if offsets else 0.0) / quantification
    numbers = [_number(text, np.nan) for text in local_text(root, "EXT_POS_LIST").split()]
    bounds = unwrapped_bounds(numbers[1::2], numbers[0::2])
    assets, marks = {}, []
    for entry in _images(files, folder):
        band = re.search(r"_(B\d[\dA]|SCL)_(\d\d)m\.jp2$", entry.name)
        if band and (band[1] not in assets or band[2] == "10"):
            scale, shift = (1.0, 0.0) if band[1] == "SCL" else (1 / quantification, offset)
            assets[band[1]] = Asset(files.address(entry.path), scale, shift, 0.0)
            marks.append((entry.name, entry.size, entry.mark))
    baseline = f"{product['baseline'][:2]}.{product['baseline'][2:]}"
    sensing = moment(local_text(root, "PRODUCT_START_TIME"))
    cover = _number(local_text(root, "Cloud_Coverage_Assessment"), np.nan)
    platform = product["unit"].replace("S2", "sentinel-2").lower()
    return SceneHandle(
        SceneRef(_plain_id(folder.name, product), baseline, platform, sensing),
        digest(folder.name, marks),
        "s2-l2a",
        folder.name,
        f"s2 {platform} {product['tile']} {product['take']} ",
        (baseline, product["made"]),
        assets,
        bounds,
        cloud_cover=None if np.isnan(cover) else cover,
        crs=crs_of_tile(product["tile"]),
    )


def _images(files: Files, folder: Entry) -> list[Entry]:
    found = []
    for granule in files.entries(f"{folder.path}/GRANULE"):
        for resolution in ("R10m", "R20m", "R60m"):
            found += files.entries(f"{granule.path}/IMG_DATA/{resolution}")
    return found


def _asset(assets: Mapping[str, Any], hrefs: Mapping[str, str], name: str, short: str) -> str:
    """Name of the asset of a band, the finest first; empty if the item has none that may be read."""
    for candidate in (name, short, *(f"{name}_{resolution}m" for resolution in (10, 20, 60))):
        if candidate in hrefs and isinstance(assets.get(candidate), Mapping):
            return candidate
    return ""


def _tile(properties: Mapping[str, Any], identity: str) -> str:
    told = (str(properties.get(name, "")).removeprefix("MGRS-") for name in ("grid:code", "s2:mgrs_tile"))
    parts = "".join(
        str(properties.get(f"mgrs:{name}", "")) for name in ("utm_zone", "latitude_band", "grid_square")
    )
    match = re.search(r"_T?(\d{1,2}[A-Z]{3})(?:_|$)", identity)
    for text in (*told, parts, match[1] if match else ""):
        if re.fullmatch(r"\d{1,2}[A-Z]{3}", text):
            return text.zfill(5)
    return ""


def _plain_id(identity: str, product: re.Match[str] | None) -> str:
    """The id without what processing changes: baseline, counter, time of production."""
    if product:
        return f"{product['unit']}_MSIL2A_{product['take']}_T{product['tile']}"
    return re.sub(r"_\d+_L2A$", "_L2A", identity)


def crs_of_tile(tile: str) -> str:
    """The UTM zone of a tile such as ``33TWM``: the number is the zone, letters from N on are north."""
    return f"EPSG:{326 if tile[2] >= 'N' else 327}{tile[:2]}"


def _number(value: Any, default: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return default
    return number if np.isfinite(number) else default

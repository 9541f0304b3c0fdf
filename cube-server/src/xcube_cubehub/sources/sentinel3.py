"""Sentinel-3 OLCI scenes from their metadata: SAFE folders by manifest, C2RCC swaths by header.

References
----------
.. [1] "Sentinel-3 PDGS File Naming Convention", EUM/LEO-SEN3/SPE/10/0070 (GMES-S3GS-EOPG-TN-09-0009): fields of a
   product's name.
.. [2] "Product Data Format Specification - OLCI Level 2 Marine", S3IPF.PDS.004.3: files and the manifest.
"""

import json
import re
from datetime import UTC, datetime

import numpy as np

from xcube_cubehub.errors import SceneBrokenError
from xcube_cubehub.sources import netcdf
from xcube_cubehub.sources.files import Entry, Files, local_text, moment, parse_xml
from xcube_cubehub.sources.model import Asset, Bounds, SceneHandle, unwrapped_bounds
from xcube_cubehub.steps import SceneRef, digest

WFR_NAME = re.compile(
    r"^(?P<unit>S3[A-D])_OL_2_WFR____(?P<start>\d{8}T\d{6})_(?P<stop>\d{8}T\d{6})_(?P<made>\d{8}T\d{6})"
    r"_(?P<seconds>[\d_]{4})_(?P<cycle>[\d_]{3})_(?P<orbit>[\d_]{3})_(?P<frame>[\d_]{4})"
    r"_(?P<centre>\w{3})_(?P<platform>\w)_(?P<timeliness>NR|ST|NT)_(?P<collection>\d{3})(\.SEN3)?$"
)
TIMELINESS = {"NR": "0", "ST": "1", "NT": "2"}
"""Near real time is superseded by short time critical and that by non time critical: better orbits and auxiliaries."""

C2RCC_VERSION = re.compile(r"_v(\d+(?:\.\d+)*)\.nc$")


def wfr_handle(name: str, assets: dict[str, Asset], bounds: Bounds | None, fingerprint: str) -> SceneHandle:
    """A handle for a WFR product; all else is in its name.

    Parameters
    ----------
    name : str
        Of the product, with or without ``.SEN3``.
    assets : dict
        Files by their name without ``.nc``.
    """
    match = WFR_NAME.match(name)
    if not match:
        raise SceneBrokenError("the name is not that of an OLCI level 2 water product")
    part = match.groupdict()
    platform = f"sentinel-3{part['unit'][2].lower()}"
    frame = part["frame"] if part["frame"].isdigit() else part["start"]
    sensing = moment(_iso(part["start"]))
    ref = SceneRef(
        f"{part['unit']}_OL_2_WFR____{part['start']}_{part['stop']}", part["collection"], platform, sensing
    )
    key = f"wfr {platform} {part['cycle']} {part['orbit']} {frame}"
    rank = (part["collection"], TIMELINESS[part["timeliness"]], part["made"])
    return SceneHandle(ref, fingerprint, "s3-olci-wfr", name, key, rank, assets, bounds)


def wfr_of_folder(files: Files, folder: Entry) -> SceneHandle:
    """The product in a SAFE folder.

    Raises
    ------
    SceneBrokenError
        Its manifest is missing or says nothing.

    Notes
    -----
    The manifest lists the bytes of each file. One that has another size was not copied whole; that shows without
    opening it.
    """
    entries = {entry.name: entry for entry in files.entries(folder.path)}
    manifest = entries.get("xfdumanifest.xml")
    if manifest is None:
        raise SceneBrokenError("it has no xfdumanifest.xml")
    root = parse_xml(files.text(manifest.path), manifest.name)
    expected = {}
    for stream in root.iter("byteStream"):
        location = stream.find("fileLocation")
        if location is not None:
            expected[str(location.get("href", "")).removeprefix("./")] = stream.get("size", "")
    assets = {}
    for entry in entries.values():
        if entry.name.endswith(".nc"):
            size = expected.get(entry.name, "")
            whole = not size.isdigit() or int(size) == entry.size
            problem = "" if whole else f"{entry.name} has {entry.size:,} of {int(size):,} bytes: no pixels"
            assets[entry.name.removesuffix(".nc")] = Asset(files.address(entry.path), problem=problem)
    numbers = [float(text) for text in local_text(root, "posList").split() if _is_number(text)]
    bounds = unwrapped_bounds(numbers[1::2], numbers[0::2])
    mark = digest(folder.name, [(entry.name, entry.size, entry.mark) for entry in entries.values()])
    return wfr_handle(folder.name, assets, bounds, mark)


def c2rcc_of_file(files: Files, entry: Entry) -> SceneHandle | None:
    """The C2RCC swath in a NetCDF file; None if it is something else.

    Raises
    ------
    SceneBrokenError
        It is one and cannot be used, or is no NetCDF at all.
    """
    href = files.address(entry.path)
    with netcdf.opened(href, {"files": json.dumps(files.options)}) as dataset:
        if not str(getattr(dataset, "product_type", "")).startswith("C2RCC_OLCI"):
            return None
        lat, lon = netcdf.variable(dataset, "lat", "latitude"), netcdf.variable(dataset, "lon", "longitude")
        if lat is None or lon is None or lat.ndim != 2 or lat.shape != lon.shape:
            raise SceneBrokenError("it has no longitude and latitude of each pixel")
        thin = tuple(slice(None, None, max(1, size // 64)) for size in lat.shape)
        bounds = _box(netcdf.raw(lon, thin), netcdf.raw(lat, thin))
        start, shape = _c2rcc_time(str(getattr(dataset, "start_date", ""))), lat.shape
    version = C2RCC_VERSION.search(entry.name)
    number = version[1] if version else "0"
    ref = SceneRef(C2RCC_VERSION.sub("", entry.name).removesuffix(".nc"), number, "", start)
    corner = [round(value, 2) for value in bounds] if bounds else []
    rank = (".".join(part.zfill(4) for part in number.split(".")), entry.name)
    mark = digest(entry.name, entry.size, entry.mark)
    key = f"c2rcc {start} {corner} {shape}"
    return SceneHandle(ref, mark, "olci-c2rcc", entry.name, key, rank, {"": Asset(href)}, bounds)


def _box(lon: np.ndarray, lat: np.ndarray) -> Bounds | None:
    there = np.isfinite(lon) & np.isfinite(lat)
    box = unwrapped_bounds(lon[there].tolist(), lat[there].tolist())
    if box is None:
        raise SceneBrokenError("its longitudes and latitudes are not on the globe")
    edge = 0.1  # what thinning left out
    return box[0] - edge, max(box[1] - edge, -90), box[2] + edge, min(box[3] + edge, 90)


def _c2rcc_time(text: str) -> np.datetime64:
    """``15-APR-2017 10:01:35.533860`` as SNAP writes it, in UTC."""
    for form in ("%d-%b-%Y %H:%M:%S.%f", "%d-%b-%Y %H:%M:%S"):
        try:
            found = datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
        return np.datetime64(found.replace(tzinfo=None), "s")
    raise SceneBrokenError(f"its start_date {text[:40]!r} is no time")


def _iso(compact: str) -> str:
    """``20210604T001016`` with its separators."""
    day, time = compact[:8], compact[9:]
    return f"{day[:4]}-{day[4:6]}-{day[6:]}T{time[:2]}:{time[2:4]}:{time[4:]}"


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False

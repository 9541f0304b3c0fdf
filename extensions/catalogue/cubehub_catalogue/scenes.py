"""Which scene an item shows, read from its properties and from the names that agencies give their products."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cubehub_catalogue.errors import InputError
from cubehub_catalogue.times import item_times, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cubehub_catalogue.query import Item

_END = r"(?:\.SAFE|\.SEN3|\.zarr|\.zip)*$"
_S2_PRODUCT = re.compile(
    r"(?P<platform>S2[A-D])_MSI(?P<level>L1C|L2A)_(?P<taken>\d{8}T\d{6})(?:_N(?P<baseline>\d{4}))?_R\d{3}"
    r"_T(?P<tile>\d\d[A-Z]{3})_\d{8}T\d{6}" + _END
)
_S2_DATATAKE = re.compile(r"GS2[A-D]_(?P<taken>\d{8}T\d{6})_\d{6}_N(?P<baseline>\d\d\.\d\d)$")
_S2_C1 = re.compile(
    r"(?P<platform>S2[A-D])_T(?P<tile>\d\d[A-Z]{3})_(?P<taken>\d{8}T\d{6})_(?P<level>L1C|L2A)$"
)
_S1_PRODUCT = re.compile(
    r"(?P<platform>S1[A-D])_(?P<mode>[A-Z0-9]{2})_(?P<type>[A-Z0-9_]{4})_(?P<level>\d)(?P<kind>[SA][A-Z]{2})"
    r"_(?P<start>\d{8}T\d{6})_(?P<stop>\d{8}T\d{6})_(?P<orbit>\d{6})_(?P<take>[0-9A-F]{6})"
    r"(?:_(?P<mark>[0-9A-F]{4}))?(?P<form>_COG)?(?P<rest>_rtc)?" + _END
)
# Agencies leave out polarisation and level in the short names of some catalogues ("1SSH" becomes "1_SH").
_S1_SHORT = re.compile(r"_(\d)_([A-Z]{2})_(?=\d{8}T)")
_S3_PRODUCT = re.compile(
    r"(?P<platform>S3[A-D])_(?P<type>[A-Z]{2}_\d_[A-Z0-9]{2,6}?)_+(?P<start>\d{8}T\d{6})_(?P<stop>\d{8}T\d{6})_"
    r"(?:\d{8}T\d{6}_)?\d{4}_(?P<cycle>\d{3})_(?P<orbit>\d{3})_(?P<frame>\d{4}|_{4})?"
    r"(?:_[A-Z0-9]{3}_[A-Z]_(?P<timeliness>NR|ST|NT)_(?P<baseline>[0-9A-Z]{3}))?" + _END
)
_LANDSAT = re.compile(
    r"(?P<sensor>L[A-Z]\d\d)_(?P<level>L[12])(?P<correction>[A-Z]{2})_(?P<place>\d{6})_(?P<date>\d{8})(?:_\d{8})?"
    r"_(?P<collection>\d\d)_(?P<tier>T1|T2|RT)(?:_SR)?(?P<rest>_ST|_[A-Z]+)?$"
)
_TIMELINESS = {"NR": 0, "ST": 1, "NT": 2}


@dataclass(frozen=True)
class Scene:
    """What an item shows, the same for whoever offers it."""

    key: tuple[str, ...]
    """Platform, product and level, when it was taken, where."""
    version: str | None = None
    """How it was processed, such as a baseline; None where the item does not say."""
    rank: str = ""
    """Of two versions the better one sorts after."""
    form: str = ""
    """What a provider made of it without processing it anew, such as COG."""
    mark: str = ""
    """What tells this very product from others of its scene and form, as its agency writes it into its name."""

    def is_earlier_than(self, other: Scene) -> bool:
        """Tell whether it is the other, processed before; not where nobody says it in a way that compares.

        Notes
        -----
        Of one product its providers tell the start of the processing, or its end; so the mark, where both have it,
        comes before times. What is made of a product has a time of its own, which is not that of the processing.
        """
        return bool(
            self.rank
            and len(self.rank) == len(other.rank)  # times with times, baselines with baselines
            and self.rank < other.rank
            and self.form == other.form
            and not (self.mark and self.mark == other.mark)
        )


def scene_of(item: Item) -> Scene | None:
    """Read which scene an item shows; None where neither its properties nor its names say.

    Notes
    -----
    Names are those of the agencies' product specifications: Sentinel-1 (S1-RS-MDA-52-7441), Sentinel-2 (compact
    naming of PSD 14), Sentinel-3 (S3IPF PDS 002) and Landsat Collection 2 product identifiers. What a provider adds
    to them, such as "_COG", is the same scene in another form; "_rtc" and surface temperature are other products.
    """
    properties = item["properties"]
    names = list(_names(item, properties))
    for read in (_sentinel2, _sentinel1, _sentinel3, _landsat):
        for name in names:
            if (found := read(name, properties)) is not None:
                return found
    return _by_datatake(properties)


def weak_key(item: Item) -> tuple[str, ...] | None:
    """Key under which two catalogues' items may be the same: the same name, or platform, product and second.

    Alone it proves nothing; that their outlines agree must come with it.
    """
    start, _ = item_times(item)
    properties = item["properties"]
    platform = plain(properties.get("platform"))
    product = plain(
        properties.get("product:type") or properties.get("processing:level") or item.get("collection")
    )
    if start is None or not platform or not product:
        return None
    return (platform, product, start.replace(microsecond=0).isoformat())


def plain(name: Any) -> str:
    """Name without what providers write differently: "Sentinel-2A", "SENTINEL_2A" and "sentinel-2a" are one."""
    return re.sub(r"[^a-z0-9]", "", name.lower()) if isinstance(name, str) else ""


def _names(item: Item, properties: dict[str, Any]) -> Iterator[str]:
    """Names of the product, the agency's own first: ids are often shortened."""
    for key in (
        "s2:product_uri", "s2:product_title", "sentinel2:product_title", "sentinel:product_id", "s1:product_identifier",
        "landsat:product_id", "title",
    ):  # fmt: skip
        value = properties.get(key)
        if isinstance(value, str) and len(value) < 200:
            yield value
    if len(item["id"]) < 200:
        yield item["id"]


def _sentinel2(name: str, properties: dict[str, Any]) -> Scene | None:
    found = _S2_PRODUCT.match(name)
    if found is not None:
        digits = found["baseline"]
        baseline = f"{digits[:2]}.{digits[2:]}" if digits else _baseline(properties)
    elif (found := _S2_C1.match(name)) is not None:
        baseline = _baseline(properties)
    else:
        return None
    return Scene(
        ("sentinel-2", found["platform"], found["level"], found["taken"], found["tile"]),
        baseline,
        baseline or "",
    )


def _by_datatake(properties: dict[str, Any]) -> Scene | None:
    """Sentinel-2 items of other names: their datatake, tile and product."""
    for prefix in ("s2", "eopf", "sentinel2"):
        take = properties.get(f"{prefix}:datatake_id")
        found = _S2_DATATAKE.match(take) if isinstance(take, str) else None
        if found is None:
            continue
        tile = properties.get("grid:code") or properties.get("s2:mgrs_tile") or ""
        tile = str(tile).removeprefix("MGRS-").zfill(5)
        product = str(properties.get("s2:product_type") or properties.get("product:type") or "")
        if re.fullmatch(r"\d\d[A-Z]{3}", tile) and product[-2:] in ("1C", "2A"):
            platform = str(take)[1:4]
            key = ("sentinel-2", platform, f"L{product[-2:]}", found["taken"], tile)
            return Scene(key, found["baseline"], found["baseline"])
    return None


def _baseline(properties: dict[str, Any]) -> str | None:
    for key in ("s2:processing_baseline", "sentinel2:processing_baseline", "processing:version"):
        value = properties.get(key)
        if isinstance(value, str) and re.fullmatch(r"\d\d\.\d\d", value):
            return value
    return None


def _sentinel1(name: str, properties: dict[str, Any]) -> Scene | None:
    found = _S1_PRODUCT.match(_S1_SHORT.sub(r"_\1S\2_", name))
    if found is None:
        return None
    parts = ("platform", "mode", "type", "level", "kind", "start", "stop", "orbit", "take")
    processed = _processed(properties)
    return Scene(
        ("sentinel-1", *(found[part] for part in parts), found["rest"] or ""),
        processed or None,
        processed,
        (found["form"] or "").strip("_"),
        found["mark"] or "",
    )


def _processed(properties: dict[str, Any]) -> str:
    """Give when an item's product was made, to the second, else by which version of the processor; "" for neither."""
    for key in ("s1:processing_datetime", "processing:datetime"):
        value = properties.get(key)
        if isinstance(value, str):
            try:
                return parse_time(value).strftime("%Y-%m-%dT%H:%M:%SZ")
            except InputError:
                continue
    software = properties.get("processing:software")
    told = software.get("Sentinel-1 IPF") if isinstance(software, dict) else None
    for value in (properties.get("processing:version"), told):
        if isinstance(value, str) and re.fullmatch(r"\d{3}\.\d{2}", value, re.ASCII):
            return value
    return ""


def _sentinel3(name: str, _properties: dict[str, Any]) -> Scene | None:
    found = _S3_PRODUCT.match(name)
    if found is None:
        return None
    frame = found["frame"] or ""
    when = frame if frame.isdecimal() else found["start"]  # a whole orbit has no frame
    key = ("sentinel-3", found["platform"], found["type"], found["cycle"], found["orbit"], when)
    if not found["timeliness"]:
        return Scene(key)
    # near real time, short time critical, non time critical: the later one is the better one
    rank = f"{_TIMELINESS[found['timeliness']]} {found['baseline']}"
    return Scene(key, f"{found['timeliness']} {found['baseline']}", rank)


def _landsat(name: str, _properties: dict[str, Any]) -> Scene | None:
    found = _LANDSAT.match(name)
    if found is None:
        return None
    key = ("landsat", found["sensor"], found["level"], found["place"], found["date"], found["rest"] or "")
    rank = f"{found['collection']} {'0' if found['tier'] == 'RT' else '1'}"
    return Scene(key, f"{found['collection']} {found['tier']}", rank)

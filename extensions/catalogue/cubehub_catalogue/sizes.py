"""How much memory data take once they are loaded, and how that compares to what the person has."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cubehub_catalogue.assets import Asset, Kind, number, properties

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cubehub_catalogue.query import Item

COMFORTABLE = 0.4
"""Share of the memory up to which data are loaded at once: the next line of a person makes a copy of them (a mean over
time, a mask), and kernel, libraries and other notebooks are there too."""
_NO_LIMIT = 2**60
"""A cgroup of version 1 writes "none" as the largest number of pages."""
_MOST = 2**63
_MOST_OF_CUBE = 2**100
"""Bytes of a variable of which a part may still be counted."""
_UNKNOWN_SIZE = "Nobody knows how much memory this needs: the catalogue does not say how large the data are."


@dataclass(frozen=True)
class Room:
    """The memory of the person's server."""

    memory_bytes: int
    profile: str = ""
    """The profile as people read it."""

    @classmethod
    def here(cls, environ: Mapping[str, str] = os.environ) -> Room | None:
        """Read it; None where no limit is set.

        Notes
        -----
        The limit may change while the server runs. It is read from the cgroup (of either version) or the watchdog's
        folder that ``CUBEHUB_MEMORY_EVENTS`` names, then from ``MEM_LIMIT``, which is as it was at the start.
        """
        limit = None
        if events := environ.get("CUBEHUB_MEMORY_EVENTS"):
            limit = _limit_in(Path(events).parent)
        told = environ.get("MEM_LIMIT", "")
        limit = limit or (int(told) if told.isascii() and told.isdigit() else None)
        title = environ.get("CUBEHUB_PROFILE_TITLE") or environ.get("CUBEHUB_PROFILE", "")
        return cls(limit, title) if limit else None


@dataclass(frozen=True)
class Estimate:
    """Bytes in memory."""

    bytes: int | None
    """None: unknown."""
    at_least: bool = False
    """Whether it is only known that it is this or more."""
    room: Room | None = None
    stored: int | None = None
    """Bytes of the files, where the catalogue says them."""
    opened_lazily: bool = False
    """Whether the cell opens them so that values come when they are needed."""

    @property
    def ratio(self) -> float | None:
        """Bytes over the profile's; None where either is unknown."""
        return None if self.bytes is None or self.room is None else self.bytes / self.room.memory_bytes

    @property
    def lazy(self) -> bool:
        """Whether data are better loaded in parts: they don't fit comfortably, or nobody knows."""
        return self.bytes is None or self.at_least or (self.ratio is not None and self.ratio > COMFORTABLE)

    @property
    def text(self) -> str:
        """Say it to a person."""
        if self.bytes is None:
            return _UNKNOWN_SIZE
        size = ("at least " if self.at_least else "about ") + readable(self.bytes)
        if self.room is None or self.ratio is None:
            return f"{size[0].upper()}{size[1:]} in memory."
        whose = f"your {self.room.profile} {readable(self.room.memory_bytes)}".replace("  ", " ")
        if self.ratio >= 0.995:
            times = f"{self.ratio:.1f}" if self.ratio < 100 else f"{self.ratio:.0f}"
            lazily = "; opened lazily, so load a part of it at a time" if self.opened_lazily else ""
            return f"{times} × {whose} ({size}){lazily}."  # noqa: RUF001 - the sign of times
        share = f"{100 * self.ratio:.0f} %" if self.ratio >= 0.01 else "less than 1 %"
        lazily = "; opened lazily" if self.opened_lazily else ""
        return f"{size[0].upper()}{size[1:]} in memory, {share} of {whose}{lazily}."

    def to_dict(self) -> dict[str, Any]:
        """Give ``{bytes, text, profile_bytes, profile, ratio, lazy, at_least, stored_bytes}``."""
        return {
            "bytes": self.bytes,
            "text": self.text,
            "profile_bytes": self.room.memory_bytes if self.room else None,
            "profile": self.room.profile if self.room else None,
            "ratio": None if self.ratio is None else round(self.ratio, 4),
            "lazy": self.lazy,
            "at_least": self.at_least,
            "stored_bytes": self.stored,
        }


def together(parts: Sequence[Estimate], room: Room | None) -> Estimate:
    """Add up; what is unknown makes the sum a lower bound."""
    known = [part.bytes for part in parts if part.bytes is not None]
    stored = [part.stored for part in parts if part.stored is not None]
    return Estimate(
        sum(known) if known else None,
        at_least=len(known) < len(parts) or any(part.at_least for part in parts),
        room=room,
        stored=sum(stored) if len(stored) == len(parts) and stored else None,
    )


def of_rasters(
    times: int, shape: tuple[int, int] | None, bands: Iterable[Asset], *, masked: bool = False
) -> int | None:
    """Give bytes of what odc-stac loads.

    Parameters
    ----------
    times : int
        Layers of time, see `solar_days`.
    shape : tuple of int
        Rows and columns of the grid that is loaded; None where it is unknown.
    bands : iterable of Asset
        What is loaded.
    masked : bool
        Whether it becomes NaN outside of an area, which needs floats.

    Notes
    -----
    times x rows x columns x sum over the bands of the bytes of their type. odc-stac fills the whole box of the area or
    of all items, so pixels outside of the scenes count too. The type is `data_type` of STAC's raster extension 1.1
    (https://github.com/stac-extensions/raster/tree/v1.1.0#data-types) or of STAC 1.1's common metadata; where none is
    said odc-stac takes float32, so that is counted.
    """
    if shape is None:
        return None
    value = sum(band.itemsize_masked if masked else band.itemsize for band in bands)
    return _bounded(times * shape[0] * shape[1] * value)


def of_cube(item: Item, share: float, names: Sequence[str] = ()) -> int | None:
    """Give bytes of an item's variables in memory, from the datacube extension; None where it does not say enough.

    Parameters
    ----------
    item : dict
        With ``cube:dimensions`` and ``cube:variables``.
    share : float
        Of it that is loaded, in area and time.
    names : sequence of str
        Assets that are opened: where variables are named like them, only these count.

    Notes
    -----
    By variable the product of the sizes of its dimensions, times the bytes of a value. Sizes are the variable's own
    ``shape``, else of each dimension the number of ``values`` or extent over ``step`` plus one
    (https://github.com/stac-extensions/datacube/tree/v2.2.0#dimension-object). The type is ``data_type`` of the
    variable or of the asset's band of its name, else float32, as packed data become in xarray.
    """
    dimensions, variables = (properties(item).get(f"cube:{part}") for part in ("dimensions", "variables"))
    if not isinstance(dimensions, dict) or not isinstance(variables, dict):
        return None
    sizes = {name: _size(dimension) for name, dimension in dimensions.items() if isinstance(dimension, dict)}
    types = _types(item)
    if set(names) <= set(variables):
        variables = {name: variables[name] for name in names} or variables
    total = 0
    for name, variable in variables.items():
        if not isinstance(variable, dict) or variable.get("type") == "auxiliary":
            continue
        over, shape = variable.get("dimensions"), variable.get("shape")
        if not isinstance(shape, list) or not shape:
            shape = (
                [sizes.get(one) if isinstance(one, str) else None for one in over]
                if isinstance(over, list)
                else [None]
            )
        if not all(
            isinstance(length, int) and not isinstance(length, bool) and length > 0 for length in shape
        ):
            return None
        kind = variable.get("data_type")
        value = types.get(name) or (_BYTES.get(kind) if isinstance(kind, str) else None) or 4
        for length in shape:
            value *= length
            if value >= _MOST_OF_CUBE:
                return None
        total += value
    return _bounded(math.ceil(total * share)) if total else None


def solar_days(items: Iterable[Item]) -> int:
    """Count the days on which items were taken, in the time of their place, as odc-stac groups by ``solar_day``.

    Notes
    -----
    The time of a place is UTC plus an hour for each 15 degrees of longitude; odc-stac takes the longitude of the middle
    of the item's geometry and whole hours (`odc.stac._mdtools` and `model.ParsedItem.solar_date`).
    """
    days = set()
    undated = 0
    for item in items:
        when = instant(item)
        if when is None:
            undated += 1
            continue
        with suppress(OverflowError):  # the end of all times, which some write for none: that day
            when += timedelta(hours=int(_longitude(item) / 15))
        days.add(when.date())
    return len(days) + undated


def instant(item: Item) -> datetime | None:
    """Give an item's time: its ``datetime``, else the start of its range; None where it has neither."""
    for key in ("datetime", "start_datetime"):
        said = properties(item).get(key)
        if isinstance(said, str):
            try:
                made = datetime.fromisoformat(said)
                return made.replace(tzinfo=UTC) if made.tzinfo is None else made.astimezone(UTC)
            except (ValueError, OverflowError):
                continue
    return None


def readable(count: int) -> str:
    """Write bytes as a person reads them, in multiples of 1024 as everywhere on the platform."""
    for unit, size in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= 0.9995 * size:
            amount = count / size
            return f"{amount:.3g} {unit}" if amount < 1000 else f"{amount:.0f} {unit}"
    return f"{count} B"


_BYTES = {
    "int8": 1, "uint8": 1, "bool": 1, "int16": 2, "uint16": 2, "float16": 2, "int32": 4, "uint32": 4, "float32": 4,
    "int64": 8, "uint64": 8, "float64": 8,
}  # fmt: skip


def _types(item: Item) -> dict[str, int]:
    """Give bytes of a value by variable, from the bands of the item's assets."""
    found = {}
    assets = item.get("assets")
    for asset in assets.values() if isinstance(assets, dict) else ():
        for key in ("raster:bands", "bands"):
            bands = asset.get(key) if isinstance(asset, dict) else None
            for band in bands if isinstance(bands, list) else ():
                name, kind = (
                    (band.get("name"), band.get("data_type")) if isinstance(band, dict) else (None, None)
                )
                if isinstance(name, str) and isinstance(kind, str) and kind in _BYTES:
                    found[name] = _BYTES[kind]
    return found


def _size(dimension: dict[str, Any]) -> int | None:
    values = dimension.get("values")
    if isinstance(values, list) and values:
        return len(values)
    extent, step = dimension.get("extent"), number(dimension.get("step"))
    if isinstance(extent, list) and len(extent) == 2 and step:
        low, high = number(extent[0]), number(extent[1])
        if low is not None and high is not None and high > low:
            steps = (high - low) / abs(step)
            return round(steps) + 1 if math.isfinite(steps) else None
    return None


def _longitude(item: Item) -> float:
    box = item.get("bbox")
    if isinstance(box, list) and len(box) in (4, 6):
        west, east = number(box[0]), number(box[len(box) // 2])
        if west is not None and east is not None and -180 <= west <= 180 and -180 <= east <= 180:
            middle = (west + east) / 2 if west <= east else (west + east + 360) / 2
            return middle if middle <= 180 else middle - 360
    return 0.0


def _limit_in(folder: Path) -> int | None:
    for name in ("memory.max", "memory.limit_in_bytes", "limit"):
        try:
            found = int((folder / name).read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue
        if 0 < found < _NO_LIMIT:
            return found
    return None


def _bounded(count: int) -> int | None:
    return count if count < _MOST else None


def stored(assets: Iterable[Asset]) -> int | None:
    """Add up the bytes of files; None where one is unknown."""
    sizes = [asset.size for asset in assets]
    known = [size for size in sizes if size is not None]
    return sum(known) if known and len(known) == len(sizes) else None


def of_files(assets: Sequence[Asset]) -> Estimate:
    """Give what is known of files whose inside the item does not describe: in memory they are no smaller than stored.

    Notes
    -----
    NetCDF and Zarr are stored compressed, GRIB packed in 1 to 3 bytes a value that become 4; unpacked is never less.
    """
    total = stored(assets)
    whole = all(asset.kind is not Kind.ZARR for asset in assets)
    return Estimate(total if whole else None, at_least=total is not None and whole, stored=total)

"""NetCDF files as scenes bring them: opened one at a time, with errors that say which file."""

import json
import math
import posixpath
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import fsspec
import netCDF4
import numpy as np
import numpy.typing as npt
from xarray.backends.locks import HDF5_LOCK

from xcube_cubehub.errors import SceneBrokenError
from xcube_cubehub.sources.files import REMOTE, patient

MAX_PIXELS = 80_000_000
"""Of one variable; a full-resolution OLCI frame has 20 million."""

MAX_REMOTE_BYTES = 1_500_000_000
"""Of one remote file, which is held in memory."""

LOCK = HDF5_LOCK
"""HDF5 bears one thread at a time; xarray keeps to the same lock."""


@contextmanager
def opened(href: str, options: Mapping[str, str] | None = None) -> Iterator[Any]:
    """A ``netCDF4.Dataset`` without automatic masks and scales, closed afterwards.

    Parameters
    ----------
    href : str
        Path or address; a remote file is fetched whole.
    options : mapping, optional
        Of a handle; ``files`` are fsspec's options in JSON.

    Raises
    ------
    SceneBrokenError
        The file is missing, no NetCDF, truncated or too large; whatever goes wrong inside the block on its bytes.
    """
    name = posixpath.basename(href)
    try:
        data = _fetched(href, options or {}) if REMOTE.match(href) else None
        with LOCK:
            dataset = netCDF4.Dataset(name if data else href, memory=data) if data else netCDF4.Dataset(href)
            try:
                dataset.set_auto_maskandscale(False)
                yield dataset
            finally:
                dataset.close()
    except SceneBrokenError:
        raise
    except (
        OSError,
        RuntimeError,
        ValueError,
        KeyError,
        IndexError,
        AttributeError,
        TypeError,
        MemoryError,
    ) as error:
        raise SceneBrokenError(f"{name} cannot be read: {error}") from error


def _fetched(href: str, options: Mapping[str, str]) -> bytes:
    with fsspec.open(href, "rb", **patient(href), **json.loads(options.get("files", "{}"))) as remote:
        data = bytes(remote.read(MAX_REMOTE_BYTES + 1))
    if len(data) > MAX_REMOTE_BYTES:
        raise SceneBrokenError(f"{posixpath.basename(href)} is larger than {MAX_REMOTE_BYTES:,} bytes")
    return data


def variable(dataset: Any, *names: str) -> Any:
    """The first variable of these names, upper and lower case alike; None if there is none of more than one pixel."""
    by_name = {str(name).lower(): found for name, found in dataset.variables.items()}
    for name in names:
        found = by_name.get(name.lower())
        if found is not None and found.size > 1:
            return found
    return None


def raw(found: Any, window: tuple[slice, ...] = ()) -> npt.NDArray[Any]:
    """Stored numbers, or a part of them.

    Raises
    ------
    SceneBrokenError
        More than `MAX_PIXELS`, as a header can claim in a few bytes.
    """
    window = window or tuple(slice(None) for _ in found.shape)
    pixels = math.prod(
        len(range(*part.indices(size))) for part, size in zip(window, found.shape, strict=True)
    )
    if pixels > MAX_PIXELS:
        raise SceneBrokenError(f"{found.name} claims {pixels:,} pixels")
    return np.asarray(found[window])


def decoded(found: Any, window: tuple[slice, ...] = ()) -> npt.NDArray[np.float64]:
    """Values in the variable's units: fill and out-of-range numbers as NaN, scale and offset applied.

    References
    ----------
    CF conventions 1.10, sections 2.5.1 (missing data, valid and actual range) and 8.1 (packed data): the ranges are
    in terms of the stored numbers.
    """
    stored = raw(found, window)
    if stored.dtype.kind not in "iuf":
        raise SceneBrokenError(f"{found.name} holds no numbers")
    attrs = {name: found.getncattr(name) for name in found.ncattrs()}
    if str(attrs.get("_Unsigned", "")).lower() == "true" and stored.dtype.kind == "i":
        stored = stored.view(f"u{stored.dtype.itemsize}")
    values = stored.astype(np.float64)
    bad = np.zeros(stored.shape, bool)
    for name in ("_FillValue", "missing_value"):
        for number in np.atleast_1d(attrs.get(name, [])):
            bad |= stored == np.asarray(number).astype(stored.dtype)
    low, high = np.atleast_1d(attrs["valid_range"])[:2] if "valid_range" in attrs else (None, None)
    low, high = attrs.get("valid_min", low), attrs.get("valid_max", high)
    if low is not None:
        bad |= stored < np.asarray(low).astype(stored.dtype)
    if high is not None:
        bad |= stored > np.asarray(high).astype(stored.dtype)
    values = values * float(attrs.get("scale_factor", 1)) + float(attrs.get("add_offset", 0))
    values[bad | ~np.isfinite(values)] = np.nan
    return values


def flag_table(found: Any) -> dict[str, int]:
    """Bits by name as the file itself lists them (``flag_masks``, ``flag_meanings``); empty if it does not."""
    attrs = found.ncattrs()
    if "flag_masks" not in attrs or "flag_meanings" not in attrs:
        return {}
    bits = 8 * found.dtype.itemsize
    masks = [int(mask) & ((1 << bits) - 1) for mask in np.atleast_1d(found.getncattr("flag_masks"))]
    names = str(found.getncattr("flag_meanings")).split()
    return dict(zip(names, masks, strict=False))


def words(found: Any, window: tuple[slice, ...] = ()) -> npt.NDArray[np.uint64]:
    """Flag words as uint64 with the same bits: bit 31 of a signed int32 stays bit 31."""
    stored = raw(found, window)
    if stored.dtype.kind not in "iu":
        raise SceneBrokenError(f"{found.name} holds no flags")
    return stored.view(f"u{stored.dtype.itemsize}").astype(np.uint64)

"""A dataset without its data: what the platform judges before anything is sent. Pure."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cubehub.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

_LONGEST_LIST = 256
_ENCODING = ("dtype", "_FillValue", "scale_factor", "add_offset", "grid_mapping")
_SAMPLED_TIMES, _SAMPLED_PIXELS = 6, 200_000
_LOW, _HIGH = 0.02, 0.98
_STYLE_KEYS = frozenset({"colours", "range", "scale"})
_DAY = timedelta(days=1)


def as_dataset(given: Any) -> xr.Dataset:
    """Give a Dataset of what is a Dataset or a DataArray.

    Raises
    ------
    BadInputError
        It is neither.
    """
    import xarray as xr  # noqa: PLC0415 - only where something is published

    if isinstance(given, xr.DataArray):
        return given.to_dataset(name=given.name or "value")
    if not isinstance(given, xr.Dataset):
        raise BadInputError(
            f"A {type(given).__name__} cannot be published.", "Give an xarray Dataset or DataArray."
        )
    return given


def plain(value: Any) -> Any:
    """Give an attribute as JSON can hold it; None for what it cannot."""
    import numpy as np  # noqa: PLC0415

    if isinstance(value, np.ndarray):
        return [plain(v) for v in value.tolist()] if value.ndim == 1 and value.size <= _LONGEST_LIST else None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value] if len(value) <= _LONGEST_LIST else None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (str, int)):
        return value
    return None


def attributes(given: Mapping[Any, Any]) -> dict[str, Any]:
    """Give those attributes that JSON can hold."""
    found = {str(key): plain(value) for key, value in given.items()}
    return {key: value for key, value in found.items() if value is not None}


def structure_of(dataset: xr.Dataset) -> dict[str, Any]:
    """Describe a dataset: sizes, coordinates with their values, variables, attributes."""
    coords = {}
    for name, coordinate in dataset.coords.items():
        one: dict[str, Any] = {
            "dims": [str(d) for d in coordinate.dims],
            "dtype": str(coordinate.dtype),
            "attrs": attributes(coordinate.attrs),
        }
        if coordinate.dims == (name,):
            one["values"] = _values(coordinate)
        coords[str(name)] = one
    variables = {
        str(name): {
            "dims": [str(d) for d in variable.dims],
            "dtype": str(variable.dtype),
            "attrs": attributes(variable.attrs),
            "encoding": _encoding(variable.encoding),
        }
        for name, variable in dataset.data_vars.items()
    }
    sizes = {str(name): int(size) for name, size in dataset.sizes.items()}
    return {"sizes": sizes, "coords": coords, "variables": variables, "attrs": attributes(dataset.attrs)}


def _values(coordinate: xr.DataArray) -> list[int | float | None] | None:
    import numpy as np  # noqa: PLC0415

    values = coordinate.values
    if values.dtype.kind == "M":
        whole = values.astype("datetime64[ns]").astype(np.int64).tolist()
        return [None if gone else one for one, gone in zip(whole, np.isnat(values), strict=True)]
    if values.dtype.kind in "iuf":
        return [v if math.isfinite(v) else None for v in values.astype(np.float64).tolist()]
    return None


def _encoding(given: Mapping[Any, Any]) -> dict[str, Any]:
    found = {key: given[key] for key in _ENCODING if given.get(key) is not None}
    if "dtype" in found:
        found["dtype"] = str(found["dtype"])
    made = {key: plain(value) for key, value in found.items()}
    return {key: value for key, value in made.items() if isinstance(value, (str, int, float))}


def styles_of(dataset: xr.Dataset, style: Any) -> dict[str, dict[str, Any]]:
    """Say how each variable is shown.

    Parameters
    ----------
    style
        None; a colour map's name; a dictionary with any of ``colours``, ``range`` (low, high) and ``scale`` (``lin`` or
        ``log``), for all variables; or such a name or dictionary by variable.

    Raises
    ------
    BadInputError
        It is something else.
    """
    names = [str(name) for name in dataset.data_vars]
    if isinstance(style, dict) and not (_STYLE_KEYS & style.keys() and not set(names) & style.keys()):
        by_name = {str(key): _style(value, str(key)) for key, value in style.items()}
        return {name: {} for name in names if name not in by_name} | by_name
    return {name: _style(style, name) for name in names}


def _style(style: Any, name: str) -> dict[str, Any]:
    if style is None:
        return {}
    if isinstance(style, str):
        return {"colours": style}
    if not isinstance(style, dict) or not set(style) <= _STYLE_KEYS:
        raise BadInputError(
            f"The style of {name} cannot be understood.",
            'Write style={"chl": {"colours": "viridis", "range": (0.1, 30), "scale": "log"}}.',
        )
    made = dict(style)
    if "range" in made:
        try:
            low, high = (float(v) for v in made["range"])
        except (TypeError, ValueError) as error:
            raise BadInputError(
                f"The range of {name} is not two numbers.", "Write range=(0.1, 30)."
            ) from error
        if not (math.isfinite(low) and math.isfinite(high)):
            raise BadInputError(f"The range of {name} is not finite.", "Write range=(0.1, 30).")
        made["range"] = [low, high]
    return made


def usual_range(variable: xr.DataArray, scale: str = "lin") -> list[float]:
    """Guess the ends of the colour scale: 2 and 98 % of the values in some of the times and pixels.

    Parameters
    ----------
    variable
        Of any number of dimensions, numbers.
    scale
        ``log`` takes values above 0 only.
    """
    import numpy as np  # noqa: PLC0415

    chosen: dict[Any, Any] = {}
    for dim, size in variable.sizes.items():
        values = variable.coords[dim].values if dim in variable.coords else None
        if values is not None and values.dtype.kind == "M":
            chosen[dim] = np.unique(np.linspace(0, size - 1, min(size, _SAMPLED_TIMES)).astype(int))
        else:
            chosen[dim] = slice(None, None, max(1, math.ceil(size / math.isqrt(_SAMPLED_PIXELS))))
    values = np.asarray(variable.isel(chosen).values, np.float64)
    values = values[np.isfinite(values)]
    values = values[values > 0] if scale == "log" else values
    if not values.size:
        return [0.1, 1.0]
    low, high = (float(v) for v in np.quantile(values, [_LOW, _HIGH]))
    if low >= high:
        low, high = float(values.min()), float(values.max())
    if low >= high:
        return [low, low * 2] if low > 0 else [low, low + 1]
    return [low, high]


def days_of(expires: Any, now: datetime | None = None) -> float | None:
    """Say in how many days something expires.

    Parameters
    ----------
    expires
        None, a number of days, a text such as ``30d``, a timedelta, a date or a moment.

    Raises
    ------
    BadInputError
        It is none of these, or over.
    """
    now = now or datetime.now(UTC)
    if expires is None:
        return None
    if isinstance(expires, str) and expires.endswith("d") and expires[:-1].isdigit():
        expires = int(expires[:-1])
    if isinstance(expires, str):
        try:
            expires = datetime.fromisoformat(expires)
        except ValueError:
            raise BadInputError(
                f"expires={expires!r} is no time.", "Write 30, '30d' or '2027-01-31'."
            ) from None
    if isinstance(expires, date) and not isinstance(expires, datetime):
        expires = datetime(expires.year, expires.month, expires.day, tzinfo=UTC) + _DAY
    if isinstance(expires, datetime):
        expires = (expires if expires.tzinfo else expires.replace(tzinfo=UTC)) - now
    if isinstance(expires, timedelta):
        expires = expires / _DAY
    if isinstance(expires, bool) or not isinstance(expires, (int, float)) or not math.isfinite(expires):
        raise BadInputError(f"expires={expires!r} is no time.", "Write 30, '30d' or '2027-01-31'.")
    if expires <= 0:
        raise BadInputError("The cube would have expired already.", "Let it expire later.")
    return float(expires)

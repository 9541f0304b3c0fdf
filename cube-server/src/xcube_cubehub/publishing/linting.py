"""xrlint's opinion of a dataset, without its data."""

import re
from functools import cache
from typing import Any

import numpy as np
import xarray as xr

from xcube_cubehub.publishing.model import Problem, Structure

RULES = {"var-units": 1, "var-desc": 1, "var-flags": 1, "grid-mappings": 1}
"""Those of its rules that are about what a publisher says; axes, conventions and layout are the builder's."""
MAX_MESSAGES = 40
_HINTS = {
    "var-units": 'ds["{0}"].attrs["units"] = "mg m-3", or "1" where there is none',
    "var-desc": 'say what it is, for legend and catalogue: ds["{0}"].attrs["long_name"] = "…"',
    "var-flags": "flag_values and flag_meanings belong together",
    "grid-mappings": 'ds.rio.write_crs("EPSG:…") writes it as it should be',
}


@cache
def _linter() -> Any:
    import xrlint.all as xrl  # noqa: PLC0415 - a second of imports, at the first cube

    return xrl.new_linter({"rules": RULES})


def lint(structure: Structure) -> list[Problem]:
    """What xrlint finds, as warnings: none of it keeps the viewer from showing a cube.

    Notes
    -----
    The dataset that it is shown has one value for each dimension: it looks at names and attributes, and its memory must
    not grow with what somebody sends.
    """
    try:
        dataset = _shell(structure)
        messages = _linter().validate(dataset).messages
    except Exception as error:  # noqa: BLE001 - whatever strangers write into attributes, the other checks still hold
        return [Problem("dataset", f"xrlint could not look at it ({type(error).__name__})", "", "warning")]
    found = []
    for message in messages:
        path = str(message.node_path or "")
        if message.fatal or "coords[" in path:
            continue
        named = re.search(r"data_vars\['(.*?)'\]", path)
        where, rule = named[1] if named else "dataset", str(message.rule_id or "")
        found.append(Problem(where, message.message, _HINTS.get(rule, "").format(where), "warning", rule))
    return found[:MAX_MESSAGES]


def _shell(structure: Structure) -> xr.Dataset:
    def values(dtype: str, dims: list[str]) -> np.ndarray:
        kind = "datetime64[ns]" if dtype.startswith("datetime64") else "float32"
        return np.zeros((1,) * len(dims), kind)

    def attributes(given: dict[str, Any]) -> dict[str, Any]:
        return {
            k: v for k, v in given.items() if isinstance(v, (str, int, float, list)) and k != "_FillValue"
        }

    variables = {
        n: (v.dims, values(v.dtype, v.dims), attributes(v.attrs)) for n, v in structure.variables.items()
    }
    coords = {n: (c.dims, values(c.dtype, c.dims), attributes(c.attrs)) for n, c in structure.coords.items()}
    return xr.Dataset(variables, coords, attributes(structure.attrs))

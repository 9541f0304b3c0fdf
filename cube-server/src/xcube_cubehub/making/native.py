"""A scene's pixels where the sensor or its provider put them, before any resampling."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from xcube_cubehub.cubegrid import CubeGrid
from xcube_cubehub.errors import SceneBrokenError
from xcube_cubehub.making.formula import Formula
from xcube_cubehub.making.spec import Mask, RecipeFile

Values = npt.NDArray[np.float64]
Placing = Callable[[Values, str, bool], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Native:
    """Bands of a scene, or of a part of it, all of one shape.

    Attributes
    ----------
    bands : mapping of str to ndarray
        Values as float64 with NaN, classes as float64 with NaN, flag words as uint64.
    flags : mapping of str to mapping of str to int
        Bits by name, for each band of flag words.
    place : callable
        Puts values of that shape onto ``target``: takes them, ``agg``, and whether their logarithm is averaged; gives
        float32, shape of ``window``.
    window : tuple of slice
        Rows and columns of the cube's grid that it can fill.
    """

    bands: Mapping[str, npt.NDArray[np.generic]]
    place: Placing
    window: tuple[slice, slice]
    flags: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def bits(table: Mapping[str, int], names: tuple[str, ...], band: str) -> np.uint64:
    """A word with the bits of all names set.

    Raises
    ------
    SceneBrokenError
        The scene does not know one of them: a mask is applied in full or not at all.
    """
    missing = [name for name in names if name not in table]
    if missing:
        raise SceneBrokenError(f"{band} has no flag {', '.join(missing)}")
    word = 0
    for name in names:
        word |= table[name]
    return np.uint64(word)


def kept_by(mask: Mask, native: Native) -> npt.NDArray[np.bool_]:
    """Where a mask keeps pixels; never where its band has no value."""
    band = native.bands[mask.band]
    if mask.any_of or mask.none_of:
        table, words = native.flags.get(mask.band, {}), band.astype(np.uint64)
        kept = (words & bits(table, mask.none_of, mask.band)) == 0
        if mask.any_of:
            kept &= (words & bits(table, mask.any_of, mask.band)) != 0
        return np.asarray(kept, bool)
    values = band.astype(np.float64)
    kept = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        if mask.keep:
            kept &= np.isin(values, mask.keep)
        if mask.drop:
            kept &= ~np.isin(values, mask.drop)
        if mask.below is not None:
            kept &= values < mask.below
        if mask.at_least is not None:
            kept &= values >= mask.at_least
    return np.asarray(kept, bool)


def variables_of(recipe: RecipeFile, native: Native) -> dict[str, Values]:
    """The recipe's variables at the scene's own pixels, masked; without those whose bands the scene lacks.

    Raises
    ------
    SceneBrokenError
        The scene lacks a flag that a mask names.
    """
    made = {}
    for name, variable in recipe.variables.items():
        if not recipe.needed(name) <= set(native.bands):
            continue
        values = Formula(variable.expression)(native.bands)
        for mask in (*recipe.mask, *variable.mask):
            if mask.if_present and mask.band not in native.bands:
                continue
            values[~kept_by(mask, native)] = np.nan
        if variable.valid_range:
            low, high = variable.valid_range
            with np.errstate(invalid="ignore"):
                values[(values < low) | (values > high)] = np.nan
        if variable.log_space:
            with np.errstate(invalid="ignore"):
                values[values <= 0] = np.nan
        made[name] = values
    return made


def rows_and_columns(wanted: npt.NDArray[np.bool_], margin: int) -> tuple[slice, slice] | None:
    """The smallest window around True, with a margin; None if there is no True."""
    rows, columns = np.flatnonzero(wanted.any(axis=1)), np.flatnonzero(wanted.any(axis=0))
    if not len(rows):
        return None
    ends = ((rows[0], rows[-1], wanted.shape[0]), (columns[0], columns[-1], wanted.shape[1]))
    down, along = (slice(max(int(a) - margin, 0), min(int(b) + margin + 1, size)) for a, b, size in ends)
    return down, along


def whole(grid: CubeGrid) -> tuple[slice, slice]:
    """All of a grid."""
    return slice(0, grid.shape[0]), slice(0, grid.shape[1])


def part(grid: CubeGrid, window: tuple[slice, slice]) -> CubeGrid:
    """A grid's own part."""
    rows, columns = window
    return CubeGrid(
        grid.crs,
        grid.west + columns.start * grid.resolution,
        grid.north - rows.start * grid.resolution,
        grid.resolution,
        (rows.stop - rows.start, columns.stop - columns.start),
    )

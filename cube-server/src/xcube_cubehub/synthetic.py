"""A made-up water-quality series: seasonal, cloudy, repeatable. No number in it was ever measured.

Everything is a function of the seed, the day and the place, so that a longer series begins with the shorter one.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

SEED = 20152331
"""Chosen so that the last day, which a viewer shows first, is mostly clear."""
LAND, SEA, LAKE, SHALLOW_LAKE = range(4)
"""Classes of a pixel in the ``kind`` array of `Water`."""

BASE = {SEA: (2.2, 1.2), LAKE: (14.0, 5.0), SHALLOW_LAKE: (28.0, 12.0)}
"""Yearly level of chlorophyll (mg m-3) and suspended matter (g m-3) away from the shore."""

BLOOMS = {
    SEA: ((118.0, 14.0, 2.4), (205.0, 20.0, 1.5)),
    LAKE: ((128.0, 18.0, 0.7), (232.0, 32.0, 1.6)),
    SHALLOW_LAKE: ((140.0, 22.0, 0.6), (238.0, 36.0, 1.2)),
}
"""Per class the blooms of a year: day of year of the peak, width in days, height relative to the base."""


@dataclass(frozen=True)
class Water:
    """Where the water is and what kind.

    Attributes
    ----------
    kind : ndarray of int, shape (y, x)
        `LAND`, `SEA`, `LAKE` or `SHALLOW_LAKE`.
    shore : ndarray of float, shape (y, x), in [0, 1]
        Share of land around: 0 in open water, towards 1 at the shore.
    """

    kind: npt.NDArray[np.int64]
    shore: Array


def noon_zenith(day_of_year: float, latitude: float) -> float:
    """Solar zenith angle at local noon in degrees.

    References
    ----------
    Cooper (1969), Solar Energy 12(3): declination = 23.45° · sin(360° (284 + n) / 365).
    """
    declination = 23.45 * np.sin(np.deg2rad(360.0 * (284.0 + day_of_year) / 365.0))
    return float(abs(latitude - declination))


def days(
    first_year: int, last_year: int, step: int, latitude: float, limit: float = 75.0
) -> npt.NDArray[np.datetime64]:
    """Every ``step``-th day on which the sun at noon stands higher than ``limit`` degrees from the zenith allows.

    The step counts from 1 January of ``first_year`` through all years, so the days do not repeat yearly. A sensor of
    reflected light sees nothing useful in the dark months, hence none are made up.
    """
    every = np.arange(np.datetime64(f"{first_year}-01-01"), np.datetime64(f"{last_year + 1}-01-01"), step)
    keep = [noon_zenith(day_of_year(day), latitude) <= limit for day in every]
    days: npt.NDArray[np.datetime64] = every[np.array(keep)]
    return days


def day_of_year(day: np.datetime64) -> float:
    """1 on 1 January."""
    return float((day - day.astype("datetime64[Y]").astype("datetime64[D]")).astype(int)) + 1.0


def season(kind: int, day: float) -> float:
    """Factor on the base at a day of the year: 0.45 in winter, above 1 in a bloom."""
    return 0.45 + sum(
        height * float(np.exp(-0.5 * ((day - peak) / width) ** 2)) for peak, width, height in BLOOMS[kind]
    )


def smooth_field(rng: np.random.Generator, shape: tuple[int, int], cell: int) -> Array:
    """Normal random values on a coarse lattice of ``cell`` pixels, bilinear between them; mean 0, about 0.7 spread.

    Notes
    -----
    By indexing and not as a product with weights: for matrices this small, the threads of a BLAS cost far more than
    they save, and on a busy machine most of the time of a build went there.
    """
    knots = rng.standard_normal((shape[0] // cell + 2, shape[1] // cell + 2))
    (row, down), (column, right) = _between(shape[0], cell), _between(shape[1], cell)
    lines = knots[row] + down[:, np.newaxis] * (knots[row + 1] - knots[row])
    field: Array = lines[:, column] + right * (lines[:, column + 1] - lines[:, column])
    return field


@lru_cache(maxsize=64)
def _between(size: int, cell: int) -> tuple[npt.NDArray[np.int64], Array]:
    """For each pixel the knot before it, and how far it is on the way to the next, in [0, 1)."""
    knot, rest = np.divmod(np.arange(size, dtype=np.int64), cell)
    return knot, rest / cell


def cloud_cover(day: float) -> float:
    """Share of the sky under cloud: 0.75 in winter, 0.5 in June."""
    return 0.625 - 0.125 * float(np.cos(2 * np.pi * (day - 170.0) / 365.0))


def scene(water: Water, day: np.datetime64, seed: int = SEED) -> dict[str, npt.NDArray[np.float32]]:
    """One made-up acquisition.

    Parameters
    ----------
    water : Water
        The place.
    day : datetime64[D]
        The day; decides season, year, weather and clouds.
    seed : int
        Same seed and day give the same scene.

    Returns
    -------
    dict of ndarray of float32, shape (y, x)
        ``conc_chl`` in mg m-3 (0.05 to 160), ``conc_tsm`` in g m-3 (0.05 to 60), ``kd489`` in m-1 (0.03 to 15);
        NaN over land and under cloud.
    """
    number = int(day.astype("datetime64[D]").astype(int))
    rng = np.random.default_rng([seed, number])
    shape = (int(water.kind.shape[0]), int(water.kind.shape[1]))
    doy = day_of_year(day)
    year = np.random.default_rng([seed, 7, int(day.astype("datetime64[Y]").astype(int))]).normal(0.0, 0.15)
    weather = 0.25 * smooth_field(rng, shape, 24) + 0.12 * smooth_field(rng, shape, 6)
    mixing = 0.30 * smooth_field(rng, shape, 18)
    clouds = smooth_field(rng, shape, 40) + 0.5 * smooth_field(rng, shape, 8)
    chl = np.full(shape, np.nan)
    tsm = np.full(shape, np.nan)
    for kind, (level_chl, level_tsm) in BASE.items():
        here = water.kind == kind
        chl[here] = level_chl * season(kind, doy)
        tsm[here] = level_tsm
    chl *= np.exp(year + weather) * (1 + 2.0 * water.shore)
    tsm *= np.exp(0.5 * year + mixing) * (1 + 3.0 * water.shore)
    chl, tsm = np.clip(chl, 0.05, 160.0), np.clip(tsm, 0.05, 60.0)
    kd489 = np.clip(0.022 + 0.045 * chl**0.75 + 0.04 * tsm, 0.03, 15.0)
    # A normal field of spread s is below its quantile q on a share q of the pixels: clouds lie where it is.
    hidden = clouds < np.quantile(clouds, np.clip(cloud_cover(doy) + rng.normal(0.0, 0.25), 0.0, 1.0))
    return {
        name: np.where(hidden, np.nan, values).astype(np.float32)
        for name, values in (("conc_chl", chl), ("conc_tsm", tsm), ("kd489", kd489))
    }

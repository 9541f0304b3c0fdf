"""Quality flags of Sentinel-3 OLCI and the rule by which pixels are kept.

References
----------
.. [1] EUMETSAT, "Sentinel-3 OLCI Marine User Handbook", EUM/OPS-SEN3/MAN/17/907205: the level-1 quality flags
   (``quality_flags``; land is bit 31, invalid is bit 25).
.. [2] Brockmann et al. (2016), "Evolution of the C2RCC neural network for Sentinel 2 and 3 for the retrieval of ocean
   colour products in normal and extreme optically complex waters", ESA SP-740. Bits, names and descriptions of
   ``c2rcc_flags`` are those that the C2RCC processor writes into the product itself (``flag_masks``,
   ``flag_meanings``, ``flag_descriptions``).
"""

import numpy as np
import numpy.typing as npt

C2RCC_VALID_PE = 1 << 31
"""The processor's own valid-pixel expression held (water, not invalid). Must be set."""

C2RCC_REJECT = {
    "Rtosa_OOS": 1 << 0,
    "Iop_OOR": 1 << 4,
    "Rhow_OOS": 1 << 15,
}
"""Reject the pixel: both ``_OOS`` bits mean "the inversion is likely to be wrong", ``Iop_OOR`` that an inherent
optical property is out of range. ``Cloud_risk`` (bit 3) is not used: it is up on 98 % of the pixels of this winter
scene series that C2RCC holds for valid, so it says nothing here. The ``_at_max``/``_at_min`` bits mark limits, not
faults."""

C2RCC_KD489_OOR = 1 << 16
"""Kd489 is out of range: rejects kd489 only."""

QUALITY_REJECT = {"land": 1 << 31, "invalid": 1 << 25}
"""Level-1 flags that reject the pixel."""


def as_words(values: npt.ArrayLike) -> npt.NDArray[np.uint32]:
    """Flag words as uint32, whatever type they were stored in.

    Parameters
    ----------
    values : array_like
        Flag words as uint32, as signed integers (bit 31 is then the sign) or as float64 with NaN outside the swath.

    Returns
    -------
    ndarray of uint32
        The same bits; 0 (no flag, hence not valid) where the value was NaN.
    """
    array = np.asarray(values)
    if array.dtype.kind == "f":
        array = np.where(np.isnan(array), 0, array)
    return array.astype(np.int64).astype(np.uint32)


def water_mask(c2rcc: npt.ArrayLike, quality: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Where water-quality values may be kept.

    Parameters
    ----------
    c2rcc, quality : array_like
        Flag words ``c2rcc_flags`` and ``quality_flags`` of the same shape; see `as_words` for the types.

    Returns
    -------
    ndarray of bool
        True where ``Valid_PE`` is set and no rejecting bit of either word is.
    """
    processor, level1 = as_words(c2rcc), as_words(quality)
    rejected = (processor & np.uint32(sum(C2RCC_REJECT.values()))) != 0
    rejected |= (level1 & np.uint32(sum(QUALITY_REJECT.values()))) != 0
    kept: npt.NDArray[np.bool_] = ((processor & np.uint32(C2RCC_VALID_PE)) != 0) & ~rejected
    return kept


def kd489_mask(c2rcc: npt.ArrayLike, quality: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """As `water_mask`, and without pixels whose kd489 is out of range."""
    kept: npt.NDArray[np.bool_] = water_mask(c2rcc, quality) & (
        (as_words(c2rcc) & np.uint32(C2RCC_KD489_OOR)) == 0
    )
    return kept

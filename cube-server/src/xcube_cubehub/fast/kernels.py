"""The loops over pixels, compiled."""

import math

import numba
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]
Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Indexes = npt.NDArray[np.int32]


BUCKET_BITS = 14
"""Of a float32's bits those that a table of guesses leaves out: a bucket spans one part in 512 of its values."""


@numba.njit(nogil=True, cache=True)
def paint(  # noqa: C901 - see its notes
    window: Array, rows: Indexes, columns: Indexes,
    fill: float, has_fill: bool, scale: float, offset: float, row0: int, column0: int,
    thresholds: Floats, first: float, factor: float, table: Bytes, clear: int, out: Bytes,
) -> tuple[int, bool]:  # fmt: skip
    """Colour numbers of a tile.

    Parameters
    ----------
    window : ndarray, shape (h, w)
        Stored values.
    rows, columns : ndarray of int32, shape (y, x)
        Where in the level each pixel of the tile is; negative outside.
    fill : float
        Stored value that says "none"; heeded if ``has_fill``. NaN always does.
    scale, offset : float
        ``value = stored * scale + offset``.
    row0, column0 : int
        Where in the level the window begins.
    thresholds : ndarray of float64, ascending
        At ``thresholds[n]`` begins colour ``n + 1``.
    first, factor : float
        A guess of the number is ``(value - first) * factor``, unless there is a table.
    table : ndarray of uint8, shape (2 ** 17,) or (0,)
        Guess by the upper bits of a positive float32.
    clear : int
        Number that says "no value" in ``out``.
    out : ndarray of uint8, shape (y, 1 + x)
        Scanlines as PNG has them; the first byte of each is left alone.

    Returns
    -------
    tuple of int and bool
        How many pixels have a value, and whether one of them has the colour ``clear``.

    Notes
    -----
    All in one function: in one of its own, each pixel would count references to the arrays, which takes ten times as
    long as the rest.
    """
    there, clash = 0, False
    last = thresholds.size
    lowest, highest = thresholds[0], thresholds[last - 1]
    tabled = table.size > 0
    for y in range(rows.shape[0]):
        for x in range(rows.shape[1]):
            row, column = rows[y, x], columns[y, x]
            if row < 0 or column < 0:
                out[y, x + 1] = clear
                continue
            stored = window[row - row0, column - column0]
            if (has_fill and stored == fill) or stored != stored:  # noqa: PLR0124 - only NaN differs from itself
                out[y, x + 1] = clear
                continue
            value = stored * scale + offset
            if value < lowest:
                colour = 0
            elif value >= highest:
                colour = last
            else:
                # A guess that the thresholds then put right, so that it need not be exact, only near
                if tabled:
                    colour = np.int64(table[np.float32(value).view(np.int32) >> BUCKET_BITS])  # type: ignore[assignment]
                else:
                    colour = min(max(int((value - first) * factor), 0), last)
                while colour > 0 and value < thresholds[colour - 1]:
                    colour -= 1
                while colour < last and value >= thresholds[colour]:
                    colour += 1
            out[y, x + 1] = colour
            there += 1
            if colour == clear:
                clash = True
    return there, clash


@numba.njit(nogil=True, cache=True)
def used(scanlines: Bytes, out: npt.NDArray[np.bool_]) -> None:
    """Mark which numbers stand in scanlines."""
    for y in range(scanlines.shape[0]):
        for x in range(1, scanlines.shape[1]):
            out[scanlines[y, x]] = True


@numba.njit(nogil=True, cache=True)
def spread(
    columns: Floats, rows: Floats, size: int, width: int, height: int, margin: float,
    xs: Indexes, ys: Indexes, doubtful: npt.NDArray[np.bool_],
) -> None:  # fmt: skip
    """Pixel numbers from a grid of exact positions, bilinear between them.

    Parameters
    ----------
    columns, rows : ndarray of float64, shape (n + 1, n + 1)
        Positions in pixels of the cube's level (0 is its outer edge) at the corners of ``n`` x ``n`` equal parts of the
        tile, from its north-west corner on; infinite where the tile has no place on the cube's projection.
    size : int
        Edge of the tile in pixels, a multiple of ``n``.
    width, height : int
        Of the level.
    margin : float
        In pixels of the level.
    xs, ys : ndarray of int32, shape (size, size)
        Column and row of each tile pixel's centre; -1 outside.
    doubtful : ndarray of bool, shape (size, size)
        Where that is nearer than ``margin`` to the edge of a pixel.
    """
    parts = columns.shape[0] - 1
    step = size // parts
    for y in range(size):
        j = y // step
        v = (y - j * step + 0.5) / step
        for x in range(size):
            i = x // step
            u = (x - i * step + 0.5) / step
            column = (columns[j, i] * (1 - u) + columns[j, i + 1] * u) * (1 - v) + (
                columns[j + 1, i] * (1 - u) + columns[j + 1, i + 1] * u
            ) * v
            row = (rows[j, i] * (1 - u) + rows[j, i + 1] * u) * (1 - v) + (
                rows[j + 1, i] * (1 - u) + rows[j + 1, i + 1] * u
            ) * v
            near_column, near_row = column - math.floor(column), row - math.floor(row)
            doubtful[y, x] = (
                min(near_column, 1 - near_column) < margin or min(near_row, 1 - near_row) < margin
            )
            # Written so that what is not a number is outside
            if 0 <= column < width and 0 <= row < height:
                xs[y, x] = int(column)
                ys[y, x] = int(row)
            else:
                xs[y, x] = -1
                ys[y, x] = -1


@numba.njit(nogil=True, cache=True)
def halve_mean(values: npt.NDArray[np.float32], log: bool, out: npt.NDArray[np.float32]) -> None:
    """Mean of each 2 x 2 block without the missing ones, or the exponential of the mean logarithm.

    Parameters
    ----------
    values : ndarray of float32, shape (y, x)
        NaN where there is none; with ``log`` above 0 elsewhere (others count as missing).
    out : ndarray of float32, shape ((y + 1) // 2, (x + 1) // 2)
        NaN where all four are missing.
    """
    height, width = values.shape
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            total, count = 0.0, 0
            for j in range(2 * y, min(2 * y + 2, height)):
                for i in range(2 * x, min(2 * x + 2, width)):
                    value = np.float64(values[j, i])
                    if math.isfinite(value) and (not log or value > 0):
                        total += math.log(value) if log else value
                        count += 1
            if count == 0:
                out[y, x] = np.nan
            else:
                out[y, x] = math.exp(total / count) if log else total / count


@numba.njit(nogil=True, cache=True)
def halve_first(values: npt.NDArray[np.float32], out: npt.NDArray[np.float32]) -> None:
    """The first value of each 2 x 2 block that there is: for classes and flags, which have no mean."""
    height, width = values.shape
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            out[y, x] = np.nan
            for j in range(2 * y, min(2 * y + 2, height)):
                for i in range(2 * x, min(2 * x + 2, width)):
                    if not math.isfinite(out[y, x]) and math.isfinite(values[j, i]):
                        out[y, x] = values[j, i]


@numba.njit(nogil=True, cache=True)
def halve_mode(values: npt.NDArray[np.float32], out: npt.NDArray[np.float32]) -> None:
    """The value that each 2 x 2 block has most often, of equally many the first; NaN only where there is none."""
    height, width = values.shape
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            out[y, x] = np.nan
            most = 0
            for j in range(2 * y, min(2 * y + 2, height)):
                for i in range(2 * x, min(2 * x + 2, width)):
                    count = 0
                    for k in range(2 * y, min(2 * y + 2, height)):
                        for m in range(2 * x, min(2 * x + 2, width)):
                            if values[k, m] == values[j, i]:
                                count += 1
                    if count > most and math.isfinite(values[j, i]):
                        most = count
                        out[y, x] = values[j, i]


@numba.njit(nogil=True, cache=True)
def gather_moments(
    block: Array, mask: npt.NDArray[np.bool_], fill: float, has_fill: bool,
    scale: float, offset: float, sums: Floats, squares: Floats, lows: Floats, highs: Floats,
    counts: npt.NDArray[np.int64], shift: Floats,
) -> None:  # fmt: skip
    """Add a block of values to what is known of each of its times.

    Parameters
    ----------
    block : ndarray, shape (t, y, x)
        Stored values.
    mask : ndarray of bool, shape (y, x)
        Which pixels count.
    sums, squares : ndarray of float64, shape (t,)
        Of the values less ``shift``, so that squares keep their digits.
    lows, highs, counts : ndarray, shape (t,)
        Least and greatest value, and how many.
    shift : ndarray of float64, shape (t,)
        The first value of each time; NaN until there was one.
    """
    for t in range(block.shape[0]):
        for y in range(block.shape[1]):
            for x in range(block.shape[2]):
                if not mask[y, x]:
                    continue
                stored = block[t, y, x]
                if (has_fill and stored == fill) or stored != stored:  # noqa: PLR0124
                    continue
                value = np.float64(stored) * scale + offset
                if counts[t] == 0:
                    shift[t] = value
                rest = value - shift[t]
                sums[t] += rest
                squares[t] += rest * rest
                counts[t] += 1
                lows[t] = min(lows[t], value)
                highs[t] = max(highs[t], value)

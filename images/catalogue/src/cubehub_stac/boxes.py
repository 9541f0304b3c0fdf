"""Boxes and outlines at the antimeridian, in plain numbers: west of 180 and east of -180 belong together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

Box = tuple[float, float, float, float]
"""west, south, east, north in degrees, west <= east."""

_SCENE_WIDTH = 20.0
"""No single scene or tile is wider than this many degrees once put together across the antimeridian."""


def flat_box(bbox: Sequence[float]) -> Box:
    """Drop the heights of a 6-value box.

    Raises
    ------
    ValueError
        When there are neither four nor six finite numbers, or south is north of north.
    """
    numbers = [float(value) for value in bbox]
    if not all(math.isfinite(value) for value in numbers):
        raise ValueError("a box has finite numbers")
    if len(numbers) == 6:
        numbers = [*numbers[:2], *numbers[3:5]]
    if len(numbers) != 4:
        raise ValueError("a box has four numbers (west, south, east, north) or six with heights")
    west, south, east, north = numbers
    if south > north:
        raise ValueError(f"the box's south ({south}) lies north of its north ({north})")
    return west, south, east, north


def split_box(bbox: Sequence[float]) -> list[Box]:
    """Cut a box with west > east, which crosses the antimeridian, into its two halves; others stay whole.

    Raises
    ------
    ValueError
        As `flat_box`.
    """
    west, south, east, north = flat_box(bbox)
    if west <= east:
        return [(west, south, east, north)]
    return [(west, south, 180.0, north), (-180.0, south, east, north)]


def boxes_geometry(boxes: Sequence[Box]) -> dict[str, Any]:
    """GeoJSON MultiPolygon of boxes."""
    return {
        "type": "MultiPolygon",
        "coordinates": [[[[w, s], [e, s], [e, n], [w, n], [w, s]]] for w, s, e, n in boxes],
    }


def crosses_unsplit(longitudes: Sequence[float]) -> bool:
    """Tell whether a ring was meant to cross the antimeridian but written as one that spans the globe.

    A scene from 179.3 to -179.7 then reads as 359 degrees wide. A ring counts as such when its vertices,
    with 360 added to the negative ones, lie within a scene's width; vertices at exactly -180 and 180 only are
    a real global box, because these then coincide.
    """
    if max(longitudes) - min(longitudes) <= 180.0:
        return False
    if max(longitudes) > 180.0 or min(longitudes) < -180.0:
        return False
    shifted = [lon + 360.0 if lon < 0 else lon for lon in longitudes]
    return 0.0 < max(shifted) - min(shifted) <= _SCENE_WIDTH

"""Areas in proportion to sizes: where each rectangle of a treemap goes. Pure.

References
----------
M. Bruls, K. Huizing, J. J. van Wijk: Squarified Treemaps. Data Visualization 2000, pp. 33-42.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Box:
    """A rectangle; x to the right, y downwards."""

    x: float
    y: float
    width: float
    height: float

    def inside(self, border: float, head: float) -> Box:
        """The room in it, without a border all around and a head at the top; never less than nothing."""
        return Box(
            self.x + border,
            self.y + head,
            max(self.width - 2 * border, 0.0),
            max(self.height - head - border, 0.0),
        )


def squarified(sizes: Sequence[float], room: Box) -> list[Box]:
    """Rectangles that fill a room, with areas in proportion to sizes and as square as can be.

    Parameters
    ----------
    sizes : sequence of float
        More than 0, in descending order.

    Returns
    -------
    list of Box
        In the same order.
    """
    whole = sum(sizes)
    if not whole or room.width <= 0 or room.height <= 0:
        return [Box(room.x, room.y, 0.0, 0.0) for _ in sizes]
    scale = room.width * room.height / whole
    areas = [size * scale for size in sizes]
    made: list[Box] = []
    begin = 0
    while begin < len(areas):
        side = min(room.width, room.height)
        end = begin + 1
        while end < len(areas) and _worst(areas[begin : end + 1], side) <= _worst(areas[begin:end], side):
            end += 1
        row, room = _laid(areas[begin:end], room)
        made += row
        begin = end
    return made


def _worst(areas: Sequence[float], side: float) -> float:
    """The longest shape of a row along a side: 1 if all were squares."""
    total = sum(areas)
    if not total or not side:
        return float("inf")
    return max(side**2 * max(areas) / total**2, total**2 / (side**2 * min(areas)))


def _laid(areas: Sequence[float], room: Box) -> tuple[list[Box], Box]:
    """A row along the shorter side of a room, and the room that is left."""
    total, made = sum(areas), []
    if room.width >= room.height:
        width, y = (total / room.height if room.height else 0.0), room.y
        for area in areas:
            height = area / width if width else 0.0
            made.append(Box(room.x, y, width, height))
            y += height
        return made, Box(room.x + width, room.y, max(room.width - width, 0.0), room.height)
    height, x = (total / room.width if room.width else 0.0), room.x
    for area in areas:
        width = area / height if height else 0.0
        made.append(Box(x, room.y, width, height))
        x += width
    return made, Box(room.x, room.y + height, room.width, max(room.height - height, 0.0))

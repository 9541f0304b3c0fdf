"""Values as Python source: what a catalogue or a person wrote can be a value in a cell, and never anything else."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from typing import Any

from cubehub_catalogue.errors import InputError

WIDTH = 100
"""Columns after which a list or dictionary is written over several lines."""
MOST_DEPTH = 50
"""Python's own parser gives up at 200 brackets, and what calls this writes some around it."""
MOST_VALUES = 40_000
_DECIMAL_DIGITS = 4000
"""Python reads and writes no decimal numbers with more than 4300 digits (CVE-2020-10735); hexadecimal ones it does."""
_INDENT = "    "


def literal(value: Any, *, column: int = 0, indent: int = 0) -> str:
    """Give the Python expression that evaluates to a value.

    Parameters
    ----------
    value : None, bool, int, float, str, list, tuple or mapping
        What JSON can hold, and tuples. Subclasses come back as the plain type.
    column : int
        Where on its line the expression begins.
    indent : int
        How often the line is indented, for what goes over several.

    Returns
    -------
    str
        Only printable characters: control characters, surrogates, and those that turn the direction of text
        (U+202E and the like, with which code looks different from what it does) are escaped.

    Raises
    ------
    InputError
        The value is of another type, nested too deeply, or too large for a cell.
    """
    return _written(value, column, indent, 0, [MOST_VALUES])


def comment(text: str, most: int = 80) -> str:
    """Give a text as what may follow ``#``: one line, printable, not longer than `most` characters."""
    spaced = "".join(
        character if character.isprintable() else " "
        for character in unicodedata.normalize("NFC", text[: 4 * most])
    )
    line = " ".join(spaced.split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def _written(value: Any, column: int, indent: int, depth: int, left: list[int]) -> str:
    left[0] -= 1
    if left[0] < 0:
        raise InputError(
            "too_large", "This is too much for a cell.", "Draw a simpler area, or choose fewer items."
        )
    if depth > MOST_DEPTH:
        raise InputError("too_deep", "This is nested too deeply for a cell.", "Use a simpler filter.")
    match value:
        case Mapping():
            parts = [(f"{_key(key)}: ", part) for key, part in value.items()]
            return _container("{", parts, "}", column, indent, depth, left)
        case list():
            return _container("[", [("", part) for part in value], "]", column, indent, depth, left)
        case tuple():
            end = ",)" if len(value) == 1 else ")"
            return _container("(", [("", part) for part in value], end, column, indent, depth, left)
        case _:
            return _scalar(value)


def _scalar(value: object) -> str:
    match value:
        case None | bool():
            return repr(value)
        case int():
            return _whole(value)
        case float():
            return repr(float(value)) if math.isfinite(value) else f'float("{float(value)!r}")'
        case str():
            return _text(value)
        case _:
            raise InputError(
                "not_a_value", f"A {type(value).__name__} can't be written into a cell.", "Report this."
            )


def _whole(value: int) -> str:
    number = int(value)
    return hex(number) if abs(number) >= 10**_DECIMAL_DIGITS else int.__repr__(number)


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise InputError("not_a_value", f"{key!r:.80} can't be a key in a cell.", "Report this.")
    return _text(key)


def _text(value: str) -> str:
    # repr escapes all that is not printable, and every form of line end
    written = str.__repr__(value)
    return f'"{written[1:-1]}"' if written[0] == "'" and '"' not in value else written


def _container(
    start: str, parts: list[tuple[str, Any]], end: str, column: int, indent: int, depth: int, left: list[int]
) -> str:
    inner = (indent + 1) * len(_INDENT)
    written = [key + _written(part, inner + len(key), indent + 1, depth + 1, left) for key, part in parts]
    line = start + ", ".join(written) + end
    if column + len(line) <= WIDTH and "\n" not in line:
        return line
    if not parts:
        return line
    # a ring's corners, one pair to a line, make a cell of hundreds of lines: numbers go side by side
    pieces = _filled(written, inner) if _is_flat(parts) else written
    space = _INDENT * (indent + 1)
    return (
        start + "\n" + "".join(f"{space}{piece},\n" for piece in pieces) + _INDENT * indent + end.lstrip(",")
    )


def _is_flat(parts: list[tuple[str, Any]]) -> bool:
    """Tell whether these are numbers, or pairs of them."""
    return all(
        not key
        and (
            isinstance(part, int | float)
            or (isinstance(part, list | tuple) and all(isinstance(number, int | float) for number in part))
        )
        for key, part in parts
    )


def _filled(written: list[str], inner: int) -> list[str]:
    lines: list[str] = []
    for piece in written:
        if lines and inner + len(lines[-1]) + len(piece) + 3 <= WIDTH:
            lines[-1] += f", {piece}"
        else:
            lines.append(piece)
    return lines

"""The text of a cell: imports first, then lines; calls over several lines where they are long."""

from __future__ import annotations

from typing import Any

from cubehub_catalogue.code.literals import WIDTH, literal


class Source(str):
    """An expression that is Python already: written here, or by `literal`."""

    __slots__ = ()


class Cell:
    """Collects what a cell needs."""

    def __init__(self) -> None:
        self._plain: set[str] = set()
        self._from: dict[str, set[str]] = {}
        self._lines: list[str] = []
        self.needs: set[str] = set()
        """Packages as they are installed."""

    def imports(self, module: str, *names: str, package: str | None = None) -> None:
        """Import a module (``xarray as xr``), or names from it."""
        if names:
            self._from.setdefault(module, set()).update(names)
        else:
            self._plain.add(module)
        if package:
            self.needs.add(package)

    def line(self, text: str = "") -> None:
        """Add a line, or several."""
        self._lines.append(text)

    def gap(self) -> None:
        """Leave a line empty, once."""
        if self._lines and self._lines[-1]:
            self._lines.append("")

    def function(self, text: str) -> None:
        """Add a function, with two empty lines around it as everywhere in Python."""
        self.gap()
        if self._lines:
            self._lines.append("")
        self._lines += [text, "", ""]

    def text(self) -> str:
        """Give the whole cell."""
        standard = [f"import {name}" for name in sorted(self._plain) if name in _STANDARD]
        standard += [
            f"from {name} import {', '.join(sorted(self._from[name]))}"
            for name in sorted(self._from)
            if name in _STANDARD
        ]
        others = [f"import {name}" for name in sorted(self._plain) if name not in _STANDARD]
        others += [
            f"from {name} import {', '.join(sorted(self._from[name]))}"
            for name in sorted(self._from)
            if name not in _STANDARD
        ]
        head = [part for part in ("\n".join(standard), "\n".join(others)) if part]
        body = "\n".join(self._lines).strip("\n")
        return "\n\n".join([*head, body]) + "\n"


_STANDARD = frozenset({"os", "subprocess", "urllib.parse"})


def call(function: str, /, *positional: Any, before: int = 0, **named: Any) -> Source:
    """Write a call; values become literals, and `Source` stays as it is.

    Parameters
    ----------
    function
        Its name.
    positional, named
        Arguments; those that are None are left out.
    before
        Columns that stand before it on its line.
    """
    given = [("", value) for value in positional] + [(f"{name}=", value) for name, value in named.items()]
    parts = [(name, value) for name, value in given if value is not None]
    flat = [name + _expression(value, 0) for name, value in parts]
    line = f"{function}({', '.join(flat)})"
    if "\n" not in line and before + len(line) <= WIDTH:
        return Source(line)
    rows = "".join(f"    {name}{_expression(value, 4 + len(name))},\n" for name, value in parts)
    return Source(f"{function}(\n{rows})")


def _expression(value: Any, column: int) -> str:
    if isinstance(value, Source):
        return value.replace("\n", "\n    ") if column else value
    return literal(value, column=column, indent=1 if column else 0)

"""Cells that an administrator's package writes: entry points of the group ``cubehub_catalogue.code``."""

from __future__ import annotations

import ast
import logging
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Protocol

from cubehub_catalogue.errors import CatalogueError, UnknownError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cubehub_catalogue.code.model import Task

GROUP = "cubehub_catalogue.code"
_LARGEST = 256 * 1024
_log = logging.getLogger(__name__)


class Template(Protocol):
    """What an entry point gives: an object, or a module, with these.

    Notes
    -----
    `cubehub_catalogue.code.literals.literal` writes values, so that what a catalogue says can't become code.
    """

    title: str
    description: str

    def write(self, task: Task) -> str:
        """Give the cell's source."""


class TemplateError(CatalogueError):
    """A template that fails; its author mends it."""

    status = 500


@dataclass(frozen=True)
class Listed:
    """A template as people choose it."""

    id: str
    title: str
    description: str

    def to_dict(self) -> dict[str, str]:
        """Give ``{id, title, description}``."""
        return {"id": self.id, "title": self.title, "description": self.description}


def templates(found: Iterable[EntryPoint] | None = None) -> list[Listed]:
    """List those that can be loaded; of the others the server's log tells.

    Parameters
    ----------
    found : iterable of EntryPoint, optional
        Else those that are installed.
    """
    made = []
    for point in sorted(_points(found), key=lambda point: point.name):
        try:
            template = point.load()
            made.append(Listed(point.name, str(template.title), str(getattr(template, "description", ""))))
        except Exception:  # noqa: BLE001 - others' code: whatever it raises, the other templates are there
            _log.exception("cubehub_catalogue: the template %s can't be used", point.name)
    return made


def written_by(name: str, task: Task, found: Iterable[EntryPoint] | None = None) -> str:
    """Give the cell that a template writes.

    Raises
    ------
    UnknownError
        There is no such template.
    TemplateError
        It fails, or writes what is no Python.
    """
    point = next((point for point in _points(found) if point.name == name), None)
    if point is None:
        raise UnknownError(
            "unknown_template", f"There is no template {name!r:.80}.", "Choose one of those listed."
        )
    try:
        code = _checked(point.load().write(task))
    except CatalogueError:
        raise
    except Exception as error:
        _log.exception("cubehub_catalogue: the template %s failed", name)
        raise TemplateError(
            "template_failed",
            f"The template {name} failed: {type(error).__name__}.",
            "Choose another; the server's log has the cause for your administrator.",
        ) from error
    return code


def _checked(code: Any) -> str:
    if not isinstance(code, str) or len(code) > _LARGEST:
        raise TypeError("it gives no text, or too much")
    ast.parse(code)
    return code


def _points(found: Iterable[EntryPoint] | None) -> Iterable[EntryPoint]:
    return entry_points(group=GROUP) if found is None else found

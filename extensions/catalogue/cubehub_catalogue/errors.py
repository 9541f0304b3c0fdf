"""The one family of errors: each says what was wrong, and what to do next."""

from __future__ import annotations

from typing import Any


class CatalogueError(Exception):
    """What a search can't do, told to a person.

    Parameters
    ----------
    code
        Stable, snake_case; what a program looks at.
    message
        What was wrong, and where.
    hint
        What to do next.
    upstream_status
        HTTP status of the catalogue's answer, where there was one.
    """

    status = 502
    """What our own route answers with."""

    def __init__(self, code: str, message: str, hint: str, *, upstream_status: int | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.hint, self.upstream_status = code, message, hint, upstream_status

    def __str__(self) -> str:
        """Say both, as a notebook shows it below a traceback."""
        return f"{self.message} {self.hint}".strip()

    def to_dict(self) -> dict[str, Any]:
        """Give ``{code, message, hint, upstream_status}``."""
        return {
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "upstream_status": self.upstream_status,
        }


class InputError(CatalogueError):
    """What the person asked for can't be: a box of three numbers, a time that is none."""

    status = 400


class UnknownError(CatalogueError):
    """A catalogue, collection, search or item that is not there."""

    status = 404


class ForbiddenError(CatalogueError):
    """An address that must not be asked, or something that is not this person's."""

    status = 403


class UpstreamError(CatalogueError):
    """A catalogue that did not answer, or answered what can't be used."""


class SignInError(UpstreamError):
    """A catalogue that wants a log-in which this person or platform does not have (any more)."""

    status = 401

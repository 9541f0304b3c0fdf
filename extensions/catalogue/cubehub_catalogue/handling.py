"""What every route does: who may ask, how large a question may be, how an error is told."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from jupyter_server.base.handlers import APIHandler
from tornado.web import HTTPError

from cubehub_catalogue.errors import CatalogueError, InputError

if TYPE_CHECKING:
    from cubehub_catalogue.context import Context

Route = tuple[str, type["Handler"], dict[str, Any]]
"""Pattern below ``cubehub/catalogue/``, class, and what `initialize` gets."""

ID = r"([A-Za-z0-9_-]{1,80})"
"""An id in a pattern of a route."""
_ERRORS = {
    403: ("forbidden", "Log in again, then load the page anew."),
    404: ("not_found", "Load the page anew."),
    405: ("method_not_allowed", "Load the page anew."),
    413: ("too_large", "Send less at once."),
}
_BAD = (
    "bad_input",
    "Load the page anew. A program that asks finds the form in the README of cubehub-catalogue.",
)


class Handler(APIHandler):
    """Base of all routes; each method that answers stands under ``@authenticated``."""

    most_bytes = 2**20
    """Largest body that is read."""

    def initialize(self, context: Context) -> None:
        """Take what all routes share."""
        self.context = context

    async def prepare(self) -> None:
        """Refuse what is too large, after Jupyter Server has looked at who asks and from where."""
        await super().prepare()
        if len(self.request.body) > self.most_bytes:
            raise HTTPError(413, f"The body is larger than {self.most_bytes // 2**20} MiB.")

    def body(self) -> dict[str, Any]:
        """Give the body, a JSON object.

        Raises
        ------
        InputError
            When it is none.
        """
        try:
            sent = json.loads(self.request.body or b"{}", parse_constant=_no_number)
        except (ValueError, RecursionError):
            sent = None
        if not isinstance(sent, dict):
            raise InputError("bad_input", "The body is no JSON object.", _BAD[1])
        return sent

    def answer(self, told: Any, status: int = 200) -> None:
        """Answer with JSON that nobody keeps."""
        self.set_status(status)
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(told))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Write ``{code, message, hint, upstream_status}``; of a fault of ours nothing but that there was one."""
        error = kwargs.get("exc_info", (None, None))[1]
        self.set_header("Cache-Control", "no-store")
        if isinstance(error, CatalogueError):
            # Tornado takes what it does not know for a fault of ours, so the status is set here
            self.set_status(error.status)
            self.finish(json.dumps(error.to_dict()))
            return
        code, hint = _ERRORS.get(status_code, _BAD if status_code < 500 else _FAULT)
        said = (error.log_message or error.reason) if isinstance(error, HTTPError) else None
        message = said or HTTPStatus(status_code).phrase
        self.finish(json.dumps({"code": code, "message": message, "hint": hint, "upstream_status": None}))

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log what a catalogue or a person did in one line, and only a fault of ours with its trace."""
        if isinstance(value, CatalogueError):
            path = self.request.path
            self.log.warning(
                "cubehub_catalogue: %s %s: %s: %s", self.request.method, path, value.code, value.message
            )
        else:
            super().log_exception(typ, value, tb)


_FAULT = ("internal_error", "Try again; the server's log has the cause.")


def _no_number(text: str) -> float:
    raise ValueError(text)

"""What the panel "What fills my home" asks its server."""

from __future__ import annotations

import json
from typing import Any

from tornado.web import HTTPError, authenticated

from cubehub_account.routes import Handler
from cubehub_account.state import state
from cubehub_account.storage import StorageError

_LONGEST_PATH = 16_384
_MOST_DAYS = 3660
_LARGEST = 2**63 - 1


class _StorageHandler(Handler):
    """Answers what went wrong with the service in the service's words."""

    def answer(self, told: dict[str, Any]) -> None:
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(told))

    def refuse(self, error: StorageError) -> None:
        self.log.warning("cubehub_account: storage: %s: %s", error.code, error.__cause__ or error.message)
        self.set_status(error.status)
        self.set_header("Content-Type", "application/json")
        self.answer(error.told())

    def body(self) -> dict[str, Any]:
        try:
            sent = json.loads(self.request.body)
        except (ValueError, RecursionError):
            sent = None
        if not isinstance(sent, dict):
            raise HTTPError(400, "The body is no JSON object.")
        return sent

    def path(self, sent: dict[str, Any]) -> str:
        path = sent.get("path")
        if not isinstance(path, str) or len(path) > _LONGEST_PATH:
            raise HTTPError(400, "“path” is no path.")
        return path


class StorageHandler(_StorageHandler):
    """What fills the home, what is going to be cleaned up, what was moved away and what is kept."""

    @authenticated
    async def get(self) -> None:
        """Answer with what this server counted itself, and what the service says or why it says nothing."""
        known = state()
        service, trouble = None, None
        try:
            service = await known.storage.mine()
        except StorageError as error:
            if error.code != "storage_absent":
                self.log.warning(
                    "cubehub_account: storage: %s: %s", error.code, error.__cause__ or error.message
                )
            trouble = error.told()
        self.answer({"local": known.counted(), "service": service, "trouble": trouble})


class KeepHandler(_StorageHandler):
    """Keep a path from being cleaned up."""

    @authenticated
    async def post(self) -> None:
        """Pass it on, and answer with how things are then."""
        sent = self.body()
        path, days = self.path(sent), sent.get("days")
        if not isinstance(days, int) or isinstance(days, bool) or not 1 <= days <= _MOST_DAYS:
            raise HTTPError(400, f"“days” is no whole number from 1 to {_MOST_DAYS}.")
        try:
            self.answer(await state().storage.keep(path, days))
        except StorageError as error:
            self.refuse(error)


class LetGoHandler(_StorageHandler):
    """Take a keeping back."""

    @authenticated
    async def post(self) -> None:
        """Pass it on, and answer with how things are then."""
        path = self.path(self.body())
        try:
            self.answer(await state().storage.let_go(path))
        except StorageError as error:
            self.refuse(error)


class RestoreHandler(_StorageHandler):
    """Bring back what was moved away."""

    @authenticated
    async def post(self) -> None:
        """Pass it on, and answer when it is done."""
        sent = self.body()
        number, only = sent.get("number"), sent.get("only")
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= _LARGEST:
            raise HTTPError(400, "“number” is no whole number.")
        if only is not None and (not isinstance(only, str) or not 0 < len(only) <= _LONGEST_PATH):
            raise HTTPError(400, "“only” is no path.")
        try:
            self.answer(await state().storage.restore(number, only))
        except StorageError as error:
            self.refuse(error)


class InsideHandler(_StorageHandler):
    """What is in something that was moved away."""

    @authenticated
    async def get(self) -> None:
        """Pass it on."""
        number = self.get_query_argument("number", "")
        if not (number.isascii() and number.isdigit() and len(number) < 20):
            raise HTTPError(400, "“number” is no whole number.")
        try:
            self.answer(await state().storage.inside(int(number)))
        except StorageError as error:
            self.refuse(error)


ROUTES: list[tuple[str, type[Handler]]] = [
    ("storage", StorageHandler),
    ("storage/keep", KeepHandler),
    ("storage/let-go", LetGoHandler),
    ("storage/restore", RestoreHandler),
    ("storage/inside", InsideHandler),
]

"""What the platform's storage service tells and does for the person of this server, asked with the server's token."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from tornado.simple_httpclient import HTTPTimeoutError

from cubehub_account.storage_answers import UnreadableError, read_inside, read_mine, read_restored

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_ANSWERS_WITHIN_S = 30.0
_RESTORES_WITHIN_S = 1800.0
"""An archive of many GiB is unpacked before the service answers."""
_CONNECTS_WITHIN_S = 10.0
_MOST_BYTES = 8 * 2**20
_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
_LONGEST_WORDS = 1000


class StorageError(Exception):
    """What the person is told when it did not work.

    Attributes
    ----------
    status : int
        HTTP status for the page. Never 401 or 403, which would say that the page's own log-in is over.
    code, message, hint : str
        As everywhere in CubeHub.
    """

    def __init__(self, status: int, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.hint = status, code, message, hint

    def told(self) -> dict[str, str]:
        """Give what the page shows."""
        return {"code": self.code, "message": self.message, "hint": self.hint}


class StorageLink:
    """Asks the storage service for this server's person.

    Parameters
    ----------
    environ : mapping
        Holds the service's address and the server's token, which stay in this process.
    answers_within_s : float
        How long a plain question may take; tests wait less.

    Notes
    -----
    Redirects are not followed: the token goes to one address only. Nor is anything unpacked, so that a small answer
    stays small.
    """

    def __init__(
        self, environ: Mapping[str, str] = os.environ, answers_within_s: float = _ANSWERS_WITHIN_S
    ) -> None:
        platform = environ.get("CUBEHUB_URL", "").rstrip("/")
        self._url = environ.get("CUBEHUB_STORAGE_URL", "").rstrip("/")
        if not self._url and platform:
            self._url = f"{platform}/services/storage"
        self._token = environ.get("JUPYTERHUB_API_TOKEN", "")
        self._within_s = answers_within_s
        self._client: AsyncHTTPClient | None = None

    async def mine(self) -> dict[str, Any]:
        """Tell what the service knows of the person's home.

        Raises
        ------
        StorageError
            When there is no such service, or it does not do it, or its answer makes no sense.
        """
        return await self._ask(read_mine, "mine")

    async def keep(self, path: str, days: int) -> dict[str, Any]:
        """Keep a path from being cleaned up; raises as `mine`, and tells the same."""
        return await self._ask(read_mine, "mine/keep", {"path": path, "days": days})

    async def let_go(self, path: str) -> dict[str, Any]:
        """Take a keeping back; raises as `mine`, and tells the same."""
        return await self._ask(read_mine, "mine/let-go", {"path": path})

    async def restore(self, number: int, only: str | None) -> dict[str, Any]:
        """Bring back what was moved away, or one path of it; raises as `mine`."""
        body = {"number": number, "only": only}
        return await self._ask(read_restored, "mine/restore", body, within_s=_RESTORES_WITHIN_S)

    async def inside(self, number: int) -> dict[str, Any]:
        """Tell what is in something that was moved away; raises as `mine`."""
        return await self._ask(read_inside, f"mine/inside?number={number}")

    async def _ask(
        self,
        read: Callable[[Any], dict[str, Any]],
        what: str,
        body: dict[str, Any] | None = None,
        within_s: float | None = None,
    ) -> dict[str, Any]:
        if not (self._url and self._token):
            raise _absent()
        if self._client is None:  # made here, where the loop runs
            self._client = AsyncHTTPClient(force_instance=True, max_body_size=_MOST_BYTES)
        headers = {"Authorization": f"token {self._token}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            answer = await self._client.fetch(
                f"{self._url}/api/{what}",
                method="GET" if body is None else "POST",
                headers=headers,
                body=None if body is None else json.dumps(body),
                request_timeout=within_s or self._within_s,
                connect_timeout=_CONNECTS_WITHIN_S,
                follow_redirects=False,
                decompress_response=False,
                raise_error=False,
            )
        except HTTPTimeoutError as error:
            raise StorageError(
                504,
                "storage_slow",
                "The storage service has not answered yet.",
                "It may still be at work. Wait a few minutes, then look again.",
            ) from error
        except (OSError, HTTPClientError, ValueError) as error:
            raise _down() from error
        if answer.code != 200:
            raise _refusal(answer.code, answer.body)
        try:
            return read(_parsed(answer.body))
        except UnreadableError as error:
            raise StorageError(
                502,
                "storage_unreadable",
                f"The storage service's answer makes no sense: {error}.",
                "Look again whether it was done, and tell your administrator.",
            ) from error


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UnreadableError("it is no JSON") from error


def _refusal(status: int, body: bytes) -> StorageError:
    """Give the service's own words where they have its form, else what the status means."""
    try:
        said = _parsed(body)
    except UnreadableError:
        said = None
    if isinstance(said, dict):
        words = [said.get(name) for name in ("code", "message", "hint")]
        if all(isinstance(one, str) and len(one) <= _LONGEST_WORDS for one in words) and _CODE.match(
            str(words[0])
        ):
            kept = 400 <= status < 500 and status not in {401, 403, 405}
            return StorageError(status if kept else 502, *map(str, words))
    if status == 404:
        return _absent()
    if status in {401, 403} or 300 <= status < 400:
        return StorageError(
            502,
            "storage_refused",
            "The storage service does not accept this server.",
            "Stop your server and start it again. If that does not help, tell your administrator.",
        )
    return _down()


def _absent() -> StorageError:
    return StorageError(
        404,
        "storage_absent",
        "This platform has no storage service.",
        "Nothing is cleaned up, and nothing can be kept or restored from here.",
    )


def _down() -> StorageError:
    return StorageError(
        502,
        "storage_down",
        "The storage service does not answer.",
        "Try again in a few minutes. If that does not help, tell your administrator.",
    )

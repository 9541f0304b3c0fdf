"""The publishing API of the platform, spoken to from a server on it. Needs nothing but Python."""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
from typing import Any
from urllib.parse import quote, urlsplit

from cubehub.publishing.errors import NotPublishableError, PublishingError

PATIENCE_S = 300.0
"""How long is tried again where the connection is cut or the platform starts anew."""
_TIMEOUT_S = 120.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 10.0
_AGAIN = frozenset({502, 503, 504})
MAX_ANSWER_BYTES = 64 * 2**20
NO_PLATFORM = (
    "This is not a server on a CubeHub platform.",
    "Publish from a notebook or a terminal in JupyterLab there; elsewhere set CUBEHUB_CUBES_URL and CUBEHUB_TOKEN.",
)


class Service:
    """The API.

    Parameters
    ----------
    url
        Address of the cube server, such as ``https://HOST/services/cubes``.
    token
        Of the Hub; it goes into a header and nowhere else.
    patience_s
        How long is tried again.
    """

    def __init__(self, url: str, token: str, patience_s: float = PATIENCE_S) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise PublishingError(
                f"{url!r} is not the address of a cube server.", NO_PLATFORM[1], code="bad_input"
            )
        self._secure, self._host, self._port = parts.scheme == "https", parts.hostname, parts.port
        self._base = parts.path.rstrip("/") + "/publishing"
        self._token, self._patience_s = token, patience_s
        self._local = threading.local()

    def __repr__(self) -> str:
        """Give the address, never the token."""
        return f"Service({self._host}{self._base})"

    @classmethod
    def here(cls, patience_s: float = PATIENCE_S) -> Service:
        """Find the platform that this server belongs to, and its token, in the environment.

        Raises
        ------
        PublishingError
            It belongs to none.
        """
        url = os.environ.get("CUBEHUB_CUBES_URL")
        if not url and os.environ.get("CUBEHUB_URL"):
            url = os.environ["CUBEHUB_URL"].rstrip("/") + "/services/cubes"
        token = os.environ.get("CUBEHUB_TOKEN") or os.environ.get("JUPYTERHUB_API_TOKEN")
        if not url or not token:
            raise PublishingError(*NO_PLATFORM, code="no_platform")
        return cls(url, token, patience_s)

    def ask(self, method: str, path: str, content: Any = None, *, body: bytes | None = None) -> Any:
        """Send a request until it is answered, and give the JSON of the answer; each of them may be sent twice.

        Raises
        ------
        NotPublishableError
            With the list of what is wrong.
        PublishingError
            The platform refuses, or did not answer for too long.
        """
        data = json.dumps(content, allow_nan=False).encode() if content is not None else body
        until, pause = time.monotonic() + self._patience_s, _FIRST_PAUSE_S
        while True:
            try:
                status, answer = self._once(method, path, data)
            except (OSError, http.client.HTTPException) as error:
                self._close()
                if time.monotonic() > until:
                    raise PublishingError(
                        f"The platform at {self._host} does not answer.",
                        "Publish again in a minute: it goes on where it was.",
                        code="not_reachable",
                    ) from error
            else:
                if status not in _AGAIN or time.monotonic() > until:
                    return _content(status, answer)
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    def _once(self, method: str, path: str, data: bytes | None) -> tuple[int, bytes]:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            # http.client knows of no proxy, which would see the token
            kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
            connection = self._local.connection = kind(self._host, self._port, timeout=_TIMEOUT_S)
        headers = {"Authorization": f"token {self._token}", "Accept": "application/json"}
        connection.request(method, self._base + path, data, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(MAX_ANSWER_BYTES)

    def _close(self) -> None:
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None


def _content(status: int, answer: bytes) -> Any:
    try:
        content = json.loads(answer)
    except ValueError:
        content = None
    if 200 <= status < 300 and content is not None:
        return content
    said = content if isinstance(content, dict) else {}
    # the processes in front of the publisher say it one level deeper
    said = said["error"] if isinstance(said.get("error"), dict) else said
    message, hint, code = (str(said.get(key) or "") for key in ("message", "hint", "code"))
    if isinstance(said.get("problems"), list):
        raise NotPublishableError(message, hint, said["problems"])
    error = PublishingError(
        message or f"The platform answered with {status}.",
        hint or "Try again in a minute.",
        code=code or "failure",
    )
    error.exit_status = 2 if status in {400, 404, 409, 422} else 1
    raise error


def quoted(text: str) -> str:
    """Write a name as part of a path."""
    return quote(text, safe="")

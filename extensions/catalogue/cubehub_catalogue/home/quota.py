"""What the person's profile leaves of storage, as the part of Lab knows it that counts the home."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cubehub_catalogue.errors import CatalogueError
from cubehub_catalogue.http.client import Client
from cubehub_catalogue.http.limits import MIB, Limits
from cubehub_catalogue.settings import Catalogue
from cubehub_catalogue.tokens.person import ServerToken

if TYPE_CHECKING:
    from collections.abc import Callable

_SERVICE, _STATUS = "JUPYTERHUB_SERVICE_URL", "cubehub/account/status"
_ASK_EVERY_S = 20.0


class Quota:
    """The profile's storage against what the home holds.

    Parameters
    ----------
    clock
        Monotonic.

    Notes
    -----
    The home is counted every few minutes by another part, cubehub-account. What was written here since is added to
    its count. Where that part is missing nothing is known, and only the file system says what is left.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asked_at: float | None = None
        self._limit: int | None = None
        self._counted: int | None = None
        self._written = 0

    async def left(self) -> int | None:
        """Tell how many bytes may still be written; None where nobody knows."""
        now = self._clock()
        if self._asked_at is None or now - self._asked_at >= _ASK_EVERY_S:
            self._asked_at = now
            self._note(await self._ask())
        if self._limit is None or self._counted is None:
            return None
        return self._limit - self._counted - self._written

    def wrote(self, count: int) -> None:
        """Note what was written."""
        self._written += count

    def _note(self, status: Any) -> None:
        told = status if isinstance(status, dict) else {}
        limit, counted = told.get("storage_bytes"), told.get("home_bytes")
        self._limit = limit if isinstance(limit, int) and limit > 0 else None
        if counted != self._counted:
            # counted anew: what was written before is in it
            self._counted = counted if isinstance(counted, int) else None
            self._written = 0

    async def _ask(self) -> Any:
        where = _own_address(os.environ.get(_SERVICE, ""))
        if where is None:
            return None
        server = Catalogue(id="server", title="This server", url=where, private=True, timeout=5)
        limits = Limits(total_s=5, redirects=0, repeats=0, packed_bytes=MIB, bytes=MIB, cache_bytes=0)
        client = Client(server, ServerToken(), limits=limits)
        try:
            return (await client.json(_STATUS)).value
        except CatalogueError:
            return None
        finally:
            await client.close()


def _own_address(text: str) -> str | None:
    """Give the address of this server as it reaches itself; None where it is none of a Hub."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or host is None or not os.environ.get("JUPYTERHUB_API_TOKEN"):
        return None
    here = host if host not in ("", "0.0.0.0", "::") else "127.0.0.1"  # noqa: S104 - read, not bound to
    bracketed = f"[{here}]" if ":" in here else here
    return (
        f"{parts.scheme}://{bracketed}:{port or (443 if parts.scheme == 'https' else 80)}{parts.path or '/'}"
    )

"""Connections that go to the very address that was looked at, and nowhere else."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from cubehub_catalogue.http.addresses import is_public, may_be_private, read_address
from cubehub_catalogue.http.targets import refused

if TYPE_CHECKING:
    import ssl as tls
    from collections.abc import Awaitable, Callable

    Lookup = Callable[[str, int, socket.AddressFamily], Awaitable[list[str]]]
    """Gives the addresses of a name."""

_MOST_CONNECTIONS, _MOST_PER_HOST, _KEPT_S = 24, 12, 60.0


class RefusedAddressError(OSError):
    """A connection that was about to go to an address that must not be asked."""


async def ask_system(host: str, port: int, family: socket.AddressFamily) -> list[str]:
    """Look a name up as the system does."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


def may_connect(text: str, *, trusted: bool) -> bool:
    """Whether a connection may go to an address."""
    address = read_address(text)
    return address is not None and (may_be_private(address) if trusted else is_public(address))


class GuardedResolver(AbstractResolver):
    """Looks names up, and refuses a name as a whole if one of its addresses must not be asked.

    Notes
    -----
    aiohttp connects to what is given here without looking the name up again, so a name can't change in between.
    """

    def __init__(self, lookup: Lookup, *, trusted: bool) -> None:
        self._lookup, self._trusted = lookup, trusted

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Give the addresses of a name.

        Raises
        ------
        ForbiddenError
            One of them must not be asked.
        """
        found = list(dict.fromkeys(await self._lookup(host, port, family)))
        if not found:
            raise OSError(None, "the name has no address")
        if not all(may_connect(text, trusted=self._trusted) for text in found):
            raise refused(f"{host} stands on an address that is not public.")
        return [
            ResolveResult(
                hostname=host,
                host=text,
                port=port,
                family=socket.AF_INET6 if ":" in text else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for text in found
        ]

    async def close(self) -> None:
        """Nothing is kept."""


def connector(lookup: Lookup, *, trusted: bool, ssl: tls.SSLContext | None) -> aiohttp.TCPConnector:
    """Make a pool of connections.

    Parameters
    ----------
    lookup
        Gives the addresses of a name.
    trusted
        Whether they may go to private addresses.
    ssl
        Whom to believe; by default the authorities of the system.
    """

    def guarded_socket(info: Any) -> socket.socket:
        """Make a socket; the last look, at the address that the next call connects to."""
        family, kind, protocol, _, where = info
        if family not in (socket.AF_INET, socket.AF_INET6) or not may_connect(str(where[0]), trusted=trusted):
            raise RefusedAddressError(None, "the address must not be asked")
        return socket.socket(family, kind, protocol)

    return aiohttp.TCPConnector(
        resolver=GuardedResolver(lookup, trusted=trusted),
        use_dns_cache=False,
        limit=_MOST_CONNECTIONS,
        limit_per_host=_MOST_PER_HOST,
        keepalive_timeout=_KEPT_S,
        socket_factory=guarded_socket,
        ssl=ssl if ssl is not None else True,
    )

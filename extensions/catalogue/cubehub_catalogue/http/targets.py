"""Looks at every address before it is asked: at the first one, and at each that a redirect names."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from yarl import URL

from cubehub_catalogue.errors import ForbiddenError
from cubehub_catalogue.http.addresses import is_public, may_be_private, read_address

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_ADDRESS = 16 * 1024
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_INNER = (
    "localhost",
    "local",
    "internal",
    "intranet",
    "lan",
    "home",
    "corp",
    "svc",
    "localdomain",
    "home.arpa",
)
_HTTPS, _FIRST_FREE_PORT = 443, 1024

Origin = tuple[str, str, int]
"""Scheme, host and port."""


def refused(message: str) -> ForbiddenError:
    """Make the error for an address that must not be asked."""
    return ForbiddenError(
        "address_refused",
        message,
        "Only public https addresses are asked. An administrator can mark a catalogue of the platform as `private: true`.",
    )


def read_url(text: str | URL) -> URL:
    """Read an address; what is asked later is this very object, so nobody reads it in another way.

    Raises
    ------
    ForbiddenError
        It is none, or one that is written to mislead.
    """
    plain = str(text)
    if len(plain) > LONGEST_ADDRESS:
        raise refused("The address is too long.")
    if any(ord(letter) <= 32 or ord(letter) == 127 or letter == "\\" for letter in plain):
        raise refused("The address has a space, a control character or a backslash in it.")
    try:
        url = text if isinstance(text, URL) else URL(plain)
        host, _ = url.raw_host, url.port
    except (ValueError, UnicodeError) as error:
        raise refused("The address can't be read.") from error
    if url.scheme not in ("http", "https") or not host:
        raise refused(f"An address that begins with {url.scheme[:20] or 'nothing'!r} is not asked.")
    if url.user is not None or url.password is not None or "@" in url.raw_authority:
        raise refused("An address with a user name or a password in it is not asked.")
    return url.with_fragment(None)


def origin_of(url: URL) -> Origin:
    """Give scheme, host as it is looked up (names of other scripts as ``xn--…``), and port."""
    return url.scheme, (url.raw_host or "").rstrip(".").lower(), url.port or 0


@dataclass(frozen=True)
class Targets:
    """The addresses of one catalogue.

    Parameters
    ----------
    own
        Origins that belong to it, and get its log-in.
    private
        Whether these may be private or http.
    shared
        Origin at which others answer too, below other paths: the platform's, where each person's server stands.
    below
        Path there below which the log-in is sent.
    """

    own: frozenset[Origin] = field(default_factory=frozenset)
    private: bool = False
    shared: Origin | None = None
    below: str = ""

    @classmethod
    def of(cls, urls: Iterable[str], *, private: bool, platform: str = "") -> Targets:
        """Make it from the addresses of the settings, the catalogue's own first, and the platform's."""
        root, *also = (read_url(url) for url in urls)
        own = frozenset(map(origin_of, (root, *also)))
        shared = origin_of(URL(platform)) if platform else None
        if origin_of(root) != shared or shared in map(origin_of, also):
            return cls(own, private)  # among `also` an administrator has named all of it
        return cls(own, private, shared, root.raw_path.rstrip("/"))

    def gets_login(self, url: URL) -> bool:
        """Whether an address gets the catalogue's log-in."""
        if not self.is_own(url):
            return False
        if origin_of(url) != self.shared:
            return True
        path = url.raw_path
        # a path that somebody on the way could read in another way gets nothing
        plain = not re.search(r"%2e|%2f|%5c|/\.\.?(/|$)", path, re.IGNORECASE)
        return plain and (path == self.below or path.startswith(self.below + "/"))

    def is_own(self, url: URL) -> bool:
        """Whether an address belongs to the catalogue."""
        return origin_of(url) in self.own

    def check(self, url: URL, *, left: bool = False) -> bool:
        """Look whether an address may be asked.

        Parameters
        ----------
        url
            The address.
        left
            Whether somebody else sent the request there; then nothing is trusted.

        Returns
        -------
        bool
            Whether it may stand on a private network.

        Raises
        ------
        ForbiddenError
            It may not be asked.
        """
        scheme, host, port = origin_of(url)
        own = self.is_own(url) and not left
        trusted = own and self.private
        if scheme != "https" and not trusted:
            raise refused(f"{host} is asked for by http, which shows what is sent.")
        address = read_address(host)
        if address is not None:
            if not (may_be_private(address) if trusted else is_public(address)):
                raise refused(f"{host} is not a public address.")
        else:
            self._check_name(host, trusted=trusted)
        if not own and port != _HTTPS and port < _FIRST_FREE_PORT:
            raise refused(f"Port {port} of {host} is not one of a catalogue.")
        return trusted

    def _check_name(self, host: str, *, trusted: bool) -> None:
        if not _NAME.fullmatch(host) or len(host) > 253:
            raise refused("The address has no host that could be asked.")
        labels = host.split(".")
        if _NUMBER.fullmatch(labels[-1]):
            # 127.1, 0177.0.0.1, 0x7f000001, 2130706433: the system's resolver would take them for addresses
            raise refused(f"{host} is an address in an unusual way of writing.")
        if trusted:
            return
        if len(labels) == 1 or any(host == inner or host.endswith("." + inner) for inner in _INNER):
            raise refused(f"{host} is a name of an inner network.")

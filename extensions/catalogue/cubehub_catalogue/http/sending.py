"""Sends one request and follows where it is sent on to, looking at each address before it is asked."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from cubehub_catalogue.errors import UpstreamError
from cubehub_catalogue.http.connecting import RefusedAddressError, ask_system, connector
from cubehub_catalogue.http.targets import origin_of, read_url, refused

if TYPE_CHECKING:
    import ssl as tls
    from collections.abc import AsyncIterator, Mapping

    from cubehub_catalogue.http.connecting import Lookup
    from cubehub_catalogue.http.credentials import Given
    from cubehub_catalogue.http.limits import Limits
    from cubehub_catalogue.http.targets import Targets

AGENT = "cubehub-catalogue"
_SENT_ON = frozenset({301, 302, 303, 307, 308})
_FOR_OWN_ONLY = frozenset({"authorization", "cookie", "proxy-authorization"})
_NOT_OURS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "cookie", "accept-encoding"}
)


@dataclass(frozen=True)
class Request:
    """What is asked for."""

    method: str
    url: URL
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    form: Mapping[str, str] | None = None
    encodings: str = "identity"


class Sender:
    """The connections of one catalogue: two pools, so that what is trusted is never used for anything else."""

    def __init__(
        self,
        title: str,
        targets: Targets,
        limits: Limits,
        *,
        lookup: Lookup | None = None,
        ssl: tls.SSLContext | None = None,
    ) -> None:
        self._title, self._targets, self._limits = title, targets, limits
        self._lookup, self._ssl = lookup or ask_system, ssl
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    def _session(self, *, trusted: bool) -> aiohttp.ClientSession:
        if trusted not in self._sessions:
            limits = self._limits
            self._sessions[trusted] = aiohttp.ClientSession(
                connector=connector(self._lookup, trusted=trusted, ssl=self._ssl),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                max_headers=limits.headers,
                max_field_size=limits.header_bytes,
                max_line_size=limits.header_bytes,
                # waiting for a free connection counts to the time in all, not to that of connecting
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=limits.connect_s, sock_read=limits.idle_s
                ),
                headers={"User-Agent": AGENT},
            )
        return self._sessions[trusted]

    async def close(self) -> None:
        """Close all connections."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    @contextlib.asynccontextmanager
    async def sent(self, request: Request, given: Given) -> AsyncIterator[tuple[aiohttp.ClientResponse, str]]:
        """Send a request.

        Yields
        ------
        response, url
            The first answer that is not sent on, whatever its status, and where it came from without any key.

        Raises
        ------
        ForbiddenError
            An address that it was sent on to must not be asked.
        UpstreamError
            There was no answer, or it was sent on too often.
        """
        left = False
        for _ in range(self._limits.redirects + 1):
            own = not left and self._targets.gets_login(request.url)
            trusted = self._targets.check(request.url, left=left)
            async with contextlib.AsyncExitStack() as stack:
                with self.translated(request.url):
                    response = await stack.enter_async_context(
                        self._once(request, given if own else None, trusted=trusted)
                    )
                where = response.headers.get("Location")
                if response.status not in _SENT_ON or where is None:
                    yield response, str(request.url)
                    return
            following = self._joined(request, where)
            # who was led away once is not led back in: what is outside must not choose what is asked inside
            left = left or not self._targets.is_own(following)
            request = self._next(request, following, response.status)
        raise UpstreamError(
            "too_many_redirects",
            f"{self._title} sent the request on more than {self._limits.redirects} times.",
            "Its address in the settings may be an old one.",
        )

    def who(self, url: URL) -> str:
        """Name whom an address belongs to: the catalogue, or a host that it named."""
        if self._targets.is_own(url):
            return self._title
        return f"{(url.raw_host or '')[:100]}, which {self._title} names,"

    def _once(self, request: Request, given: Given | None, *, trusted: bool) -> Any:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _NOT_OURS}
        url = request.url
        if given is not None:
            headers.update(given.headers)
            url = url.update_query(dict(given.params)) if given.params else url
        else:
            headers = {name: value for name, value in headers.items() if name.lower() not in _FOR_OWN_ONLY}
        headers["Accept-Encoding"] = request.encodings
        return self._session(trusted=trusted).request(
            request.method,
            url,
            headers=headers,
            json=request.json,
            data=request.form,
            allow_redirects=False,
        )

    def _joined(self, request: Request, where: str) -> URL:
        """Read where a request is sent on to."""
        if len(where) > self._limits.header_bytes:
            raise refused("The address that it was sent on to is too long.")
        # looked at as it was written, before anything is made of it
        if any(ord(letter) <= 32 or ord(letter) == 127 or letter == "\\" for letter in where):
            raise refused(
                "The address that it was sent on to has a space, a control character or a backslash in it."
            )
        try:
            return read_url(request.url.join(URL(where)))
        except (ValueError, UnicodeError) as error:
            raise refused("The address that it was sent on to can't be read.") from error

    def _next(self, request: Request, following: URL, status: int) -> Request:
        """Make the request that follows."""
        made = replace(request, url=following)
        if status == 303 or (status in (301, 302) and request.method == "POST"):
            return replace(made, method="GET", json=None, form=None)
        if request.form is not None and origin_of(following) != origin_of(request.url):
            # a form of ours holds a client's secret
            raise refused("It was sent on to somebody else.")
        return made

    @contextlib.contextmanager
    def translated(self, url: URL) -> Any:
        """Say what went wrong on the way in the words of the room; the errors of the library name addresses with keys."""
        try:
            yield
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, RefusedAddressError):
                raise refused("The address is not a public one.") from None
            raise self._unreachable(url, error) from None
        except aiohttp.ClientPayloadError:
            raise self._failed(url, "answer_cut", "its answer broke off in the middle") from None
        except aiohttp.InvalidURL:
            raise refused("The address can't be read.") from None
        except (aiohttp.ClientResponseError, HttpProcessingError, ValueError):
            raise self._failed(
                url, "answer_unusable", "its answer is no HTTP, or its headers are too long"
            ) from None
        except (aiohttp.ClientError, ConnectionError, socket.gaierror, OSError) as error:
            if isinstance(error, TimeoutError):
                raise self._failed(url, "timeout", "it was silent for too long") from None
            raise self._failed(url, "unreachable", "the connection was cut") from None

    def _unreachable(self, url: URL, error: aiohttp.ClientConnectorError) -> UpstreamError:
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            return self._failed(url, "bad_certificate", "its certificate is not one that is trusted")
        if isinstance(error, aiohttp.ClientConnectorDNSError):
            return self._failed(url, "unknown_host", "its name is not known")
        if isinstance(error, aiohttp.ClientSSLError):
            return self._failed(url, "bad_certificate", "it does not speak TLS as it should")
        return self._failed(url, "unreachable", "nothing answers at its address")

    def _failed(self, url: URL, code: str, why: str) -> UpstreamError:
        return UpstreamError(
            code,
            f"{self.who(url)} can't be asked: {why}.",
            "Try again in a minute; the other catalogues are not affected.",
        )

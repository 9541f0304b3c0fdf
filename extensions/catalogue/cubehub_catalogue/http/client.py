"""The client that all sources use: JSON, text and streams of one catalogue, within limits."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from yarl import URL

from cubehub_catalogue.errors import UpstreamError
from cubehub_catalogue.http import cache as caching
from cubehub_catalogue.http import reading
from cubehub_catalogue.http.answered import AnsweredError, error_for
from cubehub_catalogue.http.credentials import Credentials
from cubehub_catalogue.http.limits import Limits
from cubehub_catalogue.http.sending import Request, Sender
from cubehub_catalogue.http.targets import Targets, read_url
from cubehub_catalogue.settings import PLATFORM_VARIABLE

if TYPE_CHECKING:
    import ssl as tls
    from collections.abc import AsyncIterator, Callable, Mapping

    import aiohttp

    from cubehub_catalogue.http.connecting import Lookup
    from cubehub_catalogue.settings import Catalogue

_AGAIN = frozenset({429, 502, 503, 504})
_AGAIN_CODES = frozenset({"unreachable", "answer_cut"})
_FIRST_PAUSE_S = 0.25
_JSON = "application/json, application/geo+json;q=0.9, */*;q=0.1"


@dataclass(frozen=True)
class Answer:
    """What a catalogue answered."""

    status: int
    url: str
    """Where it came from after all redirects, without any key; what relative links in it are relative to."""
    headers: Mapping[str, str]
    """Names in lower case."""
    value: Any
    """Parsed JSON, or text."""


@dataclass(frozen=True)
class Stream:
    """An answer that is read piece by piece."""

    status: int
    url: str
    headers: Mapping[str, str]
    pieces: AsyncIterator[bytes]
    """The body, unpacked; going past the limit raises."""
    packed: bool
    """Whether it was sent packed, so that its length and positions are not those of the content."""


class Client:
    """Asks one catalogue for one person.

    Parameters
    ----------
    catalogue
        From the settings.
    credentials
        Sent to the catalogue's own addresses alone.
    limits
        By default the usual ones with the catalogue's time.
    lookup
        Gives the addresses of a name; by default the system.
    ssl
        Whom to believe; by default the authorities of the system.
    pause
        Waits between repetitions.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        credentials: Credentials | None = None,
        *,
        limits: Limits | None = None,
        lookup: Lookup | None = None,
        ssl: tls.SSLContext | None = None,
        pause: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        self.catalogue = catalogue
        self.credentials = credentials or Credentials()
        self.limits = limits or Limits(total_s=catalogue.timeout, idle_s=catalogue.timeout)
        self._root = read_url(catalogue.url if catalogue.url.endswith("/") else _as_folder(catalogue))
        targets = Targets.of(
            (catalogue.url, *catalogue.also), private=catalogue.private, platform=_platform()
        )
        self._sender = Sender(catalogue.title, targets, self.limits, lookup=lookup, ssl=ssl)
        self._cache = caching.Cache(self.limits)
        self._pause = pause

    async def json(
        self,
        url: str,
        *,
        method: str = "GET",
        params: Mapping[str, str] | None = None,
        body: Any = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        cached: bool = False,
    ) -> Answer:
        """Ask for JSON.

        Parameters
        ----------
        url
            Whole, or relative to the catalogue's root.
        method
            GET or POST.
        params
            Added to the address.
        body
            Sent as JSON.
        form
            Sent as a form.
        headers
            Sent beside our own.
        cached
            Whether the answer may be kept and asked for by its validators (GET alone).

        Raises
        ------
        UpstreamError
            It did not answer, answered with a status of 400 or more, or with what can't be used.
        SignInError
            It wants a log-in.
        ForbiddenError
            The address must not be asked.
        """
        request = self._request(method, url, params, headers, _JSON, body=body, form=form)
        status, where, answered, data = await self._whole(request, cached=cached and method == "GET")
        try:
            value = reading.parse_json(data)
        except reading.TooMuchError as error:
            raise reading.too_much(self.catalogue.title, str(error)) from None
        except reading.RubbishError as error:
            page = "html" in answered.get("content-type", "")
            why = "it is a page for browsers, maybe of a log-in" if page else str(error)
            raise reading.rubbish(self.catalogue.title, why, status) from None
        return Answer(status, where, answered, value)

    async def text(
        self,
        url: str,
        *,
        method: str = "GET",
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        cached: bool = False,
    ) -> Answer:
        """Ask for text, such as XML; otherwise as `json`."""
        request = self._request(method, url, params, headers, "*/*")
        status, where, answered, data = await self._whole(request, cached=cached and method == "GET")
        return Answer(status, where, answered, reading.decode_text(data, _charset(answered)))

    @contextlib.asynccontextmanager
    async def stream(
        self,
        url: str,
        *,
        most_bytes: int,
        headers: Mapping[str, str] | None = None,
        total_s: float | None = None,
        accepted: frozenset[int] = frozenset(),
    ) -> AsyncIterator[Stream]:
        """Read an answer piece by piece, for pictures and downloads.

        Parameters
        ----------
        url
            Whole, or relative to the catalogue's root.
        most_bytes
            More of it raises `UpstreamError`.
        headers
            Such as Range.
        total_s
            How long it may take in all; by default as long as pieces keep coming.
        accepted
            Statuses of 400 and more that the caller wants to see.
        """
        request = self._request("GET", url, None, headers, "*/*", encodings="identity")
        async with self._within(total_s), self._allowed(request, accepted) as (response, where):
            packed = response.headers.get("Content-Encoding", "identity").strip().lower() not in (
                "",
                "identity",
            )
            yield Stream(
                response.status,
                where,
                reading.plain_headers(response),
                self._pieces(response, most_bytes),
                packed,
            )

    async def close(self) -> None:
        """Close all connections and forget what was kept."""
        self._cache.clear()
        await self._sender.close()
        await self.credentials.close()

    async def _pieces(self, response: aiohttp.ClientResponse, most_bytes: int) -> AsyncIterator[bytes]:
        read = reading.pieces(response, self.limits, most_bytes)
        while True:
            # nothing that happens to the reader of the pieces is taken for a fault of the catalogue
            with self._readable(response):
                piece = await anext(read, None)
            if piece is None:
                return
            yield piece

    def _request(
        self,
        method: str,
        url: str,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        accept: str,
        *,
        body: Any = None,
        form: Mapping[str, str] | None = None,
        encodings: str = reading.ENCODINGS,
    ) -> Request:
        whole = read_url(url if "://" in url[:20] else self._root.join(URL(url)))
        if params:
            whole = whole.update_query(dict(params))
        return Request(method, whole, {"Accept": accept, **(headers or {})}, body, form, encodings)

    async def _whole(self, request: Request, *, cached: bool) -> tuple[int, str, Mapping[str, str], bytes]:
        """Have an answer, from what is kept where it still holds."""
        key = f"{request.url} {request.headers.get('Accept')}"
        kept = self._cache.get(key) if cached else None
        if kept is not None and time.monotonic() < kept.fresh_until:
            return kept.status, kept.url, kept.headers, kept.body
        if kept is not None:
            request = replace(request, headers={**request.headers, **kept.validators})
        async with self._within(self.limits.total_s):
            status, where, headers, data = await self._repeated(request)
        now = time.monotonic()
        if status == 304:
            if kept is None:
                raise reading.rubbish(
                    self.catalogue.title, "it says that nothing changed, and nothing was asked", 304
                )
            kept = replace(kept, fresh_until=caching.fresh_until({**kept.headers, **headers}, now))
            self._cache.put(key, kept)
            return kept.status, kept.url, kept.headers, kept.body
        if cached:
            self._cache.put(
                key, caching.Kept(status, where, headers, data, caching.fresh_until(headers, now))
            )
        return status, where, headers, data

    async def _repeated(self, request: Request) -> tuple[int, str, Mapping[str, str], bytes]:
        """Ask, and ask again where a GET failed in a way that may pass."""
        ends, pause = time.monotonic() + self.limits.total_s, _FIRST_PAUSE_S
        repeats = self.limits.repeats if request.method == "GET" else 0
        while True:
            try:
                async with self._allowed(request) as (response, where):
                    with self._readable(response):
                        data = await reading.whole(response, self.limits)
                    return response.status, where, reading.plain_headers(response), data
            except UpstreamError as error:
                passing = error.upstream_status in _AGAIN or error.code in _AGAIN_CODES
                told = error.retry_after_s if isinstance(error, AnsweredError) else None
                wait = pause if told is None else told
                if not passing or repeats <= 0 or time.monotonic() + wait >= ends:
                    raise
            repeats, pause = repeats - 1, pause * 2
            await self._pause(wait)

    @contextlib.asynccontextmanager
    async def _allowed(
        self, request: Request, accepted: frozenset[int] = frozenset()
    ) -> AsyncIterator[tuple[aiohttp.ClientResponse, str]]:
        """Send a request, with a new log-in where the first is refused; a status of 400 or more raises."""
        given = await self.credentials.given()
        async with contextlib.AsyncExitStack() as stack:
            response, where = await stack.enter_async_context(self._sender.sent(request, given))
            if response.status == 401 and await self.credentials.renew(given):
                await stack.aclose()
                given = await self.credentials.given()
                response, where = await stack.enter_async_context(self._sender.sent(request, given))
            if response.status >= 400 and response.status not in accepted:
                raise await self._error(response)
            yield response, where

    async def _error(self, response: aiohttp.ClientResponse) -> UpstreamError:
        """Make the error for an answer of 400 or more."""
        with self._readable(response):
            body = await reading.beginning(response, self.limits)
        who = self._sender.who(response.url)
        return error_for(self.catalogue, who, response.status, response.headers, body, self.credentials.hide)

    @contextlib.contextmanager
    def _readable(self, response: aiohttp.ClientResponse) -> Any:
        try:
            with self._sender.translated(response.url):
                yield
        except reading.TooMuchError as error:
            raise reading.too_much(self.catalogue.title, str(error)) from None
        except reading.RubbishError as error:
            raise reading.rubbish(self.catalogue.title, str(error), response.status) from None

    @contextlib.asynccontextmanager
    async def _within(self, total_s: float | None) -> AsyncIterator[None]:
        """Limit the time in all."""
        try:
            async with asyncio.timeout(total_s):
                yield
        except TimeoutError:
            raise UpstreamError(
                "timeout",
                f"{self.catalogue.title} did not answer within {total_s or self.limits.idle_s:g} s.",
                "Try again, or ask for less; the other catalogues are not affected.",
            ) from None


def _platform() -> str:
    """Give the platform's address; empty where there is none that can be read."""
    text = os.environ.get(PLATFORM_VARIABLE, "")
    try:
        return text if URL(text).host else ""
    except ValueError:
        return ""


def _as_folder(catalogue: Catalogue) -> str:
    """Give the root with a / at its end, unless it is a file: then links are relative to its folder."""
    last = URL(catalogue.url).name
    return (
        catalogue.url
        if "." in last and catalogue.type in ("static", "geoparquet", "opensearch")
        else catalogue.url + "/"
    )


def _charset(headers: Mapping[str, str]) -> str | None:
    for part in headers.get("content-type", "").split(";")[1:]:
        name, _, value = part.strip().partition("=")
        if name.lower() == "charset":
            return value.strip("\"' ") or None
    return None

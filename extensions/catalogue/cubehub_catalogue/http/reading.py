"""Reads answers within limits: bytes as sent and unpacked, JSON and its depth, text."""

from __future__ import annotations

import contextlib
import gc
import json
import math
import re
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from cubehub_catalogue.errors import UpstreamError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    import aiohttp

    from cubehub_catalogue.http.limits import Limits

ENCODINGS = "gzip, deflate"
_PIECE = 64 * 1024
_STEPS = np.zeros(256, np.int8)
"""Levels that a byte goes deeper."""
_STEPS[list(b"[{")], _STEPS[list(b"]}")] = 1, -1
_COUNTED = 2**20
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]+")
_LONGEST_SAID = 200
_DIGITS_OF_FLOAT = 300
_ALIKE = bytes.maketrans(b"0123456789E", b"0000000000e")
_EXPONENTS = (b"0e000", b"0e+000")
_AFTER_NUMBER = b" \t\r\n,]}"
_MOST_LOOKED_AT = 10_000


class TooMuchError(Exception):
    """An answer that goes past a limit; says which one."""


class RubbishError(Exception):
    """An answer that is not what it should be; says why."""


_DEEPEST = 254
"""Objects and lists inside each other; the library that parses goes no deeper."""
_TOO_DEEP = f"{_DEEPEST} levels of objects and lists"


class _Unpacker:
    """Undoes gzip or deflate piece by piece, never more than asked for at a time."""

    def __init__(self, encoding: str) -> None:
        self._raw_tried = encoding != "deflate"
        self._packed = zlib.decompressobj(
            16 + zlib.MAX_WBITS if encoding in ("gzip", "x-gzip") else zlib.MAX_WBITS
        )

    def pieces(self, data: bytes) -> Any:
        while data:
            try:
                piece = self._packed.decompress(data, _PIECE)
            except zlib.error as error:
                if self._raw_tried:
                    raise RubbishError("it is packed in a way that can't be unpacked") from error
                # deflate is sent with and without a header
                self._packed, self._raw_tried = zlib.decompressobj(-zlib.MAX_WBITS), True
                continue
            self._raw_tried = True
            if piece:
                yield piece
            if self._packed.eof:
                return
            data = self._packed.unconsumed_tail
            if not data and not piece:
                return

    @property
    def complete(self) -> bool:
        return self._packed.eof


async def pieces(response: aiohttp.ClientResponse, limits: Limits, most_bytes: int) -> AsyncIterator[bytes]:
    """Give the body unpacked, piece by piece.

    Raises
    ------
    TooMuchError
        It is larger than `most_bytes`, or as sent larger than the limit for that.
    RubbishError
        It is packed in a way that was not asked for, or not well.
    """
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower() or "identity"
    if encoding not in ("identity", "gzip", "x-gzip", "deflate"):
        raise RubbishError(f"it is packed as {encoding[:20]!r}, which was not asked for")
    unpacker = None if encoding == "identity" else _Unpacker(encoding)
    most_packed = most_bytes if unpacker is None else min(most_bytes, limits.packed_bytes)
    length = response.content_length
    if length is not None and length > most_packed:
        raise TooMuchError(_size(most_packed))
    sent = given = 0
    async for data in response.content.iter_chunked(_PIECE):
        sent += len(data)
        if sent > most_packed:
            raise TooMuchError(_size(most_packed))
        for piece in (data,) if unpacker is None else unpacker.pieces(data):
            given += len(piece)
            if given > most_bytes:
                raise TooMuchError(_size(most_bytes))
            yield piece
    if unpacker is not None and sent and not unpacker.complete:
        raise RubbishError("it ends in the middle")


async def whole(response: aiohttp.ClientResponse, limits: Limits) -> bytes:
    """Give the body unpacked."""
    return b"".join([piece async for piece in pieces(response, limits, limits.bytes)])


async def beginning(response: aiohttp.ClientResponse, limits: Limits) -> bytes:
    """Give the beginning of an error's body, whatever is wrong with the rest."""
    got = b""
    try:
        async for piece in pieces(response, limits, limits.error_bytes):
            got += piece
    except (TooMuchError, RubbishError):
        pass
    return got[: limits.error_bytes]


def too_deep(data: bytes, most: int) -> bool:
    """Whether JSON has objects and lists deeper inside each other than allowed, before it is parsed.

    Notes
    -----
    Piece by piece and in C, so that neither very many brackets nor very many quotes take long or much memory.
    """
    depth = quoted = 0
    bare = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    for at in range(0, len(bare), _COUNTED):
        piece = np.frombuffer(bare, np.uint8, min(_COUNTED, len(bare) - at), at)
        quotes = (piece == ord('"')).cumsum(dtype=np.int32) + quoted
        levels = (_STEPS[piece] * (1 - (quotes & 1))).cumsum(dtype=np.int32) + depth
        if levels.max() > most:
            return True
        quoted, depth = int(quotes[-1]) & 1, int(levels[-1])
    return False


def parse_json(data: bytes) -> Any:
    """Parse JSON; NaN and infinity, which are none, become None, and so does what is too large for a float.

    Returns
    -------
    dict or list or str or float or int or bool or None
        Whole numbers beyond 64 bits as floats.

    Raises
    ------
    RubbishError
        It is none.
    TooMuchError
        It is deeper than 254 objects and lists inside each other.
    """
    with _without_collector():
        try:
            value = orjson.loads(data)
            orjson.dumps(value)  # refuses what is deeper; to count brackets takes five times as long
        except orjson.JSONDecodeError:
            return _parse_leniently(data)
        except orjson.JSONEncodeError:
            raise TooMuchError(_TOO_DEEP) from None
        return value


def _parse_leniently(data: bytes) -> Any:
    """Parse what is no JSON to the letter, as Python and some catalogues write it."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in data[:4]:
        raise RubbishError("it is not UTF-8")
    if too_deep(data, _DEEPEST):
        raise TooMuchError(_TOO_DEEP)
    try:
        text = data.decode("utf-8-sig")
        if _may_be_huge(data):
            return json.loads(text, parse_constant=_nothing, parse_float=_finite, parse_int=_whole)
        return json.loads(text, parse_constant=_nothing)
    except RecursionError as error:
        raise TooMuchError(_TOO_DEEP) from error
    except (ValueError, UnicodeDecodeError) as error:
        raise RubbishError("it is no JSON") from error


def _may_be_huge(data: bytes) -> bool:
    """Whether there may be numbers that no float holds: seldom, and to look at each costs half of the parsing.

    Notes
    -----
    With each digit made a nought, both forms are found in C; a pattern would take three times as long as parsing.
    What looks like an exponent is mostly a part of some digest, and then no number ends behind it.
    """
    alike = data.translate(_ALIKE)
    if b"0" * _DIGITS_OF_FLOAT in alike:
        return True
    looked_at = 0
    for form in _EXPONENTS:
        at = alike.find(form)
        while at >= 0:
            looked_at += 1
            end = at + len(form)
            while alike[end : end + 1] == b"0":
                end += 1
            if end == len(alike) or alike[end] in _AFTER_NUMBER or looked_at > _MOST_LOOKED_AT:
                return True
            at = alike.find(form, end)
    return False


def _nothing(_: str) -> None:
    """Give None for NaN and infinity."""


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _whole(text: str) -> int | None:
    value = int(text)
    return value if len(text) < _DIGITS_OF_FLOAT else None


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """Look for no garbage meanwhile: JSON makes none, and looking through a whole server takes twice the parsing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def decode_text(data: bytes, charset: str | None) -> str:
    """Give text in the charset that the answer names, UTF-8 where it names none that is known."""
    try:
        return data.decode(charset or "utf-8-sig", errors="replace")
    except (LookupError, UnicodeError):
        return data.decode("utf-8-sig", errors="replace")


def said(data: bytes, content_type: str, hide: Callable[[str], str] = str) -> str:
    """Shorten what a catalogue said about an error to one line of plain text; nothing of a page for browsers.

    Parameters
    ----------
    data, content_type
        The answer's.
    hide
        Takes secrets out; before it is shortened, for half of a secret would not be known as one.

    Returns
    -------
    str
        At most 200 characters; empty where it said nothing that helps.
    """
    text = data.decode(errors="replace")
    if "json" in content_type or text.lstrip()[:1] in ("{", "["):
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            return ""
        text = _message(content)
    elif "html" in content_type or "<" in text[:200]:
        return ""
    if "Traceback (most recent call last)" in text or "\n  File " in text or "\tat " in text:
        return ""
    text = _CONTROL.sub(" ", hide(text)).strip()
    text = re.sub(r"\s+", " ", text)
    return text if len(text) <= _LONGEST_SAID else text[: _LONGEST_SAID - 1] + "…"


def _message(content: Any) -> str:
    """Find the sentence in the usual forms of errors."""
    for _ in range(4):
        if isinstance(content, str):
            return content
        if isinstance(content, list) and content:
            content = content[0]
        elif isinstance(content, dict):
            keys = (
                "description",
                "detail",
                "message",
                "msg",
                "title",
                "error_description",
                "error",
                "errors",
                "fault",
            )
            content = next((content[key] for key in keys if content.get(key)), "")
        else:
            return ""
    return content if isinstance(content, str) else ""


def too_much(title: str, limit: str) -> UpstreamError:
    """Make the error for an answer past a limit."""
    return UpstreamError(
        "answer_too_large",
        f"{title} answered with more than {limit}.",
        "Ask for less: a smaller page, a shorter time or fewer collections.",
    )


def rubbish(title: str, why: str, status: int) -> UpstreamError:
    """Make the error for an answer that can't be used."""
    return UpstreamError(
        "answer_unusable",
        f"{title} gave an answer that can't be used: {why}.",
        "Try again later; if it stays, its address or type in the settings may be wrong.",
        upstream_status=status,
    )


def plain_headers(response: aiohttp.ClientResponse) -> Mapping[str, str]:
    """Give the headers, names in lower case; of several of one name all, with commas between."""
    made: dict[str, str] = {}
    for name, value in response.headers.items():
        key = name.lower()
        made[key] = f"{made[key]}, {value}" if key in made else value
    return made


def _size(count: int) -> str:
    return f"{count / 2**20:.0f} MiB" if count >= 2**20 else f"{count} bytes"

"""What an answer of 400 or more means, in the words of the room."""

from __future__ import annotations

import email.utils
import json
import time
from typing import TYPE_CHECKING

from cubehub_catalogue.auth import Hub
from cubehub_catalogue.errors import SignInError, UpstreamError
from cubehub_catalogue.http import reading

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cubehub_catalogue.settings import Catalogue

_ANEW = "Stop your server and start it again: it may have been started before the platform was changed."


class AnsweredError(UpstreamError):
    """An answer of 400 or more that says nothing of log-ins; `retry_after_s` is when the catalogue wants to be asked again."""

    def __init__(self, message: str, hint: str, status: int, retry_after_s: float | None) -> None:
        super().__init__("upstream_error", message, hint, upstream_status=status)
        self.retry_after_s = retry_after_s


def error_for(
    catalogue: Catalogue,
    who: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    hide: Callable[[str], str],
) -> UpstreamError:
    """Make the error; what the catalogue said comes shortened, without secrets.

    Parameters
    ----------
    catalogue
        That was asked.
    who
        Answered: its title, or the name of a host that it named.
    status, headers, body
        Of the answer.
    hide
        Takes secrets out.
    """
    kind = headers.get("Content-Type", "")
    text = reading.said(body, kind, hide)
    tail = f": {text}" if text else "."
    link = catalogue.sign_in
    # the platform's own catalogue knows what its people can do, and says so
    platform = isinstance(catalogue.auth, Hub) and who == catalogue.title
    if status == 401:
        hint = f"Sign in at {link}, then try again." if link else "Sign in again, or ask your administrator."
        if platform:
            hint = _hint(body, hide) or _ANEW
        return SignInError("sign_in", f"{who} wants a log-in{tail}", hint, upstream_status=status)
    if status == 403:
        hint = f"An account there may help: {link}." if link else "Ask your administrator, or choose others."
        if platform:
            hint = _hint(body, hide) or _ANEW
        return UpstreamError(
            "not_allowed", f"{who} does not let you see this{tail}", hint, upstream_status=status
        )
    passing = status >= 500 or status == 429
    hint = "Try again in a minute." if passing else "Ask in another way: it did not take this question."
    message = f"{who} answered with {status}{tail}"
    return AnsweredError(message, hint, status, _retry_after(headers.get("Retry-After")))


def _hint(body: bytes, hide: Callable[[str], str]) -> str:
    """Give the ``hint`` of an answer, where it has one."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    hint = content.get("hint") if isinstance(content, dict) else None
    return reading.said(hint.encode(errors="replace"), "text/plain", hide) if isinstance(hint, str) else ""


def _retry_after(text: str | None) -> float | None:
    """Read seconds or a date."""
    if not text:
        return None
    if text.strip().isascii() and text.strip().isdigit():
        return float(text.strip()[:9])
    try:
        when = email.utils.parsedate_to_datetime(text)
        return max(0.0, when.timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None

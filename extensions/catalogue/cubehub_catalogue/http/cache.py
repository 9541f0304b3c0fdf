"""Keeps answers that seldom change, in memory and bounded, and asks whether they still hold."""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cubehub_catalogue.http.limits import Limits

LONGEST_FRESH_S = 300.0
_MAX_AGE = re.compile(r"(?:^|[,\s])max-age=\"?(\d{1,9})")


@dataclass(frozen=True)
class Kept:
    """An answer."""

    status: int
    url: str
    headers: Mapping[str, str]
    body: bytes
    fresh_until: float
    """On the monotonic clock; after it the catalogue is asked whether it still holds."""

    @property
    def validators(self) -> dict[str, str]:
        """Headers that ask whether the answer still holds; {} where it has to be had anew."""
        made = {}
        if "etag" in self.headers:
            made["If-None-Match"] = self.headers["etag"]
        if "last-modified" in self.headers:
            made["If-Modified-Since"] = self.headers["last-modified"]
        return made


class Cache:
    """Answers by what was asked; who was used least lately makes room.

    Notes
    -----
    One belongs to one client, so to one catalogue and one person: nothing of one reaches another.
    """

    def __init__(self, limits: Limits) -> None:
        self._most, self._largest = limits.cache_bytes, limits.cached_answer_bytes
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self.bytes = 0
        """Held now."""

    def get(self, key: str) -> Kept | None:
        """Give what is kept, fresh or not."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def put(self, key: str, kept: Kept) -> None:
        """Keep an answer if it may be kept and is of use."""
        self.drop(key)
        control = kept.headers.get("cache-control", "").lower()
        size = _weight(key, kept)
        if "no-store" in control or kept.headers.get("vary", "").strip() == "*" or size > self._largest:
            return
        if not kept.validators and kept.fresh_until <= 0:
            return
        self._kept[key] = kept
        self.bytes += size
        while self.bytes > self._most:
            oldest, gone = self._kept.popitem(last=False)
            self.bytes -= _weight(oldest, gone)

    def drop(self, key: str) -> None:
        """Forget one answer."""
        gone = self._kept.pop(key, None)
        if gone is not None:
            self.bytes -= _weight(key, gone)

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()
        self.bytes = 0


def fresh_until(headers: Mapping[str, str], now: float) -> float:
    """Say until when an answer holds without asking; 0 where it has to be asked at once."""
    control = headers.get("cache-control", "").lower()
    if "no-cache" in control or "no-store" in control:
        return 0.0
    found = _MAX_AGE.search(control)
    return now + min(float(found[1]), LONGEST_FRESH_S) if found and found[1].strip("0") else 0.0


def _weight(key: str, kept: Kept) -> int:
    return (
        len(key) + len(kept.body) + sum(len(name) + len(value) for name, value in kept.headers.items()) + 500
    )

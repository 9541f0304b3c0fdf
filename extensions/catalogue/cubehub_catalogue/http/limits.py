"""How much of an answer is read, and for how long."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """Of one client."""

    total_s: float = 30
    """For an answer in all, with its redirects and repetitions."""
    connect_s: float = 10
    idle_s: float = 30
    """Between two pieces of an answer."""
    redirects: int = 5
    repeats: int = 2
    """How often a GET is repeated at most."""
    packed_bytes: int = 32 * MIB
    """As sent."""
    bytes: int = 64 * MIB
    """Unpacked."""
    headers: int = 100
    """How many."""
    header_bytes: int = 8190
    """The longest one."""
    error_bytes: int = 64 * 1024
    """How much of an error's text is read."""
    cache_bytes: int = 24 * MIB
    """For all answers that are kept."""
    cached_answer_bytes: int = 8 * MIB
    """The largest that is kept."""

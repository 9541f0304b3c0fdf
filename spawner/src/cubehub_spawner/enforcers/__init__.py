"""Ways to hold a server to its RAM, and the choice between them."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from cubehub_spawner.enforcers.base import CannotHoldError, Enforcer, oom_kills
from cubehub_spawner.enforcers.cgroup_v1 import CgroupV1
from cubehub_spawner.enforcers.cgroup_v2 import CgroupV2
from cubehub_spawner.enforcers.systemd_scope import SystemdScope
from cubehub_spawner.enforcers.watchdog import Watchdog
from cubehub_spawner.errors import NoEnforcerError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ENFORCERS: tuple[type[Enforcer], ...] = (CgroupV2, SystemdScope, CgroupV1, Watchdog)
"""All, the best first."""

_chosen: dict[tuple[Path, tuple[type[Enforcer], ...]], Enforcer] = {}
_choosing = Lock()
"""Two servers that start at once would probe at once, and each find the other's probe in its way."""


def choose(state_dir: Path, candidates: Sequence[type[Enforcer]] = ENFORCERS) -> Enforcer:
    """Find the first enforcer that works here; the answer is kept for the life of the process.

    Parameters
    ----------
    state_dir : Path
        Where an enforcer without a place of its own keeps its files.
    candidates : sequence of Enforcer classes
        In the order in which they are tried.

    Raises
    ------
    NoEnforcerError
        When none works; the message names each and why.
    """
    key = (state_dir, tuple(candidates))
    with _choosing:
        if key not in _chosen:
            _chosen[key] = _probe(state_dir, candidates)
        return _chosen[key]


def _probe(state_dir: Path, candidates: Sequence[type[Enforcer]]) -> Enforcer:
    reasons = []
    for candidate in candidates:
        try:
            return candidate.probe(state_dir)
        except (CannotHoldError, OSError) as error:
            reasons.append(f"{candidate.name}: {error}")
    raise NoEnforcerError(f"{NoEnforcerError.default_message} ({'; '.join(reasons)})")


def named(names: Sequence[str]) -> tuple[type[Enforcer], ...]:
    """Find enforcer classes by name.

    Raises
    ------
    ValueError
        For a name that isn't one.
    """
    by_name = {enforcer.name: enforcer for enforcer in ENFORCERS}
    for name in names:
        if name not in by_name:
            raise ValueError(f"{name!r} is no enforcer; there are {', '.join(by_name)}")
    return tuple(by_name[name] for name in names)


__all__ = [
    "ENFORCERS",
    "CannotHoldError",
    "CgroupV1",
    "CgroupV2",
    "Enforcer",
    "SystemdScope",
    "Watchdog",
    "choose",
    "named",
    "oom_kills",
]

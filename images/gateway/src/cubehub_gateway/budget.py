"""Who may use how much of Dask: pure decisions over `profiles.yaml`, no server and no clock."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

GIB = 2**30
_SUFFIXES = {"": 1, "K": 2**10, "M": 2**20, "G": GIB, "T": 2**40}
_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<suffix>[KMGT]?)")


class NoBudgetError(Exception):
    """Dask is refused; the text says why and what to do, in words for the person who asked."""


@dataclass(frozen=True)
class Budget:
    """What a profile grants of Dask; schedulers come on top."""

    profile: str
    """Name of the profile in profiles.yaml."""
    groups: frozenset[str]
    """Group paths that grant the profile, e.g. `/cubehub/standard`."""
    rank: int
    """Memory of the profile's servers in bytes: someone in several groups gets the profile with the most."""
    clusters: int
    """Clusters that may run at the same time; 0 where the profile has no Dask."""
    cores: int = 0
    """Worker cores of one cluster."""
    memory_bytes: int = 0
    """Worker memory of one cluster."""


def parse_size(value: int | str) -> int:
    """Bytes in a size as profiles.yaml writes it: `8G` is 8 GiB, as JupyterHub reads it.

    Raises
    ------
    ValueError
        When the text is no size.
    """
    if isinstance(value, int):
        return value
    match = _SIZE.fullmatch(value.strip().upper())
    if match is None:
        raise ValueError(f"{value!r} is no size; write for example 8G (8 GiB)")
    return int(float(match["number"]) * _SUFFIXES[match["suffix"]])


def load_budgets(path: Path) -> list[Budget]:
    """Read the Dask budget of every profile in profiles.yaml.

    Raises
    ------
    ValueError
        When an entry lacks a key or a size can't be read; the text names the profile.
    """
    profiles = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("profiles", {})
    budgets = []
    for name, profile in profiles.items():
        dask = profile.get("dask") or {"clusters": 0, "cores": 0, "memory": 0}
        try:
            budgets.append(
                Budget(
                    profile=name,
                    groups=frozenset(profile["groups"]),
                    rank=parse_size(profile["memory"]),
                    clusters=int(dask["clusters"]),
                    cores=int(dask["cores"]),
                    memory_bytes=parse_size(dask["memory"]),
                )
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: the dask budget of profile {name!r} can't be read: {error}") from error
    return budgets


def within_machine(budget: Budget, cores: int, memory_bytes: int) -> Budget:
    """Cut a budget to what the machine has: more workers than that would only starve everybody on it."""
    return replace(
        budget, cores=min(budget.cores, cores), memory_bytes=min(budget.memory_bytes, memory_bytes)
    )


def budget_for(groups: Iterable[str], budgets: Sequence[Budget]) -> Budget:
    """Choose the budget of the profile that `groups` grant.

    Raises
    ------
    NoBudgetError
        When they grant none, or one without Dask.
    """
    groups = set(groups)
    granted = [budget for budget in budgets if budget.groups & groups]
    if not granted:
        raise NoBudgetError(
            "Your account is in no group whose profile includes Dask. "
            "Ask an administrator to add you to one, then log in again."
        )
    # max() keeps the first of equals, as profiles.yaml promises.
    budget = max(granted, key=lambda budget: budget.rank)
    if not budget.clusters:
        raise NoBudgetError(
            f"Your profile {budget.profile!r} includes no Dask. Ask an administrator for a larger one."
        )
    return budget


def workers_within(budget: Budget, cores: int, memory_bytes: int) -> int:
    """Count the workers of that size which fit into one cluster of `budget`."""
    return min(budget.cores // cores, budget.memory_bytes // memory_bytes)


def check_new_cluster(budget: Budget, running: int) -> None:
    """Refuse one cluster more than the profile grants.

    Raises
    ------
    NoBudgetError
        When `running` clusters are already the limit.
    """
    if running >= budget.clusters:
        raise NoBudgetError(
            f"Your profile {budget.profile!r} allows {budget.clusters} Dask cluster(s) at a time and "
            f"{running} running already. Stop one first: Gateway().stop_cluster(name), names by list_clusters()."
        )

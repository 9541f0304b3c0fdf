"""Who may use how much of Dask: pure decisions over what the Hub says of a person, no server and no clock."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

GIB = 2**30


class NoBudgetError(Exception):
    """Dask is refused; the text says why and what to do, in words for the person who asked."""


@dataclass(frozen=True)
class Budget:
    """What a profile grants of Dask; schedulers come on top."""

    profile: str
    """Name of the profile in profiles.yaml."""
    clusters: int
    """Clusters that may run at the same time."""
    cores: int
    """Worker cores of one cluster."""
    memory_bytes: int
    """Worker memory of one cluster."""


def budget_of(entitlement: Any) -> Budget:
    """Read the budget from the Hub's answer about what a person may have.

    Parameters
    ----------
    entitlement
        JSON of ``/hub/api/cubehub/users/NAME/entitlement``.

    Raises
    ------
    NoBudgetError
        The person may have nothing, or a profile without Dask.
    ValueError
        The answer is not of that form.
    """
    try:
        if refusal := entitlement["refusal"]:
            raise NoBudgetError(f"{refusal['message']} {refusal['hint']}")
        profile = entitlement["profile"]
        dask = profile["dask"]
        budget = Budget(str(profile["name"]), int(dask["clusters"]), int(dask["cores"]), int(dask["memory"]))
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"an entitlement lacks or has a wrong {error}") from error
    if budget.clusters < 1 or budget.cores < 1 or budget.memory_bytes < 1:
        raise NoBudgetError(
            f"Your profile {budget.profile!r} includes no Dask. Ask an administrator for a larger one."
        )
    return budget


def within_machine(budget: Budget, cores: int, memory_bytes: int) -> Budget:
    """Cut a budget to what the machine has: more workers than that would only starve everybody on it."""
    return replace(
        budget, cores=min(budget.cores, cores), memory_bytes=min(budget.memory_bytes, memory_bytes)
    )


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

"""The entitlement matrix: who, in which group, by which way in, while Keycloak is how; and what may come of it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from cubehub_tests.platform import PREMIUM, STANDARD

GROUPS: dict[str, tuple[str, ...]] = {
    "none": (),
    "standard": ("/cubehub/standard",),
    "premium": ("/cubehub/premium",),
    "both": ("/cubehub/standard", "/cubehub/premium"),
    "admin": ("/cubehub/admin",),
    "namesake": ("namesake",),
}
"""Groups of the account now. `namesake` is a group elsewhere whose *name* is the path of the real one."""
STATES = ("active", "disabled", "deleted")
"""What became of the account after it logged in as a member of Premium, with a browser and a token that still know that."""
WAYS = (
    "form",
    "form forged",
    "link",
    "token",
    "token forged",
    "named server",
    "second server",
    "admin",
    "admin, named server",
    "group written",
    "dask",
)
"""Ways to a server or cluster; each by the real proxy."""
NEVER_SEEN_WAYS = ("admin", "admin, named server")
"""For an account that the Hub has never seen log in, and that an administrator made there by the API."""
FAULTS = ("down", "hangs", "fails", "locked out")
"""What the Hub's service account meets: connection refused, no answer, status 500, its client switched off."""


@dataclass(frozen=True)
class Case:
    """One cell of the matrix."""

    keycloak: str
    state: str
    group: str
    way: str

    def __str__(self) -> str:
        return f"{self.keycloak}-{self.state}-{self.group}-{self.way}".replace(" ", "_").replace(",", "")

    @property
    def person(self) -> str:
        """Name of the account it is tried with."""
        kind = (
            "rotated"
            if self.keycloak == "new keys"
            else "fault"
            if self.keycloak != "up"
            else self.state.replace(" ", "-")
        )
        return f"m-{kind}-{self.group}"

    @property
    def allowed_bytes(self) -> int:
        """What the person may have in all, worked out apart from the code under test."""
        if self.keycloak in FAULTS or self.state in ("disabled", "deleted"):
            return 0
        of_group = {"none": 0, "admin": 0, "namesake": 0, "standard": STANDARD, "premium": PREMIUM}
        return PREMIUM if self.group == "both" else of_group[self.group]

    @property
    def grants(self) -> bool:
        """Whether it must succeed: somebody entitled is not to be refused either."""
        # a link's wish that is refused falls back to a start without a wish
        wishes_premium = self.way in ("form forged", "token forged", "admin, named server")
        refused = self.way == "second server" or (wishes_premium and self.group == "standard")
        return self.allowed_bytes > 0 and not refused


def cases() -> list[Case]:
    """List all cells, those that need the same state of Keycloak together."""
    found = [Case("up", *rest) for rest in product(STATES, GROUPS, WAYS)]
    found += [Case("up", "never seen", *rest) for rest in product(GROUPS, NEVER_SEEN_WAYS)]
    found += [Case(fault, "active", *rest) for fault, *rest in product(FAULTS, ("standard", "none"), WAYS)]
    found += [Case("new keys", "active", *rest) for rest in product(("standard", "both", "none"), WAYS)]
    return found


def table(outcomes: dict[Case, int | bool]) -> str:
    """Write the matrix as people read it: a row for each account, a column for each way in.

    Parameters
    ----------
    outcomes : dict
        By case, the bytes that all of the person's servers got, True for a Dask cluster, 0 for a refusal.
    """
    granted = sum(bool(outcome) for outcome in outcomes.values())
    over = sum(
        bool(outcome)
        if case.way == "dask" and not case.allowed_bytes
        else int(outcome) > max(case.allowed_bytes, 1)
        for case, outcome in outcomes.items()
    )
    lines = [
        f"{len(outcomes)} cases: {granted} granted, {len(outcomes) - granted} refused, **{over} over-grants**.",
        "",
        "| Keycloak | account | groups | may have | " + " | ".join(WAYS) + " |",
        "|---|---|---|---|" + "---|" * len(WAYS),
    ]
    rows: dict[tuple[str, str, str], dict[str, int | bool]] = {}
    for case, outcome in outcomes.items():
        rows.setdefault((case.keycloak, case.state, case.group), {})[case.way] = outcome
    for (keycloak, state, group), by_way in rows.items():
        allowed = Case(keycloak, state, group, WAYS[0]).allowed_bytes
        cells = [_cell(by_way[way]) if way in by_way else "" for way in WAYS]
        lines.append(f"| {keycloak} | {state} | {group} | {_size(allowed)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(outcome: int | bool) -> str:
    return "cluster" if outcome is True else _size(int(outcome))


def _size(count: int) -> str:
    return f"{count >> 20} MiB" if count else "-"

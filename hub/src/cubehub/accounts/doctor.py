"""Why a person gets what they get: a pure diagnosis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cubehub_spawner.entitlement import format_bytes, format_moment

from cubehub.accounts.people import written
from cubehub.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from cubehub.accounts.people import Person
    from cubehub.accounts.rules import Rules


def diagnose(
    person: Person,
    rules: Rules,
    servers: list[Mapping[str, Any]] | None,
    available_bytes: int,
    now: datetime,
) -> list[Finding]:
    """Explain what a person may have and has.

    Parameters
    ----------
    person
        As Keycloak has them now.
    servers
        As the Hub's entitlement API describes them, or None where it could not be asked.
    available_bytes
        Memory that the machine has to give.
    now
        With its zone.
    """
    found = [*_account(person), *_groups(person, rules), *_until(person, rules, now)]
    if servers is not None:
        best = next(iter(rules.granted(person)), None) if person.enabled else None
        for server in servers:
            found += _server(server, best, available_bytes)
    return found


def _account(person: Person) -> list[Finding]:
    if person.enabled:
        found = [Finding("ok", "enabled", "The account exists and is enabled.")]
        if person.suspended:
            found.append(
                Finding(
                    "note",
                    "stale_reason",
                    f"A reason for a suspension is still noted ({person.suspended}), but the account is enabled: it was switched on in Keycloak.",
                    f"`cubehub users resume {person.username}` removes the note.",
                )
            )
        return found
    if person.suspended:
        why = f"The account is suspended: {person.suspended}."
    else:
        why = "The account was switched off in Keycloak, without a reason noted."
    return [
        Finding("problem", "account_disabled", why, f"`cubehub users resume {person.username}` ends that.")
    ]


def _groups(person: Person, rules: Rules) -> list[Finding]:
    found = []
    granted = rules.granted(person)
    for path in sorted(person.groups):
        by_it = [name for name, paths in rules.groups.items() if path in paths]
        grants = f"grants {', '.join(by_it)}" if by_it else "grants no profile"
        found.append(Finding("ok", "group", f"Member of {path}, which {grants}."))
    found += [
        Finding(
            "problem",
            "group_lookalike",
            f"Member of a group with the path {path} that is not the real one: a name holds a slash. It grants nothing.",
            "Rename that group in Keycloak, and put people into the real one.",
        )
        for path in sorted(person.lookalikes)
    ]
    if not granted:
        titles = ", ".join(rules.groups)
        hint = f"`cubehub users move {person.username} PROFILE`, one of: {titles}."
        found.append(Finding("problem", "no_profile", "No group of theirs grants a profile.", hint))
        return found
    best = rules.profiles.profiles[granted[0]]
    others = f" (of {', '.join(granted)}: the most memory wins)" if len(granted) > 1 else ""
    text = f"The profile is {best.title}: {format_bytes(best.memory)}, {best.cpu:g} cores{others}."
    return [*found, Finding("ok", "profile", text)]


def _until(person: Person, rules: Rules, now: datetime) -> list[Finding]:
    if person.until is None:
        return []
    back = person.until_profile or "no profile"
    if person.until_profile and person.until_profile not in rules.groups:
        return [
            Finding(
                "problem",
                "until_profile_unknown",
                f"It ends at {format_moment(person.until)}, and the profile to go back to, {back}, no longer exists: then there is none.",
                "Move the person again.",
            )
        ]
    if person.until <= now:
        text = f"It ended at {format_moment(person.until)}; the move back to {back} is not done yet."
        return [Finding("problem", "until_over", text, "`cubehub logs accounts` says why.")]
    return [Finding("note", "until", f"It ends at {format_moment(person.until)}; then {back}.")]


def _server(server: Mapping[str, Any], best: str | None, available_bytes: int) -> list[Finding]:
    name = f"Server {server['name']!r}" if server["name"] else "The default server"
    limit, used = int(server["memory_bytes"]), server.get("used_bytes")
    in_use = f", {format_bytes(used)} in use" if isinstance(used, int) else ""
    text = f"{name} runs with {server['title'] or server['profile']}: {format_bytes(limit)}{in_use}."
    found = [Finding("ok", "server", text)]
    pending = server.get("pending")
    if pending and pending["at"]:
        wanted = format_bytes(pending["memory_bytes"]) if pending["memory_bytes"] else "a stop"
        found.append(
            Finding(
                "note",
                "less_memory",
                f"{name} was told that {wanted} comes at {written(pending['at'])}.",
                "It comes earlier where less is in use.",
            )
        )
    elif pending:
        short = pending["memory_bytes"] - limit > available_bytes
        why = (
            f"the machine has {format_bytes(max(0, available_bytes))} available"
            if short
            else "it is tried again every 15 s"
        )
        found.append(
            Finding(
                "problem",
                "no_room" if short else "more_memory",
                f"{name} should have {format_bytes(pending['memory_bytes'])} and has not yet: {why}.",
                "Stop servers that nobody needs.",
            )
        )
    elif best is not None and server["profile"] != best:
        text = f"{name} was started with another profile than the best, {best}: chosen, or all that fitted."
        hint = "Stop and start it to get the best."
        found.append(Finding("note", "other_profile", text, hint))
    return found

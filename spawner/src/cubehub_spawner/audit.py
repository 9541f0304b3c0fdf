"""One JSON line for each decision, in a log that shows when lines are missing or were changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cubehub_spawner._chain import append_line
from cubehub_spawner._chain_check import Finding, Report, lines, read_head, verify

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from cubehub_spawner.entitlement import Account, Grant, Refusal


def audit_line(
    *,
    when: datetime,
    username: str,
    asked_by: str,
    server: str,
    requested: str | None,
    account: Account | None,
    decision: Grant | Refusal,
    event: str = "start",
) -> dict[str, Any]:
    """Say who asked for what and what came of it.

    Parameters
    ----------
    when : datetime
        The moment of the decision, with its zone.
    username, server : str
        Whose server, and its name.
    asked_by : str
        Who pressed the button: an administrator can start another person's server.
    requested : str or None
        The profile asked for.
    account : Account or None
        What the directory answered; None when it did not.
    decision : Grant or Refusal
        The outcome.
    event : str
        What it was about: ``start``, or for a server that runs ``resize``, ``announce`` (less is coming) or ``stop``.
    """
    memory = getattr(decision, "memory_bytes", None)
    return {
        "time": when.isoformat(timespec="milliseconds"),
        "event": event,
        "user": username,
        "asked_by": asked_by,
        "server": server,
        "requested": requested,
        "account": account.id if account else None,
        "groups": sorted(account.groups) if account else None,
        "profile": getattr(decision, "profile", None),
        "memory_bytes": memory,
        "outcome": _REFUSED.get(event, "refused") if memory is None else "granted",
        "code": getattr(decision, "code", None),
    }


_REFUSED = {"announce": "announced", "stop": "stopped"}


def append(path: Path, line: dict[str, Any]) -> None:
    """Add a line to the log, numbered and with the hash of the one before; its files are made 0600.

    Notes
    -----
    Several processes may write. At 10 MiB the file is put aside and a new one goes on with the chain; ten are kept.
    What is left of a line that could not be written whole (a full disk, a power cut) stays, and the next one follows
    on a line of its own.

    Raises
    ------
    OSError
        The line is not, or not whole, in the file.
    """
    append_line(path, line)


__all__ = ["Finding", "Report", "append", "audit_line", "lines", "read_head", "verify"]

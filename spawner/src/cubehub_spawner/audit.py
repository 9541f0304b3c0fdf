"""One JSON line for each decision."""

from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING, Any

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
    """Add a line to the log in one write, so that two writers don't mix theirs; the file is made 0600.

    Raises
    ------
    OSError
        The line is not, or not whole, in the file.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n"
    data = text.encode("utf-8", "backslashreplace")
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        end = os.fstat(descriptor).st_size
        if end and os.pread(descriptor, 1, end - 1) != b"\n":  # the last one was cut; this one stays readable
            data = b"\n" + data
        if os.write(descriptor, data) != len(data):  # the disk became full in the middle of it
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(descriptor)

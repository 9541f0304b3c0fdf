"""Whether the clock can be believed: with one that jumped ahead all would be idle, and each hold and archive's time over."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cubehub.local.data_folder import read_json, write_json

FILE = "clock.json"
_DAY_S = 86400
_JUMP_S = _DAY_S
"""More than this between the clock and the machine's own count of seconds is a jump; summer time and NTP are less."""
_OFF_S = 60 * _DAY_S
"""A machine that was off for longer is more likely one with a wrong clock."""
_WAIT_S = 3 * _DAY_S
"""For so long nothing is moved or removed by itself: somebody notices the clock, or it is right."""


def doubt(folder: Path, seen: tuple[float, float, str] | None = None) -> str:
    """Why the clock is not believed; empty if it is.

    Parameters
    ----------
    folder : path
        The keeper's own, where it is kept what the clock said at the last look.
    seen : tuple, optional
        Clock, seconds since the machine was started, and which start that was; for tests.
    """
    now, up, boot = seen or _look()
    last = read_json(folder / FILE)
    until = 0.0
    if last is not None:
        until = _number(last, "doubted_until")
        gone = now - _number(last, "clock")
        same = last.get("boot") == boot
        jump = abs(gone - (up - _number(last, "up"))) > _JUMP_S if same else not -_JUMP_S < gone < _OFF_S
        if jump:
            until = now + _WAIT_S
        elif until - now > _WAIT_S:
            until = 0.0
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_json(folder / FILE, {"clock": now, "up": up, "boot": boot, "doubted_until": until})
    except OSError as error:
        return f"It cannot be written down what the clock says ({error.strerror}), so that a jump would not be seen."
    if now >= until:
        return ""
    day = datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%d %H:%M")
    return f"The clock has jumped, or the machine was off for very long: nothing is moved or removed before {day} UTC by this clock."


def _look() -> tuple[float, float, str]:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        boot = ""
    return time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), boot


def _number(found: dict[str, Any], name: str) -> float:
    value = found.get(name)
    return float(value) if isinstance(value, int | float) and abs(value) < _LARGEST else 0.0


_LARGEST = 253402300000
"""Past the year 9999 nothing is a time."""

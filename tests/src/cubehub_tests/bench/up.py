"""How long the platform takes to start, part by part, and what it holds when idle."""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
import time
from datetime import datetime
from typing import TYPE_CHECKING

from cubehub.local.data_folder import cache_folder

from cubehub_tests.bench.frame import Case, say
from cubehub_tests.bench.peers import measure_peers
from cubehub_tests.platform import MIB, Whole, two_free_ports

if TYPE_CHECKING:
    from pathlib import Path

QUICK_S = 44
"""What `--quick` may take; stopping needs the rest of its 50 s."""
SETTLE_S = 20
_STARTED = re.compile(r"^(\S+ \S+) INFO (\w+) started \(process")
_HEALTHY = re.compile(r"^(\S+ \S+) INFO (\w+) is healthy after ([\d.]+) s")


def measure(*, quick: bool) -> list[Case]:
    """Measure; a quick run uses, and if need be begins, a platform it keeps in the cache folder."""
    return _quick() if quick else _full()


def kept_folder() -> Path:
    """Where the platform of quick runs lives."""
    return cache_folder() / "bench-up"


def _quick() -> list[Case]:
    kept_folder().mkdir(mode=0o711, parents=True, exist_ok=True)
    whole = Whole.lay_out(kept_folder(), two_free_ports())
    first = not (whole.data / "cubes/olci-water-quality-demo").exists()
    began = time.monotonic()
    starting = subprocess.Popen(
        whole.up_command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        status = starting.wait(timeout=QUICK_S)
        took = time.monotonic() - began
        if status:
            raise SystemExit(f"`cubehub up` ended with status {status}; see {whole.data / 'logs'}")
        name = "first start" if first else "later start"
        return [Case(name, took, "s"), *per_part(whole), *memory(whole)]
    except subprocess.TimeoutExpired:
        say("The start goes on where it is when this is run again; what was made is kept.")
        return [Case("start, cut off: not healthy after", float(QUICK_S), "s")]
    finally:
        starting.terminate()
        starting.wait()
        if (whole.data / "version.json").exists():
            whole.run("down", check=False)
        whole.end_leftovers()


def _full() -> list[Case]:
    with Whole.make() as whole:
        say("first start, with an empty data folder and warm package caches …")
        first = timed_up(whole)
        whole.down()
        later = []
        parts: list[Case] = []
        for number in (1, 2, 3):
            say(f"later start {number} of 3 …")
            later.append(timed_up(whole))
            parts = per_part(whole)
            if number < 3:
                whole.down()
        say(f"idle memory, after {SETTLE_S} s …")
        time.sleep(SETTLE_S)
        idle = memory(whole)
        whole.down()
        say("peers …")
        peers = measure_peers(whole.data)
        keep(whole)
    took = {case.case: case.value for case in parts}
    floor = took.get("start of keycloak", 0) + took.get("start of hub", 0)
    cases = [
        Case("first start, warm package caches", first, "s"),
        Case("later start", statistics.median(later), "s", floor=floor or None),
        *parts,
        *idle,
    ]
    return [_with_peer(case, peers) for case in cases]


def keep(whole: Whole) -> None:
    """Leave the platform to later quick runs."""
    shutil.rmtree(kept_folder(), ignore_errors=True)
    kept_folder().mkdir(mode=0o711, parents=True)
    shutil.move(whole.data, kept_folder() / "data")


def _with_peer(case: Case, peers: dict[str, tuple[float, str]]) -> Case:
    if case.case not in peers:
        return case
    value, name = peers[case.case]
    return Case(case.case, case.value, case.unit, peer=value, floor=case.floor, peer_name=name)


def timed_up(whole: Whole) -> float:
    """Seconds until `cubehub up --detach` says that everything is healthy."""
    began = time.monotonic()
    whole.up()
    return time.monotonic() - began


def per_part(whole: Whole) -> list[Case]:
    """Seconds from the start of each part's process to its health, of the newest start in up.log."""
    return [Case(f"start of {name}", seconds, "s") for name, seconds in part_seconds(whole.log("up")).items()]


def part_seconds(record: str) -> dict[str, float]:
    """Read the supervisor's log: seconds until healthy by part, of the newest start."""
    found: dict[str, float] = {}
    began: dict[str, datetime] = {}
    for line in record.splitlines():
        if match := _STARTED.match(line):
            began[match[2]] = datetime.fromisoformat(match[1].replace(",", "."))
        elif (match := _HEALTHY.match(line)) and match[2] in began:
            ready = datetime.fromisoformat(match[1].replace(",", "."))
            found[match[2]] = (ready - began.pop(match[2])).total_seconds()
    return found


def memory(whole: Whole) -> list[Case]:
    """Proportional set size of the whole and of each part, in MiB."""
    found = whole.status()
    by_part = {name: part["memory_bytes"] / MIB for name, part in found["parts"].items()}
    by_part["supervisor"] = found["up"]["memory_bytes"] / MIB
    total = sum(by_part.values())
    return [
        Case("idle memory, whole", total, "MiB"),
        *(Case(f"idle memory of {name}", value, "MiB") for name, value in by_part.items()),
    ]

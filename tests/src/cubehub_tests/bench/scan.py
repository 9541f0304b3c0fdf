"""What it takes to look at all homes once: ours beside `du` and `find`, warm and cold, and within a budget."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from cubehub_tests.bench.frame import Case, say

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

FULL, QUICK = 2_000_000, 100_000
IN_A_FOLDER, HOMES = 60, 200
BUDGET_S = 10
OURS = """
import json, sys, time
from pathlib import Path
from cubehub.storage.scan import scan
if __name__ == "__main__":
    began = time.perf_counter()
    found = scan(Path(sys.argv[1]), processes=2, iops=float(sys.argv[2]))
    names = sum(t.own.files + t.folders for t in found.homes.values())
    print(json.dumps({"s": time.perf_counter() - began, "names": names, "bytes": sum(map(found.bytes_of, found.homes))}))
"""


def measure(*, quick: bool) -> list[Case]:
    """Look at a tree of empty and small files as each tool does."""
    count = QUICK if quick else FULL
    root = _tree(count)
    script = Path(tempfile.mkdtemp(prefix="cubehub-bench-")) / "ours.py"
    script.write_text(OURS)
    try:
        tools = {
            "ours": [sys.executable, str(script), str(root), "0"],
            "du": ["du", "-s", str(root)],
            "find": ["find", str(root), "-printf", "%s %b %i %n %A@ %T@ %p\\n"],
        }
        say("measuring warm")
        warm = _rounds(tools, 3 if quick else 5)
        cases = [
            Case("du", warm["ours"], "s", warm["du"], None, "du -s"),
            Case("find", warm["ours"], "s", warm["find"], None, "find -printf"),
        ]
        if not quick and os.geteuid() == 0:
            say("measuring cold")
            cold = _rounds(tools, 1, before=_forget)
            cases += [
                Case("du, cold", cold["ours"], "s", cold["du"], None, "du -s"),
                Case("find, cold", cold["ours"], "s", cold["find"], None, "find -printf"),
            ]
        cases.append(Case("rss", _most_memory(tools["ours"]), "MiB"))
        say("measuring within a budget")
        # a tenth of what it could do, on a part that takes as long as the budget is to be held
        part = root / "0"
        told = _told([sys.executable, str(script), str(part), "0"])
        rate = told["names"] / BUDGET_S
        held = _told([sys.executable, str(script), str(part), str(rate)])
        cases.append(Case("budget", held["names"] / held["s"] / rate, "of it"))
    finally:
        shutil.rmtree(script.parent)
    return cases


def _tree(count: int) -> Path:
    """Homes with so many files in all, kept between runs: making two million takes minutes."""
    kept = Path(os.environ.get("CUBEHUB_BENCH_CACHE") or Path(tempfile.gettempdir()) / "cubehub-bench-homes")
    root = kept / f"homes-{count}"
    done = kept / f"homes-{count}.done"
    if done.exists():
        return root
    say(f"writing {count:,} files")
    shutil.rmtree(root, ignore_errors=True)
    folders = count // IN_A_FOLDER
    for number in range(folders):
        folder = root / str(number % 2) / f"home{number % HOMES}" / f"a{number // HOMES % 20}" / f"b{number}"
        folder.mkdir(parents=True)
        at = os.open(folder, os.O_RDONLY)
        for file in range(IN_A_FOLDER):
            made = os.open(f"file{file}.dat", os.O_CREAT | os.O_WRONLY, dir_fd=at)
            if file % 10 == 0:
                os.write(made, b"x" * 100)
            os.close(made)
        os.close(at)
    os.sync()
    done.touch()
    return root


def _rounds(
    tools: Mapping[str, Sequence[str]], count: int, before: Callable[[], None] = lambda: None
) -> dict[str, float]:
    """The median wall time of each tool, one after another in each round; a round that is not counted goes first if warm."""
    took: dict[str, list[float]] = {name: [] for name in tools}
    for round_ in range(count + (count > 1)):
        for name, command in tools.items():
            before()
            began = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            if round_ or count == 1:
                took[name].append(time.perf_counter() - began)
    return {name: median(times) for name, times in took.items()}


def _forget() -> None:
    """Have the kernel read everything from the disk again."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")


def _told(command: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = json.loads(
        subprocess.run(command, check=True, capture_output=True, text=True).stdout
    )
    return found


def _most_memory(command: Sequence[str]) -> float:
    """The most that the largest of its processes held, times how many there are: no less than all of them together."""
    probe = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    told = subprocess.run(
        [sys.executable, "-c", probe, *command], check=True, capture_output=True, text=True
    ).stdout
    return 3 * int(told) / 1024

"""What a measurement says, to programs and in the documentation's table."""

from __future__ import annotations

import os
import platform
import re
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Case:
    """One figure.

    `ratio` is the peer's figure over ours: more is better, since less is better in every unit used here.
    """

    case: str
    value: float
    unit: str
    """s, ms, MiB …; less is better."""
    peer: float | None = None
    """The same measured for the nearest thing that exists elsewhere, in the same run."""
    floor: float | None = None
    """What it cannot be better than, where that is known."""
    peer_name: str = ""

    @property
    def ratio(self) -> float | None:
        """The peer's figure over ours."""
        return None if self.peer is None or not self.value else self.peer / self.value

    def record(self) -> dict[str, Any]:
        """Give the case as programs read it."""
        found = asdict(self) | {"ratio": None if self.ratio is None else round(self.ratio, 3)}
        order = ("case", "value", "unit", "peer", "ratio", "floor")
        return {name: _rounded(found[name]) for name in order} | (
            {"peer_name": self.peer_name} if self.peer_name else {}
        )


def _rounded(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def machine() -> dict[str, Any]:
    """Describe the machine without naming it."""
    model = ""
    with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 - a file of the kernel's
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {
        "cpu": model or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
    }


def report(name: str, cases: Sequence[Case]) -> dict[str, Any]:
    """Give a whole run as programs read it."""
    return {"name": name, "machine": machine(), "cases": [case.record() for case in cases]}


def table(found: dict[str, Any]) -> str:
    """Write a run as a Markdown table, with the machine below it."""
    lines = ["| case | value | peer | ratio | floor |", "|---|---:|---:|---:|---:|"]
    for case in found["cases"]:
        peer = (
            ""
            if case["peer"] is None
            else f"{case['peer']:g} {case['unit']} ({case.get('peer_name', 'peer')})"
        )
        ratio = "" if case["ratio"] is None else f"{case['ratio']:.2f}"
        floor = "" if case["floor"] is None else f"{case['floor']:g} {case['unit']}"
        lines.append(f"| {case['case']} | {case['value']:g} {case['unit']} | {peer} | {ratio} | {floor} |")
    on = found["machine"]
    lines += [
        "",
        f"Measured on {on['cores']} cores ({on['cpu']}), {on['memory_gib']:g} GiB, {on['system']}, Python {on['python']}.",
    ]
    return "\n".join(lines)


def rewrite(document: Path, found: dict[str, Any]) -> None:
    """Put a run's table between its markers in the documentation.

    Raises
    ------
    ValueError
        The document has no such markers.
    """
    start, end = f"<!-- bench {found['name']} -->", f"<!-- end bench {found['name']} -->"
    text = document.read_text(encoding="utf-8")
    pattern = re.compile(re.escape(start) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"{document} lacks the markers {start} and {end}")
    block = f"{start}\n{table(found)}\n{end}"
    document.write_text(pattern.sub(lambda _: block, text), encoding="utf-8")


def say(text: str) -> None:
    """Tell the person who waits what is being measured."""
    print(text, file=sys.stderr, flush=True)

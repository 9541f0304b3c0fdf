"""`cubehub-bench NAME`."""

from __future__ import annotations

import argparse
import json
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from cubehub_tests.bench.frame import report, rewrite, say, table
from cubehub_tests.platform import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Sequence

DOCUMENT = REPOSITORY / "docs/reference/benchmarks.md"
BENCHES = {
    "up": "how long the platform takes to start, and what it needs when idle",
    "spawn": "what entitlement adds to the start of a server",
    "move": "how long a move takes to reach a server that runs",
    "tiles": "what a map tile costs",
    "series": "what a time series costs",
    "scan": "how long it takes to look at all homes",
    "archive": "how long it takes to archive a home",
    "plan": "how long a plan of many homes takes",
    "panel": "how smoothly the catalogue's panel scrolls",
    "search": "what a search costs above the catalogues' own answers",
}
"""Each is a module beside this one with a function ``measure(*, quick: bool) -> list[Case]``."""


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="cubehub-bench", description="Measure, with peers in the same run.")
    parser.add_argument(
        "name", choices=BENCHES, help="; ".join(f"{name}: {what}" for name, what in BENCHES.items())
    )
    parser.add_argument(
        "--quick", action="store_true", help="end within 50 s; the documentation stays as it is"
    )
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    arguments = parser.parse_args(argv)
    cases = import_module(f"cubehub_tests.bench.{arguments.name}").measure(quick=arguments.quick)
    found = report(arguments.name, cases)
    print(json.dumps(found, indent=1) if arguments.json else table(found))
    if not arguments.quick:
        rewrite(DOCUMENT, found)
        say(f"rewrote the table in {DOCUMENT.relative_to(REPOSITORY)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

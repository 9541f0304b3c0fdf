"""`cubehub logs`."""

from __future__ import annotations

import contextlib
import re
import time
from collections import deque
from typing import TYPE_CHECKING

import click

from cubehub.cli.common import data_option, existing
from cubehub.errors import BadInputError

if TYPE_CHECKING:
    from pathlib import Path

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@click.command()
@click.argument("part", required=False)
@data_option
@click.option(
    "--lines",
    "-n",
    default=50,
    show_default=True,
    type=click.IntRange(1, 1_000_000),
    help="How many of the last lines.",
)
@click.option("--follow", "-f", is_flag=True, help="Go on printing as lines come.")
def logs(part: str | None, data: Path, lines: int, *, follow: bool) -> None:
    """Show the last lines a PART wrote; without PART, what the supervisor said."""
    folder = existing(data).logs
    file = folder / f"{part or 'up'}.log"
    known = sorted(path.stem for path in folder.glob("*.log"))
    if part is not None and part not in known:
        raise BadInputError(
            f"There is no part {part!r}.", f"Parts with a log: {', '.join(known) or 'none yet'}."
        )
    if not file.exists():
        raise BadInputError(
            "The supervisor has not written anything yet.", "Start the platform with `cubehub up`."
        )
    with file.open(errors="replace") as record:
        for line in deque(record, maxlen=lines):
            click.echo(_tame(line), nl=False)
        # Ctrl-C is how one stops following
        with contextlib.suppress(KeyboardInterrupt):
            while follow:
                line = record.readline()
                if line:
                    click.echo(_tame(line), nl=False)
                else:
                    time.sleep(0.3)
                    if file.stat().st_size < record.tell():
                        # it grew too large and was emptied
                        record.seek(0)


def _tame(line: str) -> str:
    """Take out colours (some parts colour their files too) and what would move the cursor: a log holds what strangers sent."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", _COLOUR.sub("", line))

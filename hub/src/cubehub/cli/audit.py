"""`cubehub audit`: what was decided, and whether the record of it is whole."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from cubehub.cli.common import data_option, existing, json_option
from cubehub.errors import BadInputError, CubeHubError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SPAN = re.compile(r"(\d{1,6})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@click.group()
def audit() -> None:
    """Read the record of decisions, and look whether it is whole."""


def _log(data: Path) -> Path:
    return existing(data).logs / "audit.jsonl"


@audit.command()
@data_option
@json_option
@click.option(
    "--expect-head",
    metavar="HEAD",
    help="An end of the record that this command printed earlier: it must still be there.",
)
def verify(data: Path, expect_head: str | None, *, as_json: bool) -> None:
    """Look whether anything was changed, taken out, put in or cut off; status 1 if so.

    Write the head that is printed down elsewhere: with it, a record that was made anew is found out.
    """
    from cubehub_spawner.audit_check import verify as look  # noqa: PLC0415 - the server half

    report = look(_log(data), _head(expect_head))
    if as_json:
        click.echo(json.dumps({**asdict(report), "head": str(report.head), "whole": report.whole}, indent=1))
    else:
        _tell(report, expected=expect_head is not None)
    if report.whole:
        return
    where = [f"{_place(one)}: {one.message}" for one in report.troubles]
    more = f" (and {len(where) - 5} more places)" if len(where) > 5 else ""
    raise CubeHubError(
        "The record is not as it was written. " + "; ".join(where[:5]) + more,
        "Keep the files as they are, and compare them with a backup.",
        code="audit_broken",
    )


def _tell(report: Any, *, expected: bool) -> None:
    lines = _count(report.lines, "line")
    if report.whole:
        found = "; the head that you gave is still there" if expected else ""
        click.echo(f"The record is whole: {lines} from number {report.first}{found}.")
    else:
        click.echo(f"{lines} from number {report.first}.")
    click.echo(f"head {report.head}")
    if report.before_chain:
        older = _count(report.before_chain, "older line")
        click.echo(f"Before them: {older} without a number, as they were when the numbers began.")
    if report.cut:
        places = "; ".join(_place(one) for one in report.cut_places)
        click.echo(
            f"{_count(report.cut, 'line')} never finished (a crash, or a full disk), so what they say was not done: {places}"
        )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _place(trouble: Any) -> str:
    return f"{trouble.file}, line {trouble.line}" if trouble.line else str(trouble.file)


def _head(text: str | None) -> Any:
    from cubehub_spawner.audit import Head  # noqa: PLC0415 - the server half

    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,18}):([0-9a-f]{64})", text.strip())
    if found is None:
        raise BadInputError(
            f"{text!r} is no head of the record.",
            "It is printed by `cubehub audit verify`: a number, a colon, 64 digits.",
        )
    return Head(int(found[1]), found[2])


@audit.command()
@data_option
@json_option
@click.option("--user", help="Only what is about this person.")
@click.option(
    "--since", default="7d", show_default=True, help="How far back: a whole number and s, m, h, d or w."
)
def show(data: Path, user: str | None, since: str, *, as_json: bool) -> None:
    """Show decisions, the newest last."""
    span = _SPAN.fullmatch(since)
    if span is None:
        raise BadInputError(f"--since {since!r} is no span of time.", "Write it as 2h, 7d or 4w.")
    begin = datetime.now(UTC) - timedelta(seconds=int(span[1]) * _SECONDS[span[2]])
    found = [line for line in _lines(_log(data)) if _wanted(line, user, begin)]
    if as_json:
        click.echo(json.dumps(found, indent=1, ensure_ascii=False))
        return
    if not found:
        click.echo(f"Nothing was decided{f' about {user}' if user else ''} in the last {since}.")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("time (UTC)", "person", "asked by", "what", "profile", "outcome"):
        table.add_column(name, overflow="fold", no_wrap=name.startswith("time"))
    for line in found:
        table.add_row(*(_shown(one) for one in _row(line)))
    Console(highlight=False).print(table)


def _lines(log: Path) -> Iterator[dict[str, Any]]:
    from cubehub_spawner.audit import files  # noqa: PLC0415 - the server half

    for file in files(log):
        with file.open(encoding="utf-8", errors="replace") as opened:
            for text in opened:
                try:
                    line = json.loads(text)
                except ValueError:  # cut when it was written; `verify` counts it
                    continue
                if isinstance(line, dict):
                    yield line


def _wanted(line: dict[str, Any], user: str | None, begin: datetime) -> bool:
    if user is not None and line.get("user") != user:
        return False
    try:
        return datetime.fromisoformat(str(line.get("time"))) >= begin
    except (TypeError, ValueError):
        return False


def _row(line: dict[str, Any]) -> tuple[Any, ...]:
    event = line.get("event", "start")
    server = f" {line['server']}" if line.get("server") else ""
    outcome = _OUTCOMES.get(str(line.get("outcome")), line.get("outcome"))
    why = line.get("code") or line.get("reason")
    asked_by = line.get("asked_by")
    return (
        _moment(line.get("time")),
        line.get("user"),
        _ASKERS.get(str(asked_by), asked_by),
        f"{event}{server}",
        _profile(line),
        ": ".join(str(part) for part in (outcome, why) if part),
    )


_ASKERS = {"service cubehub-cli": "command line"}
"""Only what can be no person's name: others stay as they are written."""
_OUTCOMES = {"begun": "accepted"}
"""A change is written down before it is done, and "begun" would read as if it never ended; what fails gets a line more."""


def _moment(text: Any) -> str:
    return str(text or "")[:19].replace("T", " ")


def _profile(line: dict[str, Any]) -> str:
    """Write the profile that a line is about; of a move, from what to what, and until when."""
    if line.get("event") != "move":
        return str(line.get("profile") or "")
    before = line.get("from")
    had = before[0] if isinstance(before, list) and before else "none"
    until = f" until {_moment(line['until'])[:16]}" if line.get("until") else ""
    return f"{had} → {line.get('to') or 'none'}{until}"


def _shown(value: Any) -> str:
    """Write a value so that it can't move the cursor or be taken for markup."""
    text = "" if value is None else str(value)
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text).replace(
        "[", r"\["
    )

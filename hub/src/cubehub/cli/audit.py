"""`cubehub audit`: who was given what, and whether the log of it is whole."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click
from cubehub_spawner import audit as audit_log
from cubehub_spawner.entitlement import format_bytes
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cubehub.cli.common import data_option, existing, json_option
from cubehub.cli.users import local_time
from cubehub.errors import BadInputError, CubeHubError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SPAN = re.compile(r"(\d{1,5})([mhdw])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_COLOURS = {"granted": "green", "refused": "yellow", "stopped": "yellow", "failed": "red"}


@click.group()
def audit() -> None:
    """Read the log of decisions, and check that nothing in it is missing or changed."""


@audit.command()
@click.option(
    "--expect-head",
    help="Head from an earlier check, NUMBER:HASH: the log up to there must be what it was then.",
)
@data_option
@json_option
def verify(expect_head: str | None, data: Path, *, as_json: bool) -> None:
    """Check every line of the log; exit status 1 where lines are missing or were changed."""
    expected = _head(expect_head)
    file = _file(data)
    with _readable(file):
        report = audit_log.verify(file, expected)
    if as_json:
        click.echo(json.dumps({"whole": report.whole, **asdict(report)}, indent=1))
    else:
        _print(report)
    if not report.whole:
        if not as_json:
            click.echo("error: The audit log is not as it was written.", err=True)
            click.echo(
                "hint: Keep a copy of its files and find out who could write them. A power cut can take the last "
                "lines too. To begin a new chain, move all logs/audit.jsonl* away together.",
                err=True,
            )
        raise SystemExit(1)


@audit.command()
@click.option("--user", help="Only decisions about this person, or asked for by them.")
@click.option(
    "--since", help="Only what is not older than this: 30m, 2h, 7d, 1w, or a date such as 2027-01-31."
)
@data_option
@json_option
def show(user: str | None, since: str | None, data: Path, *, as_json: bool) -> None:
    """Show decisions, the oldest first: who got what, who asked, and why not."""
    begin = read_since(since, datetime.now().astimezone()) if since else None
    file = _file(data)
    with _readable(file):
        found = [line for line in audit_log.lines(file) if _is_wanted(line, user, begin)]
    if as_json:
        click.echo(json.dumps({"lines": found}, indent=1))
        return
    table = Table("when", "what", "user", "server", "profile", "memory", "outcome", "asked by")
    for line in found:
        table.add_row(*_row(line))
    Console().print(table if found else Text("No decisions."))


def read_since(text: str, now: datetime) -> datetime:
    """Read the moment from which on lines are wanted.

    Parameters
    ----------
    text
        ``30m``, ``2h``, ``7d`` or ``1w`` ago; a date, or a moment in ISO form. Without a zone it is in that of `now`.
    now
        With its zone.

    Raises
    ------
    BadInputError
        It is none of these.
    """
    word = text.strip()
    try:
        if match := _SPAN.fullmatch(word):
            return now - int(match[1]) * _UNITS[match[2]]
        moment = datetime.fromisoformat(word)
    except (ValueError, OverflowError) as error:
        raise BadInputError(
            f"--since: {text!r} is no time.", "Write 30m, 2h, 7d or 1w, or a date such as 2027-01-31."
        ) from error
    return moment.replace(tzinfo=now.tzinfo) if moment.tzinfo is None else moment


def _head(text: str | None) -> tuple[int, str] | None:
    try:
        return None if text is None else audit_log.read_head(text)
    except ValueError as error:
        raise BadInputError(f"--expect-head: {error}.", "Copy it from an earlier check.") from error


def _file(data: Path) -> Path:
    return existing(data).logs / "audit.jsonl"


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CubeHubError(
            f"The audit log can't be read: {error.filename or file}: {error.strerror or error}.",
            "Run it as the user who runs CubeHub.",
            code="audit_unreadable",
        ) from error


def _print(report: audit_log.Report) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for finding in report.problems:
        where = f"{finding.file}, line {finding.line}: " if finding.file else ""
        console.print(Text("✗ ", style="red") + Text(where + finding.what))
    for finding in report.cut:
        console.print(
            Text("! ", style="yellow") + Text(f"{finding.file}, line {finding.line}: was not written whole")
        )
    notes = [
        (
            report.dropped,
            f"Lines 1 to {report.dropped} were removed with the oldest files, as the log itself says.",
        ),
        (
            report.unchained,
            f"{report.unchained} lines are from before the log was chained; nothing protects them.",
        ),
    ]
    for count, note in notes:
        if count:
            console.print(Text("! ", style="yellow") + Text(note))
    if report.whole:
        console.print(Text("✓ ", style="green") + Text(f"{report.lines} lines, none missing or changed."))
    console.print(Text(f"head {report.head}"))


def _is_wanted(line: dict[str, Any], user: str | None, begin: datetime | None) -> bool:
    if user is not None and user not in (line.get("user"), line.get("asked_by")):
        return False
    if begin is None:
        return True
    moment = _time(line)
    return moment is not None and moment >= begin


def _time(line: dict[str, Any]) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(line.get("time")))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _row(line: dict[str, Any]) -> list[Text]:
    """Write a line for people; what others could choose in it must not move the cursor."""
    moment, memory = _time(line), line.get("memory_bytes")
    outcome, code = str(line.get("outcome") or ""), str(line.get("code") or "")
    cells = [
        local_time(moment.isoformat()) if moment else "",
        line.get("event") or "start",
        line.get("user"),
        line.get("server"),
        line.get("profile"),
        format_bytes(memory) if isinstance(memory, int) else "",
    ]
    told = f"{outcome}: {code}" if code else outcome
    asked_by = line.get("asked_by")
    return [
        *(_tame(cell) for cell in cells),
        Text(_tame(told).plain, style=_COLOURS.get(outcome, "")),
        _tame(asked_by),
    ]


def _tame(value: object) -> Text:
    text = "" if value is None else str(value)
    return Text("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text))

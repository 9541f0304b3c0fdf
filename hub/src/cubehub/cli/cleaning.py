"""`cubehub storage plan|apply|list|restore|undo|archive|purge`: what nobody used, out of the homes and back."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from cubehub_spawner.entitlement import format_bytes
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from cubehub.cli.common import data_option, json_option, span
from cubehub.cli.storage_settings import homes_option, settings_for
from cubehub.errors import BadInputError
from cubehub.local.data_folder import typed
from cubehub.storage import clock, erasing, journal, planning
from cubehub.storage.journal import PURGED, Move
from cubehub.storage.keeping import Keeping
from cubehub.storage.names import original, readable
from cubehub.storage.quarantine import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


T = TypeVar("T")
_DAY_S = 86400
_OLD_SCAN_S = 2 * _DAY_S
_SHOWN = 10


@click.command()
@click.argument("plan", required=False, type=click.Path(path_type=Path, dir_okay=False))
@data_option
@click.option(
    "--by",
    metavar="DATE",
    help="As of a date to come, such as 2027-03-01: what would be planned then if nobody uses it.",
)
@json_option
def plan(plan: Path | None, data: Path, by: str | None, *, as_json: bool) -> None:
    """Write into the file PLAN what the policy (storage.yaml) would move out of the homes; without PLAN only tell how much.

    The file is a table (CSV). Sort it, take lines out, and give it to `cubehub storage apply`.
    """
    keeping = Keeping(settings_for(data))
    now = time.time()
    made = keeping.plan(_date(by, now))
    entries, scanned = made.entries, made.known.summary.ended
    if now - scanned > _OLD_SCAN_S:
        click.echo(
            f"The last scan is {int((now - scanned) // _DAY_S)} days old: scan first for a plan of today.",
            err=True,
        )
    if made.known.people:
        click.echo(f"Caches and trash only. {made.known.people}", err=True)
    about = [
        f"CubeHub: what is to be moved into quarantine; made {_moment(now)} from the scan of {_moment(scanned)}",
        f"as of {_moment(made.at)}, by the policy {keeping.policy.preset}; {len(entries)} entries, {format_bytes(sum(e.bytes for e in entries))}",
        "Lines may be sorted and taken out. What was used since, or is another one by now, is left alone.",
    ]
    if plan is not None:
        _write(plan, planning.write(entries, about))
    waiting = keeping.waiting(entries)
    if as_json:
        told = [
            asdict(e)
            | {"home": readable(e.home), "path": readable(e.path), "waits": waiting.get((e.home, e.path), "")}
            for e in entries
        ]
        click.echo(
            json.dumps(
                {"entries": told, "excess": [asdict(x) | {"home": readable(x.home)} for x in made.excess]}
            )
        )
        return
    _show_plan(entries)
    for line in [*_over(made.excess), *_waits(waiting)]:
        click.echo(line)
    if plan is not None and entries:
        then = typed(f"storage apply {plan}", keeping.settings.data)
        click.echo(f"Written to {plan}. Look at it, then: {then}")


@click.command()
@click.argument("plan", type=click.Path(path_type=Path, dir_okay=False))
@data_option
@homes_option
@click.option("--dry-run", is_flag=True, help="Only tell what the plan says.")
@click.option(
    "--yes-really",
    is_flag=True,
    help="Also where it is more of a home or of the platform than the policy lets a run move.",
)
@json_option
def apply(
    plan: Path, data: Path, homes: Path | None, *, dry_run: bool, yes_really: bool, as_json: bool
) -> None:
    """Move what PLAN says into quarantine, if it still holds: the same folder, unused since, not open, no server running.

    Nothing is deleted: `cubehub storage undo` takes the run back, `restore` one thing; `purge` frees the room after the hold.
    """
    keeping = Keeping(settings_for(data, homes))
    text = _read(plan)
    entries = planning.read(text, str(plan))
    over = planning.excess(entries, keeping.known().sizes, keeping.policy)
    waiting = keeping.waiting(entries)
    if dry_run:
        _show_plan(entries)
        for line in [*_over(over), *_waits(waiting)]:
            click.echo(line)
        return
    if over and not yes_really:
        raise BadInputError(
            f"The plan moves more than one run may. {' '.join(_over(over))}",
            "Take lines out; or say --yes-really if you have looked at it.", code="too_much",
        )  # fmt: skip
    done = keeping.apply(
        entries,
        text,
        waiting,
        each=lambda items, act: _each(items, act, "moving", as_json=as_json),
        told=_tell_earlier(as_json=as_json),
    )
    _tell(done, "moved into quarantine", as_json=as_json)
    if not as_json and any(not o.why for o in done):
        root, hold = keeping.settings.data, span(keeping.policy.hold)
        click.echo(
            f"Back with: {typed('storage undo', root)}. The room is free after: {typed('storage purge', root)} (from {hold} on)"
        )


@click.command("list")
@data_option
@click.option("--home", help="Of this home only.")
@json_option
def list_(data: Path, home: str | None, *, as_json: bool) -> None:
    """List what is in quarantine or in an archive and can be brought back, the oldest first."""
    keeping = Keeping(settings_for(data))
    there = journal.read(keeping.settings.state, *journal.IN_QUARANTINE, PURGED)
    moves = [m for m in there if m.restorable and home in {None, readable(m.home)}]
    if as_json:
        click.echo(json.dumps([_move_json(m, keeping) for m in moves]))
        return
    if not moves:
        click.echo("Nothing is in quarantine or in an archive.")
        return
    table = Table(box=None, pad_edge=False)
    for column, justify in (
        ("number", "right"),
        ("home", "left"),
        ("path", "left"),
        ("size", "right"),
        ("since", "left"),
        ("where", "left"),
        ("kept until", "left"),
    ):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for one in moves:
        until = keeping.kept_until(one)
        table.add_row(
            str(one.id), Text(readable(one.home)), Text(readable(one.path) or "(whole home)", overflow="fold"), format_bytes(one.bytes), _day(one.at),
            _where(one), "for ever" if until is None else _day(until),
        )  # fmt: skip
    Console(highlight=False).print(table)
    click.echo(f"{_entries(len(moves))}, {format_bytes(sum(m.bytes for m in moves))}")


def _where(one: Move) -> str:
    if one.state == PURGED:
        return "archive"
    return "quarantine, archive" if one.seal else "quarantine"


@click.command()
@click.argument("numbers", nargs=-1, type=click.IntRange(min=1))
@data_option
@homes_option
@click.option("--home", help="All of this home.")
@click.option(
    "--only", metavar="PATH", help="Of a single number, one file or folder in it; the rest stays away."
)
@json_option
def restore(
    numbers: tuple[int, ...],
    data: Path,
    homes: Path | None,
    home: str | None,
    only: str | None,
    *,
    as_json: bool,
) -> None:
    """Put things back where they were, by their NUMBERS (`cubehub storage list`) or all of a --home.

    Nothing is put over what is there by now: then it comes back beside it, as NAME.restored-1.
    """
    if bool(numbers) == (home is not None):
        raise BadInputError(
            "It is not said what is to come back.", "Give numbers of `cubehub storage list`, or --home NAME."
        )
    if only is not None and len(numbers) != 1:
        raise BadInputError("--only is about one number.", "Give the number that the file is in.")
    part = original(only.strip("/")) if only else None
    if part is not None and any(p in {b"", b".", b".."} for p in part.split(b"/")):
        raise BadInputError(f"--only {only!r} is no path.", "Give it from what was moved, such as a/b.ipynb.")
    keeping = Keeping(settings_for(data, homes))
    with keeping.keeper(_tell_earlier(as_json=as_json)) as (keeper, made):
        there = [m for m in made.moves(*journal.IN_QUARANTINE, PURGED) if m.restorable]
        wanted = [m for m in there if m.id in numbers or (home is not None and readable(m.home) == home)]
        missing = sorted(set(numbers) - {m.id for m in wanted})
        if missing or not wanted:
            what = f"number {missing[0]}" if missing else f"of the home {home!r}"
            raise BadInputError(f"There is nothing {what} to bring back.", "See `cubehub storage list`.")
        done = _each(
            wanted, lambda m: keeping.bring_back(keeper, made, m, part), "putting back", as_json=as_json
        )
    keeping.note("restore", done)
    _tell(done, "put back", as_json=as_json)


@click.command()
@data_option
@homes_option
@json_option
def archive(data: Path, homes: Path | None, *, as_json: bool) -> None:
    """Write what people made and that is in quarantine into the archive (archive.to in storage.yaml), and read it back."""
    keeping = Keeping(settings_for(data, homes))
    if not keeping.policy.archive.to:
        raise BadInputError("No place for archives is set.", "Name one in storage.yaml: archive.to.")
    with (
        keeping.keeper(_tell_earlier(as_json=as_json)) as (keeper, made),
        keeping.archivist(keeper, made) as archivist,
    ):
        wanted = keeping.to_archive(made)
        if not wanted:
            click.echo("[]" if as_json else "Nothing waits for the archive.")
            return
        done = _each(wanted, archivist.archive, "archiving", as_json=as_json)
    keeping.note("archive", done)
    _tell(done, "archived and read back", as_json=as_json)


@click.command()
@data_option
@homes_option
@json_option
def undo(data: Path, homes: Path | None, *, as_json: bool) -> None:
    """Take the last run of `apply` back: all that it moved and that can still be had."""
    keeping = Keeping(settings_for(data, homes))
    with keeping.keeper(_tell_earlier(as_json=as_json)) as (keeper, made):
        run = made.last_run()
        wanted = [] if run is None else [m for m in made.of_run(run) if m.restorable]
        if not wanted:
            raise BadInputError(
                "The last run has nothing that can be put back.",
                "See `cubehub storage list` for what earlier ones have.",
            )
        done = _each(
            wanted[::-1], lambda m: keeping.bring_back(keeper, made, m), "putting back", as_json=as_json
        )
    keeping.note("restore", done)
    _tell(done, "put back", as_json=as_json)


@click.command()
@data_option
@homes_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def purge(data: Path, homes: Path | None, *, yes: bool, as_json: bool) -> None:
    """Remove for good what has been in quarantine for longer than the hold, and archives whose time is over.

    There is no way back from this for caches and trash. What people made is removed only if it is in an archive.
    """
    keeping = Keeping(settings_for(data, homes))
    hold = keeping.policy.hold
    if why := clock.doubt(keeping.settings.state):
        file = keeping.settings.state / clock.FILE
        raise BadInputError(why, f"Set the clock right. If it is right, remove {file}.", code="clock")
    with (
        keeping.keeper(_tell_earlier(as_json=as_json)) as (keeper, made),
        keeping.archivist(keeper, made) as archivist,
    ):
        over, expired, erased = keeping.to_purge(made), keeping.to_expire(made), erasing.due(keeping, made)
        if not over and not expired and not erased:
            # no mistake of whoever asks: this may run each night
            click.echo(
                "[]" if as_json else f"Nothing that may be removed has been in quarantine for {span(hold)}."
            )
            return
        size = format_bytes(
            sum(m.bytes for m in (*over, *erased)) + sum(m.archive_bytes or 0 for m in expired)
        )
        homes_erased = "a home whose erasure was asked for, with all that was moved out of it"
        if len(erased) > 1:
            homes_erased = (
                f"{len(erased)} homes whose erasure was asked for, with all that was moved out of them"
            )
        parts = [
            _entries(len(over)) if over else "",
            f"{len(expired)} {'archive' if len(expired) == 1 else 'archives'}" if expired else "",
            homes_erased if erased else "",
        ]
        what = " and ".join(part for part in parts if part)
        if not yes and not click.confirm(f"Remove {what} with {size} for good?", err=True):
            click.echo("Nothing was removed.", err=True)
            return
        # written down before, for nobody can look at it afterwards
        keeping.note("purge", [Outcome(m.home, m.path, m.bytes, move=m.id) for m in over])
        keeping.note("expire", [Outcome(m.home, m.path, m.archive_bytes or 0, move=m.id) for m in expired])
        done = _each(over, archivist.purge, "removing", as_json=as_json)
        done += _each(expired, archivist.expire, "removing archives", as_json=as_json)
        for one in erased:
            done += erasing.finished(keeping, keeper, archivist, made, one)
    _tell(done, "removed", as_json=as_json)


def _tell_earlier(*, as_json: bool) -> Callable[[Outcome], None]:
    """Tells what was found of a run that was ended."""

    def tell(outcome: Outcome) -> None:
        if not as_json:
            click.echo(f"An earlier run was ended: {_place(outcome)}: {outcome.why}.", err=True)

    return tell


def _each(items: Sequence[T], act: Callable[[T], Outcome], what: str, *, as_json: bool) -> list[Outcome]:
    out = Console(stderr=True)
    bar = Progress(
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        console=out,
        disable=as_json or not out.is_terminal,
        transient=True,
    )
    with bar:
        return [act(item) for item in bar.track(items)]


def _tell(done: list[Outcome], what: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(
            json.dumps([asdict(o) | {"home": readable(o.home), "path": readable(o.path)} for o in done])
        )
        return
    fine = [o for o in done if not o.why]
    if what == "put back":
        for outcome in fine[:_SHOWN]:
            click.echo(f"  {_place(outcome)}")
    click.echo(f"{_entries(len(fine))} {what}, {format_bytes(sum(o.bytes for o in fine))}.")
    left = [o for o in done if o.why]
    if left:
        click.echo(f"{len(left)} left alone:")
        for outcome in left[:_SHOWN]:
            click.echo(f"  {_place(outcome)}: {outcome.why}")
        if len(left) > _SHOWN:
            click.echo(f"  and {len(left) - _SHOWN} more: --json tells all")


def _entries(count: int) -> str:
    return f"{count:,} {'entry' if count == 1 else 'entries'}"


def _place(outcome: Outcome) -> str:
    return f"{readable(outcome.home)}/{readable(outcome.path)}".removesuffix("/")


def _show_plan(entries: list[planning.Entry]) -> None:
    if not entries:
        click.echo("Nothing would be moved.")
        return
    console = Console(highlight=False)
    for title, key in (("kind", lambda e: e.kind), ("home", lambda e: readable(e.home))):
        sizes: Counter[str] = Counter()
        counts: Counter[str] = Counter()
        for entry in entries:
            sizes[key(entry)] += entry.bytes
            counts[key(entry)] += 1
        table = Table(box=None, pad_edge=False)
        for column, justify in ((title, "left"), ("folders", "right"), ("size", "right")):
            table.add_column(column, justify=justify)  # type: ignore[arg-type]
        for name, size in sizes.most_common(_SHOWN):
            table.add_row(Text(name), f"{counts[name]:,}", format_bytes(size))
        console.print(table)
        if len(sizes) > _SHOWN:
            console.print(f"and {len(sizes) - _SHOWN} more", style="dim")
    console.print(f"{_entries(len(entries))}, {format_bytes(sum(e.bytes for e in entries))}")


def _waits(waiting: dict[tuple[bytes, bytes], str]) -> list[str]:
    reasons = Counter(waiting.values())
    return [
        f"{count} {'entry' if count == 1 else 'entries'} will not be moved yet: {why}."
        for why, count in reasons.most_common()
    ]


def _over(over: list[planning.Excess]) -> list[str]:
    return [
        f"{f'Of the home {readable(x.home)}' if x.home else 'Of all homes together'} it is {x.per_cent:.0f} %, and a run may move {x.allowed:g} %."
        for x in over[:_SHOWN]
    ]


def _move_json(move: Move, keeping: Keeping) -> dict[str, Any]:
    until = keeping.kept_until(move)
    return {
        "number": move.id, "run": move.run, "home": readable(move.home), "path": readable(move.path), "kind": move.kind, "bytes": move.bytes,
        "files": move.files, "state": move.state, "archived": move.seal is not None, "since": _moment(move.at),
        "kept_until": None if until is None else _moment(until),
    }  # fmt: skip


def _date(text: str | None, now: float) -> float:
    if text is None:
        return now
    try:
        found = datetime.fromisoformat(text)
        at = (found if found.tzinfo else found.astimezone()).timestamp()
    except (ValueError, OverflowError) as error:
        raise BadInputError(f"--by {text!r} is no date.", "Write it as 2027-03-01.") from error
    if at < now:
        raise BadInputError(
            f"--by {text} is over already.", "Name a day to come, or leave --by out for today."
        )
    return at


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(seconds))


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise BadInputError(
            f"{path} is there already, and may be what somebody has worked on.",
            "Name another file, or move it away.",
        ) from error
    except OSError as error:
        raise BadInputError(
            f"The plan cannot be written to {path}: {error.strerror}.",
            "Name a file in a folder that may be written to.",
        ) from error


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadInputError(f"{path} is no text in UTF-8.", "Save it as CSV in UTF-8.") from error
    except OSError as error:
        raise BadInputError(
            f"{path} cannot be read: {error.strerror}.", "Name a plan that `cubehub storage plan` wrote."
        ) from error


COMMANDS = (plan, apply, list_, restore, undo, archive, purge)

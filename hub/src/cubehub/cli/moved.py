"""`cubehub storage list|inside|restore|archive|undo|purge`: what is away, back into the homes, into the archive, or removed for good."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
from cubehub_spawner.entitlement import format_bytes
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cubehub.cli.common import data_option, json_option, span
from cubehub.cli.storage_settings import homes_option, settings_for
from cubehub.cli.telling import Bars, day, each, entries_text, moment, tell, tell_earlier, zone
from cubehub.errors import BadInputError, CubeHubError
from cubehub.local.data_folder import typed
from cubehub.storage import clock, erasing, journal, places
from cubehub.storage.journal import PURGED
from cubehub.storage.keeping import Keeping
from cubehub.storage.names import original, readable
from cubehub.storage.quarantine import Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from cubehub.storage.journal import Journal, Move
    from cubehub.storage.quarantine import Keeper
    from cubehub.storage.settings import StorageSettings


def _lenient(settings: StorageSettings) -> Keeping:
    """Who brings things back, with a mistake in `storage.yaml` too: whoever made one may want to undo what it did."""
    keeping = Keeping(settings, lenient=True)
    if keeping.mistake is not None:
        click.echo(f"{keeping.mistake.message} Nothing is decided by it here.", err=True)
    return keeping


@click.command("list")
@data_option
@click.option("--home", help="Of this home only.")
@json_option
def list_(data: Path, home: str | None, *, as_json: bool) -> None:
    """List what is in quarantine or in an archive and can be brought back, the oldest first; and what cannot be removed."""
    keeping = _lenient(settings_for(data))
    there = journal.read(keeping.settings.state, *journal.AWAY)
    moves = [m for m in there if m.restorable and home in {None, readable(m.home)}]
    stuck = [
        (m, why) for m, why in journal.read_stuck(keeping.settings.state) if home in {None, readable(m.home)}
    ]
    if as_json:
        told = [_move_json(m, keeping) for m in moves]
        told += [_move_json(m, keeping) | {"kept_until": None, "why": why} for m, why in stuck]
        click.echo(json.dumps(told))
        return
    for line in _stuck(stuck):
        click.echo(line)
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
        table.add_row(
            str(one.id), Text(readable(one.home)), Text(readable(one.path) or "(whole home)", overflow="fold"), format_bytes(one.bytes), day(one.at),
            _where(one), _kept_until(keeping, one),
        )  # fmt: skip
    Console(highlight=False).print(table)
    click.echo(
        f"{entries_text(len(moves))}, {format_bytes(sum(m.bytes for m in moves))}; days are those of {zone()}"
    )


@click.command()
@click.argument("number", type=click.IntRange(min=1))
@data_option
@homes_option
@click.option(
    "--most", type=click.IntRange(min=1), default=1000, show_default=True, metavar="N", help="Lines."
)
@json_option
def inside(number: int, data: Path, homes: Path | None, most: int, *, as_json: bool) -> None:
    """Tell what is in something that was moved away, by its NUMBER (`cubehub storage list`); what fills a home tells `show`.

    Each line is a path for `restore NUMBER --only PATH`.
    """
    keeping = _lenient(settings_for(data, homes))
    there = journal.read(keeping.settings.state, *journal.AWAY)
    one = next((m for m in there if m.id == number and m.restorable), None)
    if one is None:
        raise BadInputError(f"Nothing with the number {number} is away.", "See `cubehub storage list`.")
    # one more, to know whether that is all
    found = keeping.inside(one, most + 1)
    if as_json:
        lines = [{"path": readable(p), "bytes": size, "folder": folder} for p, size, folder in found[:most]]
        click.echo(json.dumps({"number": number, "entries": lines, "more": len(found) > most}))
        return
    for path, size, folder in found[:most]:
        click.echo(f"{'' if folder else format_bytes(size):>10}  {readable(path)}{'/' if folder else ''}")
    if not found:
        what = readable(one.path) or "the home"
        click.echo(f"{what} is a file, or a folder without anything in it.")
    elif len(found) > most:
        click.echo(f"and more: --most {10 * most} tells more of it")
    else:
        click.echo(
            f"One of them comes back with: {typed(f'storage restore {number} --only PATH', keeping.settings.data)}"
        )


def _stuck(found: list[tuple[Move, str]]) -> list[str]:
    """What is to be removed and could not be, a line each."""
    lines = ["To be removed, and still there; each command tries again:"] if found else []
    for one, why in found:
        where = f"{readable(one.home)}/{readable(one.path)}".removesuffix("/")
        lines.append(
            f"  {one.id}  {where}, {format_bytes(one.bytes)}: {why or 'it is being removed just now'}"
        )
    return lines


def _kept_until(keeping: Keeping, one: Move) -> str:
    if keeping.mistake is not None:
        return "not known"
    until = keeping.kept_until(one)
    return "for ever" if until is None else day(until)


def _where(one: Move) -> str:
    if one.state == PURGED:
        return "archive"
    if one.state == journal.ARCHIVING:
        return "quarantine, being archived"
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
    keeping = _lenient(settings_for(data, homes))
    with keeping.keeper(tell_earlier(as_json=as_json)) as (keeper, made):
        there = [m for m in made.moves(*journal.AWAY) if m.restorable]
        wanted = [m for m in there if m.id in numbers or (home is not None and readable(m.home) == home)]
        missing = sorted(set(numbers) - {m.id for m in wanted})
        if missing or not wanted:
            what = f"number {missing[0]}" if missing else f"of the home {home!r}"
            raise BadInputError(f"There is nothing {what} to bring back.", "See `cubehub storage list`.")
        bars = Bars(as_json=as_json)
        done = _brought_back(keeping, keeper, made, wanted, bars, part)
    keeping.note("restore", done)
    tell(done, "put back", as_json=as_json)


def _brought_back(
    keeping: Keeping, keeper: Keeper, made: Journal, wanted: list[Move], bars: Bars, part: bytes | None = None
) -> list[Outcome]:
    """Put each back; one that cannot be had just now keeps none of the others away."""

    def back(one: Move) -> Outcome:
        try:
            return keeping.bring_back(keeper, made, one, part, bars.bytes_of)
        except CubeHubError as error:
            if len(wanted) == 1:
                raise
            return Outcome(one.home, one.path, 0, error.message.rstrip("."), one.id)

    return bars.each(wanted, back, "putting back")


@click.command()
@data_option
@homes_option
@click.option(
    "--new-folder",
    is_flag=True,
    help="Take the folder that archive.to names for the right one from now on, though it is not the one of before.",
)
@json_option
def archive(data: Path, homes: Path | None, *, new_folder: bool, as_json: bool) -> None:
    """Write what people made and that is in quarantine into the archive (archive.to in storage.yaml), and read it back.

    A folder for archives is known by a number in it. Where it has another or none, such as on a disk that is not mounted,
    nothing is written, looked for or removed, until --new-folder says that this is meant.
    """
    keeping = Keeping(settings_for(data, homes))
    if not keeping.policy.archive.to:
        raise BadInputError("No place for archives is set.", "Name one in storage.yaml: archive.to.")
    if new_folder:
        _accept(keeping, as_json=as_json)
    bars = Bars(as_json=as_json)
    with (
        keeping.keeper(tell_earlier(as_json=as_json)) as (keeper, made),
        keeping.archivist(keeper, made, bars.bytes_of) as archivist,
    ):
        wanted = keeping.to_archive(made)
        if not wanted:
            click.echo("[]" if as_json else "Nothing waits for the archive.")
            return
        done = bars.each(wanted, archivist.archive, "archiving")
    keeping.note("archive", done)
    tell(done, "archived and read back", as_json=as_json)


def _accept(keeping: Keeping, *, as_json: bool) -> None:
    with keeping.keeper(tell_earlier(as_json=as_json)) as (_, made):
        elsewhere = places.accept(keeping.policy.archive.to, made)
    click.echo(f"Archives are put into {keeping.policy.archive.to} from now on.", err=True)
    if elsewhere:
        what = "1 earlier archive is" if elsewhere == 1 else f"{elsewhere:,} earlier archives are"
        click.echo(f"{what} not in it. What is in them comes back once they are copied into it.", err=True)


@click.command()
@data_option
@homes_option
@json_option
def undo(data: Path, homes: Path | None, *, as_json: bool) -> None:
    """Take the last run of `apply` back: all that it moved and that can still be had."""
    keeping = _lenient(settings_for(data, homes))
    with keeping.keeper(tell_earlier(as_json=as_json)) as (keeper, made):
        run = made.last_run()
        wanted = [] if run is None else [m for m in made.of_run(run) if m.restorable]
        if not wanted:
            raise BadInputError(
                "The last run has nothing that can be put back.",
                "See `cubehub storage list` for what earlier ones have.",
            )
        bars = Bars(as_json=as_json)
        done = _brought_back(keeping, keeper, made, wanted[::-1], bars)
    keeping.note("restore", done)
    tell(done, "put back", as_json=as_json)


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
        keeping.keeper(tell_earlier(as_json=as_json)) as (keeper, made),
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
            entries_text(len(over)) if over else "",
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
        done = each(over, archivist.purge, "removing", as_json=as_json)
        done += each(expired, archivist.expire, "removing archives", as_json=as_json)
        for one in erased:
            done += erasing.finished(keeping, keeper, archivist, made, one)
    tell(done, "removed", as_json=as_json)


def _move_json(move: Move, keeping: Keeping) -> dict[str, Any]:
    until = "not known" if keeping.mistake is not None else keeping.kept_until(move)
    return {
        "number": move.id, "run": move.run, "home": readable(move.home), "path": readable(move.path), "kind": move.kind, "bytes": move.bytes,
        "files": move.files, "state": move.state, "archived": move.seal is not None, "since": moment(move.at),
        "kept_until": until if until is None or isinstance(until, str) else moment(until), "why": "",
    }  # fmt: skip


COMMANDS = (list_, inside, restore, undo, archive, purge)

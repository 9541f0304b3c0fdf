"""`cubehub storage run|pause|resume|history|hold|release|mails`: the keeper's rounds, and what is left alone."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from cubehub_spawner.entitlement import format_bytes
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from cubehub.cli.common import data_option, json_option, many
from cubehub.cli.storage_settings import homes_option, settings_for
from cubehub.cli.telling import Amount, day, minute, zone
from cubehub.errors import BadInputError
from cubehub.local.data_folder import typed
from cubehub.storage import beneath, journal, rounds
from cubehub.storage.deciding import Kept
from cubehub.storage.keeping import Keeping
from cubehub.storage.names import original, readable
from cubehub.storage.notices import record
from cubehub.storage.results import Results
from cubehub.storage.scan import homes_in

if TYPE_CHECKING:
    from pathlib import Path

    from cubehub.storage.settings import StorageSettings


@click.command()
@data_option
@homes_option
@click.option("--by", default="", help="Who begins it, for the history.  [default: the user of this command]")
@click.option(
    "--iops",
    type=click.FloatRange(min=1),
    metavar="N",
    help="Files and folders looked at in a second at most.",
)
@json_option
def run(data: Path, homes: Path | None, by: str, iops: float | None, *, as_json: bool) -> None:
    """Make a round now: look at the homes, plan, tell people.

    Where storage.yaml says `automatic: true`, also move, archive and purge what is due. The platform makes rounds by
    itself (`every` in storage.yaml); two never run at once.
    """
    settings = settings_for(data, homes)
    out = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), Amount(), TimeElapsedColumn(),
        console=out, disable=as_json or not out.is_terminal, transient=True,
    )  # fmt: skip
    with bar:
        task = bar.add_task("beginning", total=None)
        made = rounds.make_round(
            Keeping(settings, who=by or None),
            by or f"uid {os.getuid()}",
            lambda step, done, of, unit: bar.update(
                task, description=escape(step), completed=done, total=of or None, unit=unit
            ),
            iops=iops or 0,
            processes=min(8, len(os.sched_getaffinity(0))),
        )
    if as_json:
        click.echo(json.dumps(rounds.as_json(made)))
        return
    for line in sentences(made.told):
        click.echo(line)


def sentences(told: dict[str, Any]) -> list[str]:
    """What a round did, for people."""
    lines = []
    if "homes" in told:
        stood = (
            f"; {told['unchanged']:,} of them unchanged since the last scan" if told.get("unchanged") else ""
        )
        lines.append(f"{many(told['homes'], 'home')}, {format_bytes(told['bytes'])}{stood}.")
    if told.get("people"):
        lines.append(f"Caches and trash only: {told['people']}")
    if "mails" in told:
        mail = f" ({told['mail'].removesuffix('.')})" if told.get("mail") else ""
        # a round of an earlier version that failed when it was to send has only the first
        lines.append(
            f"{many(told['mails'], 'mail')} written, {told.get('sent', 0)} sent, {told.get('mails_waiting', '?')} waiting{mail}."
        )
    if told.get("refused"):
        lines.append(f"{many(told['refused'], 'mail')} refused: `cubehub storage mails` says why.")
    if "planned" in told:
        lines.append(
            f"{many(told['planned'], 'entry', 'entries')} due, {format_bytes(told['planned_bytes'])}; {told['waiting']} of that not yet."
        )
    lines += [told[key] for key in ("left", "failed") if told.get(key)]
    lines += [
        f"{told[key]} {what}, {format_bytes(told[f'{key}_bytes'])}."
        for key, what in (("moved", "moved into quarantine"), ("archived", "archived"), ("purged", "removed"))
        if key in told
    ]
    return lines


@click.command()
@data_option
@click.argument("why", required=False, default="")
def pause(data: Path, why: str) -> None:
    """Make no more rounds until `cubehub storage resume`; WHY is shown to other administrators."""
    settings = settings_for(data)
    rounds.pause(settings.state, f"uid {os.getuid()}", why, time.time())
    click.echo("Rounds are paused. One that runs just now ends before its next step.")


@click.command()
@data_option
def resume(data: Path) -> None:
    """Make rounds again."""
    if not rounds.resume(settings_for(data).state):
        raise BadInputError("Rounds are not paused.", "See `cubehub storage history`.")
    click.echo("Rounds are made again.")


@click.command()
@data_option
@json_option
def history(data: Path, *, as_json: bool) -> None:
    """List the last rounds, and how far the one is that runs now."""
    settings = settings_for(data)
    made, now = rounds.History(settings.state).newest(20), rounds.progress(settings.state)
    stop = rounds.paused(settings.state)
    if as_json:
        click.echo(
            json.dumps({"rounds": [rounds.as_json(one) for one in made], "running": now, "paused": stop})
        )
        return
    if stop:
        click.echo(f"Paused by {stop['by']}{': ' + stop['why'] if stop['why'] else ''}.")
    if now:
        done, of = (
            format_bytes(now[key]) if now.get("unit") == "bytes" else f"{now[key]:,}"
            for key in ("done", "of")
        )
        click.echo(f"Running: {now['step']}, {done} of {of if now['of'] else '?'}")
    if not made:
        click.echo(f"No round was made yet: {typed('storage run', settings.data)}")
        return
    console = Console(highlight=False)
    for one in made:
        when = minute(one.started)
        outcome = one.outcome if one.outcome != rounds.RUNNING or now else "cut off"
        console.print(Text(f"{when}  {outcome}, by {one.by}", style="bold"))
        for line in sentences(one.told):
            console.print(Text(f"  {line}"))


@click.command()
@click.argument("home")
@click.argument("path", required=False, default="")
@data_option
@click.option("--until", metavar="DATE", help="Until the end of that day (UTC).  [default: until `release`]")
def hold(home: str, path: str, data: Path, until: str | None) -> None:
    """Let nothing of HOME be moved, or nothing of PATH in it, whatever the policy says."""
    settings = settings_for(data)
    if home not in _known_homes(settings):
        raise BadInputError(f"There is no home {home!r}.", "See `cubehub storage show --all` for the names.")
    place = original(path.strip("/"))
    if place and any(part in {b"", b".", b".."} for part in place.split(b"/")):
        raise BadInputError(f"{path!r} is no path in a home.", "Give it from the home, such as work/cubes.")
    kept = Kept(original(home), place, _until(until), "admin")
    if place and not _is_there(settings, kept.home, place):
        raise BadInputError(
            f"There is no {path!r} in the home {home}.",
            f"See `cubehub storage show {home}` for its folders; without a path the whole home is held.",
        )
    with record.opened(settings.state) as told:
        told.keep(kept, f"uid {os.getuid()}", time.time())
    click.echo(f"Nothing of {home}{'/' + path if path else ''} is moved{' until ' + until if until else ''}.")


@click.command()
@click.argument("home")
@click.argument("path", required=False, default="")
@data_option
def release(home: str, path: str, data: Path) -> None:
    """Take a `hold` back."""
    with record.opened(settings_for(data).state) as told:
        if not told.let_go(original(home), original(path.strip("/")), "admin"):
            held = ", ".join(
                f"{readable(k.home)}/{readable(k.path)}".removesuffix("/")
                for k in told.kept(time.time())
                if k.by == "admin"
            )
            raise BadInputError("It was not held.", f"Held are: {held or 'none'}.")
    click.echo("It goes by the policy again.")


@click.command()
@data_option
@click.option("--again", is_flag=True, help="Try all that wait or were refused again in the next round.")
@json_option
def mails(data: Path, *, again: bool, as_json: bool) -> None:
    """List the last mails to people: when they went out, or why they did not."""
    settings = settings_for(data)
    with record.opened(settings.state) as told:
        if again:
            count = told.outbox.again(time.time())
            click.echo(f"{many(count, 'mail')} to be tried again: {typed('storage run', settings.data)}")
            return
        found = told.outbox.newest(50)
    if as_json:
        click.echo(json.dumps([asdict(mail) for mail in found]))
        return
    if not found:
        click.echo("No mail was written yet.")
        return
    table = Table(box=None, pad_edge=False)
    for column in (f"written ({zone()})", "to", "subject", "state"):
        table.add_column(column)
    for mail in found:
        state = mail.state if not mail.said else f"{mail.state}: {mail.said}"
        table.add_row(
            day(mail.made), Text(mail.address), Text(mail.subject), Text(state)
        )  # fmt: skip
    Console(highlight=False).print(table)


def _known_homes(settings: StorageSettings) -> set[str]:
    """Homes that are there, and those that the last scan found: one may be in quarantine by now."""
    results = Results(settings.state)
    scans = results.scans()
    scanned = {home.name for home in results.homes(scans[0].id)} if scans else set()
    return scanned | {readable(name) for name in homes_in(settings.homes)}


def _is_there(settings: StorageSettings, home: bytes, path: bytes) -> bool:
    """Whether there is something to hold: in the home, or moved out of it."""
    within = b"/" + path + b"/"
    for one in journal.read(settings.state, *journal.STATES):
        moved = b"/" + one.path + b"/" if one.path else b"/"
        if one.restorable and one.home == home and (moved.startswith(within) or within.startswith(moved)):
            return True
    above, _, name = path.rpartition(b"/")
    try:
        root = os.open(settings.homes, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            folder = beneath.open_folder(root, home + b"/" + above if above else home)
        finally:
            os.close(root)
        try:
            beneath.look(folder, name)
        finally:
            os.close(folder)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # it cannot be looked at: held is safer than not
    return True


def _until(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise BadInputError(f"--until {text!r} is no date.", "Write it as 2027-03-01.") from error
    if day.timestamp() + 86400 < time.time():
        raise BadInputError(f"--until {text} is over already.", "Name a day to come.")
    return day.timestamp() + 86400


COMMANDS = (run, pause, resume, history, hold, release, mails)

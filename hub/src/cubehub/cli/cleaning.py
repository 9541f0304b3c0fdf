"""`cubehub storage plan|apply`: what nobody used, out of the homes."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from cubehub_spawner.entitlement import format_bytes
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cubehub.cli.common import data_option, json_option, span
from cubehub.cli.storage_settings import homes_option, settings_for
from cubehub.cli.telling import SHOWN, each, entries_text, moment, tell, tell_earlier
from cubehub.errors import BadInputError
from cubehub.local.data_folder import typed
from cubehub.storage import planning
from cubehub.storage.keeping import Keeping
from cubehub.storage.names import readable
from cubehub.storage.tally import MOST_LARGE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cubehub.storage.policies import Policy
    from cubehub.storage.results import FoundFile

_DAY_S = 86400
_OLD_SCAN_S = 2 * _DAY_S


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
    if apart := len(made.known.found.apart):
        homes = "One home is" if apart == 1 else f"{apart:,} homes are"
        click.echo(
            f"{homes} planned as a whole only: out of a btrfs subvolume, or a mount, nothing can be moved.", err=True
        )  # fmt: skip
    if many := _more_large_files(made.known.found.large, keeping.policy):
        click.echo(
            f"Not all large files of {', '.join(many[:3])}{' and others' if len(many) > 3 else ''} can be planned at once: of a home "
            f"a scan tells the {MOST_LARGE} largest by name, and all of these are above large_from. A later round has the rest.",
            err=True,
        )
    about = [
        f"CubeHub: what is to be moved into quarantine; made {moment(now)} from the scan of {moment(scanned)}",
        f"as of {moment(made.at)}, by the policy {keeping.policy.preset}; {len(entries)} entries, {format_bytes(sum(e.bytes for e in entries))}",
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
        each=lambda items, act: each(items, act, "moving", as_json=as_json),
        told=tell_earlier(as_json=as_json),
    )
    tell(done, "moved into quarantine", as_json=as_json)
    if not as_json and any(not o.why for o in done):
        root, hold = keeping.settings.data, span(keeping.policy.hold)
        click.echo(
            f"Back with: {typed('storage undo', root)}. The room is free after: {typed('storage purge', root)} (from {hold} on)"
        )


def _more_large_files(found: Iterable[FoundFile], policy: Policy) -> list[str]:
    """Homes that may have more files above `large_from` than a scan tells by name."""
    if not policy.moves("large"):
        return []
    counts = Counter(file.home for file in found if file.bytes >= policy.large_from)
    return sorted(home for home, count in counts.items() if count >= MOST_LARGE)


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
        for name, size in sizes.most_common(SHOWN):
            table.add_row(Text(name), f"{counts[name]:,}", format_bytes(size))
        console.print(table)
        if len(sizes) > SHOWN:
            console.print(f"and {len(sizes) - SHOWN} more", style="dim")
    console.print(f"{entries_text(len(entries))}, {format_bytes(sum(e.bytes for e in entries))}")


def _waits(waiting: dict[tuple[bytes, bytes], str]) -> list[str]:
    reasons = Counter(waiting.values())
    return [
        f"{count} {'entry' if count == 1 else 'entries'} will not be moved yet: {why}."
        for why, count in reasons.most_common()
    ]


def _over(over: list[planning.Excess]) -> list[str]:
    return [
        f"{f'Of the home {readable(x.home)}' if x.home else 'Of all homes together'} it is {x.per_cent:.0f} %, and a run may move {x.allowed:g} %."
        for x in over[:SHOWN]
    ]


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


COMMANDS = (plan, apply)

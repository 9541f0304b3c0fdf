"""`cubehub storage`: what fills people's homes."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from cubehub_spawner.entitlement import format_bytes
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from cubehub.cli import cleaning, keeping_rounds, moved
from cubehub.cli.common import data_option, json_option, many
from cubehub.cli.quotas import quotas
from cubehub.cli.storage_settings import homes_option, settings_for
from cubehub.cli.telling import minute
from cubehub.errors import BadInputError
from cubehub.storage import scan as scanning
from cubehub.storage.kinds import KINDS
from cubehub.storage.metrics import metrics
from cubehub.storage.page import page
from cubehub.storage.results import Details, Home, Results, Summary
from cubehub.storage.since import Since

if TYPE_CHECKING:
    from cubehub.storage.tally import Share

_DAY_S = 86400
_BAR = 24
_SHOWN = 30
_DRAWN = 60


@click.group()
def storage() -> None:
    """See what fills people's homes; move what nobody used out of them, and back; make rounds of it."""


for _command in (*cleaning.COMMANDS, *moved.COMMANDS, *keeping_rounds.COMMANDS, quotas):
    storage.add_command(_command)


@storage.command()
@data_option
@homes_option
@click.option(
    "--processes",
    type=click.IntRange(1, 64),
    help="That share the work.  [default: one for each core, at most 8]",
)
@click.option(
    "--iops",
    type=click.FloatRange(min=1),
    metavar="N",
    help="Files and folders looked at in a second at most.  [default: no bound]",
)
@click.option(
    "--metrics", "metrics_file", type=click.Path(path_type=Path, dir_okay=False),
    help="Also write what was found for Prometheus, into the folder of its node exporter's textfile collector.",
)  # fmt: skip
@click.option(
    "--full", is_flag=True,
    help="Walk through every home. Else those that are btrfs subvolumes and stood still since the last scan are not.",
)  # fmt: skip
@json_option
def scan(
    data: Path,
    homes: Path | None,
    processes: int | None,
    iops: float | None,
    metrics_file: Path | None,
    *,
    full: bool,
    as_json: bool,
) -> None:
    """Look at every home once: bytes, files, newest use, caches, the biggest folders and files.

    Nothing is changed. No link is followed and no other file system entered. What is not yours to read needs root.
    """
    settings = settings_for(data, homes)
    root, results = settings.homes, Results(settings.state)
    out = Console(stderr=True)
    bar = Progress(
        TextColumn("looking at homes"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[names]:,} files and folders"),
        TimeElapsedColumn(), console=out, disable=as_json or not out.is_terminal, transient=True,
    )  # fmt: skip
    with bar:
        task = bar.add_task("", total=len(scanning.homes_in(root)), names=0)
        found = scanning.scan(
            root,
            processes=processes or min(8, len(os.sched_getaffinity(0))),
            iops=iops or 0,
            scratch=[os.fsencode(path) for path in settings.policy().scratch_folders],
            before=None if full else results.before(root),
            progress=lambda at: bar.update(task, completed=at.homes, names=at.names),
        )
    number = results.add(found)
    summary = next(s for s in results.scans() if s.id == number)
    there = results.homes(number)
    if metrics_file is not None:
        _replace(metrics_file, metrics(summary, there))
    if as_json:
        click.echo(json.dumps(_summary_json(summary, there) | {"unchanged": len(found.unchanged)}))
        return
    _show_homes(summary, there)
    if found.unchanged:
        stood = "1 home" if len(found.unchanged) == 1 else f"{len(found.unchanged):,} homes"
        click.echo(
            f"{stood} stood still since the last scan, and what it found was taken over; --full walks through all"
        )


@storage.command()
@click.argument("name", required=False)
@data_option
@click.option("--all", "everything", is_flag=True, help=f"All homes, not the {_SHOWN} largest.")
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a page with a treemap of all homes instead, for a browser.",
)
@json_option
def show(name: str | None, data: Path, html: Path | None, *, everything: bool, as_json: bool) -> None:
    """Show what the last scan found, but for what was moved away since: all homes, or with the NAME of one what fills it."""
    state = settings_for(data).state
    scans = Results(state).scans()
    if not scans:
        raise BadInputError("Nobody has looked at the homes yet.", "Run `cubehub storage scan`.")
    still = Since(state, scans[0])
    summary, there = still.summary, still.homes
    if html is not None:
        wanted = [home for home in there if name in {None, home.name}]
        _replace(
            html,
            page(summary, wanted, {h.name: still.details(h.name) for h in wanted[:_DRAWN]}),
        )
        click.echo(f"Written to {html}")
        return
    if name is None:
        if as_json:
            click.echo(json.dumps(_summary_json(summary, there)))
        else:
            _show_homes(summary, there, None if everything else _SHOWN)
            if still.moved:
                gone = many(still.moved, "entry that was", "entries that were")
                click.echo(f"without {gone} moved away since then: cubehub storage list")
        return
    home = next((h for h in there if h.name == name), None)
    if home is None:
        raise BadInputError(
            f"The last scan found no home {name!r}.",
            "See `cubehub storage show --all` for the names; a new home needs a new scan.",
        )
    details = still.details(name)
    if as_json:
        click.echo(json.dumps(_home_json(home) | asdict(details)))
    else:
        _show_home(summary, home, details)


def _replace(path: Path, text: str) -> None:
    """Replace a file as a whole: it may be read at any time."""
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    except OSError as error:
        raise BadInputError(
            f"{path} cannot be written: {error.strerror}.",
            "Name a file in a folder that may be written to.",
        ) from error


def _summary_json(summary: Summary, homes: list[Home]) -> dict[str, Any]:
    return asdict(summary) | {"homes": [_home_json(home) for home in homes]}


def _home_json(home: Home) -> dict[str, Any]:
    return asdict(home)


def _ago(newest: float, now: float) -> str:
    """How long ago something was, in days as a person counts them."""
    if not newest:
        return "never"
    days = int((now - newest) // _DAY_S)
    return "today" if days <= 0 else "yesterday" if days == 1 else f"{days} days ago"


def _bar(part: float, whole: float) -> Text:
    """A bar as long as a part is of the whole."""
    filled = part / whole if whole else 0
    eighths = round(filled * _BAR * 8)
    return Text("█" * (eighths // 8) + (" ▏▎▍▌▋▊▉"[eighths % 8] if eighths % 8 else ""), style="cyan")


def _show_homes(summary: Summary, homes: list[Home], most: int | None = _SHOWN) -> None:
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False)
    for column, justify in (
        ("home", "left"),
        ("size", "right"),
        ("", "left"),
        ("files", "right"),
        ("caches, trash", "right"),
        ("last used", "left"),
    ):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    largest = max((home.bytes for home in homes), default=0)
    for home in homes[:most]:
        table.add_row(
            Text(home.name), format_bytes(home.bytes), _bar(home.bytes, largest), f"{home.files:,}",
            format_bytes(sum(s.bytes for s in home.caches.values())), _ago(home.newest, summary.ended),
        )  # fmt: skip
    console.print(table)
    if most is not None and len(homes) > most:
        console.print(f"and {len(homes) - most:,} smaller ones: cubehub storage show --all", style="dim")
    console.print(
        f"{summary.homes:,} homes, {summary.files:,} files, {format_bytes(summary.bytes)}; "
        f"looked at {minute(summary.ended)} in {summary.ended - summary.started:.1f} s"
    )
    unread = [home.name for home in homes if home.unread]
    if unread:
        some = ", ".join(unread[:3]) + (" and others" if len(unread) > 3 else "")
        console.print(
            Text(f"Not all of {some} could be looked into: cubehub storage show NAME", style="yellow")
        )


def _show_home(summary: Summary, home: Home, details: Details) -> None:
    console = Console(highlight=False)
    console.print(
        Text(
            f"{home.name}: {format_bytes(home.bytes)}, {home.files:,} files, last used {_ago(home.newest, summary.ended)}"
        )
    )
    console.print(_tree(details.places, home.bytes))
    if home.caches:
        console.print("\nCaches and trash")
        for kind, share in sorted(home.caches.items(), key=lambda item: -item[1].bytes):
            console.print(f"  {format_bytes(share.bytes):>10}  {kind}: {KINDS[kind]}")
    if details.large:
        console.print("\nLargest files")
        for path, size, newest in details.large[:10]:
            console.print(Text(f"  {format_bytes(size):>10}  {path}  ({_ago(newest, summary.ended)})"))
    if home.unread:
        console.print(f"\nNot looked into: {home.unread:,}", style="yellow")
        for path, why in details.unread[:10]:
            console.print(Text(f"  {path or '.'}: {why}"))


def _tree(places: list[tuple[str, Share]], whole: int) -> Tree:
    """Folders below one another, the largest first."""
    made = Tree(Text("~"))
    nodes = {"": made}
    for path, share in sorted(places, key=lambda item: (item[0].count("/"), -item[1].bytes, item[0])):
        if not path:
            continue
        above, _, name = path.rpartition("/")
        label = Text.assemble(
            (f"{format_bytes(share.bytes):>10} ", "bold"), _bar(share.bytes, whole), f" {name}"
        )
        nodes[path] = nodes.get(above, made).add(label)
    return made

"""What commands that move things out of homes and back say: how far they are, what was done and what was left alone."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import click
from cubehub_spawner.entitlement import format_bytes
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from cubehub.storage.names import readable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cubehub.storage.quarantine import Outcome

T = TypeVar("T")
SHOWN = 10
"""Lines of a kind that are told; the rest is counted."""


def tell_earlier(*, as_json: bool) -> Callable[[Outcome], None]:
    """Tells what was found of a run that was ended."""

    def tell_one(outcome: Outcome) -> None:
        if not as_json:
            click.echo(f"An earlier run was ended: {place(outcome)}: {outcome.why}.", err=True)

    return tell_one


def each(items: Sequence[T], act: Callable[[T], Outcome], what: str, *, as_json: bool) -> list[Outcome]:
    """Do it to each, and show how far it is."""
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


def tell(done: list[Outcome], what: str, *, as_json: bool) -> None:
    """Tell what was done, and what was left alone and why."""
    if as_json:
        click.echo(
            json.dumps([asdict(o) | {"home": readable(o.home), "path": readable(o.path)} for o in done])
        )
        return
    fine = [o for o in done if not o.why]
    if what == "put back":
        for outcome in fine[:SHOWN]:
            click.echo(f"  {place(outcome)}")
    click.echo(f"{entries_text(len(fine))} {what}, {format_bytes(sum(o.bytes for o in fine))}.")
    left = [o for o in done if o.why]
    if left:
        click.echo(f"{len(left)} left alone:")
        for outcome in left[:SHOWN]:
            click.echo(f"  {place(outcome)}: {outcome.why}")
        if len(left) > SHOWN:
            click.echo(f"  and {len(left) - SHOWN} more: --json tells all")


def entries_text(count: int) -> str:
    """So many entries, in words."""
    return f"{count:,} {'entry' if count == 1 else 'entries'}"


def place(outcome: Outcome) -> str:
    """Where it was, as a person can read it."""
    return f"{readable(outcome.home)}/{readable(outcome.path)}".removesuffix("/")


def moment(seconds: float) -> str:
    """A time for programs, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def day(seconds: float) -> str:
    """A day for people."""
    return time.strftime("%Y-%m-%d", time.localtime(seconds))

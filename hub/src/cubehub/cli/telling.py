"""What commands that move things out of homes and back say: how far they are, what was done and what was left alone."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, TypeVar

import click
from cubehub_spawner.entitlement import format_bytes
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from cubehub.storage.names import readable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cubehub.storage.quarantine import Outcome


class Placed(Protocol):
    """Something in a home."""

    @property
    def home(self) -> bytes:
        """The home."""

    @property
    def path(self) -> bytes:
        """Path in it."""


T = TypeVar("T", bound=Placed)
SHOWN = 10
"""Lines of a kind that are told; the rest is counted."""


def tell_earlier(*, as_json: bool) -> Callable[[Outcome], None]:
    """Tells what was found of a run that was ended."""

    def tell_one(outcome: Outcome) -> None:
        if not as_json:
            click.echo(f"An earlier run was ended: {place(outcome)}: {outcome.why}.", err=True)

    return tell_one


class Amount(ProgressColumn):
    """How much of a task is done: so many of so many, or bytes of bytes where its field ``unit`` says so."""

    def render(self, task: Task) -> Text:
        """Show it."""
        of = "?" if task.total is None else self._amount(task, task.total)
        return Text(f"{self._amount(task, task.completed)} of {of}", style="progress.download")

    @staticmethod
    def _amount(task: Task, much: float) -> str:
        return format_bytes(int(much)) if task.fields.get("unit") == "bytes" else f"{int(much):,}"


class Bars:
    """How far a command is: how many are done, and how many bytes of the one that is under way.

    Parameters
    ----------
    out : Console or None
        Where it is shown; on stderr if none is given, and only if that is a terminal.
    """

    def __init__(self, *, as_json: bool, out: Console | None = None) -> None:
        out = out or Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), Amount(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=out, disable=as_json or not out.is_terminal, transient=True)
        self._one: TaskID | None = None
        self._what = self._where = ""

    def each(self, items: Sequence[T], act: Callable[[T], Outcome], what: str) -> list[Outcome]:
        """Do it to each, and show how far it is."""
        done = []
        with self._bar:
            all_of_them = self._bar.add_task(what, total=len(items), unit="")
            for item in items:
                self._where = place(item)
                done.append(act(item))
                self._bar.advance(all_of_them)
                self._end_one()
            self._bar.remove_task(all_of_them)
        return done

    def bytes_of(self, what: str, done: int, of: int) -> None:
        """Show how far the one is that is under way; for an archivist."""
        if self._one is None or what != self._what:
            self._end_one()
            said = f"  {what} {escape(self._where)}"
            self._what, self._one = what, self._bar.add_task(said, total=of or None, unit="bytes")
        self._bar.update(self._one, completed=done, total=of or None)

    def _end_one(self) -> None:
        if self._one is not None:
            self._bar.remove_task(self._one)
            self._one = None


def each(items: Sequence[T], act: Callable[[T], Outcome], what: str, *, as_json: bool) -> list[Outcome]:
    """Do it to each, and show how far it is."""
    return Bars(as_json=as_json).each(items, act, what)


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


def place(outcome: Placed) -> str:
    """Where it was, as a person can read it."""
    return f"{readable(outcome.home)}/{readable(outcome.path)}".removesuffix("/")


def moment(seconds: float) -> str:
    """A time for programs, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def day(seconds: float) -> str:
    """A day for people; `zone` is said once with it."""
    return time.strftime("%Y-%m-%d", time.localtime(seconds))


def zone() -> str:
    """The time zone that days are of."""
    return time.strftime("%Z")


def minute(seconds: float) -> str:
    """A time for people, with its zone."""
    return time.strftime("%Y-%m-%d %H:%M %Z", time.localtime(seconds))

"""Progress of long work: bars in a terminal, lines in a log, JSON for programs."""

from __future__ import annotations

import json
import sys
import threading
import time
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import (
    Progress as RichProgress,
)
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

MIB = 1024 * 1024


class Report(Protocol):
    """Sets how much of a step is done, its total where that is learnt on the way, and what it is about."""

    def __call__(self, done: int, total: int | None = None, *, about: str = "") -> None:  # noqa: D102 - said by the class
        ...


class _Amount(DownloadColumn):
    """Sizes, and what the step is about; no sizes for a step that has none."""

    def render(self, task: Task) -> Text:
        parts = [super().render(task)] if task.fields["sized"] else []
        if task.fields["about"] and not task.finished:
            parts.append(Text(task.fields["about"]))
        return Text("  ").join(parts)


class Progress(Protocol):
    """Where long work reports how far it is."""

    def step(self, name: str, total: int | None, unit: str = "B") -> AbstractContextManager[Report]:
        """Open a step; what it gives sets the completed amount (absolute, in `unit`)."""
        ...


class BarProgress:
    """Rich bars on a terminal, one a step; steps may run side by side.

    Notes
    -----
    Use it as a context manager, so that the terminal is given back whole when something raises.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._bars = RichProgress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            _Amount(binary_units=True),
            TimeElapsedColumn(),
            console=console or Console(stderr=True),
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bars.stop()

    @contextmanager
    def step(self, name: str, total: int | None, unit: str = "B") -> Iterator[Report]:
        """See `Progress.step`; a step without a total shows an endless bar."""
        del unit
        task = self._bars.add_task(name, total=total, sized=total is not None, about="")

        def report(done: int, total: int | None = None, *, about: str = "") -> None:
            end = total or self._state(task).total
            # a bar that is full is taken for a step that has ended, clock included
            shown = done if end is None else min(done, end - 1)
            self._bars.update(task, completed=shown, total=end, sized=end is not None, about=about)

        yield report
        self._finish(task)

    def _state(self, task: TaskID) -> Task:
        return self._bars.tasks[self._bars.task_ids.index(task)]

    def _finish(self, task: TaskID) -> None:
        state = self._state(task)
        total = state.total if state.total is not None else max(state.completed, 1)
        self._bars.update(task, total=total, completed=total)


class LineProgress:
    """One line when a step starts and one when it ends, for logs and pipes; JSON lines if asked."""

    def __init__(self, *, as_json: bool = False) -> None:
        self._json = as_json
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    @contextmanager
    def step(self, name: str, total: int | None, unit: str = "B") -> Iterator[Report]:
        """See `Progress.step`."""
        started = time.monotonic()
        latest = 0

        def report(done: int, total: int | None = None, *, about: str = "") -> None:
            nonlocal latest
            del total, about
            latest = done

        self._say(
            {"event": "start", "step": name, "total": total, "unit": unit}, name + self._size(total, unit)
        )
        yield report
        seconds = time.monotonic() - started
        self._say(
            {"event": "done", "step": name, "amount": latest, "unit": unit, "seconds": round(seconds, 1)},
            f"{name}: done in {seconds:.1f} s{self._size(latest or None, unit).removesuffix(' …')}",
        )

    def _say(self, record: dict[str, object], text: str) -> None:
        with self._lock:
            print(json.dumps(record) if self._json else text, file=sys.stderr, flush=True)  # noqa: T201

    @staticmethod
    def _size(total: int | None, unit: str) -> str:
        if total is None:
            return " …"
        return f" ({total / MIB:.0f} MiB) …" if unit == "B" else f" ({total} {unit}) …"


def open_progress(*, as_json: bool) -> BarProgress | LineProgress:
    """Bars if a person watches standard error, lines otherwise."""
    if as_json or not sys.stderr.isatty():
        return LineProgress(as_json=as_json)
    return BarProgress()

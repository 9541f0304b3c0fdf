"""Progress in a terminal or a notebook."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def shown(title: str, *, enabled: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Give what is told about progress; a bar is on the screen meanwhile."""
    from rich.console import Console  # noqa: PLC0415 - nothing of it where there is no progress to show
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    on = enabled and (console.is_terminal or console.is_jupyter)
    with Progress(*columns, console=console, disable=not on) as bars:
        task = bars.add_task(title, total=None)

        def tell(what: str, done: int, total: int) -> None:
            bars.update(task, description=f"{title}: {what}", completed=done, total=total)

        yield tell

"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

from cubehub.errors import BadInputError
from cubehub.local.data_folder import DataFolder, default_data, full_path

data_option = click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), default=default_data, show_default="~/.local/share/cubehub",
    help="Folder that holds everything of this CubeHub.",
)  # fmt: skip
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


def existing(data: Path) -> DataFolder:
    """Open a data folder that an earlier `cubehub up` made.

    Raises
    ------
    BadInputError
        There is none, or another version made it.
    """
    folder = DataFolder(full_path(data))
    if not folder.is_made():
        raise BadInputError(
            f"No CubeHub lives in {folder.root}.",
            "Start one with `cubehub up`, or name its folder with --data.",
        )
    return folder


def span(seconds: float) -> str:
    """Write a length of time as people say it: ``14 days``, ``1 hour``, ``5 seconds``."""
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            count = round(seconds / size, 1)
            return f"{count:g} {unit}{'' if count == 1 else 's'}"
    return f"{seconds:g} second{'' if seconds == 1 else 's'}"


def many(count: int, one: str, more: str = "") -> str:
    """Write a count with its word: ``1 mail``, ``1,200 mails``."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"

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

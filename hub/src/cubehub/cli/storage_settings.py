"""Where the commands of `cubehub storage` work."""

from __future__ import annotations

from pathlib import Path

import click

from cubehub.cli.common import existing
from cubehub.storage.settings import StorageSettings, named_settings, settings_of

homes_option = click.option(
    "--homes",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the homes.  [default: that of this CubeHub]",
)


def settings_for(data: Path, homes: Path | None = None) -> StorageSettings:
    """The settings of a data folder, or those that the environment names.

    Raises
    ------
    BadInputError
        There is no CubeHub in that folder.
    """
    return named_settings(homes) or settings_of(existing(data), homes)

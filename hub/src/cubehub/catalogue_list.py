"""The list of catalogues on its way to people's servers, which read it whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cubehub.reading_elsewhere import Reader, look_at

if TYPE_CHECKING:
    from pathlib import Path

    from cubehub.local.data_folder import DataFolder
    from cubehub.settings import ConfigFolder

FILE = "catalogues.yaml"
READER = Reader("cubehub_catalogue.check", "catalogues", "catalogues_file")


def check_catalogues(python: Path, path: Path) -> None:
    """Have the Lab's own reader look at the list.

    Parameters
    ----------
    python
        Of the Lab's environment.
    path
        The list.

    Raises
    ------
    BadInputError
        It is wrong; names file, catalogue and key.
    CubeHubError
        The reader failed, so that nobody knows.
    """
    look_at(READER, python, path)


def give_catalogues(data: DataFolder, config: ConfigFolder) -> Path:
    """Copy the list to where each person's server may read it, and give the copy's path.

    Notes
    -----
    The operator's own folder is nothing that people can walk into. A server that runs keeps what it has read.
    """
    target = data.catalogue / FILE
    fresh = target.with_suffix(".new")
    fresh.write_bytes(config.path(FILE).read_bytes())
    fresh.chmod(0o644)
    fresh.replace(target)
    return target

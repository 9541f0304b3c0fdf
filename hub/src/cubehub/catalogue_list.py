"""The list of catalogues on its way to people's servers, which read it whole."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from cubehub.errors import BadInputError
from cubehub.reading_elsewhere import Reader, look_at
from cubehub.storage import policies

if TYPE_CHECKING:
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


def given_folders(config: ConfigFolder) -> dict[str, str]:
    """Give the folders whose files the platform gives out, by their names; the reader has looked at the list before.

    Notes
    -----
    A list that can't be read opens nothing.
    """
    try:
        content = yaml.safe_load(config.path(FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return {}
    files = content.get("files") if isinstance(content, dict) else None
    return {str(name): str(folder) for name, folder in files.items()} if isinstance(files, dict) else {}


def check_folders(data: DataFolder, config: ConfigFolder) -> None:
    """See that the folders are there, and that giving them out opens nothing of the platform or its people.

    Raises
    ------
    BadInputError
        Names file, key and folder.
    """
    kept = _not_for_everybody(data, config)
    for name, folder in given_folders(config).items():
        where = f"{config.path(FILE)}: files.{name}: {folder}"
        try:
            path = Path(folder).resolve(strict=True)
            is_folder = path.is_dir()
        except (OSError, RuntimeError):
            is_folder = False
        if not is_folder:
            raise BadInputError(
                f"{where} is not a folder of this machine.",
                "Make it, or take it out of `files`.",
                code="catalogues_file",
            )
        # whatever it is reached by: anybody may read what is in it
        if any(path.is_relative_to(one) or one.is_relative_to(path) for one in kept):
            raise BadInputError(
                f"{where} would open the platform's own files, and people's homes, to anybody.",
                "Name a folder that has nothing but what everybody may read.",
                code="catalogues_file",
            )


def _not_for_everybody(data: DataFolder, config: ConfigFolder) -> set[Path]:
    """Give what is the platform's and its people's, with links resolved: homes and archives may be on another disk."""
    kept = [data.root, *data.folders]
    if config.own is not None:
        kept.append(config.own)
    with suppress(BadInputError):  # nothing is archived by settings that can't be read
        to = policies.read_policy(config.path(policies.FILE)).archive.to
        if to.startswith("/"):
            kept.append(Path(to))
    # unlike Path.resolve, for which a loop of links is an error
    return {Path(os.path.realpath(one)) for one in kept}

"""The list of catalogues on its way to people's servers, which read it whole."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from cubehub.errors import BadInputError

if TYPE_CHECKING:
    from pathlib import Path

    from cubehub.local.data_folder import DataFolder
    from cubehub.settings import ConfigFolder

FILE = "catalogues.yaml"
_PATIENCE_S, _BAD = 60, 2


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
    """
    command = [str(python), "-m", "cubehub_catalogue.check", str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE_S)
    if ran.returncode == _BAD:
        message, _, hint = ran.stderr.strip().partition("\n")
        raise BadInputError(message, hint, code="catalogues_file")


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

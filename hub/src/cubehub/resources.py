"""The files CubeHub ships beside its code: locks, realm, profiles, sample cubes, other rooms' sources."""

from importlib.resources import files
from pathlib import Path


def resource(*parts: str) -> Path:
    """Path of a shipped file or folder, named as in the repository.

    Notes
    -----
    A wheel carries the rooms in `_data/`, laid out as at the repository's top level; a checkout has the
    repository itself. Relative paths between rooms (a lock that names ``../../extensions/account``)
    therefore hold in both. No symbolic links: archives and some file systems turn them into text files.
    """
    package = Path(str(files("cubehub")))
    carried = package / "_data"
    return (carried if carried.is_dir() else package.parents[2]).joinpath(*parts)

"""The list of published cubes, as far as the hub needs it; the cube server reads it whole and checks it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from cubehub.reading_elsewhere import Reader, look_at

if TYPE_CHECKING:
    from pathlib import Path

READER = Reader("xcube_cubehub.check", "cubes", "cubes_file")


def cube_rows(path: Path) -> list[dict[str, str]]:
    """Give id, title and openness of each published cube, in the order of the file.

    Raises
    ------
    ValueError
        The file is not the list of cubes it should be.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        cubes = [(str(cube["id"]), cube) for cube in content["cubes"]]
    except (yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a list of cubes: {error!r}") from error
    return [
        {
            "id": name,
            "title": str(cube.get("title", name)),
            "public": "yes" if cube.get("access") == "public" else "",
        }
        for name, cube in cubes
    ]


def check_cubes(python: Path, path: Path) -> None:
    """Have the cube server's own reader look at the list, before the server or after somebody has changed it.

    Parameters
    ----------
    python
        Of the cubes' environment.

    Raises
    ------
    BadInputError
        It is wrong; names file, cube and key.
    CubeHubError
        The reader failed, so that nobody knows.
    """
    look_at(READER, python, path)


def public_items(cubes_yaml: Path, folder: Path) -> list[str]:
    """Paths of the STAC items of cubes that are open to everyone, whether or not they are built yet.

    Notes
    -----
    The catalogue is open to everyone, so it must not tell of a cube that is not. A list that cannot be
    read opens nothing.
    """
    try:
        rows = cube_rows(cubes_yaml)
    except (ValueError, OSError):
        return []
    return [str(folder / f"{row['id']}.item.json") for row in rows if row["public"]]

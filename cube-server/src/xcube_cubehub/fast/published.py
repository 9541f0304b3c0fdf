"""What the server behind tells the processes in front: which cubes there are, for whom, and how they look."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from xcube_cubehub.access import Access, Policy, Rule
from xcube_cubehub.index import Style
from xcube_cubehub.shards import write_whole

SOCKET, PUBLISHED, PALETTES = "xcube.sock", "published.json", "palettes.npz"
PUBLISHING_SOCKET = "publishing.sock"
"""Names in the state folder: where the server behind listens, what it tells, and the colours of all colour maps; where cubes are
taken in."""


@dataclass(frozen=True)
class Shown:
    """A published cube: where it lies, who may read it, and its variables with the way they look."""

    folder: Path
    rule: Rule
    styles: Mapping[str, Style]


@dataclass(frozen=True)
class Published:
    """All published cubes by id."""

    cubes: Mapping[str, Shown]

    @property
    def policy(self) -> Policy:
        """Their rules."""
        return Policy({i: c.rule for i, c in self.cubes.items()}, {i: i for i in self.cubes})


def write(path: Path, published: Published) -> None:
    """Tell it, if it is not what was told last."""
    cubes = {
        name: {
            "folder": str(cube.folder),
            "access": cube.rule.access.value,
            "groups": sorted(cube.rule.groups),
            "owner": cube.rule.owner,
            "styles": {variable: asdict(style) for variable, style in cube.styles.items()},
        }
        for name, cube in published.cubes.items()
    }
    told = json.dumps(cubes).encode()
    # With each day of a cube all is told again, and mostly it is the same
    if not path.exists() or path.read_bytes() != told:
        write_whole(path, told)


def read(path: Path) -> Published:
    """What was told."""
    return Published(
        {
            name: Shown(
                Path(cube["folder"]),
                Rule(Access(cube["access"]), frozenset(cube["groups"]), cube["owner"]),
                {variable: Style(**style) for variable, style in cube["styles"].items()},
            )
            for name, cube in json.loads(path.read_bytes()).items()
        }
    )

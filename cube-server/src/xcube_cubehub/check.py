"""``python -m xcube_cubehub.check cubes.yaml``: read a list of cubes as the server does, and say what is wrong with it."""

import sys
from pathlib import Path

from xcube_cubehub.config import read_cubes
from xcube_cubehub.errors import ConfigError


def main() -> int:
    """Give 0 where the file is right, 2 where it is not."""
    try:
        read_cubes(Path(sys.argv[1]))
    except ConfigError as error:
        sys.stderr.write(f"{error.message}\n{error.hint}\n")
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())

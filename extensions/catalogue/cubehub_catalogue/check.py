"""Look at a catalogues.yaml before people's servers read it: `python -m cubehub_catalogue.check FILE`."""

from __future__ import annotations

import sys

from cubehub_catalogue.settings import SettingsError, load_settings

_ANYWHERE = "https://platform.invalid"
"""Stands for the platform's address, which the file does not hold."""


def main() -> int:
    """Exit with 2 where the file can't be used; the first line on stderr says what is wrong, the rest what to do."""
    try:
        load_settings(sys.argv[1], platform_url=_ANYWHERE)
    except SettingsError as error:
        sys.stderr.write(f"{error.message}\n{error.hint}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

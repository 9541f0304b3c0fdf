"""What the built front end was built from: a digest over its sources, kept beside the bundle.

Run with ``--write`` after a build; the tests compare.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
STAMP = HERE.parent / "cubehub_catalogue" / "labextension" / "built-from"


def digest() -> str:
    """Give the digest over all that decides what is built."""
    files = [HERE / "package.json", HERE / "package-lock.json", HERE / "tsconfig.json"]
    files += sorted([*HERE.glob("src/*.ts"), *HERE.glob("style/*.css"), *HERE.glob("schema/*.json")])
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.relative_to(HERE)}\0".encode())
        total.update(file.read_bytes())
    return total.hexdigest()


if __name__ == "__main__":
    if "--write" in sys.argv:
        STAMP.write_text(f"{digest()}\n", encoding="ascii")
    elif STAMP.read_text(encoding="ascii").strip() != digest():
        sys.exit("error: the built front end is not of these sources\nhint: npm run build")

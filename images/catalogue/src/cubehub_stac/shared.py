"""Items that other parts of the platform offer to some people: published cubes that are not for everybody.

Each is a file ``*.json`` with the item and who may see it: ``{"readers": "account" | "owner" | [GROUP…], "owner_id": …,
"owner_name": …, "item": …}``. The file is taken away when the cube is.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from cubehub_stac.own_checks import prepared
from cubehub_stac.own_items import Record
from cubehub_stac.repair import RefusedError
from cubehub_stac.visibility import ACCOUNT, group_collection, own_collection

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

log = logging.getLogger("cubehub_stac")
_MAX_BYTES = 20_000_000


def records(folders: Iterable[str]) -> Iterator[Record]:
    """Read all of them, one for each collection they belong to; what can't be used is named in the log and left out."""
    for folder in folders:
        for path in sorted(Path(folder).glob("*.json")):
            try:
                yield from _read(path)
            except FileNotFoundError:
                continue
            except (
                OSError,
                ValueError,
                KeyError,
                TypeError,
                AttributeError,
                RecursionError,
                RefusedError,
            ) as error:
                log.warning("left out %s: %s", path, error)


def _read(path: Path) -> list[Record]:
    if path.stat().st_size > _MAX_BYTES:
        raise RefusedError(f"larger than {_MAX_BYTES} bytes")
    kept = json.loads(path.read_bytes())
    found: dict[str, str | None] = {}
    readers = kept["readers"]
    # the owner sees it whoever else does
    if readers == "account":
        found[ACCOUNT] = None
    else:
        found[own_collection(kept["owner_id"])] = None
        if readers != "owner":
            if not isinstance(readers, list):
                raise RefusedError(f"its readers are {readers!r}")
            found |= {group_collection(group): group for group in readers}
    return [
        Record(name, item["id"], kept["owner_id"], kept["owner_name"], group, "", item)
        for name, group in found.items()
        for item in [prepared(kept["item"], name)]
    ]

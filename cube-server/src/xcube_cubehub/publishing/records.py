"""What is kept of published cubes: a small file for each, replaced as a whole. Read by the server, written by one process.

Below the folder of cubes, ``published/ID.json`` names the folder of the data, ``published/cubes/ID.REVISION``: a new
version is there, whole, before the file names it. ``published/items/`` has the STAC items of what is public, for the
catalogue; ``published/items-for-some/`` those of the rest, each with who may see it; ``published/uploads/`` what is being
sent.
"""

import errno
import json
import logging
import os
import shutil
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from xcube_cubehub.build import size_of
from xcube_cubehub.config import Cube, Cubes, Variable
from xcube_cubehub.publishing.model import Record
from xcube_cubehub.shards import write_whole

log = logging.getLogger(__name__)
GROUP = "Published"
"""Heading in the viewer."""
NOWHERE = Path("/nonexistent")
SETTLED_S = 600.0
"""Data that nothing names any more are removed so long after they were last written: readers may still have them open."""


@dataclass(frozen=True)
class Folders:
    """Where published cubes are."""

    root: Path

    @property
    def cubes(self) -> Path:
        """Their data."""
        return self.root / "cubes"

    @property
    def items(self) -> Path:
        """STAC items of those that are public."""
        return self.root / "items"

    @property
    def items_for_some(self) -> Path:
        """STAC items of the others, each with who may see it."""
        return self.root / "items-for-some"

    @property
    def uploads(self) -> Path:
        """What is being sent."""
        return self.root / "uploads"

    def record(self, name: str) -> Path:
        """What is kept of one."""
        return self.root / f"{name}.json"

    def withdrawn(self, name: str) -> Path:
        """What is kept of one that was taken back while the disk was full: it was renamed, which needs no room."""
        return self.root / f"{name}.withdrawn"


class PublishedCube(Cube):
    """A cube that a person published, as the server shows it."""

    data: Path = Field(exclude=True)
    """Its folder."""

    def folder(self, cubes_dir: Path) -> Path:
        """Where its data are."""
        del cubes_dir
        return self.data


class Registry:
    """Reads what is kept; files that did not change are not read again.

    Parameters
    ----------
    root : path or None
        Folder of what people publish; None if there is none, and then there are no records.
    """

    def __init__(self, root: Path | None) -> None:
        self.folders = Folders(root or NOWHERE)
        self._read: dict[str, tuple[tuple[int, int], Record | None]] = {}

    def records(self) -> list[Record]:
        """All that are kept, by id; one that cannot be read is passed over, with a line in the log."""
        found: dict[str, tuple[tuple[int, int], Record | None]] = {}
        for path in sorted(p for p in self.folders.root.glob("*") if p.suffix in {".json", ".withdrawn"}):
            if path.suffix == ".withdrawn" and f"{path.stem}.json" in found:
                continue  # published again since
            try:
                status = path.stat()
                stamp = (status.st_mtime_ns, status.st_ino)
                known = self._read.get(path.name)
                found[path.name] = known if known and known[0] == stamp else (stamp, _record(path))
            except OSError:
                continue
        self._read = found
        return [record for _, record in found.values() if record is not None]

    def live(self, now: float) -> list[Record]:
        """Those that people see."""
        return [r for r in self.records() if r.is_live(now)]

    def get(self, name: str) -> Record | None:
        """One of them."""
        return next((r for r in self.records() if r.id == name), None)

    def signature(self, now: float) -> tuple[tuple[str, int], ...]:
        """Changes when any that people see does."""
        return tuple((r.id, hash((r.folder, r.model_dump_json()))) for r in self.live(now))


def _record(path: Path) -> Record | None:
    try:
        record = Record.model_validate_json(path.read_bytes())
    except (ValidationError, ValueError) as error:
        log.error("%s cannot be used: %s; the cube is left out", path, " ".join(str(error).split())[:300])  # noqa: TRY400
        return None
    plain = (
        record.id == path.stem
        and record.folder == Path(record.folder).name
        and not record.folder.startswith(".")
    )
    if not plain:
        log.error("%s names another cube or a folder elsewhere; it is left out", path)
    if record is not None and path.suffix == ".withdrawn" and record.removed is None:
        record = record.model_copy(update={"removed": path.stat().st_mtime})
    return record if plain else None


def write_record(folders: Folders, record: Record) -> None:
    """Keep a record: from here on the server shows what it says."""
    write_whole(folders.record(record.id), record.model_dump_json(indent=1).encode(), durable=True)
    folders.withdrawn(record.id).unlink(missing_ok=True)


def withdraw(folders: Folders, record: Record) -> None:
    """Keep that a cube was taken back, also on a full disk.

    Parameters
    ----------
    record : Record
        With the time at which it was (``removed``).
    """
    try:
        write_record(folders, record)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT} or record.removed is None:
            raise
        path = folders.record(record.id)
        if path.exists():
            os.utime(path, (record.removed, record.removed))
            path.rename(folders.withdrawn(record.id))


def forget(folders: Folders, name: str) -> None:
    """Keep nothing of a cube; its data are found by having no record."""
    folders.record(name).unlink(missing_ok=True)
    folders.withdrawn(name).unlink(missing_ok=True)


def superseded(registry: Registry, owner_id: str) -> int:
    """Bytes of earlier versions of a person's cubes that are still there for those who have them open."""
    records = registry.records()
    mine = {r.id for r in records if r.owner_id == owner_id}
    named = {r.folder for r in records}
    if not registry.folders.cubes.is_dir():
        return 0
    return sum(
        size_of(path)
        for path in registry.folders.cubes.iterdir()
        if path.name not in named and path.name.rpartition(".")[0] in mine
    )


def with_published(cubes: Cubes, records: Iterable[Record], folders: Folders) -> Cubes:
    """The operator's cubes and behind them those that people published; where ids are the same, the operator's stays."""
    known = {cube.id for cube in cubes.cubes}
    more: list[Cube] = []
    for record in records:
        if record.id in known:
            log.error("cubes.yaml has a cube %s of its own: the published one is left out", record.id)
            continue
        try:
            more.append(cube_of(record, folders))
        except ValidationError as error:
            log.error("%s cannot be shown: %s", record.id, " ".join(str(error).split())[:300])  # noqa: TRY400
    return cubes.model_copy(update={"cubes": [*cubes.cubes, *more]})


def cube_of(record: Record, folders: Folders) -> PublishedCube:
    """A record as the server shows it."""
    owner = None if record.access in ("public", "account") else record.owner_id
    by = f"published by {record.owner_name}"
    return PublishedCube(
        id=record.id,
        title=record.title,
        description=record.description,
        group=GROUP,
        access=record.access,
        owner=owner,
        attribution=f"{record.attribution} ({by})" if record.attribution else by,
        variables=[
            Variable(name=s.name, colours=s.colours, range=s.range, scale=s.scale) for s in record.styles
        ],
        data=folders.cubes / record.folder,
    )


def settle_items(
    folders: Folders, records: Iterable[Record], now: float, operators: Collection[str] = ()
) -> None:
    """Have the catalogue find the items of all that is live: what is public for everybody, the rest for its readers.

    Parameters
    ----------
    operators : collection of str
        Ids of the operator's own cubes, behind which published ones are not shown.
    """
    live = {r.id: r for r in records if r.is_live(now) and r.id not in operators}
    public = {name: r for name, r in live.items() if r.access == "public"}
    # taken away before anything is added: what is for some from now on is not for everybody any longer
    for folder, wanted in ((folders.items, public), (folders.items_for_some, live.keys() - public.keys())):
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob("*.json"):
            if path.name.removesuffix(".item.json") not in wanted:
                path.unlink(missing_ok=True)
    for name, record in live.items():
        target = (folders.items if name in public else folders.items_for_some) / f"{name}.item.json"
        try:
            item = (folders.cubes / record.folder / "item.json").read_bytes()
            content = item if name in public else _for_some(record, item)
            if not target.exists() or target.read_bytes() != content:
                write_whole(target, content)
        except OSError as error:
            log.error("the STAC item of %s is missing: %s", name, error.strerror)  # noqa: TRY400
        except ValueError as error:
            target.unlink(missing_ok=True)
            log.error("the STAC item of %s cannot be read: %s", name, error)  # noqa: TRY400


def _for_some(record: Record, item: bytes) -> bytes:
    """Write an item with who may see it, as the catalogue reads it."""
    kept = {"readers": record.access, "owner_id": record.owner_id, "owner_name": record.owner_name}
    return json.dumps(kept | {"item": json.loads(item)}).encode()


def sweep(registry: Registry, grace_s: float, now: float, operators: Collection[str] = ()) -> list[str]:
    """Remove what ended longer ago than the grace, and data that no record names; ids of the cubes that were removed.

    Notes
    -----
    The record goes first. Data are found by having none, so that a sweep that is killed is finished by the next one.
    """
    folders = registry.folders
    gone = []
    for record in registry.records():
        if now > record.ended() + grace_s:
            forget(folders, record.id)
            gone.append(record.id)
    settle_items(folders, registry.records(), now, operators)
    # also by records that cannot be read: their data are nobody's to remove
    kept = {p.stem for ending in ("json", "withdrawn") for p in folders.root.glob(f"*.{ending}")}
    unread = kept - {r.id for r in registry.records()}
    named = {r.folder for r in registry.records()}
    if folders.cubes.is_dir():
        for path in folders.cubes.iterdir():
            if path.name in named or path.name.rpartition(".")[0] in unread:
                continue
            try:
                if time.time() - path.stat().st_mtime > SETTLED_S or path.name.rpartition(".")[0] in gone:
                    shutil.rmtree(path)
            except OSError as error:
                log.error("%s cannot be removed: %s", path, error.strerror)  # noqa: TRY400
    return gone


def told(state_dir: Path, record: Record, folders: Folders, told_name: str) -> bool:
    """Whether the processes in front were told of a record as it is."""
    try:
        shown = json.loads((state_dir / told_name).read_bytes()).get(record.id)
    except (OSError, ValueError, AttributeError):
        return False
    return shown is not None and shown.get("folder") == str(folders.cubes / record.folder)

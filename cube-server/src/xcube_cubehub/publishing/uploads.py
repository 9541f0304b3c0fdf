"""Cubes that are being sent: each in a folder of its own, from which nothing is shown until it is whole.

A step arrives in parts, bands of rows of one variable. They wait in files; when all are there, the step is written as
the builder writes one. All that is known of an upload is in its folder, so that it goes on after a crash.
"""

import errno
import hashlib
import json
import logging
import secrets
import shutil
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import BaseModel, ConfigDict, ValidationError

from xcube_cubehub import __version__
from xcube_cubehub.build import STAMP, size_of
from xcube_cubehub.errors import CubeError
from xcube_cubehub.fast.packs import pack_path
from xcube_cubehub.growing import Described, add_note, read_provenance
from xcube_cubehub.index import FORMAT, PYRAMID, Index, level_array, read_index
from xcube_cubehub.item import stac_item
from xcube_cubehub.publishing.judging import Accepted
from xcube_cubehub.publishing.model import PublishError, Record
from xcube_cubehub.publishing.records import Folders
from xcube_cubehub.shards import flush, write_whole
from xcube_cubehub.writer import CubeWriter

log = logging.getLogger(__name__)
PART_BYTES = 2 * 2**20
"""Of a part before it is compressed; with headers it stays below what the processes in front take."""
LEFT_S = 86400.0
"""An upload that nobody goes on with is removed after so long."""
META, CUBE, PARTS = "upload.json", "cube", "parts"
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Meta(BaseModel):
    """What is known of an upload from its beginning."""

    model_config = ConfigDict(frozen=True)

    id: str
    digest: str
    """Of what was asked for: who asks for the same goes on with it."""
    boot: str
    """Files are not made to survive a power cut one by one, so an upload does not outlive the boot of the machine."""
    draft: Record
    times: list[int]
    attributes: dict[str, Any]
    variables: dict[str, dict[str, Any]]


def boot_id() -> str:
    """Changes when the machine starts."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


@contextmanager
def disk_errors() -> Iterator[None]:
    """Say it when the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise PublishError(
                507, "disk_full", "the platform's disk is full; nothing of this cube is shown, what was there stays",
                "tell the operator; then publish again, it goes on where it was",
            ) from error  # fmt: skip
        raise


def check_free(folder: Path, keep_free: int) -> None:
    """Refuse to fill the disk.

    Raises
    ------
    PublishError
        507.
    """
    if shutil.disk_usage(folder).free < keep_free:
        raise PublishError(
            507, "disk_low", "the platform's disk has no room left for published cubes", "tell the operator; try again later"
        )  # fmt: skip


class Upload:
    """One cube that is being sent. Its methods block; one at a time.

    Parameters
    ----------
    folder : path
        Its own.
    """

    def __init__(self, folder: Path, meta: Meta) -> None:
        self.folder, self.meta = folder, meta
        self.cube = folder / CUBE
        self.lock = threading.Lock()
        self.touched = time.time()
        self.finishing: tuple[int, int] | None = None
        """Parts of the time store that are written, and all; while it is being finished."""
        self.failure: PublishError | None = None
        """Why it could not be finished."""
        self.writing = False
        """While a step is written, which takes as long as it takes: parts are not waited with."""
        self.given_up = False
        """Whoever has it in hand removes it afterwards."""
        self._index: Index | None = None
        self._writer: CubeWriter | None = None
        self._bytes: int | None = None
        self._held: int | None = None

    @classmethod
    def begin(cls, folders: Folders, draft: Record, accepted: Accepted, digest: str) -> "Upload":
        """Make a new one."""
        name = secrets.token_hex(16)
        folder = folders.uploads / name
        meta = Meta(
            id=name, digest=digest, boot=boot_id(), draft=draft.model_copy(update={"folder": f"{draft.id}.{name}"}),
            times=list(accepted.times), attributes=accepted.attributes, variables=accepted.variables,
        )  # fmt: skip
        try:
            with disk_errors():
                (folder / PARTS).mkdir(parents=True)
                (folder / CUBE).mkdir()
                CubeWriter(
                    folder / CUBE, accepted.index, meta.attributes, meta.variables, durable=False
                ).create()
                # last: a folder without it is no upload
                write_whole(folder / META, meta.model_dump_json().encode())
        except Exception:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return cls(folder, meta)

    @classmethod
    def load(cls, folder: Path) -> "Upload | None":
        """One that was begun; None for what is none, or does not go on."""
        try:
            meta = Meta.model_validate_json((folder / META).read_bytes())
        except (OSError, ValidationError):
            return None
        if meta.id != folder.name or meta.boot != boot_id():
            return None
        made = cls(folder, meta)
        try:
            made.touched = max(p.stat().st_mtime for p in (folder / META, folder / PARTS, folder))
        except OSError:
            return None
        return made

    @property
    def writer(self) -> CubeWriter:
        """Of its cube."""
        if self._writer is None:
            self._writer = CubeWriter(
                self.cube, read_index(self.cube), self.meta.attributes, self.meta.variables, durable=False
            )
        return self._writer

    @property
    def index(self) -> Index:
        """What it has so far."""
        if not self.cube.exists():
            # moved to where it belongs, and not named yet
            raise PublishError(409, "all_there", "all steps are there", "finish it")
        return self.writer.index

    @property
    def done(self) -> int:
        """Steps that are whole."""
        return len(self.meta.times) if not self.cube.exists() else len(self.index.times)

    def bands(self) -> tuple[int, int]:
        """Rows of a part, and parts of a variable in a step."""
        rows, columns = self.index.shape
        height = min(max(1, PART_BYTES // (4 * columns)), rows)
        return height, -(-rows // height)

    def waiting(self) -> list[tuple[str, int]]:
        """Parts of the next step that are there: variable and number."""
        names, step = list(self.index.variables), self.done
        found = []
        for path in (self.folder / PARTS).glob(f"{step}.*"):
            _, variable, part = path.name.split(".")
            found.append((names[int(variable)], int(part)))
        return sorted(found)

    def fingerprints(self) -> list[str]:
        """Of the steps that are whole, in their order."""
        if not self.cube.exists():
            return []
        notes = read_provenance(self.cube)
        return [str(notes.get(t, {}).get("fingerprint", "")) for t in self.index.times]

    def put(self, step: int, name: str, part: int, digest: str, body: bytes) -> None:
        """Take a part.

        Parameters
        ----------
        digest : str
            SHA-256 of the values, float32 and little-endian, before they were compressed.
        body : bytes
            The values, by zlib.

        Raises
        ------
        PublishError
            It is not what was announced, or not its turn.
        """
        if step < self.done:
            return
        self._turn(step)
        if name not in self.index.variables:
            raise PublishError(404, "no_variable", f"the cube has no variable {name[:80]!r}")
        height, count = self.bands()
        if not 0 <= part < count:
            raise PublishError(404, "no_part", f"a variable has parts 0 to {count - 1}, not {part}")
        rows, columns = self.index.shape
        size = 4 * columns * (min(rows, (part + 1) * height) - part * height)
        values = _inflated(body, size)
        if hashlib.sha256(values).hexdigest() != digest.lower():
            raise PublishError(
                400, "damaged", f"part {part} of {name} in step {step} came damaged", "send it again"
            )
        path, held = self._part(step, name, part), self.held()
        before = path.stat().st_size if path.exists() else 0
        with disk_errors():
            # as it came: what waits is no larger than what was sent
            write_whole(path, body)
        self._held = held + len(body) - before
        self.touched = time.time()

    def _part(self, step: int, name: str, part: int) -> Path:
        return self.folder / PARTS / f"{step}.{list(self.index.variables).index(name)}.{part}"

    def _turn(self, step: int) -> None:
        if step != self.done or step >= len(self.meta.times):
            raise PublishError(
                409, "not_its_turn", f"step {step} is not the next one", "go on where the upload is", next=self.done
            )  # fmt: skip

    def commit(self, step: int) -> None:
        """Write a step whose parts are all there."""
        if step < self.done:
            return
        self._turn(step)
        _, count = self.bands()
        there = set(self.waiting())
        missing = [(n, p) for n in self.index.variables for p in range(count) if (n, p) not in there]
        if missing:
            raise PublishError(
                409, "parts_missing", f"{len(missing)} parts of step {step} are missing, the first is {missing[0][1]} of {missing[0][0]}",
                "send them", next=step,
            )  # fmt: skip
        seconds = self.meta.times[step]
        digest = hashlib.sha256()
        for name in self.index.variables:
            for part in range(count):
                digest.update(hashlib.sha256(self.values_of(step, name, part)).digest())
        with disk_errors():
            self.writer.append(seconds, _Fields(self, step, count))
            self._note(seconds, digest.hexdigest())
            for path in (self.folder / PARTS).iterdir():
                path.unlink()
        self._held = 0
        self._grown(step, seconds)

    def adopt(self, step: int, other: Path, fingerprint: str) -> None:
        """Take a step over from the version that is published, by hard links.

        Raises
        ------
        PublishError
            409: it has no such step, or with other values.
        """
        if step < self.done:
            return
        self._turn(step)
        seconds = self.meta.times[step]
        known = known_steps(other, self.index)
        if not fingerprint or known.get(seconds) != fingerprint:
            raise PublishError(
                409, "not_the_same", "the published cube has other values there", "send the step"
            )
        old = CubeWriter(other, read_index(other), {}, {}, durable=False)
        with disk_errors():
            # what a crash left of it
            for name in self.index.variables:
                for level in range(self.index.levels):
                    shutil.rmtree(level_array(self.cube, level, name) / "c" / str(step), ignore_errors=True)
                pack_path(self.cube, name, seconds).unlink(missing_ok=True)
            self.writer.adopt(old, [seconds])
            self._note(seconds, fingerprint)
        self._grown(step, seconds)

    def _note(self, seconds: int, fingerprint: str) -> None:
        software = f"cubehub.publish by {self.meta.draft.owner_name}, cubehub-cubes {__version__}"
        add_note(
            self.cube, {"time": seconds, "fingerprint": fingerprint, "sources": [], "software": software}
        )

    def _grown(self, step: int, seconds: int) -> None:
        self.touched = time.time()
        size = 0
        for name in self.index.variables:
            for level in range(self.index.levels):
                size += size_of(level_array(self.cube, level, name) / "c" / str(step))
            pack = pack_path(self.cube, name, seconds)
            size += pack.stat().st_size if pack.exists() else 0
        # else the step is counted with all that is there
        self._bytes = self.size() if self._bytes is None else self._bytes + size

    def size(self) -> int:
        """Bytes of the steps that it has so far."""
        if self._bytes is None:
            self._bytes = size_of(self.cube) if self.cube.exists() else 0
        return self._bytes

    def held(self) -> int:
        """Bytes of the parts that wait for their step."""
        if self._held is None:
            self._held = size_of(self.folder / PARTS)
        return self._held

    def values_of(self, step: int, name: str, part: int) -> bytes:
        """A part that waits: its values, float32 and little-endian."""
        return zlib.decompress(self._part(step, name, part).read_bytes())

    def finish(self, folders: Folders, now: float, check: Callable[[int], None]) -> Record:
        """Build what is still missing and put it where the server looks; the record, not kept yet.

        Parameters
        ----------
        check : callable
            Told the bytes that the cube has; raises where these are too many.
        """
        target = folders.cubes / self.meta.draft.folder
        if self.cube.exists():
            if self.done < len(self.meta.times):
                raise PublishError(
                    409, "steps_missing", f"{len(self.meta.times) - self.done} steps are missing", "send them", next=self.done
                )  # fmt: skip
            with disk_errors():
                self.writer.finish(self._progress)
                self._describe(now)
                flush(self.cube)
                check(size_of(self.cube))
                folders.cubes.mkdir(parents=True, exist_ok=True)
                self.cube.rename(target)
                flush(target)
        size = size_of(target)
        check(size)
        return self.meta.draft.model_copy(
            update={"bytes": size, "times": len(self.meta.times), "published": now}
        )

    def _progress(self, done: int, total: int) -> None:
        self.finishing = (done, total)
        self.touched = time.time()

    def _describe(self, now: float) -> None:
        draft, index = self.meta.draft, self.index
        rows, columns = index.shape
        south, north = sorted((index.north, index.north + rows * index.dy))
        bounds = (index.west, south, index.west + columns * index.dx, north)
        about = Described(
            draft.id,
            draft.title,
            draft.description or draft.title,
            draft.license or "other",
            draft.attribution,
        )
        with xr.open_zarr(self.cube / PYRAMID / "0.zarr", chunks=None) as dataset:
            item = stac_item(about, dataset, bounds, index.crs)
        item["properties"] |= {
            "published": _iso(now), "expires": _iso(draft.expires), "providers": [{"name": draft.owner_name, "roles": ["producer"]}],
        }  # fmt: skip
        write_whole(self.cube / "item.json", json.dumps(item, indent=1).encode())
        stamp = {"recipe": "published", "format": FORMAT, "title": draft.title, "revision": index.version}
        write_whole(self.cube / STAMP, json.dumps(stamp).encode())

    def remove(self) -> None:
        """Take away all of it."""
        (self.folder / META).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


class _Fields(Mapping[str, npt.NDArray[np.float32]]):
    """A step's variables, read from their parts one at a time."""

    def __init__(self, upload: Upload, step: int, count: int) -> None:
        self._upload, self._step, self._count = upload, step, count

    def __getitem__(self, name: str) -> npt.NDArray[np.float32]:
        upload = self._upload
        made = np.empty(upload.index.shape, "<f4")
        height, _ = upload.bands()
        for part in range(self._count):
            band = made[part * height : (part + 1) * height]
            band[:] = np.frombuffer(upload.values_of(self._step, name, part), "<f4").reshape(band.shape)
        return made

    def __iter__(self) -> Iterator[str]:
        return iter(self._upload.index.variables)

    def __len__(self) -> int:
        return len(self._upload.index.variables)


def _inflated(body: bytes, size: int) -> bytes:
    """What was compressed, which has to have a certain size: no more of it is ever held."""
    try:
        machine = zlib.decompressobj()
        values = machine.decompress(body, size + 1)
    except zlib.error as error:
        raise PublishError(
            400, "damaged", "the part cannot be decompressed", "send it again, by zlib"
        ) from error
    if len(values) != size or not machine.eof or machine.unused_data:
        raise PublishError(400, "wrong_size", f"the part has to hold {size} bytes when it is decompressed")
    return values


def known_steps(cube: Path, wanted: Index) -> dict[int, str]:
    """Fingerprints by time of a cube whose steps can be taken over into one like ``wanted``; empty if they cannot."""
    try:
        index = read_index(cube)
    except CubeError:
        return {}
    same = ("crs", "west", "north", "dx", "dy", "shape", "levels", "dims", "variables")
    if any(getattr(index, n) != getattr(wanted, n) for n in same) or list(index.variables) != list(
        wanted.variables
    ):
        return {}
    there = set(index.times)
    return {
        t: str(found["fingerprint"])
        for t, found in read_provenance(cube).items()
        if t in there and "fingerprint" in found
    }


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")

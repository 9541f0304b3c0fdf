"""A cube whose home is a bucket: the builder works on a local copy, and each step that is done goes up.

::

    PREFIX/NAME.cube.json   what the cube holds, and in which folder its arrays are; replaced last, by one request
    PREFIX/NAME.build.json  the stamp by which it is published
    PREFIX/NAME.item.json   the STAC item
    PREFIX/NAME/FOLDER/     pyramid.levels, series.zarr, tiles, provenance.jsonl, …: as in a local cube

What is there is added to, and a step whose scenes changed is written in its place. Where steps come in between, which
would give others new numbers, the whole cube goes up into a folder of its own, and ``NAME.cube.json`` then names that
one; the old folder stays for as long as somebody may be reading it.
"""

import math
import secrets
import shutil
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from xcube_cubehub.bucket import Bucket, BucketError, ChangedError
from xcube_cubehub.build import STAMP
from xcube_cubehub.errors import CubeError
from xcube_cubehub.fast.packs import pack_path
from xcube_cubehub.index import (
    INDEX,
    PYRAMID,
    SEEN,
    SERIES,
    SERIES_STEPS,
    Index,
    decode_index,
    encode_index,
    level_array,
    read_index,
    series_array,
)
from xcube_cubehub.shards import Layout, shard_path, write_whole
from xcube_cubehub.summary import summary_path

PROVENANCE, REPORT, ITEM = "provenance.jsonl", "report.json", "item.json"
AT_ONCE = 16
"""Requests at the same time: each is waited for, mostly."""
KEPT_S = 3600
"""How long a folder stays that no cube names any more."""
RETIRED = "retired-"
_NOWHERE = Path()
T = TypeVar("T")


def index_key(name: str) -> str:
    """Where a cube's index is, below the prefix."""
    return f"{name}.{INDEX}"


def stamp_key(name: str) -> str:
    """Where its stamp is."""
    return f"{name}.{STAMP}"


class Origin:
    """One cube in a bucket, and its local copy.

    Parameters
    ----------
    bucket : Bucket
        At the prefix of all cubes.
    cube : path
        Folder of the local copy, named as the cube. It is ours: what is there and not in the bucket is taken away.
    """

    def __init__(self, bucket: Bucket, cube: Path) -> None:
        self.bucket, self.cube, self.name = bucket, cube, cube.name
        self._etag: str | None = None
        self._index: Index | None = None
        self._folder = ""
        self._sent: dict[str, bytes] = {}

    @property
    def address(self) -> str:
        """Where its arrays lie now."""
        return f"{self.bucket.address}/{self.name}/{self._folder}"

    def begin(self) -> None:
        """Have the local copy say what the bucket says; arrays come later (`need`).

        Raises
        ------
        CubeError
            The bucket does not answer, or what it holds is damaged.
        """
        got = self.bucket.get(index_key(self.name))
        if got is None:
            shutil.rmtree(self.cube, ignore_errors=True)
            return
        there = decode_index(got.data, f"{self.bucket.address}/{index_key(self.name)}")
        self._etag, self._index, self._folder = got.etag, there, there.place
        try:
            if read_index(self.cube).version == there.version:
                return
        except CubeError:
            pass
        # A step that did not go up is made again: that is simpler than to find out what of it is missing
        shutil.rmtree(self.cube, ignore_errors=True)
        for name in (PROVENANCE, REPORT, SEEN):
            self._fetch(f"{self.name}/{self._folder}/{name}", self.cube / name)
        self._fetch_summaries(there)
        self._fetch(stamp_key(self.name), self.cube / STAMP)
        self._fetch(f"{self.name}.{ITEM}", self._item)
        write_whole(self.cube / INDEX, encode_index(replace(there, place="")))

    def _fetch_summaries(self, index: Index) -> None:
        """What each time amounts to; of times where that was never noted the values, from which it is worked out."""
        base = f"{self.name}/{self._folder}/"
        wanted = [
            (name, step, summary_path(_NOWHERE, name, t))
            for name in index.variables
            for step, t in enumerate(index.times)
        ]
        found = self._all(lambda w: self._fetch(base + w[2].as_posix(), self.cube / w[2]), wanted)
        keys = [
            key.as_posix()
            for (name, step, _), there in zip(wanted, found, strict=True)
            for key in _shards(level_array(_NOWHERE, 0, name), index.layout(name, 0), step)
            if not there
        ]
        if not all(self._all(lambda key: self._fetch(base + key, self.cube / key), keys)):
            self._confirm()

    @property
    def _item(self) -> Path:
        return self.cube.with_name(f"{self.name}.{ITEM}")

    def _fetch(self, key: str, path: Path) -> bool:
        if path.exists():
            return True
        got = self.bucket.get(key)
        if got is None:
            return False
        write_whole(path, got.data)
        return True

    def need(self, first: int | None) -> None:
        """Fetch what is not here of the finest level, from a step on; None for all that there is of the cube.

        Raises
        ------
        BucketError
            The bucket does not answer.
        """
        index = self._index
        if index is None:
            return
        base = f"{self.name}/{self._folder}/"
        if first is None:
            keys = [key.removeprefix(base) for key, _ in self.bucket.below(base)]
            keys = [key for key in keys if ".." not in PurePosixPath(key).parts]
        else:
            keys = [
                key.as_posix()
                for name in index.variables
                for step in range(first, len(index.times))
                for key in _shards(level_array(_NOWHERE, 0, name), index.layout(name, 0), step)
            ]
        found = self._all(lambda key: self._fetch(base + key, self.cube / key), keys)
        if not all(found):
            # No object means no value, but only while the bucket is there at all
            self._confirm()

    def _confirm(self) -> None:
        """See that nobody else has written the cube: asked before anything is written, and before it can be seen."""
        got = self.bucket.get(index_key(self.name))
        if (None if got is None else got.etag) != self._etag:
            raise ChangedError(
                f"another build has written {self.name} in {self.bucket.address}, or taken it away",
                "let one build run at a time, then run this one again: it goes on from what is there",
            )

    def step(self, index: Index, seconds: int) -> None:
        """Send up a step that is whole here.

        Raises
        ------
        BucketError
            It did not all arrive; readers see the cube as it was.
        """
        if not self._folder:
            self._folder = _folder_name()
        self._confirm()
        step = index.times.index(seconds)
        keys = [
            key
            for name in index.variables
            for level in range(index.levels)
            for key in _shards(level_array(_NOWHERE, level, name), index.layout(name, level), step)
        ]
        keys += [pack_path(_NOWHERE, name, seconds) for name in index.prepared]
        keys += [summary_path(_NOWHERE, name, seconds) for name in index.variables]
        self._send_arrays(keys)
        self._send_rest(index)

    def finished(self, *, anew: bool = False) -> None:
        """Send up what the end of a build wrote.

        Parameters
        ----------
        anew : bool
            The local copy is another cube than before: it goes into a folder of its own.

        Raises
        ------
        BucketError
            It did not all arrive.
        """
        index = read_index(self.cube)
        before = self._index
        if anew or before is None or not self._folder:
            self._anew(index)
        elif before.version != index.version:
            keys = []
            for name in index.variables:
                layout = index.series_layout(name)
                for block in range(
                    before.series_steps // SERIES_STEPS, math.ceil(index.series_steps / SERIES_STEPS)
                ):
                    keys += _shards(series_array(_NOWHERE, name), layout, block)
            self._send_arrays(keys)
            self._send_rest(index)
        for key, path in ((f"{self.name}.{ITEM}", self._item), (stamp_key(self.name), self.cube / STAMP)):
            if path.exists():
                self.bucket.put(key, path.read_bytes())
        self._sweep()

    def _anew(self, index: Index) -> None:
        old, self._folder = self._folder, _folder_name()
        self._sent.clear()
        arrays = [
            p.relative_to(self.cube) for p in self.cube.rglob("*") if p.is_file() and _is_array(p, index)
        ]
        self._send_arrays(arrays)
        if old:
            now = datetime.now(UTC).replace(microsecond=0).isoformat()
            self.bucket.put(f"{self.name}/{RETIRED}{old}", now.encode())
        self._send_rest(index)

    def _send_arrays(self, keys: Iterable[Path]) -> None:
        """Put files that are here, and take away objects that are not: those of a build that did not come to its end."""
        base, absent = f"{self.name}/{self._folder}/", []

        def send(key: Path) -> None:
            try:
                data = (self.cube / key).read_bytes()
            except FileNotFoundError:
                absent.append(base + key.as_posix())
                return
            self.bucket.put(base + key.as_posix(), data)

        self._all(send, keys)
        if absent:
            self.bucket.delete(absent)

    def _send_rest(self, index: Index) -> None:
        """Send documents, axes before the arrays that are as long, groups last; then the index, by which all is seen."""
        base = f"{self.name}/{self._folder}/"
        self._confirm()
        for documents in _documents(self.cube, index):
            changed = {}
            for path in documents:
                key = path.relative_to(self.cube).as_posix()
                data = path.read_bytes()
                digest = blake2b(data, digest_size=16).digest()
                if self._sent.get(key) != digest:
                    changed[key] = (data, digest)
            self._all(lambda item: self.bucket.put(base + item[0], item[1][0]), changed.items())
            self._sent.update({key: digest for key, (_, digest) in changed.items()})
        data = encode_index(replace(index, place=self._folder))
        try:
            self._etag = self.bucket.put(index_key(self.name), data, replacing=self._etag)
        except ChangedError as error:
            # What was sent and not answered is sent again, and then meets itself
            got = self.bucket.get(index_key(self.name))
            if got is None or got.data != data:
                raise ChangedError(
                    f"another build has written {self.name} in {self.bucket.address}",
                    "let one build run at a time, then run this one again: it goes on from what is there",
                ) from error
            self._etag = got.etag
        self._index = index

    def _sweep(self) -> None:
        """Take away folders that no cube names: at once if none ever did, else when nobody reads them any more."""
        folders, notes = self.bucket.folder(self.name)
        for folder in folders:
            if folder == self._folder:
                continue
            note = f"{RETIRED}{folder}"
            if note in notes:
                got = self.bucket.get(f"{self.name}/{note}")
                if got is not None and time.time() - _moment(got.data) < KEPT_S:
                    continue
            keys = [key for key, _ in self.bucket.below(f"{self.name}/{folder}/")]
            for begin in range(0, len(keys), 1000):
                self.bucket.delete(keys[begin : begin + 1000])
            if note in notes:
                self.bucket.delete([f"{self.name}/{note}"])

    def _all(self, do: Callable[[Any], T], items: Iterable[Any]) -> list[T]:
        """Do it for all, some at once; the first failure ends it, with what has not begun left out."""
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="bucket") as pool:
            futures = [pool.submit(do, item) for item in items]
            try:
                return [future.result() for future in futures]
            except BucketError:
                for future in futures:
                    future.cancel()
                raise


def _folder_name() -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def _moment(text: bytes) -> float:
    try:
        return datetime.fromisoformat(text.decode()).timestamp()
    except ValueError:
        return 0.0


def _shards(array: Path, layout: Layout, first: int) -> list[Path]:
    """Where all shards of a variable are at one place of its first dimension."""
    rows, columns = (math.ceil(n / s) for n, s in zip(layout.shape[1:], layout.shard[1:], strict=True))
    return [shard_path(array, (first, j, i)) for j, i in product(range(rows), range(columns))]


def _is_array(path: Path, index: Index) -> bool:
    """Whether a file is a shard of a variable, a pack of tiles, or a summary of a time."""
    if path.name.startswith("."):  # was being written when a build ended
        return False
    return path.suffix in {".tiles", ".summary"} or any(
        parent.name == "c" and parent.parent.name in index.variables for parent in path.parents
    )


def _documents(cube: Path, index: Index) -> list[list[Path]]:
    """All other files, in the order in which they have to arrive."""
    groups = [*(cube / PYRAMID / f"{level}.zarr" for level in range(index.levels)), cube / SERIES]
    axes = [
        path for group in groups for name in ("time", *index.dims, "crs") for path in sorted((group / name).rglob("*"))
        if path.is_file()
    ]  # fmt: skip
    chunks = [path for path in axes if path.name != "zarr.json"]
    arrays = [path for path in axes if path.name == "zarr.json"]
    arrays += [group / name / "zarr.json" for group in groups for name in index.variables]
    last = [
        *(group / "zarr.json" for group in groups),
        cube / PYRAMID / "zarr.json",
        cube / PYRAMID / ".zlevels",
    ]
    others = [path for path in (cube / PROVENANCE, cube / REPORT, cube / SEEN) if path.exists()]
    return [chunks, arrays, last, others]

"""Follow a bucket of cubes: what their indexes and stamps say is kept in a local folder, which the servers look at."""

import logging
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from xcube_cubehub.bucket import Bucket, BucketError
from xcube_cubehub.build import STAMP
from xcube_cubehub.errors import CubeError
from xcube_cubehub.fast.disk import Disk
from xcube_cubehub.index import INDEX, decode_index, encode_index
from xcube_cubehub.shards import write_whole

log = logging.getLogger(__name__)
LOOK_S = 1.5
"""How often the bucket is listed: one request for a thousand objects."""
SHRINK_S = 20.0
PATIENCE_S = 6.0
LOOKED = ".looked"
"""In the folder, once it says what the bucket says."""
_KEY = re.compile(rf"([a-z0-9][a-z0-9-]{{0,62}})\.({re.escape(INDEX)}|{re.escape(STAMP)})")


class Follower:
    """Keeps a folder as the bucket is.

    Parameters
    ----------
    bucket : Bucket
        At the prefix of all cubes.
    mirror : path
        The folder: ``NAME/cube.json`` and ``NAME/build.json`` of each cube.
    """

    def __init__(self, bucket: Bucket, mirror: Path) -> None:
        self._bucket, self._mirror = bucket, mirror
        self._etags: dict[str, str] = {}
        self._away = False

    def look(self) -> bool:
        """Look once; whether the bucket answered. If not, all stays as it is, and the log says so once."""
        try:
            there = {key: etag for key, etag in self._bucket.folder()[1].items() if _KEY.fullmatch(key)}
            # Indexes first: a stamp makes a cube be looked at
            for key in sorted(there, key=lambda k: (k.endswith(STAMP), k)):
                if self._etags.get(key) != there[key]:
                    self._take(key)
        except BucketError as error:
            if not self._away:
                log.error("%s; %s; serving what is known", error.message, error.hint)  # noqa: TRY400
            self._away = True
            return False
        if self._away:
            log.info("%s answers again", self._bucket.address)
            self._away = False
        self._drop(there)
        write_whole(self._mirror / LOOKED, b"")
        return True

    def _take(self, key: str) -> None:
        name, what = key.split(".", 1)
        got = self._bucket.get(key)
        if got is None:
            return
        data = got.data
        if what == INDEX:
            try:
                index = decode_index(data, f"{self._bucket.address}/{key}")
            except CubeError as error:
                log.error("%s; the cube stays as it was", error.message)  # noqa: TRY400
                self._etags[key] = got.etag
                return
            place = f"{self._bucket.address}/{name}/{index.place}"
            data = encode_index(replace(index, place=place))
        write_whole(self._mirror / name / what, data)
        self._etags[key] = got.etag

    def _drop(self, there: dict[str, str]) -> None:
        """Take away cubes that are not in the bucket any more: their stamp first, by which they are published."""
        for folder in self._mirror.iterdir() if self._mirror.is_dir() else ():
            if folder.is_dir() and f"{folder.name}.{INDEX}" not in there:
                (folder / STAMP).unlink(missing_ok=True)
                shutil.rmtree(folder, ignore_errors=True)
                for what in (INDEX, STAMP):
                    self._etags.pop(f"{folder.name}.{what}", None)
            elif folder.is_dir() and f"{folder.name}.{STAMP}" not in there:
                (folder / STAMP).unlink(missing_ok=True)
                self._etags.pop(f"{folder.name}.{STAMP}", None)


def follow(address: str, mirror: Path, parts: Path, limit: int) -> NoReturn:
    """Look again and again, and keep the folder of parts below its limit, until the process is ended.

    Notes
    -----
    A process of its own: the fronts are forked, and what speaks with buckets has threads, which no fork takes along.
    """
    follower, disk = Follower(Bucket(address, PATIENCE_S), mirror), Disk(parts)
    shrunk = float("-inf")
    while True:
        follower.look()
        if time.monotonic() - shrunk > SHRINK_S:
            disk.shrink(limit)
            shrunk = time.monotonic()
        time.sleep(LOOK_S)

"""A bucket, a disk and a mail server that fail in the middle of the loop: resumed or rolled back, and nothing is purged."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from cubehub.errors import CubeHubError
from cubehub.storage import journal
from cubehub.storage.archive.bucket import BucketStore
from cubehub.storage.archivist import Archivist, name_of
from cubehub.storage.journal import ARCHIVED, PURGED, QUARANTINED, RETURNED
from cubehub.storage.places import ARCHIVE
from cubehub.storage.planning import Entry
from cubehub.storage.quarantine import Keeper
from cubehub_tests.buckets import BUCKET, S3, running_s3

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

OLD = 1_000_000
FAULTS = {
    "500 to each part": lambda method, path: 500 if method == "PUT" and "partNumber" in path else None,
    "503 to the end of the upload": lambda method, path: (
        503 if method == "POST" and "uploadId" in path else None
    ),
    "connections cut": lambda method, path: "cut" if method == "PUT" and "partNumber=2" in path else None,
    "answers lost": lambda method, path: "cut after" if method == "PUT" and "partNumber=2" in path else None,
    "wrong ETag of parts": lambda method, path: "etag" if method == "PUT" and "partNumber" in path else None,
    "no room (507)": lambda method, _path: 507 if method == "PUT" else None,
    "may not (403)": lambda method, _path: 403 if method in {"PUT", "POST"} else None,
    "half answers when it is read back": lambda method, path: (
        "half" if method == "GET" and "tar.zst" in path else None
    ),
    "gone when it is read back": lambda method, path: 404 if method == "GET" and "tar.zst" in path else None,
}


@pytest.fixture(scope="module")
def running() -> Iterator[S3]:
    with running_s3() as found:
        yield found


class Loop:
    """Something of ana's in quarantine, and a bucket."""

    def __init__(self, root: Path, s3: S3) -> None:
        self.homes, self.state, self.s3 = root / "homes", root / "state", s3
        self.patience_s = 1.0
        self.file = self.homes / "ana" / "work" / "big.nc"
        self.file.parent.mkdir(parents=True)
        self.content = os.urandom(12 << 20)
        self.file.write_bytes(self.content)
        os.utime(self.file, (OLD, OLD))
        entry = Entry(b"ana", b"work", "scratch", 2**24, 1, OLD, 2_000_000, self.file.parent.stat().st_ino)
        assert self.do(lambda k, _a, j: k.quarantine(j.begin_run("", "", 0), entry)).why == ""

    def do(self, act: Any) -> Any:
        store = BucketStore(
            f"s3://{BUCKET}/kept", self.s3.environment, part_bytes=5 << 20, patience_s=self.patience_s
        )
        try:
            with journal.opened(self.state) as made:
                keeper = Keeper(self.homes, made, lambda *_: "")
                try:
                    archivist = Archivist(keeper, made, store)
                    keeper.recover()
                    archivist.recover()
                    return act(keeper, archivist, made)
                finally:
                    keeper.close()
        finally:
            store.close()

    def each(self, what: str) -> Any:
        def act(_k: Keeper, archivist: Archivist, made: journal.Journal) -> Any:
            (move,) = made.moves(*journal.STATES)
            return getattr(archivist, what)(move)

        return self.do(act)

    def archives(self) -> set[str]:
        (move,) = journal.read(self.state, *journal.STATES)
        return {f"kept/{name_of(move)}{ARCHIVE}"}

    def state_now(self) -> str:
        (move,) = journal.read(self.state, *journal.STATES)
        return move.state


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bucket_that_fails_in_the_middle(tmp_path: Path, running: S3, fault: str) -> None:
    running.empty()
    loop = Loop(tmp_path, running)
    running.wire.trouble = FAULTS[fault]
    try:
        # some troubles are overcome: an answer that was lost is found out
        with suppress(CubeHubError):
            loop.each("archive")
        if loop.state_now() != ARCHIVED:
            assert loop.state_now() == QUARANTINED
            assert "no archive" in loop.each("purge").why
            assert running.keys() == set()
            assert running.uploads() <= loop.archives(), "parts stay for the next try only"
    finally:
        running.wire.trouble = lambda _method, _path: None
    if loop.state_now() == QUARANTINED:
        assert loop.each("archive").why == ""
    assert loop.state_now() == ARCHIVED
    assert running.uploads() == set(), "nothing is left half in the bucket"
    assert len(running.keys()) == 2
    assert loop.each("purge").why == ""
    assert loop.state_now() == PURGED
    assert loop.each("bring_back").why == ""
    assert loop.state_now() == RETURNED
    assert loop.file.read_bytes() == loop.content


@pytest.fixture
def cut(tmp_path: Path, running: S3) -> Loop:
    """An archive of which the second part did not get into the bucket."""
    running.empty()
    loop = Loop(tmp_path, running)
    running.wire.trouble = FAULTS["connections cut"]
    loop.patience_s = 0.2
    with pytest.raises(CubeHubError, match="connection failed"):
        loop.each("archive")
    loop.patience_s = 10.0
    running.wire.trouble = lambda _method, _path: None
    assert (loop.state_now(), running.keys(), running.uploads()) == (QUARANTINED, set(), loop.archives())
    running.wire.seen.clear()
    return loop


def test_an_archive_goes_on_from_the_parts_that_are_in_the_bucket(cut: Loop, running: S3) -> None:
    assert cut.each("archive").why == ""
    sent = [path for method, path in running.wire.seen if method == "PUT" and "partNumber" in path]
    assert not [path for path in sent if "partNumber=1&" in path], "it is there"
    assert [path for path in sent if "partNumber=2&" in path]
    assert running.uploads() == set()
    assert cut.each("purge").why == ""
    assert cut.each("bring_back").why == ""
    assert cut.file.read_bytes() == cut.content


def test_what_was_changed_meanwhile_is_archived_as_it_is_now(cut: Loop, running: S3) -> None:
    (item,) = cut.homes.rglob("big.nc")
    cut.content = os.urandom(1 << 20) + cut.content[1 << 20 :]
    item.write_bytes(cut.content)
    assert cut.each("archive").why == ""
    assert cut.each("purge").why == ""
    assert running.uploads() == set()
    assert cut.each("bring_back").why == ""
    assert cut.file.read_bytes() == cut.content


def test_of_what_is_back_nothing_stays_in_the_bucket(cut: Loop, running: S3) -> None:
    assert cut.each("bring_back").why == ""
    assert (running.keys(), running.uploads()) == (set(), set())


def test_of_what_is_back_without_the_bucket_nothing_stays_after_the_next_keeper(
    cut: Loop, running: S3
) -> None:
    running.wire.trouble = lambda _method, _path: 500
    with journal.opened(cut.state) as made:
        keeper = Keeper(cut.homes, made, lambda *_: "")
        assert keeper.put_back(made.moves(QUARANTINED)[0]).why == ""
        keeper.close()
    running.wire.trouble = lambda _method, _path: None
    cut.do(lambda *_: None)
    assert (running.keys(), running.uploads()) == (set(), set())


@pytest.mark.needs("root")
def test_a_disk_that_is_full_for_archives_and_then_is_not(tmp_path: Path) -> None:
    program = """
import os, sys
from pathlib import Path
from cubehub.storage import journal
from cubehub.storage.archive import opened
from cubehub.storage.archivist import Archivist
from cubehub.storage.planning import Entry
from cubehub.storage.quarantine import Keeper
from cubehub.errors import CubeHubError
root = Path(sys.argv[1])
file = root / "homes" / "ana" / "work" / "big.nc"
file.parent.mkdir(parents=True)
content = os.urandom(6 << 20)
file.write_bytes(content)
os.utime(file, (1, 1))
store = opened(root / "store" / "kept")
with journal.opened(root / "state") as made:
    keeper = Keeper(root / "homes", made, lambda *_: "")
    archivist = Archivist(keeper, made, store)
    entry = Entry(b"ana", b"work", "scratch", 2**24, 1, 1, 100, file.parent.stat().st_ino)
    assert keeper.quarantine(made.begin_run("", "", 0), entry).why == ""
    (move,) = made.moves(*journal.STATES)
    try:
        archivist.archive(move)
    except CubeHubError as error:
        print("refused:", error.message)
    (move,) = made.moves(*journal.STATES)
    assert move.state == "quarantined", move
    assert "no archive" in archivist.purge(move).why
    assert os.listdir(root / "store" / "kept") == []
    os.system(f"mount -o remount,size=64m {root / 'store'}")
    assert archivist.archive(move).why == ""
    (move,) = made.moves(*journal.STATES)
    assert archivist.purge(move).why == ""
    (move,) = made.moves(*journal.STATES)
    assert archivist.bring_back(move).why == ""
    assert file.read_bytes() == content
    print("whole")
"""
    (tmp_path / "store").mkdir()
    script = 'mount -t tmpfs -o size=4m tmpfs "$1/store" && exec "$2" -c "$3" "$1"'
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", str(tmp_path), sys.executable, program],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "refused:" in done.stdout
    assert "whole" in done.stdout

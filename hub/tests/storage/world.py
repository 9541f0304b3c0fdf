"""Homes among hostile people, and what lies outside: watched for whoever reads, moves or changes any of it."""

from __future__ import annotations

import ctypes
import hashlib
import os
import signal
import struct
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from cubehub.storage import journal
from cubehub.storage.grounds import FOLDER
from cubehub.storage.journal import PURGING, QUARANTINED
from cubehub.storage.planning import Entry
from cubehub.storage.quarantine import Keeper
from cubehub.storage.scan import scan
from cubehub.storage.tally import HomeTally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cubehub.storage.quarantine import Outcome

ANA, BEN = 21001, 21002
CACHE = b".cache/pip"
CUTOFF = 4_000_000_000
libc = ctypes.CDLL(None, use_errno=True)
_WATCHED = 0x3FF
"""All that inotify tells: reading, writing, attributes, opening, closing, moving, making and removing."""
_EVENT = struct.Struct("iIII")


def exchange(one: Path, other: Path) -> None:
    libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), 2)


def snapshot(top: Path) -> dict[str, tuple[Any, ...]]:
    """All that can be told of a tree, looked at so that it does not count as use."""
    found: dict[str, tuple[Any, ...]] = {}
    for path in (top, *top.rglob("*")):
        facts = path.lstat()
        told: tuple[Any, ...] = (facts.st_ino, facts.st_mode, facts.st_uid, facts.st_gid, facts.st_mtime_ns)
        if path.is_file() and not path.is_symlink():
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOATIME), "rb") as file:
                told += (facts.st_atime_ns, hashlib.sha256(file.read()).hexdigest())
        found[str(path)] = told
    return found


class Watch:
    """Tells who opened or read something below a folder."""

    def __init__(self, top: Path) -> None:
        self._told = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        for folder in (top, *(p for p in top.rglob("*") if p.is_dir())):
            assert libc.inotify_add_watch(self._told, os.fsencode(folder), _WATCHED) >= 0
        self.events()

    def events(self) -> list[str]:
        found = []
        with suppress(BlockingIOError):
            while told := os.read(self._told, 65536):
                at = 0
                while at < len(told):
                    _, mask, _, length = _EVENT.unpack_from(told, at)
                    name = told[at + _EVENT.size : at + _EVENT.size + length].rstrip(b"\0")
                    found.append(f"{mask:#x} {os.fsdecode(name)}")
                    at += _EVENT.size + length
        return found

    def close(self) -> None:
        os.close(self._told)


class World:
    """Homes of ana, who is hostile, and of ben, who is not; and a tree outside."""

    def __init__(self, on: Path) -> None:
        self.on, self.homes, self.state, self.outside = on, on / "homes", on / "state", on / "outside"
        self.ana, self.ben = self.homes / "ana", self.homes / "ben"
        self.pip = self.ana / ".cache" / "pip"
        self.homes.mkdir(mode=0o755)
        for top, owner in ((self.outside, 0), (self.ben, BEN), (self.ana, ANA)):
            for folder in (".cache/pip/deep", "pip/deep"):
                (top / folder).mkdir(parents=True)
                for name in ("a", "deep/b"):
                    (top / folder / ".." / name).resolve().write_text(f"of {owner}")
            self.give(top, owner)
        self.pub = on / "pub"
        self.pub.mkdir()
        self.give(self.pub, ANA)
        self.seconds = 1.0

    @staticmethod
    def give(top: Path, owner: int = ANA) -> None:
        for path in (top, *top.rglob("*")):
            os.lchown(path, owner, owner)

    def guarded(self, case: Callable[[World], str]) -> str:
        """Run a case: what came of it. Nothing outside may have been touched."""
        before = snapshot(self.outside) | snapshot(self.ben)
        watch = Watch(self.outside)
        told = case(self)
        events = watch.events()
        watch.close()
        assert not events, f"outside was looked into: {events[:5]}"
        after = snapshot(self.outside) | snapshot(self.ben)
        changed = sorted(k for k in before.keys() | after.keys() if before.get(k) != after.get(k))
        assert not changed, f"outside was changed: {[(k, before.get(k), after.get(k)) for k in changed[:3]]}"
        return told

    # What the keeper does

    @contextmanager
    def keeper(
        self, in_use: Callable[[int, set[tuple[int, int]]], str] | None = None
    ) -> Iterator[tuple[Keeper, journal.Journal]]:
        with journal.opened(self.state) as made:
            keeper = Keeper(self.homes, made, in_use or (lambda _home, _inodes: ""))
            try:
                keeper.recover()
                yield keeper, made
            finally:
                keeper.close()

    def entry(self, path: bytes = CACHE, home: bytes = b"ana", inode: int | None = None) -> Entry:
        if inode is None:
            try:
                inode = os.lstat(os.fsencode(self.homes) + b"/" + home + b"/" + path).st_ino
            except OSError:
                inode = 0
        return Entry(home, path, "pip", 2**40, 1, 0, CUTOFF, inode)

    def away(self, path: bytes = CACHE, **more: Any) -> Outcome:
        with self.keeper() as (keeper, made):
            return keeper.quarantine(made.begin_run(str(self.homes), "", 0), self.entry(path, **more))

    def back(self) -> list[Outcome]:
        with self.keeper() as (keeper, made):
            return [keeper.put_back(m) for m in made.moves(QUARANTINED)]

    def purge(self) -> list[Outcome]:
        with self.keeper() as (keeper, made):
            return [keeper.purge(m) for m in made.moves(QUARANTINED, PURGING)]

    def scan(self, processes: int = 1) -> Any:
        return scan(self.homes, processes=processes).homes.get(b"ana", HomeTally())

    def states(self) -> list[str]:
        with journal.opened(self.state) as made:
            return [m.state for m in made.moves(*journal.STATES)]

    def in_quarantine(self) -> list[Path]:
        there = (self.homes / os.fsdecode(FOLDER)).iterdir()
        return [one for one in there if one.name != ".number"]

    def round(self, path: bytes = CACHE, **more: Any) -> str:
        """Scan, move, put back, move again and remove: all of it must go."""
        tally = self.scan()
        one = self.away(path, **more)
        assert not one.why, one
        for two in self.back():
            assert not two.why, two
            assert two.path == path
        assert not self.away(path, **more).why
        for three in self.purge():
            assert not three.why, three
        assert self.in_quarantine() == []
        return f"moved, put back and removed; scanned {tally.own.files} files, {tally.unread_count} places unread"

    def refused(self, path: bytes = CACHE, **more: Any) -> str:
        """Scan, and try to move: it must stay, with a reason."""
        self.scan()
        done = self.away(path, **more)
        assert done.why, "it was moved"
        assert self.in_quarantine() == []
        return f"left alone: {done.why}"

    # Hostile people

    @contextmanager
    def attack(self, act: Callable[[], None], uid: int = ANA) -> Iterator[None]:
        """Somebody who does the same again and again as fast as can be, in a process of their own."""
        child = os.fork()
        if not child:
            try:
                os.setgroups([])
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
                while True:
                    with suppress(OSError):
                        act()
            finally:
                os._exit(1)
        try:
            yield
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)

    def race(
        self,
        act: Callable[[], None],
        uid: int = ANA,
        *,
        seconds: float,
        inode: int | None = None,
        path: bytes = CACHE,
    ) -> str:
        """The keeper does all that it does while somebody attacks: each ends with an outcome, and in the end all is in order."""
        inode = inode or self.pip.lstat().st_ino
        ends: dict[str, int] = {}
        rounds = 0
        with self.attack(act, uid):
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                rounds += 1
                if rounds % 20 == 1:
                    self.scan()
                outcomes = [self.away(path, inode=inode), *self.back()]
                if rounds % 7 == 0:
                    outcomes += [self.away(path, inode=inode), *self.back()]
                for one in outcomes:
                    ends[one.why or "done"] = ends.get(one.why or "done", 0) + 1
        with self.keeper() as (keeper, _):
            assert keeper.recover() == []
        slots = len(self.in_quarantine())
        assert slots == self.states().count(QUARANTINED), (
            "there is something in quarantine that is not written down"
        )
        return f"{rounds} rounds: {ends}"

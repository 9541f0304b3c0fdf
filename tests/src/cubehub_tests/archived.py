"""A home of which something was moved away, and a folder for archives, for the tests of what is done with both."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

from cubehub.storage import journal
from cubehub.storage.archive import opened
from cubehub.storage.archivist import Archivist
from cubehub.storage.grounds import FOLDER
from cubehub.storage.places import ARCHIVE, LISTING
from cubehub.storage.planning import Entry
from cubehub.storage.quarantine import Keeper

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cubehub.storage.journal import Move
    from cubehub.storage.quarantine import Outcome

OLD = 1_000_000


class Place:
    """A home of which ``work`` was moved away, and a folder for archives."""

    def __init__(self, root: Path, path: str = "work", kind: str = "large") -> None:
        self.homes, self.state, self.store = root / "homes", root / "state", root / "store"
        self.ana = self.homes / "ana"
        (self.ana / "work" / "deep").mkdir(parents=True)
        for name, text in (("a.ipynb", "{}"), ("deep/b.nc", "data" * 1000), ("deep/naïve\n", "x")):
            file = self.ana / "work" / name
            file.write_text(text)
            file.chmod(0o640)
            os.utime(file, (OLD, OLD))
        (self.ana / "work" / "link").symlink_to("a.ipynb")
        os.link(self.ana / "work" / "a.ipynb", self.ana / "work" / "second")
        os.utime(self.ana / "work" / "a.ipynb", (OLD, OLD))
        self.before = content(self.ana / "work")
        facts = (self.ana / path).stat()
        entry = Entry(
            b"ana", b"" if path == "." else path.encode(), kind, 2**40, 3, OLD, 2_000_000, facts.st_ino
        )

        def away(keeper: Keeper, _: Archivist, made: journal.Journal) -> Outcome:
            return keeper.quarantine(made.begin_run(str(self.homes), "", 0), entry)

        assert self.do(away).why == ""

    def do(
        self,
        act: Callable[[Keeper, Archivist, journal.Journal], Any],
        step: Callable[[str], None] = lambda _: None,
        wrap: Callable[[Any], Any] = lambda store: store,
    ) -> Any:
        store = opened(self.store)
        with journal.opened(self.state) as made:
            keeper = Keeper(self.homes, made, lambda *_: "", step)
            try:
                archivist = Archivist(keeper, made, wrap(store), step=step)
                keeper.recover()
                archivist.recover()
                return act(keeper, archivist, made)
            finally:
                keeper.close()
                store.close()

    def move(self) -> Move:
        with journal.opened(self.state) as made:
            (found,) = made.moves(*journal.STATES)
        return found

    def each(self, what: str, **more: Any) -> Outcome:
        done: Outcome = self.do(lambda _k, a, _j: getattr(a, what)(self.now(_j)), **more)
        return done

    @staticmethod
    def now(made: journal.Journal) -> Move:
        (found,) = made.moves(*journal.STATES)
        return found

    def archive(self, **more: Any) -> Outcome:
        return self.each("archive", **more)

    def back(self, **more: Any) -> Outcome:
        return self.each("bring_back", **more)

    def purge(self, **more: Any) -> Outcome:
        return self.each("purge", **more)

    def expire(self, **more: Any) -> Outcome:
        return self.each("expire", **more)

    def whole_places(self) -> list[str]:
        """Where all of it is: in the home, in quarantine, or in a sealed archive that is read back."""
        found = []
        if content(self.ana / "work") == self.before:
            found.append("home")
        made = self.move()
        item = self.homes / os.fsdecode(FOLDER) / str(made.id) / "item"
        if content(item) == self.before:
            found.append("quarantine")
        if made.seal is not None and all(
            (self.store / f"{made.archive}{ending}").exists() for ending in (ARCHIVE, LISTING)
        ):
            found.append("archive")
        return found


def content(folder: Path) -> dict[str, tuple[object, ...]]:
    """All names below a folder with what they are."""
    found: dict[str, tuple[object, ...]] = {}
    for path in folder.rglob("*") if folder.exists() else ():
        facts, name = path.lstat(), str(path.relative_to(folder))
        if stat.S_ISLNK(facts.st_mode):
            found[name] = ("link", os.readlink(path))  # noqa: PTH115
        elif stat.S_ISREG(facts.st_mode):
            at = os.open(path, os.O_RDONLY | os.O_NOATIME)
            found[name] = (os.read(at, 1 << 20), facts.st_mode, facts.st_mtime_ns, facts.st_nlink)
            os.close(at)
        else:
            found[name] = ("folder", facts.st_mode)
    return found


def killed_at(place: Place, act: str, wanted: str) -> None:
    """Do something in a process of its own that ends at a step as by kill -9."""
    child = os.fork()
    if not child:

        def step(name: str) -> None:
            if name == wanted:
                os._exit(9)

        getattr(place, act)(step=step)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9, f"{act} has no step {wanted}"


def nothing(_k: Keeper, _a: Archivist, _j: journal.Journal) -> None:
    """A start of the keeper, which brings in order what is not."""

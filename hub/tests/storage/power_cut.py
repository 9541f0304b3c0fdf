"""The current fails while the keeper works, again and again: ``power_cut.py KIND FOLDER CUTS SEED ARCHIVES``.

The homes and the journal are on a file system on a loop device. A cut is a copy of the device's image taken in one instant
(a reflink) while it is mounted: what the file system had not given to its device by then is not in it. Each copy is then
mounted, which replays the file system's own journal, the keeper recovers, every folder must be where the keeper's journal
says, every archive whole, and the keeper must be able to go on. ARCHIVES are on the ``same`` file system, or ``beside`` it on
another one whose current does not fail.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mounting
import whereabouts
from cubehub.storage import journal, trees
from cubehub.storage.archive.folder import FolderStore
from cubehub.storage.journal import RETURNED
from cubehub.storage.quarantine import Keeper

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cubehub.storage.archivist import Archivist

FICLONE = 0x40049409
THINGS = 8
UNPACKING = {f"archivist {name}" for name in ("unpacking", "scratch", "unpacked", "synced", "moved", "done")}
STEPS = UNPACKING | {
    *("intended", "slot", "moved", "synced", "quarantined"),
    *("returning", "back", "returned", "purging", "removed", "purged", "kill"),
    *(f"archivist {name}" for name in ("archiving", "packed", "verified", "archived", "expiring", "expired")),
}
USER = """
import os, random, sys
rng, n = random.Random(1), 0
while True:
    n += 1
    name = f"{sys.argv[1]}/{rng.randrange(20)}"
    with open(name, "a") as file:
        file.write("x" * rng.randrange(9000))
        if rng.random() < 0.3:
            os.fsync(file.fileno())
    if rng.random() < 0.3:
        os.replace(name, f"{sys.argv[1]}/{rng.randrange(20)}")
"""
"""A person who works meanwhile, and whose programs ask for the disk as well."""


class KilledError(BaseException):
    """As by kill -9: nothing of the keeper catches it."""


@dataclass
class Cut:
    """A copy of the image, and what had been told as done when it was taken."""

    file: Path
    when: str
    made: set[int]
    done: dict[int, str]
    expired: set[int]
    """Moves whose archive was told as deleted."""
    store: Path | None = None
    """What was in the store beside it in that instant."""


@dataclass
class Scene:
    """What is mounted, and what has happened so far."""

    image: Path
    copies: Path
    on: Path
    store: Path
    made: set[int] = field(default_factory=set)
    done: dict[int, str] = field(default_factory=dict)
    expired: set[int] = field(default_factory=set)
    cuts: list[Cut] = field(default_factory=list)
    tried: int = 0
    dead: bool = False
    """Whether the keeper was just killed: then it does nothing more, not even on its way out."""
    one: threading.Lock = field(default_factory=threading.Lock)

    @property
    def homes(self) -> Path:
        return self.on / "homes"

    @property
    def is_beside(self) -> bool:
        return not self.store.is_relative_to(self.on)

    def cut(self, when: str) -> None:
        with self.one:
            self._cut(when)

    def _cut(self, when: str) -> None:
        self.tried += 1
        before, made, expired = dict(self.done), set(self.made), set(self.expired)
        file = self.copies / f"{self.tried}.img"
        with self.image.open("rb") as there, file.open("wb") as copy:
            fcntl.ioctl(copy, FICLONE, there.fileno())
        store = self._copied() if self.is_beside else None
        # what was on its way while the copy was made may be so or so
        sure = {n: state for n, state in before.items() if self.done.get(n) == state}
        self.cuts.append(Cut(file, when, made, sure, expired, store))

    def _copied(self) -> Path:
        """What is in the store: nothing in it is ever written to again once it has its name."""
        store = self.copies / f"{self.tried}.store"
        store.mkdir(mode=0o700)
        for name in os.listdir(self.store):  # noqa: PTH208 - names
            os.link(self.store / name, store / name)
        return store

    def fill(self, number: int) -> None:
        """A thing that somebody made long ago: it is on the disk."""
        folder = self.homes / "ana" / "work" / f"p{number}"
        whereabouts.fill(folder, number)
        mounting.run("sync", "--file-system", folder)
        self.made.add(number)
        self.done[number] = RETURNED


class Beside(FolderStore):
    """A store in which nothing changes while the current fails elsewhere."""

    def __init__(self, path: Path, one: threading.Lock) -> None:
        super().__init__(path)
        self._one = one

    @contextmanager
    def put(self, name: str, **more: Any) -> Iterator[Any]:
        writing = super().put(name, **more)
        with self._one:
            sink = writing.__enter__()
        try:
            yield sink
        except BaseException:
            with self._one:
                writing.__exit__(*sys.exc_info())
            raise
        with self._one:
            writing.__exit__(None, None, None)

    def delete(self, name: str) -> None:
        with self._one:
            super().delete(name)

    def sweep(self, keep: Any = ()) -> int:
        with self._one:
            return super().sweep(keep)


def work(
    scene: Scene, keeper: Keeper, archivist: Archivist, made: journal.Journal, run: int, rng: random.Random
) -> None:
    """One thing that the keeper does."""
    act = whereabouts.chosen(whereabouts.possible(scene.homes, "work", made), rng)
    at_home = scene.homes / "ana" / "work"
    if (
        act.what in {"back", "unpack"}
        and rng.random() < 0.3
        and at_home.exists()
        and not any(at_home.iterdir())
    ):
        at_home.rmdir()
    # with the archive of what is back the thing itself stays where it is
    before = scene.done.pop(act.number, None)
    done = whereabouts.do(act, run, keeper, archivist)
    assert not done.why, done
    if act.what == "forget" and before is not None:
        scene.done[act.number] = before
    elif act.what != "forget":
        scene.done[act.number] = whereabouts.STATE_AFTER[act.what]
    if act.what in {"expire", "forget"}:
        assert act.move is not None
        scene.expired.add(act.move.id)
    if whereabouts.is_gone(act):
        scene.fill(max(scene.made) + 1)


def session(scene: Scene, rng: random.Random, steps: Counter[str], *, after_kill: bool) -> bool:
    """A keeper that recovers what the one before left, and does some things; or is killed at one of its steps, which it tells."""
    killing = rng.random() < 0.7
    working = False

    def step(name: str) -> None:
        steps[name] += 1
        if working and killing and rng.random() < (0.1 if name in UNPACKING else 0.06):
            scene.dead = True
            raise KilledError
        if rng.random() < (0.12 if working else 0.5):
            scene.cut(f"at {name}")

    store = Beside(scene.store, scene.one) if scene.is_beside else FolderStore(scene.store)
    with whereabouts.at_work(scene.homes, scene.on / "state", store, step) as (keeper, archivist, made):
        try:
            whereabouts.recover(keeper, archivist, made)
            if after_kill or rng.random() < 0.2:
                scene.cut("after recovery")
            working = True
            run = made.begin_run(str(scene.homes), "", 0)
            for _ in range(8):
                work(scene, keeper, archivist, made, run, rng)
                if rng.random() < 0.15:
                    scene.cut("between two")
        except KilledError:
            steps["kill"] += 1
            return True
        finally:
            scene.dead = False
            store.close()
    return False


def play(scene: Scene, cuts: int, rng: random.Random) -> Counter[str]:
    """Let the keeper work until the current was cut often enough: at its steps, at random instants, and after a kill."""
    steps: Counter[str] = Counter()
    ended = threading.Event()

    def at_random() -> None:
        own = random.Random(2)  # noqa: S311 - no secret
        while not ended.wait(own.random() * 0.3):
            scene.cut("at random")

    cutting = threading.Thread(target=at_random)
    cutting.start()
    killed = False
    try:
        while len(scene.cuts) < cuts or not steps.keys() >= STEPS:
            killed = session(scene, rng, steps, after_kill=killed)
    finally:
        ended.set()
        cutting.join()
    return steps


def look(on: Path, store_at: Path, cut: Cut, rng: random.Random) -> list[str]:
    """What is wrong after recovery, and after the keeper went on; nothing if all is where it was told to be."""
    store = FolderStore(store_at)
    numbers = set(cut.made)
    try:
        with whereabouts.at_work(on / "homes", on / "state", store) as (keeper, archivist, made):
            whereabouts.recover(keeper, archivist, made)
            again = whereabouts.recover(keeper, archivist, made)
        wrong = [f"a second recovery finds {again}"] if again else []
        # its owner may just have been making one
        coming = max(cut.made) + 1
        found = whereabouts.Look(on / "homes", on / "state", store, store_at, numbers, coming)
        wrong += found.wrong
        wrong += [
            f"{number} was told as {told}, and is {found.states[number]}"
            for number, told in cut.done.items()
            if found.states[number] != told
        ]
        wrong += [
            f"the archive of {m.id} was told as deleted"
            for m in found.moves
            if m.seal and m.id in cut.expired
        ]
        if wrong:
            return wrong
        with whereabouts.at_work(on / "homes", on / "state", store) as (keeper, archivist, made):
            run = made.begin_run(str(on / "homes"), "", 0)
            for _ in range(4):
                acts = [a for a in whereabouts.possible(on / "homes", "work", made) if a.number in numbers]
                act = whereabouts.chosen(acts, rng)
                done = whereabouts.do(act, run, keeper, archivist)
                if done.why:
                    wrong.append(f"it does not go on: {act}: {done.why}")
        return wrong + whereabouts.Look(on / "homes", on / "state", store, store_at, numbers, coming).wrong
    finally:
        store.close()


def main() -> None:
    kind, folder, cuts, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    beside = sys.argv[5] == "beside"
    rng = random.Random(seed)  # noqa: S311 - no secret
    # copies in an instant need a file system that shares blocks; it lies below the one that is looked at
    sharing = next((k for k in ("btrfs", "xfs") if mounting.known(k)), None)
    if sharing is None or not mounting.known(kind):
        sys.stdout.write(
            json.dumps({"refused": mounting.refusal("btrfs" if sharing is None else kind, folder)})
        )
        return
    outer = mounting.mounted(mounting.image(sharing, folder / "outer.img", 4000), folder / "outer")
    (outer / "copies").mkdir()
    image = mounting.image(kind, outer / "in.img")
    on = mounting.mounted(image, folder / "on")
    scene = Scene(image, outer / "copies", on, outer / "store" if beside else on / "store")
    removing = trees.remove
    # what unpacking takes away on its way out, a kill leaves
    trees.remove = lambda at, name: None if scene.dead else removing(at, name)
    for home in ("ana", "ben"):
        (scene.homes / home).mkdir(parents=True)
    for number in range(THINGS):
        scene.fill(number)
    with journal.opened(on / "state") as made:
        made.begin_run(str(scene.homes), "", 0)
        Keeper(scene.homes, made, lambda _home, _inodes: "").close()
    mounting.run("sync", "--file-system", on)
    with subprocess.Popen([sys.executable, "-c", USER, str(scene.homes / "ben")]) as user:
        try:
            told = play(scene, cuts, rng)
        finally:
            user.kill()
    mounting.run("umount", on)
    wrong: list[str] = []
    kinds: Counter[str] = Counter()
    for cut in scene.cuts:
        mounting.mounted(cut.file, on, direct=False)
        try:
            found = look(on, cut.store or on / "store", cut, rng)
            wrong += [f"{cut.file.stem}, {cut.when}: {one}" for one in found]
        finally:
            mounting.run("umount", on)
        cut.file.unlink()
        kinds[cut.when] += 1
    result = {"cuts": len(scene.cuts), "wrong": wrong, "when": kinds, "steps": told}
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main()

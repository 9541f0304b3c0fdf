"""The current fails while the keeper works, again and again: ``power_cut.py KIND FOLDER CUTS SEED``.

The homes and the journal are on a file system on a loop device. A cut is a copy of the device's image taken in one instant
(a reflink) while it is mounted: what the file system had not given to its device by then is not in it. Each copy is then
mounted, which replays the file system's own journal, the keeper recovers, and every folder must be in exactly one place.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import mounting
from cubehub.storage import journal
from cubehub.storage.journal import PURGED, QUARANTINED, RETURNED, Move
from cubehub.storage.planning import Entry
from cubehub.storage.quarantine import FOLDER, Keeper

FICLONE = 0x40049409
FILES = ("one", "two", "three")
CACHES = 8
STEPS = {
    *("intended", "slot", "moved", "synced", "quarantined"),
    *("returning", "back", "returned", "purging", "removed", "purged", "kill"),
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


@dataclass
class Scene:
    """What is mounted, and what has happened so far."""

    image: Path
    copies: Path
    on: Path
    made: set[int] = field(default_factory=set)
    done: dict[int, str] = field(default_factory=dict)
    cuts: list[Cut] = field(default_factory=list)
    tried: int = 0
    one: threading.Lock = field(default_factory=threading.Lock)

    @property
    def homes(self) -> Path:
        return self.on / "homes"

    def cut(self, when: str) -> None:
        with self.one:
            self._cut(when)

    def _cut(self, when: str) -> None:
        self.tried += 1
        before, made = dict(self.done), set(self.made)
        file = self.copies / f"{self.tried}.img"
        with self.image.open("rb") as there, file.open("wb") as copy:
            fcntl.ioctl(copy, FICLONE, there.fileno())
        # what was on its way while the copy was made may be so or so
        sure = {n: state for n, state in before.items() if self.done.get(n) == state}
        self.cuts.append(Cut(file, when, made, sure))

    def fill(self, number: int) -> None:
        """A cache that somebody made long ago: it is on the disk."""
        folder = self.homes / "ana" / ".cache" / f"p{number}"
        (folder / "a").mkdir(parents=True)
        for name in FILES:
            (folder / "a" / name).write_text(str(number))
        mounting.run("sync", "--file-system", folder)
        self.made.add(number)
        self.done[number] = RETURNED


def number_of(path: bytes) -> int:
    found = re.search(rb"/p(\d+)", path)
    assert found, path
    return int(found[1])


def work(scene: Scene, keeper: Keeper, made: journal.Journal, rng: random.Random) -> None:
    """One thing that the keeper does."""
    moves = made.moves(QUARANTINED)
    away = {number_of(m.path) for m in moves}
    gone = {number_of(m.path) for m in made.moves(PURGED)}
    at_home = sorted(scene.made - away - gone)
    if at_home and (not moves or rng.random() < 0.5):
        number = rng.choice(at_home)
        names = [
            p
            for p in (scene.homes / "ana" / ".cache").iterdir()
            if number_of(b"/" + os.fsencode(p.name)) == number
        ]
        (folder,) = names
        scene.done.pop(number, None)
        one = Entry(
            b"ana", b".cache/" + os.fsencode(folder.name), "pip", 1, 3, 0, 2**40, folder.lstat().st_ino
        )
        done = keeper.quarantine(made.last_run() or 1, one)
        assert not done.why, done
        scene.done[number] = QUARANTINED
    elif moves and rng.random() < 0.8:
        move = rng.choice(moves)
        if rng.random() < 0.3 and not at_home:
            shutil.rmtree(scene.homes / "ana" / ".cache")
        scene.done.pop(number_of(move.path), None)
        done = keeper.put_back(move)
        assert not done.why, done
        scene.done[number_of(move.path)] = RETURNED
    elif moves:
        move = rng.choice(moves)
        scene.done.pop(number_of(move.path), None)
        done = keeper.purge(move)
        assert not done.why, done
        scene.done[number_of(move.path)] = PURGED
        scene.fill(max(scene.made) + 1)


def session(scene: Scene, rng: random.Random, steps: Counter[str]) -> None:
    """A keeper that recovers what the one before left, and does some things; or is killed at one of its steps."""
    killing = rng.random() < 0.7
    working = False

    def step(name: str) -> None:
        steps[name] += 1
        if working and killing and rng.random() < 0.2:
            raise KilledError
        if rng.random() < 0.15:
            scene.cut(f"at {name}")

    with journal.opened(scene.on / "state") as made:
        keeper = Keeper(scene.homes, made, lambda _home, _inodes: "", step)
        try:
            keeper.recover()
            if rng.random() < 0.7:
                scene.cut("after recovery")
            working = True
            made.begin_run(str(scene.homes), "", 0)
            for _ in range(6):
                work(scene, keeper, made, rng)
                if rng.random() < 0.3:
                    scene.cut("between two")
        except KilledError:
            steps["kill"] += 1
        finally:
            keeper.close()


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
    try:
        while len(scene.cuts) < cuts or not steps.keys() >= STEPS:
            session(scene, rng, steps)
    finally:
        ended.set()
        cutting.join()
    return steps


def look(on: Path, cut: Cut) -> list[str]:
    """What is wrong after recovery; nothing if every folder is in one place, and all that was told as done is so."""
    with journal.opened(on / "state") as made:
        keeper = Keeper(on / "homes", made, lambda _home, _inodes: "")
        keeper.recover()
        again = keeper.recover()
        keeper.close()
        moves: list[Move] = made.moves(*journal.STATES)
    wrong = [f"a second recovery finds {again}"] if again else []
    where: dict[int, list[str]] = {n: [] for n in cut.made}
    for file in (on / "homes").rglob("one"):
        if file.parents[1].name == f"p{max(cut.made) + 1}":
            continue  # its owner was just making it
        texts = {(file.parent / name).read_text() for name in FILES}
        if len(texts) == 1:
            where.setdefault(int(texts.pop()), []).append(str(file.relative_to(on / "homes")))
        else:
            wrong.append(f"{file.parent} is not whole: {texts}")
    quarantined = {number_of(m.path): m.id for m in moves if m.state == QUARANTINED}
    purged = {number_of(m.path) for m in moves if m.state == PURGED}
    for number in sorted(cut.made):
        places = where[number]
        is_so = PURGED if number in purged else QUARANTINED if number in quarantined else RETURNED
        expected = {
            PURGED: None,
            RETURNED: r"ana/.*",
            QUARANTINED: rf"{os.fsdecode(FOLDER)}/{quarantined.get(number)}/.*",
        }[is_so]
        if len(places) != (expected is not None) or (expected and not re.fullmatch(expected, places[0])):
            wrong.append(f"{number} is in {places or 'no place'}, and the journal says {is_so}")
        if cut.done.get(number, is_so) != is_so:
            wrong.append(f"{number} was told as {cut.done[number]}, and is {is_so}")
    left = {p.name for p in (on / "homes" / os.fsdecode(FOLDER)).glob("[!.]*")} - {
        str(n) for n in quarantined.values()
    }
    return [*wrong, *(f"left in quarantine: {name}" for name in left)]


def main() -> None:
    kind, folder, cuts, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
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
    scene = Scene(image, outer / "copies", on)
    for home in ("ana", "ben"):
        (scene.homes / home).mkdir(parents=True)
    for number in range(CACHES):
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
            wrong += [f"{cut.file.stem}, {cut.when}: {found}" for found in look(on, cut)]
        finally:
            mounting.run("umount", on)
        cut.file.unlink()
        kinds[cut.when] += 1
    result = {"cuts": len(scene.cuts), "wrong": wrong, "when": kinds, "steps": told}
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main()

"""A keeper that moves, puts back and removes without end is killed at any moment: ``kills.py KIND FOLDER KILLS SEED``."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import mounting
from cubehub.storage import journal
from cubehub.storage.journal import PURGED, PURGING, QUARANTINED
from cubehub.storage.planning import Entry
from cubehub.storage.quarantine import FOLDER, ITEM, Keeper

CACHES = 20
LONGEST_S = 0.03


def fill(root: Path, number: int) -> None:
    folder = root / "homes" / "ana" / f"cache{number}" / "a"
    folder.mkdir(parents=True)
    for name in ("one", "two", "three"):
        (folder / name).write_text(str(number))


def keep(root: Path, seed: int, ready: int) -> None:
    """Move, put back and remove until killed."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    with journal.opened(root / "state") as made:
        keeper = Keeper(root / "homes", made, lambda _home, _inodes: "")
        run = made.begin_run(str(root / "homes"), "", 0)
        os.write(ready, b".")
        while True:
            keeper.recover()
            names = [n for n in os.listdir(root / "homes" / "ana") if n.startswith("cache")]  # noqa: PTH208
            moves = made.moves(QUARANTINED)
            if names and (not moves or rng.random() < 0.5):
                name = rng.choice(names)
                inode = (root / "homes" / "ana" / name).lstat().st_ino
                keeper.quarantine(run, Entry(b"ana", os.fsencode(name), "pip", 1, 3, 0, 2**40, inode))
            elif moves and rng.random() < 0.9:
                keeper.put_back(rng.choice(moves))
            elif moves:
                keeper.purge(rng.choice(moves))


def kill_one(root: Path, seed: int, after: float) -> None:
    """Start a keeper, and kill it some time after it was ready."""
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        try:
            keep(root, seed, theirs)
        finally:
            os._exit(1)
    os.close(theirs)
    ready = os.read(ours, 1)
    os.close(ours)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    assert ready, "the keeper ended before it was ready"
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, "the keeper ended by itself"


def kill(root: Path, kills: int, seed: int) -> dict[str, int]:
    """Kill, recover and look, again and again: how often, and what was under way then."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    made_so_far = CACHES
    for number in range(CACHES):
        fill(root, number)
    removed: set[int] = set()
    told: dict[str, int] = {}
    for one in range(kills):
        kill_one(root, seed * 1_000_000 + one, rng.random() ** 2 * LONGEST_S)
        with journal.opened(root / "state") as made:
            for move in made.moves("intended", "returning", "purging"):
                told[move.state] = told.get(move.state, 0) + 1
            keeper = Keeper(root / "homes", made, lambda _home, _inodes: "")
            keeper.recover()
            keeper.close()
            purged = len(made.moves(PURGED))
            assert not made.moves("intended", "returning", PURGING)
        there = whole(root)
        now = set(range(made_so_far)) - there
        assert removed <= now, "what was removed is back"
        assert len(now) == purged, "what is not there is written down as removed"
        removed = now
        while len(there) < CACHES:
            fill(root, made_so_far)
            there.add(made_so_far)
            made_so_far += 1
    return {"kills": kills, "made": made_so_far, "removed": len(removed)} | told


def whole(root: Path) -> set[int]:
    """Which caches are there with all of their files, in a home or in quarantine."""
    found: list[int] = []
    with journal.opened(root / "state") as made:
        quarantined = {str(m.id) for m in made.moves(QUARANTINED)}
    slots = list((root / "homes" / os.fsdecode(FOLDER)).glob("[!.]*"))
    assert quarantined == {p.name for p in slots}, "there is something in quarantine that is not written down"
    for folder in (*(root / "homes" / "ana").iterdir(), *(p / os.fsdecode(ITEM) for p in slots)):
        texts = [file.read_text() for file in (folder / "a").iterdir()]
        assert len(texts) == 3
        assert len(set(texts)) == 1
        found.append(int(texts[0]))
    assert len(found) == len(set(found)), "one is in two places"
    return set(found)


def main() -> None:
    kind, folder, kills, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    if kind != "here" and not mounting.known(kind):
        sys.stdout.write(json.dumps({"refused": mounting.refusal(kind, folder)}))
        return
    root = folder if kind == "here" else mounting.file_system(kind, folder)
    sys.stdout.write(json.dumps(kill(root, kills, seed)))


if __name__ == "__main__":
    main()

"""A keeper that moves, archives, puts back and removes without end is killed at any moment: ``kills.py KIND FOLDER KILLS SEED``.

KIND is a file system, ``here``, or ``two-keepers``: there two work at once, each having its turn while the other archives
or unpacks, and both are killed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import mounting
import whereabouts
from cubehub.errors import CubeHubError
from cubehub.storage.archive import opened

THINGS = 20
LONGEST_S = {False: 0.03, True: 0.06}
"""Before a kill, of a keeper without archives and of one with them, which take longer."""
QUICK = {"away", "back", "remove"}
UNDER_WAY = ("intended", "returning", "purging", "archiving", "unpacking", "expiring")


def keep(root: Path, seed: int, ready: int, *, archiving: bool) -> None:
    """Move, archive, put back and remove until killed."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    with whereabouts.at_work(root / "homes", root / "state", opened(root / "store")) as at_work:
        keeper, archivist, made = at_work
        run = made.begin_run(str(root / "homes"), "", 0)
        os.write(ready, b".")
        while True:
            whereabouts.recover(keeper, archivist, made)
            acts = whereabouts.possible(root / "homes", "", made)
            quick = [act for act in acts if act.what in QUICK]
            act = whereabouts.chosen(acts if archiving or not quick else quick, rng)
            whereabouts.do(act, run, keeper, archivist)


def kill_one(root: Path, seed: int, after: float, *, archiving: bool) -> None:
    """Start a keeper, and kill it some time after it was ready."""
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        try:
            keep(root, seed, theirs, archiving=archiving)
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


def whose(number: int) -> str:
    """Of three people."""
    return ("ana", "ben", "eve")[number // len(whereabouts.KINDS) % 3]


def keep_in_turns(root: Path, seed: int, tell: int) -> None:
    """As another keeper does the same: one thing a turn, for anybody of whom nothing is just archived or unpacked."""
    rng, store = random.Random(seed), opened(root / "store")  # noqa: S311 - no secret
    while True:
        try:
            with whereabouts.at_work(root / "homes", root / "state", store) as (keeper, archivist, made):
                whereabouts.recover(keeper, archivist, made)
                busy = {made.get(move).home.decode() for move in made.claimed()}
                free = [home for home in ("ana", "ben", "eve") if home not in busy]
                acts = [act for home in free for act in whereabouts.possible(root / "homes", "", made, home)]
                act = whereabouts.chosen(acts, rng)
                done = whereabouts.do(act, made.begin_run("", "", 0), keeper, archivist)
                assert not done.why, (act, done)
                os.write(tell, b"b" if busy else b".")
        except CubeHubError as error:
            if error.code != "busy":
                raise
            time.sleep(0.001)


def kill_two(root: Path, kills: int, seed: int) -> dict[str, int]:
    """Let two keepers work at once, kill both, recover and look, again and again."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    homes, state, store = root / "homes", root / "state", opened(root / "store")
    numbers = set(range(THINGS * 3))
    for number in numbers:
        whereabouts.fill(homes / whose(number) / f"p{number}", number)
    known: set[tuple[object, ...]] = set()
    told = {"acts": 0, "beside": 0}
    for one in range(kills):
        ours, theirs = os.pipe()
        children = []
        for keeper_number in range(2):
            if not (child := os.fork()):
                try:
                    keep_in_turns(root, seed * 1_000_000 + one * 2 + keeper_number, theirs)
                finally:
                    os._exit(1)
            children.append(child)
        os.close(theirs)
        acts = b""
        while len(acts) < 3 and (more := os.read(ours, 100)):
            acts += more
        time.sleep(rng.random() * LONGEST_S[True])
        for child in children:
            os.kill(child, signal.SIGKILL)
        ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        assert ends == [-signal.SIGKILL] * 2, "a keeper ended by itself"
        while more := os.read(ours, 4096):
            acts += more
        os.close(ours)
        told["acts"] += len(acts)
        told["beside"] += acts.count(b"b")
        with whereabouts.at_work(homes, state, store) as (keeper, archivist, made):
            assert made.claimed() == set(), "claims end with their processes"
            for move in made.moves(*UNDER_WAY):
                told[move.state] = told.get(move.state, 0) + 1
            whereabouts.recover(keeper, archivist, made)
            again = whereabouts.recover(keeper, archivist, made)
        assert not again, f"a second recovery finds {again}"
        look = whereabouts.Look(homes, state, store, root / "store", numbers, known=known, home_of=whose)
        assert not look.wrong, f"after kill {one}: {look.wrong}"
        while (
            sum(state not in whereabouts.GONE for state in look.states.values())
            + len(numbers - look.states.keys())
            < THINGS
        ):
            numbers.add(number := max(numbers) + 1)
            whereabouts.fill(homes / whose(number) / f"p{number}", number)
    return {"kills": kills, "archives read": len(known)} | told


def kill(root: Path, kills: int, seed: int) -> dict[str, int]:
    """Kill, recover and look, again and again: how often, and what was under way then."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    homes, state, store = root / "homes", root / "state", opened(root / "store")
    numbers = set(range(THINGS))
    for number in numbers:
        whereabouts.fill(homes / "ana" / f"p{number}", number)
    known: set[tuple[object, ...]] = set()
    gone: set[int] = set()
    told: dict[str, int] = {}
    for one in range(kills):
        archiving = rng.random() < 0.6
        after = rng.random() ** 2 * LONGEST_S[archiving]
        kill_one(root, seed * 1_000_000 + one, after, archiving=archiving)
        with whereabouts.at_work(homes, state, store) as (keeper, archivist, made):
            for move in made.moves(*UNDER_WAY):
                told[move.state] = told.get(move.state, 0) + 1
            whereabouts.recover(keeper, archivist, made)
            again = whereabouts.recover(keeper, archivist, made)
        assert not again, f"a second recovery finds {again}"
        look = whereabouts.Look(homes, state, store, root / "store", numbers, known=known)
        assert not look.wrong, f"after kill {one}: {look.wrong}"
        now = {n for n, state in look.states.items() if state in whereabouts.GONE and not look.last[n].seal}
        assert gone <= now, "what was removed is back"
        gone = now
        while len(numbers - gone) < THINGS:
            number = max(numbers) + 1
            whereabouts.fill(homes / "ana" / f"p{number}", number)
            numbers.add(number)
    return {"kills": kills, "made": len(numbers), "removed": len(gone), "archives read": len(known)} | told


def main() -> None:
    kind, folder, kills, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    if kind == "two-keepers":
        sys.stdout.write(json.dumps(kill_two(folder, kills, seed)))
        return
    if kind != "here" and not mounting.known(kind):
        sys.stdout.write(json.dumps({"refused": mounting.refusal(kind, folder)}))
        return
    root = folder if kind == "here" else mounting.file_system(kind, folder)
    sys.stdout.write(json.dumps(kill(root, kills, seed)))


if __name__ == "__main__":
    main()

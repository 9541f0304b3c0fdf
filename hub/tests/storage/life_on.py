"""The life of homes (`test_quarantine.Life`) on a file system of its own, while a person writes: ``life_on.py KIND FOLDER EXAMPLES``.

KIND is a file system, or ``two-mounts``: there each home is a mount of its own, out of which nothing can be moved.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path

import mounting
import test_quarantine
from cubehub.storage import journal
from cubehub.storage.grounds import FOLDER
from cubehub.storage.journal import PURGED, PURGING, QUARANTINED
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test

LINES = 30
told: Counter[str] = Counter()


def write(ana: Path, log: int) -> None:
    """A person at work: files of their own that come, grow and go, and new ones in caches, noted down once they are whole."""
    rng, number = random.Random(os.getpid()), 0  # noqa: S311 - no secret
    work = ana / "work"
    work.mkdir(exist_ok=True)
    while True:
        number += 1
        file = work / str(rng.randrange(10))
        with file.open("a") as at:
            at.write("x" * rng.randrange(5000))
        if rng.random() < 0.3:
            file.replace(work / str(rng.randrange(10)))
        with suppress(OSError):
            _in_a_cache(ana / rng.choice(("pip", "uv", "conda")), f"by-ana-{number}", log)


def _in_a_cache(cache: Path, name: str, log: int) -> None:
    """All by the folder's descriptor, as a program would that works in it: it may be moved meanwhile."""
    folder = os.open(cache, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with os.fdopen(os.open("a", os.O_RDONLY | os.O_NOATIME, dir_fd=folder)) as file:
            of = file.read()
        if not of:
            return  # just being made
        with os.fdopen(os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=folder), "w") as file:
            for line in range(LINES):
                file.write(f"{line}\n")
                file.flush()
        # as if long ago, or the cache would never be moved again
        os.utime(name, (test_quarantine.OLD, test_quarantine.OLD), dir_fd=folder)
        os.write(log, f"{of} {name}\n".encode())
    finally:
        os.close(folder)


class Shared(test_quarantine.Life):
    """The same with a person who writes meanwhile: nothing of theirs is missing either, unless it was removed with its cache."""

    mount = ""

    def __init__(self) -> None:
        super().__init__()
        self.child = 0

    @initialize()
    def begin(self) -> None:
        super().begin()
        if self.mount:
            mounting.run("mount", "-t", self.mount, self.mount, self.place.ana)
        self.log = self.folder / "log"
        log = os.open(self.log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        self.child = os.fork()
        if not self.child:
            try:
                write(self.place.ana, log)
            finally:
                os._exit(1)
        os.close(log)

    def stop(self) -> None:
        if self.child:
            os.kill(self.child, signal.SIGKILL)
            os.waitpid(self.child, 0)
            self.child = 0

    def teardown(self) -> None:
        try:
            self.each_is_in_one_place()
            told["lives"] += 1
            told["moves"] += len(self.place.states())
        finally:
            self.stop()
            if self.mount:
                mounting.run("umount", self.place.ana)
        super().teardown()

    @rule(
        names=st.lists(st.sampled_from(["pip", "uv", "conda"]), min_size=1, max_size=3),
        kill=st.none() | st.sampled_from(test_quarantine.STEPS_AWAY),
    )
    def fill_and_move(self, names: list[str], kill: str | None) -> None:
        """More of what matters than the rules of the other give by chance."""
        for name in names:
            self.write(name)
            self.away(name, kill)

    def act(self, what: str, kill: str | None, *entries: object) -> None:
        told[f"{what}, killed" if kill else what] += 1
        super().act(what, kill, *entries)  # type: ignore[arg-type]

    def each_is_in_one_place(self) -> None:
        if not self.child:
            return
        there: dict[str, list[Path]] = {}
        quarantine = self.place.homes / os.fsdecode(FOLDER)
        slots = list(quarantine.iterdir()) if quarantine.exists() else []
        noted = self.log.read_text().splitlines()
        for folder in (*self.place.ana.iterdir(), *(p / "item" for p in slots)):
            if (folder / "a").exists():
                there.setdefault(test_quarantine.text(folder / "a"), []).append(folder)
        with journal.opened(self.place.state) as made:
            purged = len(made.moves(PURGED, PURGING))
            quarantined = {str(m.id) for m in made.moves(QUARANTINED)}
        assert all(len(places) == 1 for places in there.values()), there
        assert {p.name for p in slots if (p / "item" / "a").exists()} == quarantined
        assert len(there) + purged == len(self.made)
        for line in noted:
            of, name = line.split()
            if of in there:
                told["files of the person seen"] += 1
                written = test_quarantine.text(there[of][0] / name)
                assert len(written.splitlines()) == LINES, f"{name} of {of} is not whole"


def main() -> None:
    kind, folder, examples = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if kind != "two-mounts" and not mounting.known(kind):
        sys.stdout.write(json.dumps({"refused": mounting.refusal(kind, folder)}))
        return
    Shared.mount = "tmpfs" if kind == "two-mounts" else ""
    tempfile.tempdir = str(mounting.file_system("tmpfs" if kind == "two-mounts" else kind, folder))
    run_state_machine_as_test(
        Shared,
        settings=settings(
            max_examples=examples,
            stateful_step_count=20,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()

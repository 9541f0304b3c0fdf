"""People who change things as fast as can be while the keeper looks, moves, puts back and removes."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from world import BEN, World, exchange

if TYPE_CHECKING:
    from collections.abc import Callable


def _swapped(w: World, what: str, target: str) -> str:
    """Something is exchanged for a link to somebody else's, again and again."""
    other = w.ana / "other"
    other.symlink_to(w.on / target)
    return w.race(lambda: exchange(w.ana / what, other), seconds=w.seconds)


def folder_and_link(w: World) -> str:
    return _swapped(w, ".cache/pip", "outside/.cache/pip")


def way_and_link(w: World) -> str:
    return _swapped(w, ".cache", "outside/.cache")


def way_and_link_to_ben(w: World) -> str:
    return _swapped(w, ".cache", "homes/ben/.cache")


def inner_folder_and_link(w: World) -> str:
    return _swapped(w, ".cache/pip/deep", "outside/pip/deep")


def file_and_link(w: World) -> str:
    return _swapped(w, ".cache/pip/a", "outside/pip/a")


def folder_and_folder(w: World) -> str:
    (w.ana / "other" / "x").mkdir(parents=True)
    w.give(w.ana)
    return w.race(lambda: exchange(w.pip, w.ana / "other"), seconds=w.seconds)


def home_and_link(w: World) -> str:
    """By root, for nobody else can."""
    other = w.homes / "other"
    other.symlink_to(w.outside)
    return w.race(lambda: exchange(w.ana, other), 0, seconds=w.seconds)


def home_and_home(w: World) -> str:
    """The homes change places; at the end each has its own name again."""
    inode = w.pip.lstat().st_ino
    told = w.race(lambda: exchange(w.ana, w.ben), 0, seconds=w.seconds, inode=inode)
    if w.ana.lstat().st_uid == BEN:
        exchange(w.ana, w.ben)
    return told


def way_moved_out_of_the_home(w: World) -> str:
    def act() -> None:
        (w.ana / ".cache").rename(w.pub / "cache")
        (w.pub / "cache").rename(w.ana / ".cache")

    return w.race(act, seconds=w.seconds)


def name_taken_and_free(w: World) -> str:
    def act() -> None:
        with suppress(OSError):
            w.pip.mkdir()
        w.pip.rmdir()

    return w.race(act, seconds=w.seconds)


def growing(w: World) -> str:
    def act() -> None:
        with (w.pip / "a").open("ab") as file:
            file.write(b"x" * 4096)
            if file.tell() > 2**20:
                file.truncate(0)

    return w.race(act, seconds=w.seconds)


def files_that_become_folders(w: World) -> str:
    at = w.pip / "deep"

    def act() -> None:
        with suppress(OSError):
            (at / "x").mkdir()
            (at / "x").rmdir()
        (at / "x").write_text("x")
        (at / "x").unlink()

    return w.race(act, seconds=w.seconds)


def mounted_and_not(w: World) -> str:
    """By root: something else is mounted there now and then."""

    def act() -> None:
        subprocess.run(["mount", "--bind", w.outside, w.pip / "deep"], capture_output=True, check=False)
        subprocess.run(["umount", w.pip / "deep"], capture_output=True, check=False)

    return w.race(act, 0, seconds=w.seconds)


def ways_exchanged_when_made_again(w: World) -> str:
    """A folder of ben's in ana's home comes to lie where the keeper makes one again for ana: it stays ben's."""
    shared = w.ana / "of-ben"
    (shared / "x").mkdir(parents=True)
    w.give(shared, BEN)
    for _ in range(3):
        assert not w.away().why
        w.back()
    way = w.pip.parent

    def act() -> None:
        exchange(way, shared)

    rounds = 0
    with w.attack(act):
        until = time.monotonic() + w.seconds
        while time.monotonic() < until:
            rounds += 1
            w.away(inode=0)
            moved = w.away(inode=_inode(w))
            if not moved.why:
                for name in ("gone", "gone2"):
                    with suppress(OSError):
                        way.rename(w.pub / f"{name}{rounds}")
                w.back()
    found = [p for p in (*w.ana.iterdir(), *w.pub.iterdir()) if (p / "x").exists()]
    assert found
    assert {p.lstat().st_uid for p in found} == {BEN}, "a folder of ben's was given to ana"
    return f"{rounds} rounds"


def _inode(w: World) -> int:
    try:
        return w.pip.lstat().st_ino
    except OSError:
        return 0


def _while_removed(w: World, act: Callable[[int], None]) -> str:
    """Somebody holds the folder open, and goes on in it while it is in quarantine and removed."""
    ends: dict[str, int] = {}
    rounds = 0
    until = time.monotonic() + w.seconds
    while time.monotonic() < until or not rounds:
        rounds += 1
        for number in range(30):
            (w.pip / f"d{number}" / "e").mkdir(parents=True)
            (w.pip / f"d{number}" / "f").write_text("x")
        w.give(w.ana)
        held = os.open(w.pip, os.O_RDONLY)
        with w.attack(lambda held=held: act(held)):  # type: ignore[misc]
            one = w.away()
            outcomes = [one] if one.why else w.purge()
        for one in outcomes:
            ends[one.why or "done"] = ends.get(one.why or "done", 0) + 1
        os.close(held)
        if w.pip.exists():
            shutil.rmtree(w.pip)
        with w.keeper():
            pass  # it recovers: what was left is removed
        assert set(w.states()) <= {"purged"}
        assert w.in_quarantine() == [], "something is left that is written down as removed"
    return f"{rounds} rounds: {ends}"


def links_put_in_while_removed(w: World) -> str:
    target = str(w.outside)

    def act(held: int) -> None:
        for number in range(30):
            with suppress(OSError):
                os.rename(f"d{number}", f"old{number}", src_dir_fd=held, dst_dir_fd=held)
                os.symlink(target, f"d{number}", dir_fd=held)

    return _while_removed(w, act)


def made_while_removed(w: World) -> str:
    def act(held: int) -> None:
        for number in range(100):
            with suppress(OSError):
                os.mkdir(f"n{number}", dir_fd=held)
                os.close(os.open(f"n{number}/x", os.O_CREAT | os.O_WRONLY, dir_fd=held))

    return _while_removed(w, act)


def moved_away_while_removed(w: World) -> str:
    out = os.fspath(w.pub)

    def act(held: int) -> None:
        for number in range(30):
            with suppress(OSError):
                os.rename(f"d{number}/e", f"{out}/e{number}", src_dir_fd=held)
                os.rename(f"{out}/e{number}", f"d{number}/e", dst_dir_fd=held)
            with suppress(OSError):
                os.unlink(f"d{number}/f", dir_fd=held)

    return _while_removed(w, act)


def deep_and_moved_while_removed(w: World) -> str:
    """Folders nested deeper than the keeper holds open, of which some are moved up and down."""
    at = w.pip
    for _ in range(300):
        at /= "d"
    at.mkdir(parents=True)
    w.give(w.ana)
    half, quarter = "/".join("d" * 250), "/".join("d" * 100)

    def act(held: int) -> None:
        with suppress(OSError):
            os.rename(half, "moved", src_dir_fd=held, dst_dir_fd=held)
            os.rename("moved", quarter + "/moved", src_dir_fd=held, dst_dir_fd=held)

    return _while_removed(w, act)


def seen_by_many_processes(w: World) -> str:
    """Scans with several processes while folders are exchanged for links."""
    links = w.ana / "links"
    links.mkdir()
    for number in range(40):
        (w.ana / f"f{number}" / "g").mkdir(parents=True)
        (links / str(number)).symlink_to(w.outside)
    w.give(w.ana)

    def act() -> None:
        for number in range(40):
            exchange(w.ana / f"f{number}", links / str(number))

    rounds = 0
    with w.attack(act):
        until = time.monotonic() + w.seconds
        while time.monotonic() < until or not rounds:
            rounds += 1
            found = w.scan(processes=3)
            assert found.own.files <= 100
    return f"{rounds} scans"


RACES: dict[str, Callable[[World], str]] = {
    f"race: {f.__name__.replace('_', ' ')}": f
    for f in (
        folder_and_link, way_and_link, way_and_link_to_ben, inner_folder_and_link, file_and_link, folder_and_folder, home_and_link, home_and_home,
        way_moved_out_of_the_home, name_taken_and_free, growing, files_that_become_folders, mounted_and_not, ways_exchanged_when_made_again,
        links_put_in_while_removed, made_while_removed, moved_away_while_removed, deep_and_moved_while_removed, seen_by_many_processes,
    )
}  # fmt: skip

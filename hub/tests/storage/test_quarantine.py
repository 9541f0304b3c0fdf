"""Moving things out of homes and back: nothing is lost whenever the keeper is killed, and nobody gets it to touch what is not theirs."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cubehub.errors import BadInputError, CubeHubError
from cubehub.storage import journal, starting
from cubehub.storage.grounds import FOLDER, NUMBER
from cubehub.storage.journal import PURGED, QUARANTINED, RETURNED
from cubehub.storage.planning import Entry
from cubehub.storage.processes import Users
from cubehub.storage.quarantine import Keeper
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from cubehub.storage.quarantine import Outcome

OLD = 1_000_000
CUTOFF = 2_000_000
STEPS_AWAY = ("intended", "slot", "moved", "synced", "quarantined")
STEPS_BACK = ("returning", "back", "returned")
STEPS_PURGE = ("purging", "removed", "purged")


def nobody(_home: int, _inodes: set[tuple[int, int]]) -> str:
    return ""


def fill(folder: Path, content: str = "x") -> None:
    """A cache that nobody used for long."""
    (folder / "deep" / "er").mkdir(parents=True)
    for name in ("a", "deep/b", "deep/er/c"):
        (folder / name).write_text(content)
        os.utime(folder / name, (OLD, OLD))


def entry(at: Path, below: str, **more: object) -> Entry:
    made = {
        "home": os.fsencode(at.name), "path": os.fsencode(below), "kind": "pip", "bytes": 1, "files": 3, "newest": OLD,
        "cutoff": CUTOFF, "inode": (at / below).lstat().st_ino,
    }  # fmt: skip
    return Entry(**(made | more))  # type: ignore[arg-type]


class Place:
    """Homes and a keeper's folder."""

    def __init__(self, root: Path) -> None:
        self.homes, self.state = root / "homes", root / "state"
        self.ana = self.homes / "ana"
        self.ana.mkdir(parents=True)

    def do(
        self,
        what: Callable[[Keeper, journal.Journal], list[Outcome]],
        step: Callable[[str], None] = lambda _: None,
        in_use: Callable[[int, set[tuple[int, int]]], str] = nobody,
    ) -> list[Outcome]:
        with journal.opened(self.state) as made:
            keeper = Keeper(self.homes, made, in_use, step)
            try:
                return what(keeper, made)
            finally:
                keeper.close()

    def away(
        self, *entries: Entry, step: Callable[[str], None] = lambda _: None, in_use=nobody
    ) -> list[Outcome]:  # type: ignore[no-untyped-def]
        def act(keeper: Keeper, made: journal.Journal) -> list[Outcome]:
            run = made.begin_run(str(self.homes), "plan", 0)
            return [keeper.quarantine(run, e) for e in entries]

        return self.do(act, step, in_use)

    def back(self, step: Callable[[str], None] = lambda _: None) -> list[Outcome]:
        return self.do(lambda k, j: [k.put_back(m) for m in j.moves(QUARANTINED)], step)

    def purge(self, step: Callable[[str], None] = lambda _: None) -> list[Outcome]:
        return self.do(lambda k, j: [k.purge(m) for m in j.moves(QUARANTINED)], step)

    def recover(self) -> list[Outcome]:
        return self.do(lambda k, _: k.recover())

    def states(self) -> list[str]:
        with journal.opened(self.state) as made:
            return [m.state for m in made.moves(*journal.STATES)]

    def quarantined(self) -> list[str]:
        where = self.homes / os.fsdecode(FOLDER)
        found = where.rglob("*") if where.exists() else ()
        return sorted(str(p.relative_to(where)) for p in found if p.name != os.fsdecode(NUMBER))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def text(path: Path) -> str:
    """What is in a file, read so that it does not count as use."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOATIME)) as file:
        return file.read()


def content(folder: Path) -> dict[str, tuple[str, int, float]]:
    """All files below a folder, with their modes and times."""
    return {
        str(p.relative_to(folder)): (text(p), p.stat().st_mode, p.stat().st_mtime)
        for p in folder.rglob("*") if p.is_file()
    }  # fmt: skip


def killed_at(place: Place, act: str, wanted: str, *entries: Entry) -> None:
    """Do something in a process of its own that ends at a step as by kill -9."""
    child = os.fork()
    if not child:

        def step(name: str) -> None:
            if name == wanted:
                os._exit(9)

        getattr(place, act)(*entries, step=step)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9, f"{act} has no step {wanted}"


def test_away_and_back_changes_nothing(place: Place) -> None:
    fill(place.ana / ".cache" / "pip")
    before, facts = content(place.ana), (place.ana / ".cache" / "pip" / "a").stat()
    done = place.away(entry(place.ana, ".cache/pip"))
    assert [o.why for o in done] == [""]
    assert content(place.ana) == {}
    assert content(place.homes / os.fsdecode(FOLDER) / "1" / "item") == {
        k.removeprefix(".cache/pip/"): v for k, v in before.items()
    }
    assert place.back()[0].why == ""
    assert content(place.ana) == before
    assert (place.ana / ".cache" / "pip" / "a").stat().st_ino == facts.st_ino
    assert place.quarantined() == []
    assert place.states() == [RETURNED]


def test_purged_is_gone_and_written_down(place: Place) -> None:
    fill(place.ana / ".cache" / "pip")
    place.away(entry(place.ana, ".cache/pip"))
    assert place.purge()[0].why == ""
    assert place.quarantined() == []
    assert place.states() == [PURGED]


@pytest.mark.parametrize("wanted", STEPS_AWAY)
def test_killed_on_the_way_out(place: Place, wanted: str) -> None:
    fill(place.ana / ".cache" / "pip")
    before = content(place.ana)
    killed_at(place, "away", wanted, entry(place.ana, ".cache/pip"))
    place.recover()
    is_away = not content(place.ana)
    assert place.states() == ([QUARANTINED] if is_away else [])
    assert is_away == (wanted in {"moved", "synced", "quarantined"})
    if is_away:
        place.back()
    assert content(place.ana) == before
    assert place.quarantined() == []
    assert place.recover() == []


@pytest.mark.parametrize("wanted", STEPS_BACK)
def test_killed_on_the_way_back(place: Place, wanted: str) -> None:
    fill(place.ana / ".cache" / "pip")
    before = content(place.ana)
    place.away(entry(place.ana, ".cache/pip"))
    killed_at(place, "back", wanted)
    place.recover()
    assert place.states() == ([QUARANTINED] if wanted == "returning" else [RETURNED])
    place.back()
    assert content(place.ana) == before
    assert place.quarantined() == []


@pytest.mark.parametrize("wanted", STEPS_PURGE)
def test_killed_while_removing(place: Place, wanted: str) -> None:
    fill(place.ana / ".cache" / "pip")
    place.away(entry(place.ana, ".cache/pip"))
    killed_at(place, "purge", wanted)
    place.recover()
    assert place.states() == [PURGED]
    assert place.quarantined() == []


def test_what_was_used_since_stays(place: Place) -> None:
    fill(place.ana / ".cache" / "pip")
    planned = entry(place.ana, ".cache/pip")
    (place.ana / ".cache" / "pip" / "deep" / "er" / "c").read_text()
    os.utime(place.ana / ".cache" / "pip" / "deep" / "er" / "c", (CUTOFF, OLD))
    assert place.away(planned)[0].why == "it was used since"
    assert place.states() == []


def test_another_folder_of_the_name_stays(place: Place) -> None:
    fill(place.ana / ".cache" / "pip")
    planned = entry(place.ana, ".cache/pip")
    (place.ana / ".cache" / "pip").rename(place.ana / "kept")
    fill(place.ana / ".cache" / "pip")
    assert "another one" in place.away(planned)[0].why


@pytest.mark.parametrize("way", ["cache", "pip", "home"])
def test_links_on_the_way_lead_nowhere(place: Place, tmp_path: Path, way: str) -> None:
    outside = tmp_path / "outside"
    fill(outside / "pip")
    os.utime(outside, (OLD, OLD))
    planned = entry(outside, "pip", home=b"ana", path=b".cache/pip")
    if way == "cache":
        (place.ana / ".cache").symlink_to(outside)
    elif way == "pip":
        (place.ana / ".cache").mkdir()
        (place.ana / ".cache" / "pip").symlink_to(outside / "pip")
    else:
        place.ana.rmdir()
        (tmp_path / "fake" / ".cache").mkdir(parents=True)
        place.ana.symlink_to(tmp_path / "fake")
    assert place.away(planned)[0].why
    assert len(content(outside)) == 3


@pytest.mark.needs("root")
def test_what_belongs_to_somebody_else_stays(place: Place) -> None:
    fill(place.ana / ".cache" / "pip")
    os.chown(place.ana / ".cache" / "pip", 12345, 12345)
    assert "owner" in place.away(entry(place.ana, ".cache/pip"))[0].why


def test_what_is_open_stays(place: Place) -> None:
    fill(place.ana / ".cache" / "pip")
    fill(place.ana / ".cache" / "uv")
    planned = [entry(place.ana, ".cache/pip"), entry(place.ana, ".cache/uv")]
    with (
        (place.ana / ".cache/pip/deep/b").open() as file,
        subprocess.Popen(["sleep", "60"], stdin=file) as process,
    ):
        first, second = place.away(*planned, in_use=Users())
        process.kill()
    assert (first.why, second.why) == ("a program has something of it open", "")
    with subprocess.Popen(["sleep", "60"], cwd=place.ana) as process:
        assert "server" in place.away(planned[0], in_use=Users())[0].why
        process.kill()


def test_nothing_is_put_over_something(place: Place) -> None:
    fill(place.ana / ".cache" / "pip", "old")
    place.away(entry(place.ana, ".cache/pip"))
    fill(place.ana / ".cache" / "pip", "new")
    assert place.back()[0].path == b".cache/pip.restored-1"
    assert (place.ana / ".cache" / "pip" / "a").read_text() == "new"
    assert (place.ana / ".cache" / "pip.restored-1" / "a").read_text() == "old"


@pytest.mark.needs("root")
def test_folders_on_the_way_back_are_made_for_the_owner(place: Place) -> None:
    os.chown(place.ana, 12345, 12346)
    fill(place.ana / ".cache" / "pip")
    for folder in (place.ana / ".cache", place.ana / ".cache" / "pip"):
        os.chown(folder, 12345, 12346)
    place.away(entry(place.ana, ".cache/pip"))
    shutil.rmtree(place.ana / ".cache")
    assert place.back()[0].why == ""
    made = (place.ana / ".cache").stat()
    assert (made.st_uid, made.st_gid, made.st_mode & 0o777) == (12345, 12346, 0o700)


def test_a_home_that_has_gone_leaves_it_in_quarantine(place: Place) -> None:
    fill(place.ana / ".cache" / "pip")
    place.away(entry(place.ana, ".cache/pip"))
    shutil.rmtree(place.ana)
    assert "home" in place.back()[0].why
    assert place.states() == [QUARANTINED]


def test_one_keeper_at_a_time(place: Place) -> None:
    with (
        journal.opened(place.state),
        pytest.raises(CubeHubError, match="just now"),
        journal.opened(place.state),
    ):
        pass


def test_a_quarantine_that_others_get_into_is_not_used(place: Place) -> None:
    (place.homes / os.fsdecode(FOLDER)).mkdir(mode=0o755)
    with pytest.raises(CubeHubError, match="Others than the keeper"):
        place.recover()
    (place.homes / os.fsdecode(FOLDER)).rmdir()
    (place.homes / os.fsdecode(FOLDER)).symlink_to("/etc")
    with pytest.raises(BadInputError, match="cannot be used"):
        place.recover()


@pytest.mark.slow
def test_very_deep_and_hostile_is_removed_and_nothing_else(place: Place, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    fill(outside)
    trash = place.ana / ".local" / "share" / "Trash"
    trash.mkdir(parents=True)
    at = os.open(trash, os.O_RDONLY)
    for number in range(1500):
        os.symlink(str(outside), "link", dir_fd=at)
        if number % 100 == 0:
            os.mkfifo("fifo", dir_fd=at)
        os.mkdir("deep", dir_fd=at)
        below = os.open("deep", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    (trash / "locked").mkdir(mode=0o000)
    assert place.away(entry(place.ana, ".local/share/Trash", bytes=2**40))[0].why == ""
    assert place.purge()[0].why == ""
    assert place.quarantined() == []
    assert len(content(outside)) == 3


@pytest.mark.slow
def test_names_that_change_all_the_time(place: Place, tmp_path: Path) -> None:
    """A person exchanges the folder for a link to somebody else's, as fast as can be, while the keeper moves it."""
    outside = tmp_path / "outside"
    fill(outside / "theirs")
    cache = place.ana / ".cache"
    cache.mkdir()
    (cache / "link").symlink_to(outside / "theirs")
    ended = threading.Event()
    libc = ctypes.CDLL(None)
    moved = 0

    def swap() -> None:
        one, other = os.fsencode(cache / "pip"), os.fsencode(cache / "link")
        while not ended.is_set():
            libc.renameat2(-100, one, -100, other, 2)

    swapping = threading.Thread(target=swap)
    fill(cache / "pip")
    inode = (cache / "pip").stat().st_ino
    swapping.start()
    try:
        until = time.monotonic() + 4
        while time.monotonic() < until:
            made = Entry(b"ana", b".cache/pip", "pip", 1, 3, OLD, CUTOFF, inode)
            outcome = place.away(made)[0]
            place.recover()
            if place.states()[-1:] == [QUARANTINED]:
                moved += 1
                item = place.homes / os.fsdecode(FOLDER)
                assert not any(p.is_symlink() for p in item.rglob("*")) or outcome.why
                place.back()
            assert len(content(outside)) == 3
    finally:
        ended.set()
        swapping.join()
    place.recover()
    left = [p for p in (*place.homes.rglob("a"), *outside.rglob("a")) if not p.is_symlink()]
    assert len({p.stat().st_ino for p in left}) == 2


class Life(RuleBasedStateMachine):
    """People write, the keeper moves, puts back, removes and is killed: each cache is in exactly one place."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="cubehub-life-"))
        self.place = Place(self.folder)
        self.made: dict[str, str] = {}
        self.number = 0

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)

    @rule(name=st.sampled_from(["pip", "uv", "conda"]))
    def write(self, name: str) -> None:
        where = self.place.ana / name
        if not where.exists():
            self.number += 1
            fill(where, str(self.number))
            self.made[str(self.number)] = name

    @rule(name=st.sampled_from(["pip", "uv", "conda"]), kill=st.none() | st.sampled_from(STEPS_AWAY))
    def away(self, name: str, kill: str | None) -> None:
        if (self.place.ana / name).exists():
            self.act("away", kill, entry(self.place.ana, name))

    @rule(kill=st.none() | st.sampled_from(STEPS_BACK))
    def back(self, kill: str | None) -> None:
        self.act("back", kill)

    @rule(kill=st.none() | st.sampled_from(STEPS_PURGE))
    def purge(self, kill: str | None) -> None:
        self.act("purge", kill)

    def act(self, what: str, kill: str | None, *entries: Entry) -> None:
        """Do it; with a kill in a process that ends at that step, if it gets there, and recovery afterwards."""
        if kill is None:
            getattr(self.place, what)(*entries)
            return
        child = os.fork()
        if not child:
            getattr(self.place, what)(*entries, step=lambda name: os._exit(9) if name == kill else None)
            os._exit(0)
        os.waitpid(child, 0)
        self.place.recover()

    @invariant()
    def each_is_in_one_place(self) -> None:
        if not hasattr(self, "folder"):
            return
        in_home = [text(p) for p in self.place.ana.rglob("a")]
        away = [text(p) for p in (self.place.homes / os.fsdecode(FOLDER)).rglob("a")]
        with journal.opened(self.place.state) as made:
            purged = len(made.moves(PURGED))
            quarantined = len(made.moves(QUARANTINED))
        assert len(set(in_home + away)) == len(in_home) + len(away)
        assert len(away) == quarantined
        assert len(in_home) + len(away) + purged == len(self.made)


TestLife = pytest.mark.slow(Life.TestCase)
TestLife.settings = settings(
    max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)


# Files, whole homes, and what is kept


def test_a_large_file_goes_and_comes_back(place: Place) -> None:
    (place.ana / "work").mkdir()
    file = place.ana / "work" / "big.nc"
    file.write_text("data")
    os.utime(file, (OLD, OLD))
    before = content(place.ana)
    planned = entry(place.ana, "work/big.nc", kind="large")
    assert "another one" in place.away(entry(place.ana, "work/big.nc"))[0].why, "a cache is a folder"
    os.link(file, place.ana / "second")
    assert "other names" in place.away(planned)[0].why
    (place.ana / "second").unlink()
    assert place.away(planned)[0].why == ""
    assert not file.exists()
    assert place.back()[0].why == ""
    assert content(place.ana) == before


@pytest.mark.parametrize("kind", ["idle", "workshop"])
def test_a_whole_home_goes_and_comes_back(place: Place, kind: str) -> None:
    fill(place.ana / "work")
    before = content(place.ana)
    planned = entry(place.homes, "ana", kind=kind, home=b"ana", path=b"")
    assert place.away(planned)[0].why == ""
    assert not place.ana.exists()
    assert place.back()[0].why == ""
    assert content(place.ana) == before
    assert place.states() == [RETURNED]


def test_a_home_comes_back_into_the_one_that_its_owner_has_by_now(place: Place) -> None:
    fill(place.ana / "work")
    place.away(entry(place.homes, "ana", kind="idle", home=b"ana", path=b""))
    place.ana.mkdir()
    (place.ana / "new").write_text("mine")
    (done,) = place.back()
    assert (done.why, done.path) == ("", b"restored-home")
    assert text(place.ana / "restored-home" / "work" / "a") == "x"
    assert text(place.ana / "new") == "mine"


@pytest.mark.parametrize("step", ["moved", "quarantined"])
def test_a_whole_home_is_in_one_place_after_a_kill(place: Place, step: str) -> None:
    fill(place.ana / "work")
    killed_at(place, "away", step, entry(place.homes, "ana", kind="idle", home=b"ana", path=b""))
    place.recover()
    assert place.states() == [QUARANTINED]
    killed_at(place, "back", "back")
    place.recover()
    assert place.states() == [RETURNED]
    assert text(place.ana / "work" / "a") == "x"


@pytest.mark.parametrize("where", [".", ".cache", ".cache/pip", ".cache/pip/deep"])
def test_what_its_owner_keeps_stays(place: Place, where: str) -> None:
    fill(place.ana / ".cache" / "pip")
    (place.ana / where / ".cubehub-keep").touch()
    os.utime(place.ana / where / ".cubehub-keep", (OLD, OLD))
    assert "keeps it" in place.away(entry(place.ana, ".cache/pip"))[0].why
    (place.ana / where / ".cubehub-keep").unlink()
    assert place.away(entry(place.ana, ".cache/pip"))[0].why == ""


@pytest.mark.needs("root")
def test_a_file_of_somebody_else_in_a_home_stays(place: Place) -> None:
    file = place.ana / "big.nc"
    file.write_text("data")
    os.utime(file, (OLD, OLD))
    os.chown(file, 12345, 12345)
    assert "does not belong" in place.away(entry(place.ana, "big.nc", kind="large"))[0].why


def test_a_record_that_was_lost_gives_nobody_the_things_of_another(place: Place) -> None:
    fill(place.ana / ".cache" / "pip", "of ana")
    place.away(entry(place.ana, ".cache/pip"))
    for file in place.state.iterdir():
        file.unlink()
    ben = place.homes / "ben"
    fill(ben / ".cache" / "pip", "of ben")
    killed_at(place, "away", "intended", entry(ben, ".cache/pip"))
    (outcome,) = place.recover()
    assert outcome.why == "it was not moved"
    (done,) = place.away(entry(ben, ".cache/pip"))
    assert done.why == ""
    (back,) = place.back()
    assert back.why == ""
    assert (text(ben / ".cache" / "pip" / "a"), not (place.ana / ".cache" / "pip").exists()) == (
        "of ben",
        True,
    )
    assert [p for p in place.quarantined() if p.endswith("deep/b")] == ["1/item/deep/b"], (
        "that of ana is still there"
    )


def test_an_intention_takes_nothing_for_its_own_that_it_did_not_move(place: Place) -> None:
    fill(place.ana / ".cache" / "pip", "of ana")
    place.away(entry(place.ana, ".cache/pip"))
    with journal.opened(place.state) as made:
        made._made.execute("UPDATE moves SET state = 'intended', inode = inode + 1, home = x'62656e'")
        made._made.commit()
    (outcome,) = place.recover()
    assert "another one than was meant" in outcome.why
    assert place.back() == []
    assert "1/item/a" in place.quarantined()


def test_what_was_exchanged_and_cannot_go_back_is_written_down_as_it_is(place: Place) -> None:
    fill(place.ana / ".cache" / "pip")
    meant = entry(place.ana, ".cache/pip")

    def swap(step: str) -> None:
        if step == "slot":
            (place.ana / ".cache" / "pip").rename(place.ana / "mine")
            fill(place.ana / ".cache" / "pip", "other")
        if step == "moved":
            (place.ana / ".cache" / "pip").mkdir()

    (outcome,) = place.away(meant, step=swap)
    assert outcome.why == "File exists"
    assert (place.recover(), place.states()) == ([], [QUARANTINED])
    (back,) = place.back()
    assert text(place.ana / os.fsdecode(back.path) / "a") == "other"


@pytest.mark.parametrize("when", ["before", "checked", "quarantined"])
def test_a_server_that_starts_keeps_its_home_or_is_told_that_it_is_away(place: Place, when: str) -> None:
    fill(place.ana / "work")
    seen: list[bool] = []

    def start(step: str) -> None:
        if step == when:
            starting.note(place.homes, b"ana", 0.2)
            seen.append(place.ana.exists())

    def held(_: str) -> None:
        if _ == "quarantined":
            with pytest.raises(CubeHubError, match="just now"):
                starting.note(place.homes, b"ana", 0.1)
            seen.append(False)

    start("before")
    (outcome,) = place.away(entry(place.ana, "", kind="idle"), step=held if when == "quarantined" else start)
    if when == "quarantined":
        assert outcome.why == ""
    else:
        assert (seen, outcome.why) == ([True], starting.STARTED)
        assert place.ana.exists()
        os.utime(place.homes / ".ana.starting", (1, time.time() - 3600))
        (outcome,) = place.away(entry(place.ana, "", kind="idle"))
        assert outcome.why == ""


@pytest.mark.parametrize("was_there", [False, True])
def test_homes_whose_disk_is_not_mounted_make_nothing_gone(place: Place, *, was_there: bool) -> None:
    disk = place.homes.with_name("disk")
    if was_there:
        place.recover()  # a start while nothing was mounted has left a quarantine there
    place.homes.rename(disk)
    other = place.homes.with_name("mounted")
    (other / "ana").mkdir(parents=True)
    other.rename(place.homes)
    fill(place.ana / ".cache" / "pip")
    place.away(entry(place.ana, ".cache/pip"))
    place.homes.rename(other)
    if was_there:
        disk.rename(place.homes)
    else:
        place.homes.mkdir()
    with pytest.raises(CubeHubError, match="is not where the 1 things are") as caught:
        place.recover()
    assert "mounted?" in caught.value.hint
    assert place.states() == [QUARANTINED]
    shutil.rmtree(place.homes)
    other.rename(place.homes)
    assert [o.why for o in place.back()] == [""]
    assert (place.ana / ".cache" / "pip" / "a").exists()


def test_a_quarantine_that_is_lost_for_good_stops_the_keeper_until_somebody_says_so(place: Place) -> None:
    fill(place.ana / ".cache" / "pip")
    place.away(entry(place.ana, ".cache/pip"))
    where = place.homes / os.fsdecode(FOLDER)
    shutil.rmtree(where)
    for _ in range(2):
        with pytest.raises(CubeHubError, match="is not where"):
            place.recover()
    where.mkdir(mode=0o700)
    assert [o.why for o in place.recover()] == ["it is not in quarantine any more"]
    assert place.states() == [journal.GONE]


@pytest.mark.parametrize("whose", [0, 12345])
def test_a_folder_put_in_the_place_of_one_that_root_makes_is_not_given_away(place: Place, whose: int) -> None:
    fill(place.ana / "a" / "b" / "pip")
    os.chown(place.ana, 1234, 1234)
    os.chown(place.ana / "a" / "b" / "pip", 1234, 1234)
    place.away(entry(place.ana, "a/b/pip"))
    shutil.rmtree(place.ana / "a")
    secret = place.ana / "of-root"
    secret.mkdir(mode=0o700)
    if not whose:
        (secret / "keys").write_text("secret")
    os.chown(secret, whose, whose)

    def swap(step: str) -> None:
        if step == "folder" and secret.exists():
            (place.ana / "a").rename(place.ana / "made")
            secret.rename(place.ana / "a")

    (outcome,) = place.back(swap)
    assert "exchanges folders" in outcome.why
    assert (place.ana / "a").stat().st_uid == whose
    assert place.states() == [QUARANTINED]


@pytest.mark.parametrize("what", ["deep/er", "deep/er/c"])
def test_what_others_own_deep_in_a_cache_is_not_removed_with_it(place: Place, what: str) -> None:
    fill(place.ana / ".cache" / "pip")
    os.chown(place.ana / ".cache" / "pip" / what, 4321, 4321)
    (outcome,) = place.away(entry(place.ana, ".cache/pip"))
    assert outcome.why == "something in it belongs to somebody else"
    assert place.quarantined() == []


@pytest.mark.parametrize("times", [1, 2])
def test_a_name_that_is_as_long_as_can_be_comes_back_beside_another_one(place: Place, times: int) -> None:
    name = "ä" * 127
    for number in range(times):
        fill(place.ana / name, str(number))
        assert place.away(entry(place.ana, name))[0].why == ""
    fill(place.ana / name, "new")
    done = place.back()
    assert [one.why for one in done] == [""] * times
    assert (place.ana / name / "a").read_text() == "new"
    for number, one in enumerate(done):
        assert text(place.ana / os.fsdecode(one.path) / "a") == str(number)
        assert one.path.decode().startswith("ä" * 100), "in whole letters"

"""While a large archive is written or unpacked, others get what is theirs, and nobody else touches that home."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from cubehub.errors import CubeHubError
from cubehub.local.data_folder import DataFolder
from cubehub.storage import archivist as archivists
from cubehub.storage import erasing, journal
from cubehub.storage.archive.folder import FolderStore
from cubehub.storage.archivist import Archivist
from cubehub.storage.grounds import BUSY, FOLDER, ITEM
from cubehub.storage.homecoming import bring_home
from cubehub.storage.journal import ARCHIVED, ARCHIVING, PURGED, QUARANTINED, RETURNED, UNPACKING
from cubehub.storage.keeping import Keeping
from cubehub.storage.places import ARCHIVE
from cubehub.storage.planning import Entry
from cubehub.storage.quarantine import Keeper
from cubehub.storage.service.mine import Mine
from cubehub.storage.settings import settings_of
from cubehub.storage.turns import Turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cubehub.storage.journal import Journal, Move
    from cubehub.storage.quarantine import Outcome
    from cubehub.storage.settings import StorageSettings

OLD = 1_000_000


class Throttled(FolderStore):
    """A store so slow that nothing large gets through until it is let, or its move is no more what it was."""

    def __init__(self, path: Path, state: Path) -> None:
        super().__init__(path)
        self.begun, self.go, self._state = threading.Event(), threading.Event(), state

    def slow(self) -> None:
        self.begun.set()
        while not self.go.wait(0.01) and journal.read(self._state, ARCHIVING, UNPACKING):
            pass

    def stopped(self) -> None:
        """Nothing gets through until it is let."""
        self.begun.set()
        self.go.wait(60)

    @contextmanager
    def put(self, name: str, **more: Any) -> Iterator[Any]:
        with super().put(name, **more) as sink:
            yield Slow(self, sink) if name.endswith(ARCHIVE) else sink

    @contextmanager
    def open(self, name: str) -> Iterator[Any]:
        with super().open(name) as source:
            yield Slow(self, source) if name.endswith(ARCHIVE) else source


class Slow:
    def __init__(self, store: Throttled, of: Any) -> None:
        self._store, self._of = store, of

    def write(self, data: bytes, /) -> None:
        self._store.slow()
        self._of.write(data)

    def read(self, size: int, /) -> bytes:
        self._store.slow()
        found: bytes = self._of.read(size)
        return found


class Two:
    """The homes of ana and ben, both in quarantine as a whole; ana's is large."""

    def __init__(self, root: Path) -> None:
        data = DataFolder(root / "data")
        data.prepare()
        config = root / "config"
        config.mkdir()
        self.archives = root / "archives"
        (data.root / "config").mkdir(exist_ok=True)
        (data.root / "config" / "storage.yaml").write_text(
            f"preset: university\nnotices: {{first: 4d, second: 1d}}\narchive: {{to: {self.archives}}}\n"
        )
        self.settings: StorageSettings = settings_of(data)
        self.homes, self.state = self.settings.homes, self.settings.state
        self.large = os.urandom(5 << 20)
        for name in ("ana", "ben"):
            home = self.homes / name
            (home / "work").mkdir(parents=True)
            (home / "work" / "a.nc").write_bytes(self.large if name == "ana" else b"{}")
            os.utime(home / "work" / "a.nc", (OLD, OLD))
            assert (
                self.do(lambda k, _a, j, n=name: k.quarantine(j.begin_run("", "", 0), self.entry(n))).why
                == ""
            )
        self.store = Throttled(self.archives, self.state)
        self.pool = ThreadPoolExecutor(1)

    def entry(self, name: str) -> Entry:
        return Entry(name.encode(), b"", "idle", 1, 1, OLD, 2_000_000, (self.homes / name).stat().st_ino)

    def do(self, act: Callable[[Keeper, Archivist, Journal], Any], store: Any = None) -> Any:
        with journal.opened(self.state) as made:
            keeper = Keeper(self.homes, made, lambda *_: "")
            try:
                archivist = Archivist(keeper, made, store)
                keeper.recover()
                archivist.recover()
                return act(keeper, archivist, made)
            finally:
                keeper.close()

    def move(self, name: str) -> Move:
        return [m for m in journal.read(self.state, *journal.STATES) if m.home == name.encode()][-1]

    @contextmanager
    def working(self, what: str, name: str = "ana") -> Iterator[Any]:
        """Somebody archives, or brings back, something large; gives what comes of it."""
        number = self.move(name).id
        done = self.pool.submit(
            self.do, lambda _k, a, j: getattr(a, what)(j.get(number)), self.store
        )  # fmt: skip
        try:
            assert self.store.begun.wait(60)
            yield done
        finally:
            self.store.go.set()
            done.exception(60)
            self.store.begun.clear()
            self.store.go.clear()

    def put_in_archive(self, name: str) -> None:
        """Archive a home, and remove it from quarantine."""
        self.store.go.set()
        for what in ("archive", "purge"):
            done: Outcome = self.do(lambda _k, a, _j, w=what: getattr(a, w)(self.move(name)), self.store)
            assert done.why == ""
        self.store.begun.clear()
        self.store.go.clear()
        assert self.move(name).state == PURGED


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    made = Two(tmp_path)
    yield made
    made.store.close()
    made.pool.shutdown()


def test_whoever_logs_in_gets_their_home_while_anothers_is_archived(two: Two) -> None:
    with two.working("archive") as archiving:
        assert two.move("ana").state == ARCHIVING
        assert bring_home(two.settings, two.homes / "ben")
        assert (two.homes / "ben" / "work" / "a.nc").read_bytes() == b"{}"
        assert not archiving.done()
    assert archiving.result().why == ""
    assert (two.move("ana").state, two.move("ben").state) == (ARCHIVED, RETURNED)
    assert two.do(lambda _k, a, _j: a.purge(two.move("ana")), two.store).why == ""


@pytest.mark.parametrize("where", [QUARANTINED, PURGED])
def test_whoever_wants_something_back_gets_it_while_anothers_is_archived(two: Two, where: str) -> None:
    if where == PURGED:
        two.put_in_archive("ben")
    with two.working("archive") as archiving:
        done = Mine(Keeping(two.settings), b"ben", "ben").restore(two.move("ben").id, None)
        assert done.why == ""
        assert not archiving.done()
        assert (two.homes / "ben" / "work" / "a.nc").read_bytes() == b"{}"
    assert archiving.result().why == ""


def test_others_may_be_archived_and_removed_meanwhile(two: Two) -> None:
    with two.working("archive") as archiving:
        beside = FolderStore(two.archives)
        assert two.do(lambda _k, a, _j: a.archive(two.move("ben")), beside).why == ""
        assert two.do(lambda _k, a, _j: a.purge(two.move("ben")), beside).why == ""
        beside.close()
        assert not archiving.done()
    assert archiving.result().why == "", "what was half written was not swept away"
    assert len(list(two.archives.glob("[!.]*"))) == 4


def test_nobody_else_touches_a_home_of_which_something_is_archived(two: Two) -> None:
    (two.homes / "ana").mkdir()
    with two.working("archive") as archiving:
        one = two.move("ana")
        two.do(lambda *_: None)
        assert two.move("ana").state == ARCHIVING, "whoever recovers leaves it alone"
        for act in (
            lambda k, _a, j: k.quarantine(j.begin_run("", "", 0), two.entry("ana")),
            lambda k, _a, _j: k.put_back(one),
            lambda k, _a, _j: k.purge(one, erased=True),
        ):
            assert two.do(act).why == BUSY
        for what in ("archive", "purge", "bring_back"):
            done = two.do(lambda _k, a, _j, w=what: getattr(a, w)(one), two.store)
            assert done.why == "it is archiving by now"
        assert not archiving.done()
    assert archiving.result().why == ""
    assert two.move("ana").state == ARCHIVED


def test_an_archive_gives_way_to_its_owner(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archivists, "_LOOK_EACH_S", 0)
    with two.working("archive") as archiving:
        assert bring_home(two.settings, two.homes / "ana")
        assert "wanted back" in archiving.result(60).why
    assert (two.homes / "ana" / "work" / "a.nc").read_bytes() == two.large
    assert two.move("ana").state == RETURNED
    assert not list(two.archives.glob("[!.]*")), "what was written of it is gone"


def test_an_archive_gives_way_in_lab_and_to_an_erasure(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archivists, "_LOOK_EACH_S", 0)
    (two.homes / "ana").mkdir()
    with two.working("archive") as archiving:
        mine = Mine(Keeping(two.settings), b"ana", "ana")
        (away,) = mine.describe(None)["away"]
        assert away["state"] == ARCHIVING
        assert [line["path"] for line in mine.inside(away["number"])] == ["work", "work/a.nc"]
        assert mine.restore(away["number"], b"work/a.nc").why == ""
        assert "wanted back" in archiving.result(60).why
    assert two.move("ana").state == QUARANTINED
    with two.working("archive") as archiving:
        keeping = Keeping(two.settings)
        with (
            keeping.keeper() as (keeper, made),
            keeping.archivist(keeper, made) as archivist,
        ):
            receipt = erasing.finish(keeping, keeper, archivist, made, b"ana", None)
        assert receipt.left == []
        assert archiving.result(60).why
    assert two.move("ana").state == PURGED
    assert not list(two.archives.glob("[!.]*"))
    assert not (two.homes / os.fsdecode(FOLDER) / str(two.move("ana").id)).exists()


def test_whoever_logs_in_gets_their_home_while_anothers_is_unpacked(two: Two) -> None:
    two.put_in_archive("ana")
    with two.working("bring_back") as unpacking:
        assert two.move("ana").state == UNPACKING
        assert bring_home(two.settings, two.homes / "ben")
        with journal.opened(two.state) as made, pytest.raises(CubeHubError, match="brought back just now"):
            made.free(b"ana", 0.2)
        assert two.move("ana").state == UNPACKING, "it is left alone, with its place in quarantine"
        assert not unpacking.done()
    assert unpacking.result().why == ""
    assert (two.homes / "ana" / "work" / "a.nc").read_bytes() == two.large


def test_whoever_logs_in_gets_their_home_while_one_file_of_anothers_is_taken_out(two: Two) -> None:
    two.put_in_archive("ana")
    (two.homes / "ana").mkdir()
    number = two.move("ana").id
    two.store.slow = two.store.stopped  # type: ignore[method-assign]
    copying = two.pool.submit(
        two.do, lambda _k, a, j: a.copy_out(j.get(number), b"work/a.nc"), two.store
    )  # fmt: skip
    assert two.store.begun.wait(60)
    assert bring_home(two.settings, two.homes / "ben")
    assert two.do(lambda k, _a, _j: k.put_back(two.move("ana"))).why == BUSY
    assert not copying.done()
    two.store.go.set()
    assert copying.result(60).why == ""
    assert (two.homes / "ana" / "work" / "a.nc").read_bytes() == two.large
    assert two.move("ana").state == PURGED
    assert [p.name for p in (two.homes / os.fsdecode(FOLDER)).iterdir()] == [".number"]


def test_a_copy_that_a_kill_left_on_its_way_is_removed(two: Two) -> None:
    (two.homes / "ana").mkdir()
    number = two.move("ana").id
    child = os.fork()
    if not child:
        with journal.opened(two.state) as made:
            keeper = Keeper(two.homes, made, lambda *_: "")
            archivist = Archivist(keeper, made, None)
            archivist._put = lambda *_: os._exit(9)  # type: ignore[method-assign]
            archivist.copy_out(made.get(number), b"work/a.nc")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    way = two.homes / os.fsdecode(FOLDER) / f"out-{number}"
    assert (way / "a.nc").exists()
    two.do(lambda *_: None)
    assert not way.exists()


def test_what_was_listed_and_is_back_by_now_is_not_archived(two: Two) -> None:
    listed = two.move("ben")
    assert bring_home(two.settings, two.homes / "ben")
    done = two.do(lambda _k, a, _j: a.archive(listed), two.store)
    assert done.why == "it is returned by now"
    assert not list(two.archives.glob("[!.]*"))


@pytest.mark.parametrize("what", ["archive", "bring_back"])
def test_a_claim_ends_with_its_process(two: Two, what: str) -> None:
    if what == "bring_back":
        two.put_in_archive("ana")
    before = two.move("ana").state
    child = os.fork()
    if not child:
        two.store.slow = lambda: os._exit(9)  # type: ignore[method-assign]
        two.do(lambda _k, a, _j: getattr(a, what)(two.move("ana")), two.store)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    two.do(lambda *_: None, two.store)
    assert two.move("ana").state == before
    assert two.store.sweep() == 0
    two.store.go.set()
    assert two.do(lambda _k, a, _j: getattr(a, what)(two.move("ana")), two.store).why == ""


def test_whoever_has_not_the_turn_writes_nothing_down(two: Two) -> None:
    number = two.move("ana").id
    with journal.opened(two.state) as made:
        with made.beside(number), pytest.raises(CubeHubError, match="another keeper's turn"):
            made.set(number, PURGED, 0)
        made.set(number, QUARANTINED, 0)


def test_claims_are_seen_by_others_alone(tmp_path: Path) -> None:
    one = Turn(tmp_path)
    with one.beside(1):
        two = Turn(tmp_path)
        with two.beside(2**40):
            three = Turn(tmp_path)
            assert three.claimed() == {1, 2**40}
            assert (one.claimed(), two.claimed()) == ({2**40}, {1})
            three.close()
        two.close()
        assert one.claimed() == set()
        assert not one.is_ours
    assert one.is_ours
    with pytest.raises(CubeHubError, match="just now"):
        Turn(tmp_path)
    one.close()


def test_ctrl_c_does_not_wait_for_a_turn(tmp_path: Path) -> None:
    one = Turn(tmp_path)
    with pytest.raises(KeyboardInterrupt), one.beside(1):  # noqa: PT012 - what is within it is the point
        two = Turn(tmp_path)
        raise KeyboardInterrupt
    assert not one.is_ours
    assert two.claimed() == set()
    one.close()
    two.close()


def test_the_thing_itself_stays_in_quarantine_until_it_is_purged(two: Two) -> None:
    with two.working("archive") as archiving:
        item = two.homes / os.fsdecode(FOLDER) / str(two.move("ana").id) / os.fsdecode(ITEM)
        assert (item / "work" / "a.nc").read_bytes() == two.large
    assert archiving.result().why == ""
    assert (item / "work" / "a.nc").read_bytes() == two.large

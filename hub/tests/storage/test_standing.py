"""Homes that stood still are taken over from the last scan: on a real btrfs, after any kind of change, with the rows of a full scan."""

from __future__ import annotations

import json
import mmap
import os
import random
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from cubehub.cli import load_commands
from cubehub.errors import CubeHubError
from cubehub.local.data_folder import DataFolder
from cubehub.storage import results as kept
from cubehub.storage import standing
from cubehub.storage.quotas import BtrfsQuota
from cubehub.storage.results import FILE, KEPT_WHOLE, Results
from cubehub.storage.scan import Progress, Scan, scan
from cubehub.storage.tally import LARGE_BYTES, HomeTally, Share, Unit

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

SCRATCH = [b"scratch"]
OLD = 1_000_000_000
needs_btrfs = pytest.mark.needs("root", "loop-devices", "mounts", "mkfs")


class Homes:
    """Homes on a btrfs, with a scan that goes on from the last one."""

    def __init__(self, root: Path, state: Path) -> None:
        self.root, self.state = root, state
        self.results = Results(state / "goes-on")

    def make(self, name: str) -> Path:
        home = self.root / name
        BtrfsQuota().make(home)
        (home / "work" / "deep").mkdir(parents=True)
        (home / "work" / "deep" / "a").write_bytes(bytes(5000))
        (home / "work" / "b").write_text("b")
        os.utime(home / "work" / "b", (OLD, OLD))
        return home

    def scan(self, scratch: list[bytes] = SCRATCH, progress: Callable[[Progress], None] = lambda _: None) -> Scan:  # fmt: skip
        before = self.results.before(self.root)
        found = scan(self.root, processes=1, scratch=scratch, before=before, progress=progress)
        self.results.add(found)
        return found

    def walked(self) -> set[str]:
        """Names of the homes that a scan of now walks through."""
        return {os.fsdecode(name) for name in self.scan().homes}

    def full(self) -> Results:
        """What a scan of now finds that walks through all."""
        made = Results(self.state / "full")
        made.add(scan(self.root, processes=1, scratch=SCRATCH))
        return made


def rows(results: Results) -> dict[str, list[tuple[Any, ...]]]:
    """All that the last scan found, but for when and how."""
    with closing(sqlite3.connect(results._file)) as made:
        (last,) = made.execute("SELECT max(id) FROM scans").fetchone()
        columns = {table: [c for c in names if c != "mark"] for table, names in kept._COLUMNS.items()}
        told = {
            table: sorted(made.execute(f"SELECT {', '.join(names)} FROM {table} WHERE scan = ?", (last,)))  # noqa: S608 - names from there
            for table, names in columns.items()
        }
        told["scans"] = list(made.execute("SELECT homes, files, bytes FROM scans WHERE id = ?", (last,)))
        return told


@pytest.fixture
def homes(mounted: Callable[..., Path], tmp_path: Path) -> Homes:
    return Homes(mounted("btrfs"), tmp_path)


def _map(home: Path) -> None:
    with (home / "work" / "b").open("r+b") as file, mmap.mmap(file.fileno(), 1) as at:
        at[0] = 65


def _in_place(home: Path) -> None:
    """Other bytes of the same number, with the times set back: only the generation tells."""
    file = home / "work" / "deep" / "a"
    before = file.stat()
    with file.open("r+b") as at:
        at.write(b"x" * 5000)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES: dict[str, Callable[[Path], Any]] = {
    "write": lambda home: (home / "work" / "new").write_bytes(bytes(3000)),
    "append": lambda home: os.truncate(home / "work" / "b", 9000),
    "write in place": _in_place,
    "write by memory": _map,
    "read": lambda home: (home / "work" / "b").read_bytes(),
    "time of use": lambda home: os.utime(home / "work" / "b", (OLD + 9, OLD)),
    "time of writing": lambda home: os.utime(home / "work" / "b", (OLD, OLD - 9)),
    "rename": lambda home: (home / "work" / "b").rename(home / "work" / "c"),
    "move": lambda home: (home / "work" / "b").rename(home / "b"),
    "rename folder": lambda home: (home / "work").rename(home / ".cache"),
    "rights": lambda home: (home / "work" / "b").chmod(0o600),
    "rights of the home": lambda home: home.chmod(0o711),
    "owner": lambda home: os.chown(home / "work" / "b", 1234, 1234),
    "remove": lambda home: (home / "work" / "b").unlink(),
    "remove folder": lambda home: shutil.rmtree(home / "work"),
    "attribute": lambda home: os.setxattr(home / "work" / "b", b"user.cubehub", b"1"),
    "link": lambda home: os.link(home / "work" / "b", home / "b"),
    "symbolic link": lambda home: (home / "to").symlink_to("work"),
    "pipe": lambda home: os.mkfifo(home / "pipe"),
    "folder": lambda home: (home / "empty").mkdir(),
    "subvolume in it": lambda home: BtrfsQuota().make(home / "inner"),
}


@needs_btrfs
def test_a_change_of_any_kind_makes_a_home_walked_through_again(homes: Homes) -> None:
    for kind in CHANGES:
        homes.make(kind)
    homes.make("still")
    assert homes.walked() == {*CHANGES, "still"}
    assert not homes.walked()
    assert not homes.walked(), "looking at homes is no change"
    for kind, change in CHANGES.items():
        change(homes.root / kind)
    assert homes.walked() == {*CHANGES}
    assert rows(homes.results) == rows(homes.full())
    # one with a subvolume in it can tell nothing of that, so it is walked through each time
    assert homes.walked() == {"subvolume in it"}
    (homes.root / "subvolume in it" / "inner" / "file").write_bytes(bytes(9000))
    homes.scan()
    assert rows(homes.results) == rows(homes.full())


@needs_btrfs
def test_what_is_changed_during_a_scan_is_walked_through_again(homes: Homes) -> None:
    home = homes.make("ana")
    homes.make("ben")
    written: list[Progress] = []

    def write(at: Progress) -> None:
        if not written:
            (home / "work" / "meanwhile").write_bytes(bytes(70_000))
        written.append(at)

    found = homes.scan(progress=write)
    assert written
    assert (found.marks[b"ana"], bool(found.marks[b"ben"])) == ("", True)
    assert homes.walked() == {"ana"}
    assert rows(homes.results) == rows(homes.full())


@needs_btrfs
def test_the_command_says_what_was_taken_over(homes: Homes, tmp_path: Path) -> None:
    data = DataFolder(tmp_path / "data")
    data.prepare()

    def run(*words: str) -> str:
        place = ["--data", str(data.root), "--homes", str(homes.root)]
        ran = CliRunner().invoke(load_commands(), ["storage", "scan", *words, *place])
        assert ran.exit_code == 0, ran.output
        return ran.stdout

    for name in ("ana", "ben"):
        homes.make(name)
    said = "stood still since the last scan"
    assert said not in run()
    assert f"2 homes {said}" in run()
    (homes.root / "ana" / "new").touch()
    assert f"1 home {said}" in run()
    assert json.loads(run("--json"))["unchanged"] == 2
    assert said not in run("--full")
    found = json.loads(run("--json"))
    assert {home["name"]: home["files"] for home in found["homes"]} == {"ana": 3, "ben": 2}


@needs_btrfs
def test_where_a_subvolume_does_not_tell_all_homes_are_walked_through(homes: Homes) -> None:
    (homes.root / "folder").mkdir()
    for name in ("ana", "ben", "cid", "dora"):
        homes.make(name)
    homes.scan()
    assert homes.walked() == {"folder"}, "a folder has no generation"

    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", homes.root / "ana" / "work"], check=True)
    try:
        assert homes.walked() == {"folder", "ana"}
        assert rows(homes.results)["unread"], "what was mounted there is not read"
    finally:
        subprocess.run(["umount", homes.root / "ana" / "work"], check=True)
    assert homes.walked() == {"folder", "ana"}, "it had a place that was not read"

    # by another name, and another one by its name
    (homes.root / "ben").rename(homes.root / "eve")
    (homes.root / "cid").rename(homes.root / "ben")
    assert homes.walked() == {"folder", "ben", "eve"}
    # a copy, with the same content and the same generation
    snapshot = ["btrfs", "subvolume", "snapshot", homes.root / "dora", homes.root / "copy"]
    subprocess.run(snapshot, check=True, capture_output=True)
    homes.scan()
    subprocess.run(["btrfs", "subvolume", "delete", homes.root / "dora"], check=True, capture_output=True)
    (homes.root / "copy").rename(homes.root / "dora")
    assert homes.walked() == {"folder", "dora"}

    assert not homes.scan(scratch=[b"work"]).unchanged, "other folders are for scratch"
    assert not homes.scan(scratch=SCRATCH).unchanged
    subprocess.run(["mount", "-o", "remount,lazytime", homes.root], check=True)
    assert not homes.scan().unchanged, "the time of a use may be on no disk"
    assert rows(homes.results) == rows(homes.full())


class _Life:
    """Homes to which anything happens."""

    def __init__(self, homes: Homes, seed: int) -> None:
        self.homes, self.rng, self.made = homes, random.Random(seed), 0  # noqa: S311 - no secret

    def name(self) -> str:
        self.made += 1
        return f"n{self.made}"

    def happen(self) -> None:
        """Something in a home, or to one."""
        there = sorted(home for home in self.homes.root.iterdir() if home.is_dir())
        if self.rng.random() < 0.15:
            self.to_homes(there)
            return
        home = self.rng.choice(there)
        folders = [home, *sorted(p for p in home.rglob("*") if p.is_dir())]
        files = sorted(p for p in home.rglob("*") if p.is_file())
        folder = self.rng.choice(folders)
        acts: list[Callable[[], Any]] = [
            lambda: (folder / self.name()).write_bytes(bytes(self.rng.randrange(200_000))),
            lambda: (folder / self.rng.choice(("scratch", ".cache", ".Trash", self.name()))).mkdir(exist_ok=True),
            (folder / ".cubehub-keep").touch,
            lambda: self.large(folder / self.name()),
        ]  # fmt: skip
        if files:
            file = self.rng.choice(files)
            acts += [
                file.unlink,
                file.read_bytes,
                lambda: file.rename(folder / self.name()),
                lambda: os.link(file, folder / self.name()),
                lambda: os.utime(file, (OLD + self.made, OLD)),
                lambda: os.truncate(file, self.rng.randrange(100_000)),
            ]
        if folder != home:
            acts += [lambda: shutil.rmtree(folder), lambda: folder.rename(home / self.name())]
        self.rng.choice(acts)()

    def large(self, file: Path) -> None:
        if self.made % 5 == 0 and shutil.disk_usage(self.homes.root).free > 3 * LARGE_BYTES:
            with file.open("wb") as at:
                os.posix_fallocate(at.fileno(), 0, LARGE_BYTES)

    def to_homes(self, there: list[Path]) -> None:
        one, other = self.rng.sample(there, 2)
        self.rng.choice((
            lambda: self.homes.make(self.name()),
            lambda: one.rename(self.homes.root / self.name()),
            lambda: (one.rename(self.homes.root / "-"), other.rename(one), (self.homes.root / "-").rename(other)),
        ))()  # fmt: skip


@needs_btrfs
def test_whatever_happens_the_rows_are_those_of_a_full_scan(homes: Homes) -> None:
    life, walked, taken = _Life(homes, 7), 0, 0
    for _ in range(6):
        homes.make(life.name())
    for number in range(int(os.environ.get("CUBEHUB_SCANS", "8"))):
        for _ in range(life.rng.randrange(6)):
            life.happen()
        found = homes.scan()
        walked, taken = walked + len(found.homes), taken + len(found.unchanged)
        assert rows(homes.results) == rows(homes.full()), number
    assert walked
    assert taken


# Without a btrfs


def _found(root: Path, *names: bytes) -> Scan:
    made = Scan(root, 1.0, 2.0)
    for name in names:
        tally = HomeTally(Share(4096, 3, 5), 2, inode=256)
        tally.places[b"work"] = Share(4096, 3, 5)
        tally.units[b".cache/pip"] = Unit("pip", 9, Share(10, 1, 5))
        made.homes[name], made.linked[name], made.marks[name] = tally, 7, f"mark of {name!r}"
    return made


def _again(results: Results, root: Path) -> Scan:
    """A scan in which nothing was changed."""
    before = results.before(root)
    assert before is not None
    return Scan(root, 3.0, 4.0, before=before, unchanged=before.homes)


def test_rows_are_taken_over_from_scan_to_scan(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.add(_found(tmp_path, b"ana", b"b\xff%"))
    first = rows(results)
    for _ in range(KEPT_WHOLE + 2):
        again = _again(results, tmp_path)
        assert again.bytes_of(b"ana") == 4096 + 7
        assert (again.count, again.files, again.bytes) == (2, 6, 2 * (4096 + 7))
        results.add(again)
        assert rows(results) == first
    assert results.before(tmp_path / "elsewhere") is None


@pytest.mark.parametrize("meanwhile", ["other scans", "another file"])
def test_what_was_taken_over_must_still_be_there(tmp_path: Path, meanwhile: str) -> None:
    results = Results(tmp_path)
    results.add(_found(tmp_path, b"ana"))
    again = _again(results, tmp_path)
    if meanwhile == "another file":
        (tmp_path / FILE).unlink()
        results.add(_found(tmp_path, b"ben"))
    else:
        for _ in range(KEPT_WHOLE):
            results.add(_found(tmp_path, b"ana"))
    count = len(results.scans())
    with pytest.raises(CubeHubError, match="not kept any more"):
        results.add(again)
    assert len(results.scans()) == count, "a scan is kept as a whole or not at all"


@pytest.mark.parametrize("version", [1, 2])
def test_results_of_earlier_versions_are_gone_on_with(tmp_path: Path, version: int) -> None:
    results = Results(tmp_path)
    results.add(_found(tmp_path, b"ana"))
    with closing(sqlite3.connect(tmp_path / FILE)) as made:
        made.execute("ALTER TABLE homes DROP COLUMN mark")
        if version == 1:
            made.executescript(
                "ALTER TABLE homes DROP COLUMN inode; ALTER TABLE large DROP COLUMN inode; DROP TABLE kept"
            )
        made.execute(f"PRAGMA user_version = {version}")
        made.commit()
    before = results.before(tmp_path)
    assert before is not None
    assert not before.homes, "a home without a mark is walked through"
    results.add(_found(tmp_path, b"ana"))
    assert rows(results)["homes"][0][:3] == ("ana", 4096 + 7, 3)


def test_rows_depend_on_the_rules_by_which_they_were_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = standing.rules([b"scratch"])
    assert made == standing.rules((b"scratch",))
    assert made != standing.rules([])
    copy = tmp_path / "standing.py"
    for name in standing._JUDGES:
        shutil.copy(Path(standing.__file__).with_name(f"{name}.py"), tmp_path)
    monkeypatch.setattr(standing, "__file__", str(copy))
    assert standing.rules([b"scratch"]) == made
    with (tmp_path / "kinds.py").open("a") as file:
        file.write("# another kind\n")
    assert standing.rules([b"scratch"]) != made
    (tmp_path / "kinds.py").unlink()
    assert standing.rules([b"scratch"]) == ""
    assert standing.stands(tmp_path, [b"ana"], "") == {}


def test_paths_of_mounts_are_read_as_the_kernel_writes_them() -> None:
    assert standing._plain(rb"/homes/a\040b\134c") == b"/homes/a b\\c"


def test_homes_on_another_file_system_are_walked_through(tmp_path: Path) -> None:
    assert standing.stands(tmp_path / "none", [b"ana"], "rules") == {}
    (tmp_path / "ana").mkdir()
    (tmp_path / "link").symlink_to("ana")
    assert standing.stands(tmp_path, [b"ana", b"link", b"none"], "rules") == {}

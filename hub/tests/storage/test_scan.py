"""Scans of real folders, some of them made by hostile people: nothing outside is read, and all that is inside is counted."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from cubehub.errors import BadInputError, CubeHubError
from cubehub.storage import beneath, walking
from cubehub.storage import scan as scanning
from cubehub.storage.scan import scan

if TYPE_CHECKING:
    from pathlib import Path


def du(root: Path) -> int:
    """What `du` says of the homes, in bytes."""
    homes = [str(home) for home in root.iterdir() if not home.name.startswith(".")]
    told = subprocess.run(
        ["du", "-s", "-x", "-c", "-B1", *homes], check=True, capture_output=True, text=True
    ).stdout
    return int(told.splitlines()[-1].split()[0])


def counted(found: scanning.Scan) -> int:
    return sum(found.bytes_of(home) for home in found.homes)


@pytest.fixture
def homes(tmp_path: Path) -> Path:
    root = tmp_path / "homes"
    for home, files in (("ana", 300), ("ben", 20), ("empty", 0)):
        for number in range(files):
            folder = root / home / f"a{number % 7}" / f"b{number % 3}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number}.dat").write_bytes(bytes(number * 50))
        (root / home).mkdir(exist_ok=True)
    (root / ".uids.json").write_text("{}")
    (root / ".cubehub-quarantine").mkdir()
    cache = root / "ana" / ".cache" / "pip" / "http"
    cache.mkdir(parents=True)
    (cache / "wheel").write_bytes(bytes(20_000))
    os.link(root / "ana" / "a1" / "b1" / "1.dat", root / "ana" / "once-more")
    os.link(root / "ana" / "a1" / "b1" / "1.dat", root / "ben" / "of-ana")
    return root


@pytest.mark.parametrize("processes", [1, 3])
def test_the_same_as_du(homes: Path, processes: int) -> None:
    found = scan(homes, processes=processes)
    assert list(found.homes) == [b"ana", b"ben", b"empty"]
    assert counted(found) == du(homes)
    ana = found.homes[b"ana"]
    assert ana.own.files == 302
    assert ana.caches["pip"].files == 1
    assert ana.caches["pip"].bytes >= 20_000
    assert not ana.unread_count


def test_use_is_of_files_and_not_of_folders(homes: Path) -> None:
    for folder, _, files in os.walk(homes / "ben"):
        for name in files:
            os.utime(f"{folder}/{name}", (1_000_000, 900_000))
    assert scan(homes).homes[b"ben"].own.newest == 1_000_000


def test_looking_is_no_use_of_a_folder(homes: Path) -> None:
    folders = [homes / "ana", homes / "ana" / "a1", homes / "ana" / "a1" / "b1"]
    for folder in folders:
        os.utime(folder, (1_000_000, 2_000_000))
    scan(homes)
    assert {folder.stat().st_atime for folder in folders} == {1_000_000}


def test_large_files_are_told_by_name(homes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # spawned processes import anew: one that runs here is enough to see it
    monkeypatch.setattr(walking, "LARGE_BYTES", 12_000)
    worker = here(homes)
    worker.do(0, b"")
    assert {path for _, _, path, _ in worker.tallies[0].large} >= {b".cache/pip/http/wheel", b"a5/b2/299.dat"}


class _Here:
    """What processes share, for one that runs in this process."""

    def __init__(self) -> None:
        import multiprocessing  # noqa: PLC0415

        context = multiprocessing.get_context("spawn")
        self.left, self.idle, self.begun = context.Value("q", 0), context.Value("i", 0), context.Value("q", 0)
        self.names = [0]
        self.complete = context.Event()


def here(homes: Path, rate: float = 0) -> walking.Worker:
    root = os.open(homes, os.O_RDONLY | os.O_DIRECTORY)
    return walking.Worker(root, scanning.homes_in(homes), 0, rate, None, _Here())


def hostile(home: Path, outside: Path) -> None:
    """Fill a home with all that one could trip over."""
    (home / "to-outside").symlink_to(outside)
    (home / "to-root").symlink_to("/")
    (home / "circle").symlink_to(".")
    (home / "dangling").symlink_to("nowhere")
    os.mkfifo(home / "fifo")
    with socket.socket(socket.AF_UNIX) as made:
        here = os.getcwd()  # noqa: PTH109
        os.chdir(home)
        made.bind("socket")
        os.chdir(here)
    for name in (b"new\nline", b"\xff\xfe", b"-rf", b"\x1b[2J", b"a" * 255, b"\xc3\xa9", b"e\xcc\x81"):
        folder = os.fsencode(home) + b"/names/" + name
        os.makedirs(folder)  # noqa: PTH103 - as below
        with open(folder + b"/" + name, "wb") as file:  # noqa: PTH123 - bytes
            file.write(b"x" * 5000)
    with (home / "sparse").open("wb") as file:
        file.truncate(2**43)
    (home / "setuid").write_bytes(b"x")
    (home / "setuid").chmod(0o6777)
    at = os.open(home, os.O_RDONLY)
    for _ in range(4096):
        os.mkdir("deep", dir_fd=at)
        below = os.open("deep", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(os.open("at-the-end", os.O_CREAT | os.O_WRONLY, dir_fd=at))
    os.close(at)
    (home / "wide").mkdir()
    for number in range(3000):
        os.close(os.open(home / "wide" / str(number), os.O_CREAT))


def rm(path: Path) -> None:
    """Also what is too deep for Python."""
    subprocess.run(["rm", "-rf", str(path)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_hostile_home_is_counted_and_nothing_else(tmp_path: Path, processes: int) -> None:
    outside, root = tmp_path / "outside", tmp_path / "homes"
    (root / "eve").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret").write_bytes(bytes(10_000_000))
    hostile(root / "eve", outside)
    try:
        found = scan(root, processes=processes)
        assert counted(found) == du(root)
        eve = found.homes[b"eve"]
        assert not eve.unread_count, eve.unread
        assert eve.folders == 1 + 1 + 7 + 4096 + 1
        assert eve.own.files == 4 + 2 + 7 + 2 + 1 + 3000
        assert counted(found) < 10_000_000 + 4096 * 5000
    finally:
        rm(root / "eve")


@pytest.mark.slow
def test_folders_that_become_links_meanwhile_lead_nowhere(tmp_path: Path) -> None:
    outside, home = tmp_path / "outside", tmp_path / "homes" / "eve"
    outside.mkdir()
    for number in range(50):
        (outside / f"secret{number}").write_bytes(bytes(4096 * 25))
    (home / "real").mkdir(parents=True)
    (home / "link").symlink_to(outside)
    (home / "real" / "own").write_bytes(b"x")
    ended = threading.Event()
    libc = ctypes.CDLL(None)

    def swap() -> None:
        one, other = os.fsencode(home / "real"), os.fsencode(home / "link")
        while not ended.is_set():
            libc.renameat2(-100, one, -100, other, 2)

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        worker = here(tmp_path / "homes")
        until, tries = time.monotonic() + 3, 0
        while time.monotonic() < until:
            worker.tallies.clear()
            worker.do(0, b"")
            assert worker.tallies[0].own.bytes < 4096 * 25
            tries += 1
    finally:
        ended.set()
        swapping.join()
    assert tries > 5


def test_another_file_system_is_not_entered(tmp_path: Path) -> None:
    home = tmp_path / "homes" / "ana"
    for name in ("tmpfs", "bind"):
        (home / name).mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "data").write_bytes(bytes(5_000_000))
    code = (
        "import sys; from pathlib import Path; from cubehub.storage.scan import scan\n"
        "if __name__ == '__main__':\n"
        "    found = scan(Path(sys.argv[1]), processes=1).homes[b'ana']\n"
        "    print(found.own.bytes, sorted(found.unread))"
    )
    script = (
        'mount -t tmpfs tmpfs "$1/homes/ana/tmpfs" && head -c 3000000 /dev/zero >"$1/homes/ana/tmpfs/data" '
        '&& mount --bind "$1/elsewhere" "$1/homes/ana/bind" && exec "$2" "$3" "$1/homes"'
    )
    (tmp_path / "look.py").write_text(code)
    ended = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(tmp_path), sys.executable, str(tmp_path / "look.py")],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    size, _, unread = ended.stdout.partition(" ")
    assert int(size) < 100_000
    assert unread.count("another file system is mounted there") == 2, unread


def test_without_openat2_the_same_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beneath, "_has_openat2", False)
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "link").symlink_to("b")
    (tmp_path / "a" / "file").write_text("x")
    at = os.open(tmp_path, os.O_RDONLY)
    opened = beneath.open_folder(at, b"a/b")
    assert os.fstat(opened).st_ino == (tmp_path / "a" / "b").stat().st_ino
    os.close(opened)
    for path, number in (
        (b"a/link", errno.ENOTDIR),
        (b"a/file", errno.ENOTDIR),
        (b"a/../..", errno.EXDEV),
        (b"c", errno.ENOENT),
    ):
        with pytest.raises(OSError, match=r"\[") as refused:
            beneath.open_folder(at, path)
        assert refused.value.errno == number, path
    os.close(at)


@pytest.mark.parametrize("path", [b"..", b"a/../..", b"a/link", b"/", b"a/magic/root"])
def test_no_way_leads_out(tmp_path: Path, path: bytes) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "link").symlink_to("/")
    (tmp_path / "a" / "magic").symlink_to("/proc/self")
    at = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(OSError, match=r"\[") as refused:
        beneath.open_folder(at, path)
    assert refused.value.errno in {errno.EXDEV, errno.ELOOP, errno.ENOTDIR}
    os.close(at)


def test_the_budget_is_kept(homes: Path) -> None:
    worker = here(homes, rate=500)
    began = time.monotonic()
    worker.do(0, b"")
    took = time.monotonic() - began
    assert worker._done / took < 500 * 1.1
    assert worker._done > 300


@pytest.mark.needs("root")
def test_what_may_not_be_read_is_told(homes: Path) -> None:
    (homes / "ben" / "closed").mkdir(mode=0o000)
    worker = here(homes)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        worker.do(1, b"")
        os.write(writing, repr(worker.tallies[1].unread).encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    assert os.read(reading, 1000).decode() == "[(b'closed', 'not allowed')]"
    os.close(reading)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="cannot be listed"):
        scan(tmp_path / "none")


def test_a_process_that_is_killed_is_an_error_and_not_half_a_scan(homes: Path) -> None:
    import psutil  # noqa: PLC0415

    def kill(_at: scanning.Progress) -> None:
        for child in psutil.Process().children():
            if "multiprocessing.spawn" in " ".join(child.cmdline()):
                child.kill()

    with pytest.raises(CubeHubError, match="ended"):
        scan(homes, processes=1, iops=200, progress=kill)

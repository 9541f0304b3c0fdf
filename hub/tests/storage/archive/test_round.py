"""What is packed comes back as it was, and other programs read it too."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import pytest
import zstandard
from cubehub.errors import BadInputError
from cubehub.storage import beneath
from cubehub.storage.archive import Seal, contents, unchanged
from cubehub.storage.archive.errors import DamagedError
from cubehub_tests.archives import everything, make_socket, make_sparse, packing, rich_tree
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.fixture
def rich(tmp_path: Path) -> Path:
    return rich_tree(tmp_path)


def names(folder: Path) -> list[str]:
    return sorted(found.name for found in folder.iterdir())


def lines(listing: bytes) -> list[dict]:
    text = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(listing)).read()
    return [json.loads(line) for line in text.splitlines()]


def test_everything_comes_back(rich: Path, tmp_path: Path) -> None:
    before = everything(rich)
    made = packing(rich)
    assert everything(rich) == before
    assert made.verify().members == made.packed.members == len(before) - 1
    done = made.unpack(tmp_path / "to")
    assert (done.name, done.left_out, done.without) == (b"item", 0, 0)
    assert everything(tmp_path / "to" / "item") == before
    assert names(tmp_path / "to") == ["item"]
    assert (tmp_path / "to" / "item" / "hole").stat().st_blocks < 100
    assert time.time() - (tmp_path / "to" / "item" / "rights").stat().st_atime < 1000


def test_without_openat2_the_same_is_packed(
    rich: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beneath, "_has_openat2", False)
    made = packing(rich)
    made.unpack(tmp_path / "to")
    assert everything(tmp_path / "to" / "item") == everything(rich)


def test_reading_does_not_count_as_use(rich: Path) -> None:
    os.utime(rich / "large", ns=(5, 7))
    packing(rich)
    assert (rich / "large").stat().st_atime_ns == 5


@pytest.mark.needs("root")
def test_owners_devices_and_capabilities_come_back(tmp_path: Path) -> None:
    top = tmp_path / "from" / "item"
    top.mkdir(parents=True)
    os.mknod(top / "null", 0o620 | stat.S_IFCHR, os.makedev(1, 3))
    os.mknod(top / "disk", 0o600 | stat.S_IFBLK, os.makedev(259, 70000))
    (top / "of-ana").write_text("x")
    os.setxattr(top / "of-ana", "user.a", b"1")
    os.chown(top / "of-ana", 12345, 4_000_000_000)
    (top / "of-ana").chmod(0o6755)
    (top / "able").write_text("x")
    os.setxattr(
        top / "able", "security.capability", bytes.fromhex("0000000200200000000000000000000000000000")
    )
    (top / "link").symlink_to("x")
    os.chown(top / "link", 12345, 12346, follow_symlinks=False)
    before = everything(top)
    made = packing(top)
    made.verify()
    made.unpack(tmp_path / "to")
    assert everything(tmp_path / "to" / "item") == before


@pytest.mark.needs("root")
def test_another_owner_gets_what_was_the_owners_and_no_special_rights(tmp_path: Path) -> None:
    top = tmp_path / "from" / "item"
    top.mkdir(parents=True)
    for name, owner in (("own", 1001), ("foreign", 0)):
        (top / name).write_text("x")
        os.chown(top / name, owner, owner)
        (top / name).chmod(0o6755)
    os.setxattr(top / "own", "security.capability", bytes.fromhex("0000000200200000000000000000000000000000"))
    os.chown(top, 1001, 1001)
    done = packing(top).unpack(tmp_path / "to", owner=(2002, 2003))
    own, foreign = ((tmp_path / "to" / "item" / name).stat() for name in ("own", "foreign"))
    assert (own.st_uid, own.st_gid, stat.S_IMODE(own.st_mode)) == (2002, 2003, 0o755)
    assert (foreign.st_uid, foreign.st_gid, stat.S_IMODE(foreign.st_mode)) == (0, 0, 0o6755)
    assert os.listxattr(tmp_path / "to" / "item" / "own") == []
    assert done.without == 1


def test_a_single_file_is_an_archive_too(tmp_path: Path) -> None:
    (tmp_path / "alone").write_bytes(b"content" * 1000)
    made = packing(tmp_path / "alone")
    made.verify()
    assert made.unpack(tmp_path / "to", name=b"other").name == b"other"
    assert (tmp_path / "to" / "other").read_bytes() == b"content" * 1000


def test_sockets_are_named_and_left_out(tmp_path: Path) -> None:
    top = tmp_path / "item"
    top.mkdir()
    make_socket(top / "sock")
    made = packing(top)
    assert made.packed.left_out == 1
    assert [line["type"] for line in lines(made.listing)] == ["folder", "socket"]
    assert made.verify().members == 2
    assert made.unpack(tmp_path / "to").left_out == 1
    assert names(tmp_path / "to" / "item") == []


def test_the_manifest_tells_each_member(rich: Path) -> None:
    found = {line["path"]: line for line in lines(packing(rich).listing)}
    assert found["item/%2541 = %25"]["size"] == 7
    assert "item/line%0Aend" in found
    assert "item/%FF%FE no text" in found
    large = found["item/large"]
    assert set(large) == {"path", "type", "mode", "uid", "gid", "mtime_ns", "ctime_ns", "size", "sha256"}
    sparse = found["item/holes"]
    assert sparse["size"] == 10_000_000
    assert sparse["stored"] < 300_000
    twins = {found["item/notebook.ipynb"]["type"], found["item/deep/second.ipynb"]["type"]}
    assert twins == {"file", "hardlink"}
    assert set(found["item/rights"]["xattrs"]) == {"user.any=%25", "system.posix_acl_access"}


def test_what_is_in_it_is_told_without_the_archive(rich: Path) -> None:
    made = packing(rich)
    found = {member.path: member for member in contents(io.BytesIO(made.listing), made.packed.seal)}
    assert {path.removeprefix(b"item") for path in found} == set(everything(rich)) - {b"names of one file"}
    assert found[b"item/large"].size == 3_000_001
    with pytest.raises(DamagedError, match="not the one"):
        next(contents(io.BytesIO(made.listing), Seal("", "0" * 64)))


# Other programs


@pytest.mark.needs("root")
def test_gnu_tar_unpacks_the_same(rich: Path, tmp_path: Path) -> None:
    made = packing(rich)
    (tmp_path / "to").mkdir()
    tar = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(made.archive)).read()
    ended = subprocess.run(
        ["tar", "-xpf", "-", "--xattrs", "--xattrs-include=*", "-C", str(tmp_path / "to")],
        input=tar, capture_output=True, check=False, timeout=120,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr.decode()
    before, after = everything(rich), everything(tmp_path / "to" / "item")
    assert after == before


def test_tarfile_reads_the_same(rich: Path) -> None:
    made = packing(rich)
    tar = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(made.archive)).read()
    with tarfile.open(fileobj=io.BytesIO(tar)) as found:
        members = {os.fsencode(member.name): member for member in found}
        for path, facts in everything(rich).items():
            if path == b"names of one file":
                continue
            member = members[b"item" + path]
            assert (member.mode, member.uid, member.gid) == facts[1:4]
            if member.isreg() and facts[6][1]:
                assert found.extractfile(member).read() == facts[6][1]
        assert members[b"item/hole"].size == 1 << 40


# Holes and sizes


def test_a_file_of_eight_exbibytes_takes_no_time() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:  # tmpfs takes such sizes
        huge = Path(place) / "item"
        make_sparse(huge, (1 << 63) - 1, (1 << 62, b"far"), (5, b"near"))
        made = packing(huge)
        assert len(made.archive) < 10_000
        made.verify()
        made.unpack(Path(place) / "to")
        with (Path(place) / "to" / "item").open("rb") as back:
            assert os.fstat(back.fileno()).st_size == (1 << 63) - 1
            assert (os.pread(back.fileno(), 4, 5), os.pread(back.fileno(), 3, 1 << 62)) == (b"near", b"far")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(st.tuples(st.integers(0, 3_000_000), st.binary(min_size=1, max_size=70_000)), max_size=5),
    tail=st.integers(0, 500_000),
)
def test_files_with_holes_come_back(pieces: list[tuple[int, bytes]], tail: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "item"
        make_sparse(file, 1, *pieces)
        os.truncate(file, file.stat().st_size + tail)
        made = packing(file)
        made.verify()
        made.unpack(Path(place) / "to")
        assert (Path(place) / "to" / "item").read_bytes() == file.read_bytes()


@settings(max_examples=25, deadline=None)
@given(
    names=st.lists(
        st.binary(min_size=1, max_size=120).filter(lambda name: not set(name) & {0, 0x2F} and name not in {b".", b".."}),
        min_size=1, max_size=6, unique=True,
    )
)  # fmt: skip
def test_names_of_any_bytes_come_back(names: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as place:
        top = os.fsencode(place) + b"/item"
        Path(os.fsdecode(top)).mkdir()
        at = top
        for name in names:
            Path(os.fsdecode(at + b"/" + name)).mkdir()
            at += b"/" + name
            Path(os.fsdecode(at + b"/file")).write_bytes(name)
        made = packing(Path(os.fsdecode(top)))
        made.verify()
        made.unpack(Path(place) / "to")
        assert everything(Path(place) / "to" / "item") == everything(Path(place) / "item")


@pytest.mark.slow
def test_folders_in_one_another_without_end(tmp_path: Path) -> None:
    top = tmp_path / "item"
    top.mkdir()
    at = os.open(top, os.O_RDONLY)
    for depth in range(3000):
        for name in (b"down", b"side%d" % (depth % 3)):
            os.mkdir(name, dir_fd=at)
        below = os.open(b"down", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(os.open(b"bottom", os.O_CREAT, 0o600, dir_fd=at))
    os.close(at)
    made = packing(top)
    assert made.verify().members == 6002
    assert made.unpack(tmp_path / "to").members == 6002
    slot = os.open(tmp_path, os.O_RDONLY)
    unchanged(slot, b"item", io.BytesIO(made.listing), made.packed.seal)
    os.close(slot)
    for path in (top, tmp_path / "to"):
        subprocess.run(["rm", "-rf", str(path)], check=True)


@pytest.mark.slow
def test_memory_does_not_grow_with_what_is_packed() -> None:
    """Forty thousand files, and one of 300 MB."""
    program = (
        "import os, resource, sys\n"
        "from cubehub.storage.archive import pack, verify\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "at = os.open(sys.argv[1], os.O_RDONLY)\n"
        "with open(sys.argv[1] + '/a', 'w+b') as a, open(sys.argv[1] + '/b', 'w+b') as b:\n"
        "    made = pack(at, b'item', a, b)\n"
        "    a.seek(0); b.seek(0)\n"
        "    verify(a, b, made.seal)\n"
        "print(made.members, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)"
    )
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        top = Path(place) / "item"
        for number in range(20):
            (top / f"f{number}").mkdir(parents=True)
            at = os.open(top / f"f{number}", os.O_RDONLY)
            for file in range(2000):
                os.close(os.open(b"file%d" % file, os.O_CREAT, 0o600, dir_fd=at))
            os.close(at)
        with (top / "large").open("wb") as large:
            for _ in range(300):
                large.write(os.urandom(1 << 10) * 1024)
        told = subprocess.run(
            [sys.executable, "-c", program, place], check=True, capture_output=True, text=True
        ).stdout.split()
    assert int(told[0]) == 40_022
    assert int(told[1]) < 150, "MiB"


# One file or folder of it


def test_one_file_comes_back_alone(rich: Path, tmp_path: Path) -> None:
    made = packing(rich)
    done = made.unpack(tmp_path / "to", only=b"large")
    assert done.members == 1
    assert names(tmp_path / "to") == ["large"]
    assert (tmp_path / "to" / "large").read_bytes() == (rich / "large").read_bytes()
    assert (tmp_path / "to" / "large").stat().st_mtime_ns == (rich / "large").stat().st_mtime_ns


@pytest.mark.parametrize("only", [b"notebook.ipynb", b"deep/second.ipynb", b"deep", b"deep/"])
def test_the_content_of_a_hard_link_comes_with_it(rich: Path, tmp_path: Path, only: bytes) -> None:
    made = packing(rich)
    done = made.unpack(tmp_path / "to", only=only)
    back = tmp_path / "to" / os.fsdecode(done.name)
    assert names(tmp_path / "to") == [os.fsdecode(done.name)]
    file = back / "second.ipynb" if back.is_dir() else back
    assert file.read_text() == "{}"
    assert file.stat().st_nlink == 1


def test_what_is_not_in_it_is_told(rich: Path, tmp_path: Path) -> None:
    made = packing(rich)
    for only in (b"nothing", b"../item", b"large/x", b"lar"):
        with pytest.raises(BadInputError, match="There is no"):
            made.unpack(tmp_path / "to", only=only)
    assert names(tmp_path / "to") == []


def test_nothing_is_unpacked_over_something(rich: Path, tmp_path: Path) -> None:
    made = packing(rich)
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "item").symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        made.unpack(tmp_path / "to")
    assert names(tmp_path / "to") == ["item"]
    (tmp_path / "to" / "item").unlink()

    def late(step: str) -> None:
        if step == "synced":
            (tmp_path / "to" / "item").write_text("new")

    with pytest.raises(FileExistsError):
        made.unpack(tmp_path / "to", step=late)
    assert (tmp_path / "to" / "item").read_text() == "new"
    assert names(tmp_path / "to") == ["item"]


@pytest.mark.parametrize("step", ["scratch", "unpacked", "synced", "moved", "done"])
def test_a_kill_leaves_all_or_nothing(rich: Path, tmp_path: Path, step: str) -> None:
    made = packing(rich)
    if not (child := os.fork()):
        made.unpack(tmp_path / "to", step=lambda now: os._exit(9) if now == step else None)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    there = (tmp_path / "to" / "item").exists()
    assert there == (step in {"moved", "done"})
    if there:
        assert everything(tmp_path / "to" / "item") == everything(rich)
        (tmp_path / "to" / "item").rename(tmp_path / "away")
    made.unpack(tmp_path / "to")
    assert names(tmp_path / "to") == ["item"]
    assert everything(tmp_path / "to" / "item") == everything(rich)


@pytest.mark.needs("root")
def test_a_full_disk_leaves_nothing(rich: Path, tmp_path: Path) -> None:
    made = packing(rich)
    for name, data in (("archive", made.archive), ("listing", made.listing)):
        (tmp_path / name).write_bytes(data)
    (tmp_path / "full").mkdir()
    program = (
        "import os, sys\nfrom cubehub.storage.archive import ArchiveError, Seal, unpack\n"
        "at = os.open(sys.argv[1] + '/full', os.O_RDONLY)\n"
        "a, b = (open(f'{sys.argv[1]}/{name}', 'rb') for name in ('archive', 'listing'))\n"
        "try: unpack(a, b, at, seal=Seal(*sys.argv[2:4]))\n"
        "except ArchiveError as error: print(error, os.listdir(at))"
    )
    script = 'mount -t tmpfs -o size=2m tmpfs "$1/full" && exec "$2" -W ignore -c "$3" "$1" "$4" "$5"'
    seal = made.packed.seal
    ended = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(tmp_path), sys.executable, program, seal.archive, seal.manifest],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert ended.stdout.strip() == "There is no room to unpack the archive. []", ended.stderr

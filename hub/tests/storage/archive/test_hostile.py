"""Archives that mean harm or were damaged, and trees that people exchange while they are read."""

from __future__ import annotations

import hashlib
import io
import os
import random
import shutil
import stat
import subprocess
import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import zstandard
from cubehub.errors import CubeHubError
from cubehub.storage.archive import ArchiveError, ChangedError, DamagedError, Packed, Seal, manifest, tarball
from cubehub.storage.archive.manifest import FILE, FOLDER, HARD_LINK, LINK, Member
from cubehub.storage.archive.reading import KINDS
from cubehub_tests.archives import Packing, everything, make_sparse, packing, rich_tree
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

ME = (os.getuid(), os.getgid())


def member(path: bytes, kind: str = FOLDER, **more: object) -> Member:
    told = Member(path, kind, 0o755, *ME, 1_000_000_000, 0)
    return replace(told, **more)  # type: ignore[arg-type]


def file(path: bytes, content: bytes = b"x", **more: object) -> tuple[Member, bytes]:
    told = {
        "size": len(content),
        "stored": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        **more,
    }
    return member(path, FILE, **told), content


def forge(*members: Member | tuple[Member, bytes], records: bytes = b"") -> Packing:
    """An archive with a manifest and a seal that fit it, whatever it says."""
    tar, lines = b"", b""
    for given_ in members:
        told, content = given_ if isinstance(given_, tuple) else (given_, b"")
        lines += told.line()
        if told.type != manifest.SOCKET:
            tar += tarball.header(
                KINDS[told.type], told.path, told.mode, told.uid, told.gid, told.mtime_ns, told.stored, told.to, told.device,
                records, told.size if told.size != told.stored else None,
            )  # fmt: skip
            tar += content + bytes(tarball.padding(len(content)))
    return sealed(tar + tarball.END, lines)


def sealed(tar: bytes, lines: bytes) -> Packing:
    archive, listing = (zstandard.compress(data) for data in (tar, lines))
    seal = Seal(hashlib.sha256(archive).hexdigest(), hashlib.sha256(listing).hexdigest())
    return Packing(Packed(seal, 0, 0, 0, 0, 0), archive, listing)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A folder to unpack into, and something beside it that must stay as it is."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    (tmp_path / "to").mkdir()
    before = everything(tmp_path / "outside")
    yield tmp_path / "to"
    assert everything(tmp_path / "outside") == before
    assert sorted(found.name for found in tmp_path.iterdir()) == ["outside", "to"]


TOP = member(b"item")
FORGED = {
    "up": (TOP, *[file(b"item/../../outside/new")]),
    "up as the top": (file(b"../outside/new"),),
    "a top that is ..": (member(b".."), file(b"../new")),
    "a top that is .": (member(b"."),),
    "no name": (member(b""),),
    "absolute": (TOP, file(b"/tmp/cubehub-hostile")),
    "absolute as the top": (file(b"/cubehub-hostile"),),
    "two slashes": (TOP, file(b"item//new")),
    "a dot": (TOP, file(b"item/./new")),
    "two tops": (TOP, file(b"other")),
    "a second top of that name": (TOP, TOP),
    "a file twice": (TOP, file(b"item/a"), file(b"item/a", b"yy")),
    "through a link": (TOP, member(b"item/out", LINK, to=b"../../outside"), file(b"item/out/new")),
    "through a link made a folder": (TOP, member(b"item/out", LINK, to=b"../../outside"), member(b"item/out"), file(b"item/out/new")),
    "over a link": (TOP, member(b"item/out", LINK, to=b"../../outside/secret"), file(b"item/out")),
    "a link as the top": (member(b"item", LINK, to=b"../outside"), file(b"item/new")),
    "below a file": (TOP, file(b"item/a"), file(b"item/a/b")),
    "back into a folder that was left": (TOP, member(b"item/a"), member(b"item/b"), file(b"item/a/new")),
    "hard link out": (TOP, member(b"item/a", HARD_LINK, to=b"../outside/secret")),
    "hard link up": (TOP, member(b"item/a", HARD_LINK, to=b"item/../../outside/secret")),
    "hard link absolute": (TOP, member(b"item/a", HARD_LINK, to=b"/etc/passwd")),
    "hard link to a link": (TOP, member(b"item/l", LINK, to=b"../../outside/secret"), member(b"item/a", HARD_LINK, to=b"item/l")),
    "hard link through a link": (TOP, member(b"item/l", LINK, to=b"../../outside"), member(b"item/a", HARD_LINK, to=b"item/l/secret")),
    "hard link to a folder": (TOP, member(b"item/d"), member(b"item/a", HARD_LINK, to=b"item/d")),
    "hard link to what comes later": (TOP, member(b"item/a", HARD_LINK, to=b"item/b"), file(b"item/b")),
    "hard link to itself": (TOP, member(b"item/a", HARD_LINK, to=b"item/a")),
    "hard link to nothing": (TOP, member(b"item/a", HARD_LINK)),
    "a name with a 0 in it": (TOP, file(b"item/" + b"n" * 101 + b"\0b")),
    "a name that is too long": (TOP, file(b"item/" + b"n" * 256)),
    "a time that no file system takes": (replace(TOP, mtime_ns=1 << 100),),
    "an owner that there is not": (replace(TOP, uid=1 << 40),),
    "data behind its end": (TOP, (replace(file(b"item/a", b"1\n5\n1\n".ljust(512, b"\0") + b"x")[0], size=3), b"1\n5\n1\n".ljust(512, b"\0") + b"x")),
    "holes out of order": (TOP, (replace(file(b"item/a", b"2\n5\n1\n0\n1\n".ljust(512, b"\0") + b"xx")[0], size=9), b"2\n5\n1\n0\n1\n".ljust(512, b"\0") + b"xx")),
    "holes that are none": (TOP, (replace(file(b"item/a", b"x" * 512)[0], size=9), b"x" * 512)),
    "holes without number": (TOP, (replace(file(b"item/a", b"99999999999\n".ljust(512, b"\0"))[0], size=9), b"99999999999\n".ljust(512, b"\0"))),
    "holes below 0": (TOP, (replace(file(b"item/a", b"1\n-5\n1\n".ljust(512, b"\0") + b"x")[0], size=9), b"1\n-5\n1\n".ljust(512, b"\0") + b"x")),
    "another content than its sum": (TOP, (file(b"item/a", b"right")[0], b"wrong")),
    "nothing": (),
    "a socket as the top": (member(b"item", manifest.SOCKET), file(b"item/a")),
}  # fmt: skip


@pytest.mark.parametrize("what", FORGED)
def test_hostile_archives_leave_nothing(place: Path, what: str) -> None:
    made = forge(*FORGED[what])
    with pytest.raises(ArchiveError):
        made.unpack(place)
    assert list(place.iterdir()) == []


def test_where_links_lead_does_not_matter_while_nobody_goes_there(place: Path) -> None:
    made = forge(
        TOP,
        member(b"item/l", LINK, to=b"/etc/passwd", mode=0o777),
        member(b"item/m", LINK, to=b"../../outside", mode=0o777),
    )
    made.unpack(place)
    assert (place / "item" / "l").is_symlink()


@pytest.mark.parametrize("only", [b"a", b"../x", b".."])
def test_hostile_paths_are_not_in_it(place: Path, only: bytes) -> None:
    made = forge(TOP, file(b"item/../x"), file(b"item/.."))
    with pytest.raises(CubeHubError, match=r"There is no"):
        made.unpack(place, only=only)
    assert list(place.iterdir()) == []


@pytest.mark.needs("root")
def test_attributes_of_the_system_are_not_set_for_another_owner(place: Path) -> None:
    records = b"".join(
        tarball.record(tarball.xattr_key(name), b"x")
        for name in ("trusted.overlay.opaque", "security.ima", "user.ok")
    )
    told = {
        name: hashlib.sha256(b"x").hexdigest()
        for name in ("trusted.overlay.opaque", "security.ima", "user.ok")
    }
    made = forge(replace(TOP, xattrs=told), records=records)
    done = made.unpack(place, owner=(1234, 1234))
    assert os.listxattr(place / "item") == ["user.ok"]
    assert done.without == 2


@pytest.mark.needs("root")
def test_devices_are_not_made_for_another_owner(place: Path) -> None:
    made = forge(TOP, member(b"item/disk", manifest.BLOCKS, device=(8, 0), mode=0o666))
    assert made.unpack(place, owner=(1234, 1234)).left_out == 1
    assert list((place / "item").iterdir()) == []


# Damage


def test_the_first_difference_is_named(tmp_path: Path) -> None:
    content = file(b"item/a", b"right")[0]
    for told, what in (
        ((TOP, (content, b"wrong")), "item/a: SHA-256 of its content"),
        ((replace(TOP, path=b"it%em\n"), (content, b"wrong")), "item/a: SHA-256"),
    ):
        with pytest.raises(DamagedError, match=what):
            forge(*told).verify()
    good = packing(rich_tree(tmp_path))
    lines = (
        zstandard.ZstdDecompressor().stream_reader(io.BytesIO(good.listing)).read().splitlines(keepends=True)
    )
    tar = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(good.archive)).read()
    at = next(number for number, line in enumerate(lines) if b'"item/large"' in line)
    told = manifest.parse(lines[at])
    for change, what in (
        ({"mode": 0o600}, "the mode is"), ({"uid": 77}, "the owner is"), ({"gid": 77}, "the group is"),
        ({"mtime_ns": 1}, "the time of last writing"), ({"size": 5, "stored": 5}, "the size is"),
        ({"path": b"item/huge"}, "the name is"), ({"xattrs": {"user.a": "0"}}, "the extended attributes"),
        ({"sha256": "0" * 64}, "SHA-256 of its content"),
    ):  # fmt: skip
        changed = [*lines]
        changed[at] = replace(told, **change).line()
        with pytest.raises(DamagedError, match=what):
            sealed(tar, b"".join(changed)).verify()
    for changed, what in (
        (lines[:-1], "and not in its manifest"), ([*lines, told.line()], "and not in the archive"),
        ([*lines, b"{}\n"], "cannot be read"), ([*lines[:-1], lines[-1].rstrip()], "has no end"),
    ):  # fmt: skip
        with pytest.raises(DamagedError, match=what):
            sealed(tar, b"".join(changed)).verify()
    sealed(tar, b"".join(lines)).verify()
    for cut in (tar[:-1024], tar[:-512], tar[: len(tar) // 2], b"", tar + bytes(512), tar[:600]):
        with pytest.raises(DamagedError):
            sealed(cut, b"".join(lines)).verify()


@pytest.mark.parametrize(
    "line",
    [b"1e999", b'{"path":"a","type":"file","mode":"0","uid":1e999}', b"[" * 100_000, b'"', b"[]", b"\xff"],
    ids=lambda line: repr(line[:20]),
)
def test_lines_that_are_none(line: bytes) -> None:
    with pytest.raises(DamagedError, match="cannot be read"):
        sealed(tarball.END, line + b"\n").verify()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Packing:
    top = tmp_path_factory.mktemp("small") / "item"
    (top / "a").mkdir(parents=True)
    (top / "a" / "text").write_text("text" * 100)
    (top / "link").symlink_to("a")
    make_sparse(top / "holes", 1_000_000, (400_000, b"x" * 1000))
    return packing(top)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_changed_byte_is_overlooked(
    small: Packing, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    of = data.draw(st.sampled_from(["archive", "listing"]))
    before = getattr(small, of)
    at = data.draw(st.integers(0, len(before) - 1))
    way = data.draw(st.sampled_from(["flip", "cut", "insert"]))
    if way == "flip":
        after = before[:at] + bytes([before[at] ^ (1 << data.draw(st.integers(0, 7)))]) + before[at + 1 :]
    else:
        after = before[:at] + (b"" if way == "cut" else b"\0" + before[at:])
    broken = replace(small, **{of: after})
    with pytest.raises(DamagedError):
        broken.verify()
    to = tmp_path_factory.mktemp("to")
    with pytest.raises(ArchiveError):
        broken.unpack(to)
    assert list(to.iterdir()) == []


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_whatever_a_sealed_archive_says_is_an_error_in_words(small: Packing, data: st.DataObject) -> None:
    """Damage inside of the compression, with sums that fit the damaged archive: as somebody with the journal could make it."""
    tar = bytearray(zstandard.ZstdDecompressor().stream_reader(io.BytesIO(small.archive)).read())
    lines = bytearray(zstandard.ZstdDecompressor().stream_reader(io.BytesIO(small.listing)).read())
    for _ in range(data.draw(st.integers(1, 4))):
        victim = data.draw(st.sampled_from([tar, lines]))
        victim[data.draw(st.integers(0, len(victim) - 1))] = data.draw(st.integers(0, 255))
    with suppress(DamagedError):  # and none that is not in words
        sealed(bytes(tar), bytes(lines)).verify()


# Trees that change


@pytest.mark.parametrize("seed", range(4))
def test_names_that_are_exchanged_lead_nowhere(tmp_path: Path, seed: int) -> None:
    """Folders and files turn into links to what is outside, in a loop, while they are archived."""
    top = tmp_path / "item"
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("SECRET")
    for number in range(20):
        (top / f"d{number}").mkdir(parents=True)
        (top / f"d{number}" / "secret").write_text("mine")
    stop = threading.Event()

    def exchange() -> None:
        rng = random.Random(seed)  # noqa: S311 - no secret
        while not stop.is_set():
            name = top / f"d{rng.randrange(20)}"
            aside = tmp_path / "aside"
            try:
                if rng.random() < 0.5:
                    name.rename(aside)
                    name.symlink_to(outside)
                    name.unlink()
                    aside.rename(name)
                else:
                    (name / "secret").rename(aside)
                    (name / "secret").symlink_to(outside / "secret")
                    (name / "secret").unlink()
                    aside.rename(name / "secret")
            except OSError:
                continue

    thread = threading.Thread(target=exchange)
    thread.start()
    outcomes = {"whole": 0, "refused": 0}
    try:
        for _ in range(40):
            try:
                made = packing(top)
            except ArchiveError:
                outcomes["refused"] += 1
                continue
            outcomes["whole"] += 1
            tar = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(made.archive)).read()
            assert b"SECRET" not in tar
    finally:
        stop.set()
        thread.join()
    assert outcomes["refused"]


def test_pipes_and_devices_are_never_opened(tmp_path: Path) -> None:
    top = tmp_path / "item"
    top.mkdir()
    os.mkfifo(top / "pipe")
    with subprocess.Popen(["sh", "-c", f"echo x > {top}/pipe"]) as writer:
        packing(top).verify()
        assert writer.poll() is None
        writer.kill()


def test_a_name_that_is_a_pipe_by_now_is_not_waited_for(tmp_path: Path) -> None:
    top = tmp_path / "item"
    top.mkdir()
    for number in range(3):
        (top / f"f{number}").write_bytes(os.urandom(2_000_000))

    def exchange(_members: int, _bytes: int) -> None:
        for number in range(3):
            if not stat.S_ISFIFO((top / f"f{number}").stat().st_mode):
                (top / f"f{number}").unlink()
                os.mkfifo(top / f"f{number}")

    with pytest.raises(ChangedError):
        packing(top, progress=exchange)


def test_a_file_with_too_many_holes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cubehub.storage.archive.holes.MOST_SEGMENTS", 3)
    make_sparse(tmp_path / "item", 10_000_000, *((at * 1_000_000, b"x") for at in range(6)))
    with pytest.raises(ArchiveError, match="holes"):
        packing(tmp_path / "item")
    shutil.rmtree(tmp_path)

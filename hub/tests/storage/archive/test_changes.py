"""What changes, is mounted over or cannot be read is not archived, and a change afterwards is seen."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cubehub.storage.archive import unchanged
from cubehub.storage.archive.errors import ArchiveError, ChangedError
from cubehub_tests.archives import packing, rich_tree


@pytest.fixture
def rich(tmp_path: Path) -> Path:
    return rich_tree(tmp_path)


@pytest.mark.parametrize("way", ["grows", "shrinks", "written", "renamed away", "new name"])
def test_what_changes_is_not_archived(rich: Path, way: str) -> None:
    (rich / "busy").write_bytes(b"x" * 9_000_000)
    done = []

    def meddle(_members: int, _bytes: int) -> None:
        if not done and ways[way]() is not False:
            done.append(way)

    def inside() -> bool:
        """Whether `busy` is what is read just now: its descriptor is open."""
        for fd in Path("/proc/self/fd").iterdir():
            try:
                if fd.readlink().name == "busy":
                    return True
            except OSError:
                continue
        return False

    def write(mode: str) -> bool | None:
        if not inside():
            return False
        with (rich / "busy").open(mode) as file:
            file.write(b"y")
        return None

    ways = {
        "grows": lambda: write("ab"),
        "written": lambda: write("r+b"),
        "shrinks": lambda: os.truncate(rich / "busy", 10) if inside() else False,
        "renamed away": lambda: (rich / "busy").rename(rich / "other"),
        "new name": lambda: (rich / "new").write_text("x") and None,
    }
    with pytest.raises(ChangedError, match=r"changed|went away"):
        packing(rich, progress=meddle)
    assert done == [way]


def test_a_change_after_archiving_is_seen(rich: Path) -> None:
    made = packing(rich)
    slot = os.open(rich.parent, os.O_RDONLY)

    def look() -> None:
        unchanged(slot, b"item", io.BytesIO(made.listing), made.packed.seal)

    look()
    rich.rename(rich.parent / "x")
    (rich.parent / "x").rename(rich)
    look()
    facts = (rich / "large").stat()
    with (rich / "large").open("r+b") as file:
        file.write(b"z")
    os.utime(rich / "large", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    with pytest.raises(ChangedError, match="item/large changed"):
        look()
    made = packing(rich)
    look()
    (rich / "more").touch()
    os.utime(rich, ns=(0, made.packed.members and rich.stat().st_mtime_ns))
    with pytest.raises(ChangedError):
        look()
    (rich / "more").unlink()
    made = packing(rich)
    (rich / "none").unlink()
    with pytest.raises(ChangedError):
        look()
    os.close(slot)


@pytest.mark.needs("root")
def test_nothing_mounted_in_it_is_archived(rich: Path) -> None:
    for what in ("empty", "none"):
        source = rich.parent / what
        source.mkdir() if what == "empty" else source.touch()
        script = 'mount --bind "$1" "$2" && exec "$3" -c "$4" "$5"'
        program = (
            "import io, os, sys\nfrom cubehub.storage.archive import ArchiveError, pack\n"
            "try: pack(os.open(sys.argv[1], os.O_RDONLY), b'item', io.BytesIO(), io.BytesIO())\n"
            "except ArchiveError as error: print(error)"
        )
        ended = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, "sh", str(source), str(rich / what), sys.executable, program, str(rich.parent)],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert ended.stdout.strip() == f"Another file system is mounted at item/{what}.", ended.stderr


@pytest.mark.needs("root")
def test_what_cannot_be_read_is_told(rich: Path) -> None:
    rich.parent.parent.chmod(0o755)
    (rich / "large").chmod(0)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            at = os.open(rich.parent, os.O_RDONLY)
            for path in [rich, *rich.rglob("*")]:
                if not path.is_symlink():
                    os.chown(path, 65534, 65534)
            os.setgroups([])
            os.setgid(65533)
            os.setuid(65533)
            rich_at = os.dup(at)
            from cubehub.storage.archive import pack  # noqa: PLC0415

            pack(rich_at, b"item", io.BytesIO(), io.BytesIO())
        except ArchiveError as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    assert "cannot be read: Permission denied" in os.read(reading, 1000).decode()
    os.close(reading)

"""Hard limits of homes, on real file systems as far as this kernel has them; where it has none, the reason it gives."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cubehub.storage.quotas import BtrfsQuota, Ext4Quota, QuotaError, XfsQuota, attributes, find, project_ids
from cubehub.storage.quotas.homes import HomeLimits
from cubehub.storage.quotas.mounts import Mount, kernel_has, read_mount
from cubehub.storage.quotas.none import NoQuota
from cubehub_spawner import uids

if TYPE_CHECKING:
    from collections.abc import Callable

    from cubehub.storage.quotas import QuotaBackend

MIB = 2**20
UID = uids.FIRST
needs_mounts = pytest.mark.needs("root", "mounts", "mkfs")


def as_person(code: str, *words: str) -> str:
    """Run Python lines as a person's server would with a user id of its own; what they print."""
    python = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
    ran = subprocess.run(
        uids.drop_command(UID, [python, "-I", "-c", code, *words]),
        capture_output=True,
        text=True,
        check=False,
    )
    return (ran.stdout + ran.stderr).strip().splitlines()[-1]


WRITE = """
import os, sys
try:
    with open(sys.argv[1], "ab", buffering=0) as file:
        left = int(sys.argv[2])
        while left:
            left -= file.write(os.urandom(min(left, 65536)))
        os.fsync(file.fileno())
    print("written")
except OSError as error:
    print(error.errno)
"""


def write(file: Path, size: int) -> str:
    return as_person(WRITE, str(file), str(size))


def home_of(backend: QuotaBackend, root: Path, name: str = "ana") -> Path:
    home = root / name
    backend.make(home)
    os.chown(home, UID, UID)
    return home


def holds(backend: QuotaBackend, root: Path, refused: set[int]) -> None:
    """Set a limit and run into it, as a person; delete, and write again; lift it."""
    home = home_of(backend, root)
    other = home_of(backend, root, "ben")
    backend.limit(home, 20 * MIB)
    backend.limit(home, 20 * MIB)
    assert backend.usage(home).limit == 20 * MIB
    assert write(home / "small", 5 * MIB) == "written"
    assert int(write(home / "big", 30 * MIB)) in refused
    subprocess.run(["sync", "-f", root], check=True)
    assert 15 * MIB < backend.usage(home).bytes <= 20 * MIB
    assert write(other / "big", 30 * MIB) == "written", "another home has no limit"
    assert as_person("import os, sys; os.unlink(sys.argv[1]); print('gone')", str(home / "big")) == "gone"
    subprocess.run(["sync", "-f", root], check=True)
    assert backend.usage(home).bytes < 7 * MIB, "deleting makes room"
    assert write(home / "again", 5 * MIB) == "written"
    backend.limit(home, 2 * MIB)
    assert int(write(home / "more", MIB)) in refused, "a limit below what is used holds for what comes"
    backend.remove(home)
    assert backend.usage(home).limit is None
    assert write(home / "more", 30 * MIB) == "written"


# ---- btrfs ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def btrfs(mounted: Callable[..., Path]) -> Path:
    root = mounted("btrfs")
    backend = BtrfsQuota()
    said = backend.probe(root)
    assert not said.works
    assert "not switched on" in said.reason
    assert "--switch-on" in said.remedy
    backend.switch_on(root)
    assert backend.probe(root).works
    return root


@needs_mounts
def test_btrfs_holds_a_home_to_its_limit(btrfs: Path) -> None:
    found = find(btrfs)
    assert found.limits
    assert found.backend.name == "btrfs"
    assert "lie on btrfs" in found.support["xfs"].reason
    holds(found.backend, btrfs, {errno.EDQUOT})


@needs_mounts
def test_a_subvolume_in_a_home_is_no_way_past_the_limit(btrfs: Path) -> None:
    backend = BtrfsQuota()
    home = home_of(backend, btrfs)
    backend.limit(home, 20 * MIB)
    made = as_person(
        "import fcntl, os, sys; fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x5000940E,"
        " bytearray(bytes(8) + b'inner'.ljust(4088, bytes(1)))); print('made')",
        str(home),
    )
    assert made == "made", "the kernel lets anybody make one"
    assert int(write(home / "inner" / "big", 30 * MIB)) == errno.EDQUOT
    assert write(home / "inner" / "small", MIB) in {"written", str(errno.EDQUOT)}
    used = backend.usage(home)
    assert used.bytes <= 20 * MIB


@needs_mounts
def test_full_quotas_of_btrfs_are_refused_with_the_reason(mounted: Callable[..., Path]) -> None:
    root = mounted("btrfs")
    with_root = os.open(root, os.O_RDONLY)
    fcntl.ioctl(with_root, 0xC0109428, bytearray(struct.pack("=QQ", 1, 0)))
    os.close(with_root)
    said = BtrfsQuota().probe(root)
    assert not said.works
    assert "full quotas" in said.reason
    with pytest.raises(QuotaError, match="switched on"):
        BtrfsQuota().switch_on(root)


@needs_mounts
def test_a_home_that_is_a_folder_on_btrfs_is_told_and_left_alone(btrfs: Path) -> None:
    (btrfs / "old").mkdir()
    with pytest.raises(QuotaError, match="subvolumes only"):
        BtrfsQuota().limit(btrfs / "old", MIB)
    with pytest.raises(QuotaError, match="can't be opened"):
        BtrfsQuota().limit(btrfs / "gone", MIB)
    (btrfs / "link").symlink_to(btrfs / "old")
    with pytest.raises(QuotaError, match="can't be opened"):
        BtrfsQuota().limit(btrfs / "link", MIB)


@needs_mounts
def test_who_gets_the_name_of_a_home_that_is_gone_gets_nothing_of_its_limit(btrfs: Path) -> None:
    backend = BtrfsQuota()
    home = home_of(backend, btrfs)
    backend.limit(home, 20 * MIB)
    subprocess.run(["rm", "-rf", home], check=True)
    assert not home.exists(), "a subvolume goes with rm"
    # of a subvolume that the kernel has done with, which takes it half a minute
    above = os.open(btrfs, os.O_RDONLY)
    fcntl.ioctl(above, 0x4010942A, struct.pack("=QQ", 1, 1 << 48 | 99_999))
    backend.remove(home)
    groups = backend._groups(above)
    assert not (groups / "1_99999").exists()
    os.close(above)
    new = home_of(backend, btrfs)
    with pytest.raises(QuotaError, match="never had"):
        backend.usage(new)


# ---- ext4 and XFS --------------------------------------------------------------------------------------------------


@needs_mounts
@pytest.mark.parametrize(
    ("backend", "made", "option"),
    [(Ext4Quota(), "ext4-project", "CONFIG_QFMT_V2"), (XfsQuota(), "xfs", "CONFIG_XFS_QUOTA")],
    ids=["ext4", "xfs"],
)
def test_project_quotas_hold_or_the_kernel_is_said_to_have_none(
    mounted: Callable[..., Path], backend: Ext4Quota | XfsQuota, made: str, option: str
) -> None:
    """A kernel without them mounts no such file system; what the probe says then, the next two tests ask."""
    if kernel_has(option) is False:
        with pytest.raises(subprocess.CalledProcessError):
            mounted(made, "prjquota")
        return
    root = mounted(made, "prjquota")
    assert backend.probe(root).works
    holds(backend, root, {errno.EDQUOT, errno.ENOSPC})


@needs_mounts
def test_a_kernel_without_quotas_for_xfs_says_so(mounted: Callable[..., Path]) -> None:
    said = XfsQuota().probe(mounted("xfs"))
    assert not said.works
    if kernel_has("CONFIG_XFS_QUOTA") is False:
        assert "built without CONFIG_XFS_QUOTA" in said.reason
        assert "btrfs" in said.remedy
    else:
        assert "not switched on" in said.reason
        assert "prjquota" in said.remedy


@needs_mounts
def test_a_kernel_without_quotas_for_ext4_says_so(mounted: Callable[..., Path]) -> None:
    said = Ext4Quota().probe(mounted("ext4"))
    assert not said.works
    if kernel_has("CONFIG_QFMT_V2") is False:
        assert "built without CONFIG_QFMT_V2" in said.reason
        assert "btrfs" in said.remedy
    else:
        assert "not switched on" in said.reason
        assert "tune2fs" in said.remedy


class Kernel:
    """A kernel that counts projects, as ``quotactl_fd`` shows it; for machines whose own does not."""

    def __init__(self) -> None:
        self.limits: dict[int, int] = {}
        self.used: dict[int, int] = {}
        self.flags = 0x30

    def __call__(
        self, descriptor: int, command: int, number: int, buffer: ctypes.Array[ctypes.c_char]
    ) -> None:
        assert os.fstat(descriptor)
        if command == 0x800007:
            struct.pack_into(
                "=8QI", buffer, 0, self.limits.get(number, 0), 0, self.used.get(number, 0), 0, 0, 0, 0, 0, 0
            )
        elif command == 0x800008:
            hard, soft, *_, valid = struct.unpack_from("=8QI", buffer)
            assert (valid, soft) == (1, hard), "of bytes only"
            self.limits[number] = hard
        else:
            assert command == 0x5808
            assert buffer[0] == b"\1"
            struct.pack_into("=H", buffer, 2, self.flags)


@needs_mounts
def test_all_in_a_home_gets_the_id_and_nothing_elsewhere(mounted: Callable[..., Path]) -> None:
    """XFS has project ids whether or not the kernel counts them."""
    root = mounted("xfs")
    kernel = Kernel()
    backend = XfsQuota(kernel)
    home, outside = home_of(backend, root), root / "outside"
    (home / "work" / "deep").mkdir(parents=True)
    (home / "work" / "file").touch()
    os.mkfifo(home / "pipe")
    outside.mkdir()
    (outside / "file").touch()
    (home / "link").symlink_to(outside)
    (home / "work" / "link").symlink_to(outside / "file")
    os.link(outside / "file", home / "hard")
    for path in (home / "work", home / "work" / "deep", home / "work" / "file", home / "pipe"):
        os.chown(path, UID, UID)
    backend.limit(home, 20 * MIB)
    project = project_ids.read_id(home)
    assert project == project_ids.FIRST
    assert kernel.limits == {project: 20 * 1024}
    ids = {str(p.relative_to(root)): id_of_file(p) for p in (*home.rglob("*"), outside, outside / "file", home)
           if not p.is_symlink() and not p.is_fifo()}  # fmt: skip
    assert ids == {
        "ana": (project, True), "ana/work": (project, True), "ana/work/deep": (project, True),
        "ana/work/file": (project, False), "ana/hard": (0, False), "outside": (0, False), "outside/file": (0, False),
    }  # fmt: skip
    (home / "work" / "new").touch()
    assert id_of_file(home / "work" / "new") == (project, False)
    assert project_ids.is_complete(home)
    kernel.used[project] = 3 * MIB
    assert (backend.usage(home).bytes, backend.usage(home).limit) == (3 * MIB, 20 * MIB)
    backend.remove(home)
    assert (kernel.limits[project], project_ids.read_id(home)) == (0, project)
    subprocess.run(["rm", "-rf", home], check=True)
    backend.remove(home)
    assert project_ids.read_id(home) is None


@needs_mounts
def test_whoever_swaps_folders_and_links_meanwhile_reaches_nothing_outside(
    mounted: Callable[..., Path],
) -> None:
    root = mounted("xfs")
    home, outside = home_of(NoQuota(), root), root / "outside"
    outside.mkdir()
    (outside / "file").touch()
    os.chown(outside, UID, UID)  # else its owner alone would keep it as it is
    os.chown(outside / "file", UID, UID)
    for number in range(20):
        (home / f"folder{number}" / "deep").mkdir(parents=True)
        os.chown(home / f"folder{number}", UID, UID)
        (home / f"link{number}").symlink_to(outside)
        (home / f"file{number}").symlink_to(outside / "file")
        (home / f"real{number}").touch()
    over = threading.Event()

    def swap() -> None:
        exchange, at = ctypes.CDLL(None).renameat2, os.open(home, os.O_RDONLY)
        while not over.is_set():
            for number in range(20):
                for one, other in ((b"folder", b"link"), (b"real", b"file")):
                    exchange(at, b"%s%d" % (one, number), at, b"%s%d" % (other, number), 2)
        os.close(at)

    swapping = threading.Thread(target=swap)
    swapping.start()
    descriptor = os.open(home, os.O_RDONLY)
    try:
        for project in range(800_000, 800_200):
            attributes.set_all(descriptor, project)
    finally:
        over.set()
        swapping.join()
        os.close(descriptor)
    assert id_of_file(home) == (800_199, True)
    assert (id_of_file(outside), id_of_file(outside / "file")) == ((0, False), (0, False))


def id_of_file(path: Path) -> tuple[int, bool]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        found = attributes.project_of(descriptor)
    finally:
        os.close(descriptor)
    return found.id, found.inherits


ESCAPE = """
import fcntl, os, struct, sys
file = os.open(sys.argv[1], os.O_RDONLY)
content = bytearray(28)
fcntl.ioctl(file, 0x801C581F, content)
flags, a, b, project, c = struct.unpack_from("=5I", content)
said = []
for number, content in (
    (0x401C5820, struct.pack("=5I8x", flags, a, b, 5, c)),
    (0x401C5820, struct.pack("=5I8x", flags & ~0x200, a, b, project, c)),
    (0x40086602, struct.pack("=q", 0)),
):
    try:
        fcntl.ioctl(file, number, content)
        said.append("changed")
    except OSError as error:
        said.append(error.strerror)
print(said)
"""


@needs_mounts
def test_a_person_cannot_give_their_files_another_project(mounted: Callable[..., Path]) -> None:
    """Linux lets an owner do so outside of user namespaces; so a server with a user id of its own is kept from it."""
    root = mounted("xfs")
    backend = XfsQuota(Kernel())
    home = home_of(backend, root)
    backend.limit(home, 20 * MIB)
    assert as_person(ESCAPE, str(home)) == str(["Operation not permitted"] * 3)
    assert id_of_file(home) == (project_ids.FIRST, True)


@needs_mounts
@pytest.mark.needs("bubblewrap")
def test_nor_can_they_in_bubblewrap(mounted: Callable[..., Path]) -> None:
    from cubehub_spawner.isolation import HOME_INSIDE, isolate, probe_isolation, python_paths  # noqa: PLC0415

    root = mounted("xfs")
    backend = XfsQuota(Kernel())
    home = root / "ana"
    backend.make(home)  # the Hub's own, who is jovyan inside
    backend.limit(home, 20 * MIB)
    isolation = probe_isolation()
    command = isolate(
        [sys.executable, "-I", "-c", ESCAPE, str(HOME_INSIDE)],
        read_only=python_paths(sys.prefix),
        binds={home: HOME_INSIDE},
        program=isolation.program,
        disables_userns=isolation.disables_userns,
    )
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    changed = ran.stdout.count("changed")
    assert id_of_file(home) == (project_ids.FIRST, True), (ran.stdout, ran.stderr)
    assert "Invalid argument" in ran.stdout, (changed, ran.stderr)


# ---- ids -----------------------------------------------------------------------------------------------------------


def test_a_home_keeps_its_id_and_nobody_else_gets_it(tmp_path: Path) -> None:
    def used(one: int) -> bool:
        return one == project_ids.FIRST + 1  # another folder of homes gave it

    ana = project_ids.id_of(tmp_path / "ana", 0, used)
    assert ana == project_ids.FIRST
    assert project_ids.id_of(tmp_path / "ben", 0, used) == project_ids.FIRST + 2
    assert project_ids.id_of(tmp_path / "ana", 0, used) == ana
    assert (tmp_path / ".ana.project").stat().st_mode & 0o777 == 0o600


def test_a_lost_note_gives_a_home_the_id_of_its_files_back(tmp_path: Path) -> None:
    def used(_: int) -> bool:
        return False

    first = project_ids.id_of(tmp_path / "ana", 0, used)
    project_ids.note_of(tmp_path / "ana").unlink()
    assert project_ids.id_of(tmp_path / "ana", first, lambda _: True) == first
    # a copy of that home has the same id on its files, and is another home
    assert project_ids.id_of(tmp_path / "copy", first, used) == first + 1


def test_ids_that_an_administrator_gave_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "projid").write_text("# mine\nbig:700000\nsmall:7\n")
    (tmp_path / "projects").write_text("700001:/srv/data\n")
    tables = (tmp_path / "projid", tmp_path / "projects", tmp_path / "none")
    assert project_ids._of_system(tables) == {7, 700_000, 700_001}


@pytest.mark.parametrize("text", ["{", "{}", '{"project": "7"}', '{"project": 0}', '{"project": true}', "[]"])
def test_a_note_that_cannot_be_read_gives_no_second_id(tmp_path: Path, text: str) -> None:
    project_ids.note_of(tmp_path / "ana").write_text(text)
    for home in ("ana", "ben"):
        with pytest.raises(QuotaError, match=r"\.ana\.project"):
            project_ids.id_of(tmp_path / home, 0, lambda _: False)


def test_ids_that_are_used_up_are_an_error(tmp_path: Path) -> None:
    project_ids.id_of(tmp_path / "ana", 0, lambda _: False, 7, 7)
    with pytest.raises(QuotaError, match="given away"):
        project_ids.id_of(tmp_path / "ben", 0, lambda _: False, 7, 7)


# ---- pure ----------------------------------------------------------------------------------------------------------


def test_a_line_of_mountinfo() -> None:
    line = r"36 35 98:0 /sub /mnt/two\040words rw,noatime master:1 - ext4 /dev/disk\134x rw,errors=continue"
    assert read_mount(line) == Mount("ext4", r"/dev/disk\x", "/mnt/two words")


def test_what_a_kernel_was_built_with(tmp_path: Path) -> None:
    import gzip  # noqa: PLC0415

    plain, packed = tmp_path / "config", tmp_path / "config.gz"
    plain.write_text("CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_AB=m\n")
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    for place in (plain, packed):
        has = {
            option: kernel_has(option, (tmp_path / "none", place))
            for option in ("CONFIG_A", "CONFIG_B", "CONFIG_AB")
        }
        assert has == {"CONFIG_A": True, "CONFIG_B": False, "CONFIG_AB": True}
    assert kernel_has("CONFIG_A", (tmp_path / "none",)) is None


def test_without_any_the_homes_share_the_disk(tmp_path: Path) -> None:
    found = find(tmp_path, (NoQuota(),))
    assert not found.limits
    limits = HomeLimits((NoQuota(),))
    limits.make(tmp_path / "ana")
    limits.limit(tmp_path / "ana", MIB)
    assert (tmp_path / "ana").stat().st_mode & 0o777 == 0o700
    with pytest.raises(QuotaError, match="Nobody counts"):
        found.backend.usage(tmp_path / "ana")

"""Hostile trees, one after another, each in homes of its own: ``hostile.py KIND FOLDER ENTRIES SECONDS [CASE…]``.

Prints what came of each; ``hostile_races.py`` has those who change things while the keeper is at work.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import stat
import struct
import subprocess
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import mounting
from cubehub.storage.grounds import FOLDER
from cubehub.storage.journal import PURGED, PURGING, QUARANTINED
from cubehub.storage.processes import Users
from hostile_names import NAMED
from hostile_races import RACES
from world import ANA, BEN, World

if TYPE_CHECKING:
    from collections.abc import Callable

ENTRIES = int(sys.argv[3]) if len(sys.argv) > 3 else 1000


def link_in_it(w: World) -> str:
    (w.pip / "out").symlink_to(w.outside)
    (w.pip / "file").symlink_to(w.outside / "a")
    (w.pip / "root").symlink_to("/")
    (w.pip / "up").symlink_to("../../../ben")
    (w.pip / "circle").symlink_to(".")
    return w.round()


def link_as_the_folder(w: World) -> str:
    shutil.rmtree(w.pip)
    w.pip.symlink_to(w.outside / ".cache" / "pip")
    return w.refused(inode=(w.outside / ".cache" / "pip").lstat().st_ino)


def link_itself_named(w: World) -> str:
    shutil.rmtree(w.pip)
    w.pip.symlink_to(w.outside / ".cache" / "pip")
    return w.refused()


def link_on_the_way(w: World) -> str:
    shutil.rmtree(w.ana / ".cache")
    (w.ana / ".cache").symlink_to(w.outside / ".cache")
    return w.refused(inode=(w.outside / ".cache" / "pip").lstat().st_ino)


def link_to_ben_on_the_way(w: World) -> str:
    shutil.rmtree(w.ana / ".cache")
    (w.ana / ".cache").symlink_to("../ben/.cache")
    return w.refused(inode=(w.ben / ".cache" / "pip").lstat().st_ino)


def link_as_the_home(w: World) -> str:
    shutil.rmtree(w.ana)
    w.ana.symlink_to(w.outside)
    done = w.away(inode=(w.outside / ".cache" / "pip").lstat().st_ino)
    assert done.why
    return done.why


def link_as_the_home_to_ben(w: World) -> str:
    shutil.rmtree(w.ana)
    w.ana.symlink_to("ben")
    done = w.away(inode=(w.ben / ".cache" / "pip").lstat().st_ino)
    assert done.why
    return done.why


def link_put_in_the_way_back(w: World) -> str:
    assert not w.away().why
    w.pip.parent.rename(w.ana / "old")
    w.pip.parent.symlink_to(w.outside / ".cache")
    (back,) = w.back()
    assert back.why
    assert w.states() == [QUARANTINED]
    return f"stays in quarantine: {back.why}"


def link_at_the_name_back(w: World) -> str:
    assert not w.away().why
    w.pip.symlink_to(w.outside)
    (back,) = w.back()
    assert back.path == b".cache/pip.restored-1"
    return "put beside it"


def hard_links_to_others_files(w: World) -> str:
    for number, file in enumerate(
        (w.outside / "pip" / "a", w.ben / "pip" / "a", w.outside / "pip" / "deep" / "b")
    ):
        os.link(file, w.pip / f"theirs{number}")
    # what is another person's is not moved out of their reach, whoever gave it a name there
    why = w.away().why
    assert why == "something in it belongs to somebody else"
    for name in w.pip.glob("theirs*"):
        name.unlink()
    return f"{why}; without: {w.round()}"


def fifo(w: World) -> str:
    os.mkfifo(w.pip / "fifo")
    return w.round()


def fifo_as_the_folder(w: World) -> str:
    shutil.rmtree(w.pip)
    os.mkfifo(w.pip)
    return w.refused()


def devices(w: World) -> str:
    os.mknod(w.pip / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    os.mknod(w.pip / "tty", stat.S_IFCHR | 0o666, os.makedev(5, 0))
    os.mknod(w.pip / "disk", stat.S_IFBLK | 0o666, os.makedev(7, 99))
    return w.round()


def sockets(w: World) -> str:
    here = os.getcwd()  # noqa: PTH109
    os.chdir(w.pip)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket")
    os.chdir(here)
    return w.round()


def many(w: World) -> str:
    at = os.open(w.pip, os.O_RDONLY)
    for number in range(ENTRIES):
        os.close(os.open(f"{number}", os.O_CREAT | os.O_WRONLY, dir_fd=at))
    os.close(at)
    return f"{ENTRIES:,} entries: {w.round()}"


def deep(w: World, depth: int, name: bytes, *, beside: bool = False) -> str:
    at = os.open(w.pip, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=at)
        if beside:
            os.mkdir(b"0" + name[1:], dir_fd=at)
        below = os.open(name, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    w.scan()
    done = w.away()
    if done.why:
        return f"left alone: {done.why}"
    assert not w.back()[0].why
    assert not w.away().why
    (gone,) = w.purge()
    assert not gone.why
    assert w.in_quarantine() == []
    return f"{depth} deep: moved, put back and removed"


def sparse(w: World) -> str:
    with (w.pip / "sparse").open("wb") as file:
        for size in (2**63 - 1, 2**63 - 4096, 2**44 - 8192, 2**43, 2**40):
            try:
                file.truncate(size)
            except OSError as error:
                if error.errno not in {errno.EFBIG, errno.EINVAL}:
                    raise
                continue
            break
    assert w.scan().own.bytes < 2**30
    return f"{size:,} bytes: {w.round()}"


def bind_mount_in_it(w: World) -> str:
    (w.pip / "mounted").mkdir()
    mounting.run("mount", "--bind", w.outside, w.pip / "mounted")
    try:
        return w.refused()
    finally:
        mounting.run("umount", w.pip / "mounted")


def bind_mount_as_the_folder(w: World) -> str:
    mounting.run("mount", "--bind", w.outside, w.pip)
    try:
        told = w.refused(), w.refused(inode=w.outside.lstat().st_ino)
    finally:
        mounting.run("umount", w.pip)
    return told[0]


def bind_mount_on_the_way(w: World) -> str:
    mounting.run("mount", "--bind", w.outside / ".cache", w.pip.parent)
    try:
        return w.refused()
    finally:
        mounting.run("umount", w.pip.parent)


def file_mounted_in_it(w: World) -> str:
    mounting.run("mount", "--bind", w.outside / "pip" / "a", w.pip / "a")
    try:
        done = w.away()
        gone = w.purge() if not done.why else []
    finally:
        _unmount_below(w.homes)
    return f"{done.why or 'moved'}; {[g.why for g in gone]}"


def _unmount_below(top: Path) -> None:
    for line in Path("/proc/self/mountinfo").read_text().splitlines()[::-1]:
        at = line.split()[4]
        if at.startswith(f"{top}/"):
            mounting.run("umount", at)


def home_on_a_mount_of_its_own(w: World) -> str:
    mounting.run("mount", "-t", "tmpfs", "tmpfs", w.ana)
    try:
        (w.pip / "x").mkdir(parents=True)
        w.give(w.ana)
        return w.refused()
    finally:
        mounting.run("umount", w.ana)


def home_bound_to_ben(w: World) -> str:
    mounting.run("mount", "--bind", w.ben, w.ana)
    try:
        return w.refused()
    finally:
        mounting.run("umount", w.ana)


def setuid(w: World) -> str:
    (w.pip / "a").chmod(0o6755)
    (w.pip / "deep").chmod(0o3777)
    assert not w.away().why
    assert not w.back()[0].why
    assert stat.S_IMODE((w.pip / "a").lstat().st_mode) == 0o6755
    assert stat.S_IMODE((w.pip / "deep").lstat().st_mode) == 0o3777
    return w.round()


def _acl(*entries: tuple[int, int, int]) -> bytes:
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *one) for one in entries)


_ANY = 0xFFFFFFFF
ACL = _acl((1, 7, _ANY), (2, 7, BEN), (4, 5, _ANY), (16, 7, _ANY), (32, 0, _ANY))
"""The owner, ben and the group: in the kernel's own form."""


def acls(w: World) -> str:
    os.setxattr(w.pip, "system.posix_acl_access", ACL)
    os.setxattr(w.pip.parent, "system.posix_acl_default", ACL)
    assert not w.away().why
    assert not w.back()[0].why
    assert os.getxattr(w.pip, "system.posix_acl_access") == ACL
    return w.round()


def acl_on_what_is_made_again(w: World) -> str:
    """What is made on the way back takes the default of the home; it belongs to its owner all the same."""
    os.setxattr(w.ana, "system.posix_acl_default", ACL)
    assert not w.away().why
    w.pip.parent.rename(w.ana / "old")
    assert not w.back()[0].why
    made = w.pip.parent.lstat()
    assert (made.st_uid, made.st_gid) == (ANA, ANA)
    assert made.st_mode & 0o007 == 0
    return w.round()


def attributes(w: World) -> str:
    os.setxattr(w.pip / "a", "trusted.of-root", b"secret")
    os.setxattr(w.pip, "user.of-ana", b"x")
    assert not w.away().why
    assert not w.back()[0].why
    assert os.getxattr(w.pip / "a", "trusted.of-root") == b"secret"
    assert os.getxattr(w.pip, "user.of-ana") == b"x"
    return w.round()


def immutable(w: World, flag: str, path: str) -> str:
    at = w.ana / path
    if not _flagged(f"+{flag}", at):
        return "this file system has no such flag"
    try:
        done = w.away()
        if done.why:
            assert w.in_quarantine() == []
            return f"left alone: {done.why}"
        (gone,) = w.purge()
        assert gone.why
        assert w.states() == [PURGING]
    finally:
        found = [at] if at.exists() else [next((w.homes / os.fsdecode(FOLDER)).rglob(at.name))]
        _flagged(f"-{flag}", found[0])
    w.scan()
    with w.keeper():
        pass  # it recovers
    assert w.states() == [PURGED]
    assert w.in_quarantine() == []
    return f"moved; {gone.why}; then removed without the flag"


def immutable_on_the_way_back(w: World) -> str:
    assert not w.away().why
    if not _flagged("+i", w.pip.parent):
        return "this file system has no such flag"
    try:
        (back,) = w.back()
    finally:
        _flagged("-i", w.pip.parent)
    assert back.why
    assert w.states() == [QUARANTINED]
    assert not w.back()[0].why
    return f"stays in quarantine: {back.why}"


def _flagged(flag: str, path: Path) -> bool:
    try:
        mounting.run("chattr", flag, path)
    except mounting.RefusedError as refused:
        if "not supported" in str(refused) or "Inappropriate" in str(refused):
            return False
        raise
    return True


def casefold(w: World) -> str:
    """A folder in which PIP and pip are the same: on a file system of its own."""
    folder = w.on.parent / "casefold"
    folder.mkdir(exist_ok=True)
    file = mounting.image("ext4", folder / "casefold.img", 64, "-O", "casefold")
    try:
        on = mounting.mounted(file, folder / "on")
    except mounting.RefusedError as refused:
        assert not Path("/sys/fs/ext4/features/casefold").exists()
        return f"mount refuses it: {str(refused)[-60:]}"
    try:
        inner = World(on)
        shutil.rmtree(inner.ana / ".cache")
        (inner.ana / ".cache").mkdir()
        mounting.run("chattr", "+F", inner.ana / ".cache")
        (inner.pip / "x").mkdir(parents=True)
        inner.give(inner.ana)
        assert not inner.away(b".cache/PIP").why
        (inner.ana / ".cache" / "PiP").mkdir()
        assert inner.back()[0].path.startswith(b".cache/PIP.restored")
        return "never over the same name in other letters"
    finally:
        mounting.run("umount", on)


def of_ben_in_anas_home(w: World) -> str:
    w.give(w.pip, BEN)
    return w.refused()


def of_root_in_anas_home(w: World) -> str:
    w.give(w.pip, 0)
    return w.refused()


def inode_of_ben(w: World) -> str:
    return w.refused(inode=(w.ben / ".cache" / "pip").lstat().st_ino)


def no_rights(w: World) -> str:
    (w.pip / "deep").chmod(0)
    w.pip.chmod(0)
    return w.round()


def open_in_a_volume_of_its_own(w: World) -> str:
    """On btrfs, anybody can make a volume in a folder of theirs: a device of its own, through no mount."""
    inner = w.pip / "volume"
    if "btrfs" in mounting.run("stat", "-f", "-c", "%T", w.pip):
        mounting.run("btrfs", "subvolume", "create", inner)
    else:
        inner.mkdir()
    (inner / "open").write_text("x")
    w.give(inner)
    with (inner / "open").open() as file, subprocess.Popen(["sleep", "60"], stdin=file) as process:
        with w.keeper(Users()) as (keeper, made):
            done = keeper.quarantine(made.begin_run("", "", 0), w.entry())
        process.kill()
    assert done.why == "a program has something of it open", done
    return w.round()


def file_on_the_way(w: World) -> str:
    shutil.rmtree(w.ana / ".cache")
    (w.ana / ".cache").write_text("x")
    return w.refused()


CASES: dict[str, Callable[[World], str]] = {
    f.__name__.replace("_", " "): f
    for f in (
        link_in_it, link_as_the_folder, link_itself_named, link_on_the_way, link_to_ben_on_the_way, link_as_the_home, link_as_the_home_to_ben,
        link_put_in_the_way_back, link_at_the_name_back, hard_links_to_others_files, fifo, fifo_as_the_folder, devices, sockets, many, sparse,
        bind_mount_in_it, bind_mount_as_the_folder, bind_mount_on_the_way, file_mounted_in_it, home_on_a_mount_of_its_own, home_bound_to_ben,
        setuid, acls, acl_on_what_is_made_again, attributes, immutable_on_the_way_back, casefold, of_ben_in_anas_home,
        of_root_in_anas_home, inode_of_ben, no_rights, open_in_a_volume_of_its_own, file_on_the_way,
    )
}  # fmt: skip
CASES |= {
    f"flag {flag} on {path}": lambda w, flag=flag, path=path: immutable(w, flag, path)  # type: ignore[misc]
    for flag in "ia" for path in (".cache", ".cache/pip", ".cache/pip/deep/b")
}  # fmt: skip
CASES |= {
    "4,096 deep": lambda w: deep(w, 4096, b"d"),
    "4,096 deep with long names": lambda w: deep(w, 4096, b"d" * 255),
    "deep and wide with long names": lambda w: deep(w, 1000, b"d" * 255, beside=True),
}
CASES |= NAMED | RACES


def main() -> None:
    kind, folder, only = sys.argv[1], Path(sys.argv[2]), sys.argv[5:]
    if not mounting.known(kind):
        sys.stdout.write(json.dumps({"refused": mounting.refusal(kind, folder)}))
        return
    seconds = float(sys.argv[4])
    top = mounting.file_system(kind, folder)
    mounting.run("mount", "-o", "remount,strictatime", top)
    told, fallen = {}, {}
    for number, (name, case) in enumerate(CASES.items()):
        if only and name not in only:
            continue
        on = top / str(number)
        on.mkdir()
        try:
            world = World(on)
            world.seconds = seconds
            told[name] = world.guarded(case)
        except Exception:  # noqa: BLE001 - each is told, and the next one tried
            fallen[name] = traceback.format_exc()[-1500:]
        _unmount_below(on)
        shutil.rmtree(on, ignore_errors=True) if "deep" not in name else mounting.run("rm", "-rf", on)
    sys.stdout.write(json.dumps({"told": told, "fallen": fallen}))


if __name__ == "__main__":
    main()

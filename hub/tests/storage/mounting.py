"""File systems made for a test, on loop devices and otherwise; for scripts run by ``in_namespace`` of conftest.py, so that nothing stays."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

SIZES = {"ext4": 64, "xfs": 320, "btrfs": 320}
"""MiB, of which little is used: images have holes. Smaller ones XFS and btrfs do not take."""
MAKE = {
    "ext4": ("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0"),
    "xfs": ("mkfs.xfs", "-q"),
    "btrfs": ("mkfs.btrfs", "-q"),
}


class RefusedError(Exception):
    """The kernel does not mount it."""


def run(*words: str | os.PathLike[str]) -> str:
    done = subprocess.run([os.fspath(w) for w in words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RefusedError(f"{' '.join(map(str, words))}: {done.stderr.strip()}")
    return done.stdout.strip()


def known(kind: str) -> bool:
    """Whether the kernel has this file system, if need be after its module was asked for."""
    if shutil.which("modprobe"):
        subprocess.run(["modprobe", "-q", kind], capture_output=True, check=False)
    return any(line.split()[-1] == kind for line in Path("/proc/filesystems").read_text().splitlines())


def image(kind: str, file: Path, size: int = 0, *more: str) -> Path:
    """A new file system in a file."""
    with file.open("wb") as made:
        made.truncate((size or SIZES[kind]) * 2**20)
    run(*MAKE[kind], *more, file)
    return file


def mounted(file: Path, at: Path, options: str = "", *, direct: bool = True) -> Path:
    """Mount an image straight to the disk: what the file system gave to its device is in the image, and nothing else."""
    at.mkdir(exist_ok=True)
    device = run("losetup", "--find", "--show", f"--direct-io={'on' if direct else 'off'}", file)
    try:
        run("mount", *(("-o", options) if options else ()), device, at)
    finally:
        # while it is mounted, this means: once it is not any more
        run("losetup", "--detach", device)
    return at


def file_system(kind: str, folder: Path) -> Path:
    """A file system of a kind, mounted below a folder: its top."""
    at = folder / "on"
    at.mkdir(parents=True, exist_ok=True)
    if kind == "tmpfs":
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", at)
        return at
    if kind == "overlay":
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", at)
        for name in ("lower", "upper", "work", "merged"):
            (at / name).mkdir()
        options = f"lowerdir={at}/lower,upperdir={at}/upper,workdir={at}/work"
        run("mount", "-t", "overlay", "-o", options, "overlay", at / "merged")
        return at / "merged"
    return mounted(image(kind, folder / f"{kind}.img"), at)


def refusal(kind: str, folder: Path) -> str:
    """What mount says of a file system that the kernel does not have."""
    try:
        mounted(image(kind, folder / "refused.img"), folder / "refused")
    except RefusedError as refused:
        return str(refused)
    return f"{kind} was mounted, though /proc/filesystems does not name it"

"""File systems of one's own, on loop devices; scripts among mounts of their own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIB = 2**20
_MAKE = {
    "btrfs": ["mkfs.btrfs", "-q"],
    "ext4": ["mkfs.ext4", "-q"],
    "ext4-project": ["mkfs.ext4", "-q", "-O", "project,quota", "-E", "quotatype=prjquota"],
    "xfs": ["mkfs.xfs", "-q"],
}


@pytest.fixture
def mounted() -> Iterator[Callable[..., Path]]:
    """Make a file system and mount it; tell where, or raise `CalledProcessError` where the kernel refuses it."""
    with ExitStack() as stack:
        # pytest's own folders let no other user pass
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cubehub-mounted-")))
        folder.chmod(0o711)

        def mount(kind: str, *options: str) -> Path:
            image, at = folder / f"{kind}.img", folder / kind
            with image.open("wb") as file:
                file.truncate(400 * MIB)  # XFS takes no less than 300
            subprocess.run([*_MAKE[kind], image], check=True, capture_output=True)
            at.mkdir()
            said = ",".join(("loop", *options))
            subprocess.run(
                ["mount", "-t", kind.partition("-")[0], "-o", said, image, at],
                check=True,
                capture_output=True,
            )
            stack.callback(subprocess.run, ["umount", at], check=True)
            at.chmod(0o711)
            return at

        yield mount


HERE = Path(__file__).parent


class InNamespace(Protocol):
    def __call__(self, script: str, *words: object) -> str: ...


@pytest.fixture
def in_namespace() -> InNamespace:
    """Run a script beside the tests among mounts of its own, which end with it: what it printed."""

    def act(script: str, *words: object) -> str:
        command = ["unshare", "--mount", "--propagation", "private", sys.executable, str(HERE / script)]
        done = subprocess.run([*command, *map(str, words)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
        return done.stdout

    return act

"""What suites need beyond the Python environment, how to find it, and the one line that brings it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from uv import find_uv_bin

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Need:
    """Something a suite cannot do without."""

    what: str
    """As it reads after "there is no"."""
    remedy: str
    """One line that brings it."""
    present: Callable[[], bool]
    """Whether it is here."""
    possible: Callable[[], bool] = lambda: True
    """Whether anything could bring it: no package gives a kernel another version of cgroups."""


def chromium() -> str | None:
    """Path of a Chromium: the distribution's, else the one Playwright fetched."""
    for name in ("chromium", "chromium-browser", "google-chrome-stable"):
        if (found := shutil.which(name)) is not None:
            return found
    base = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache/ms-playwright")
    found_own = sorted(base.glob("chromium-*/chrome-linux*/chrome"))
    return str(found_own[-1]) if found_own else None


def _postgis() -> bool:
    return any(Path("/usr/share/postgresql").glob("*/extension/postgis.control")) and any(
        Path("/usr/lib/postgresql").glob("*/bin/initdb")
    )


def _bubblewrap() -> bool:
    from cubehub_spawner.isolation import probe_isolation  # noqa: PLC0415 - probing starts a process

    return probe_isolation().kind == "bubblewrap"


def _mounts() -> bool:
    """Mount a file system from a file, and take it away again."""
    if os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory(prefix="cubehub-mounts-") as folder:
        image, at = Path(folder) / "image", Path(folder) / "at"
        at.mkdir()
        with image.open("wb") as file:
            file.truncate(2**20)
        steps: tuple[list[str | Path], ...] = (
            ["mkfs.ext4", "-q", image], ["mount", "-o", "loop", image, at], ["umount", at],
        )  # fmt: skip
        try:
            return all(subprocess.run(s, capture_output=True, check=False).returncode == 0 for s in steps)
        except OSError:
            return False


def _is_new_enough(python: str) -> bool:
    try:
        asked = subprocess.run(
            [python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"], check=False
        )
    except OSError:
        return False
    return asked.returncode == 0


def _takes_user_ids() -> bool:
    from cubehub_spawner.isolation import probe_uid  # noqa: PLC0415 - as above

    return probe_uid("").kind == "uid"


def _holds(enforcer: str) -> bool:
    from cubehub_spawner.enforcers import CannotHoldError, named  # noqa: PLC0415 - as above

    try:
        named([enforcer])[0].probe(Path())
    except (CannotHoldError, OSError):
        return False
    return True


def _has_v1() -> bool:
    return Path("/sys/fs/cgroup/memory").is_dir()


def _has_v2() -> bool:
    return Path("/sys/fs/cgroup/cgroup.controllers").exists()


def _has_systemd() -> bool:
    return Path("/run/systemd/system").is_dir() and _has_v2()


def _kube() -> bool:
    from cubehub_tests.kube import cluster  # noqa: PLC0415 - only for those who ask

    return cluster.usable()


def _kube_named() -> bool:
    from cubehub_tests.kube import cluster  # noqa: PLC0415 - as above

    return cluster.named()


def network_cut() -> list[str] | None:
    """Give a command that runs another with nothing but loopback; None where that is not allowed."""
    script = f'{shutil.which("ip") or "ip"} link set lo up && exec "$@"'
    ways = [["unshare", "--net"], ["unshare", "--map-current-user", "--net", "--keep-caps"]]
    for way in ways[: 1 if os.geteuid() == 0 else 2]:
        command = [*way, "--", "sh", "-c", script, "sh"]
        try:
            tried = subprocess.run([*command, "true"], capture_output=True, check=False, timeout=20)
        except OSError:
            continue
        if tried.returncode == 0:
            return command
    return None


def _packages() -> bool:
    """Ask the package index this machine uses for one small thing."""
    try:
        asked = subprocess.run(
            [find_uv_bin(), "pip", "compile", "--quiet", "--no-deps", "--no-header", "--refresh-package", "pip", "-"],
            input="pip\n", text=True, capture_output=True, check=False, timeout=60,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def _loops() -> bool:
    """Whether file systems can be made in files, and mounted where nobody else sees them."""
    tools = ("losetup", "mkfs.ext4", "mkfs.xfs", "mkfs.btrfs", "chattr")
    if not Path("/dev/loop-control").exists() or not all(shutil.which(tool) for tool in tools):
        return False
    command = ["unshare", "--mount", "--propagation", "private", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


_DELEGATED = "systemd-run --scope -p Delegate=yes uv run pytest   (with --user where you are not root)"

NEEDS = {
    "chromium": Need(
        "Chromium",
        "sudo apt install chromium   (or: uv run playwright install chromium)",
        lambda: bool(chromium()),
    ),
    "postgis": Need("PostgreSQL with PostGIS", "sudo apt install postgresql postgresql-postgis", _postgis),
    "bubblewrap": Need("working bubblewrap", "sudo apt install bubblewrap", _bubblewrap),
    "memory-cgroup": Need(
        "memory cgroup that may be written to",
        f"running the tests as root; where systemd runs: {_DELEGATED}",
        lambda: _holds("cgroup_v2") or _holds("cgroup_v1"),
        lambda: _has_v2() or _has_v1(),
    ),
    "cgroup-v2": Need(
        "cgroup v2 hierarchy that may be written to", _DELEGATED, lambda: _holds("cgroup_v2"), _has_v2
    ),
    "cgroup-v1": Need(
        "cgroup v1 memory controller that may be written to",
        "running the tests as root",
        lambda: _holds("cgroup_v1"),
        _has_v1,
    ),
    "systemd": Need(
        "systemd with cgroup v2 that gives this user a scope",
        "sudo loginctl enable-linger $USER, and log in again",
        lambda: _holds("systemd_scope"),
        _has_systemd,
    ),
    "root": Need(
        "root that may take on other user ids",
        "running the tests as root",
        _takes_user_ids,
        lambda: os.geteuid() == 0,
    ),
    "loop-devices": Need(
        "loop device with tools for ext4, XFS and btrfs, and root who may mount it",
        "sudo apt install mount e2fsprogs xfsprogs btrfs-progs, and running the tests as root",
        _loops,
        lambda: os.geteuid() == 0 and Path("/dev/loop-control").exists(),
    ),
    "mkfs": Need(
        "mkfs.ext4, mkfs.xfs and mkfs.btrfs",
        "sudo apt install e2fsprogs xfsprogs btrfs-progs",
        lambda: all(shutil.which(f"mkfs.{kind}") for kind in ("ext4", "xfs", "btrfs")),
    ),
    "mounts": Need(
        "right to mount file systems from loop devices",
        "running the tests as root, not in a container",
        _mounts,
        lambda: os.geteuid() == 0 and Path("/dev/loop-control").exists(),
    ),
    "system-python": Need(
        "Python of the system's that is new enough",
        "sudo apt install python3",
        lambda: _is_new_enough("/usr/bin/python3"),
        # an older distribution has none
        lambda: not Path("/usr/bin/python3").exists() or _is_new_enough("/usr/bin/python3"),
    ),
    "network-cut": Need(
        "way to run a command without network",
        "run the tests as root, or allow user namespaces",
        lambda: bool(network_cut()),
    ),
    "kube": Need(
        "Kubernetes cluster",
        "KUBECONFIG, see docs/how-to/kubernetes.md; as root, one is started from ../shared/kube (or CUBEHUB_KUBE)",
        _kube,
        _kube_named,
    ),
    "packages": Need("package index within reach", "connect to the network", _packages),
}

NEEDED_BY_MARKER = {
    "whole": ("packages",),
    "browser": ("packages", "chromium"),
    "rooms": ("packages",),
    "kube": ("kube",),
}
"""What every test with a marker needs."""


@cache
def missing(name: str) -> Need | None:
    """Give the need if it is not met; looked for once in a run."""
    need = NEEDS[name]
    return None if need.present() else need

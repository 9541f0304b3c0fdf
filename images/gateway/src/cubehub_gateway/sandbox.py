"""The command prefix that shuts a scheduler or worker into bubblewrap, and a memory group for it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_CGROUPS = Path("/sys/fs/cgroup")
_GROUP_PREFIX = "cubehub-dask-"
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
# Single files of /etc: where the gateway runs as root, the whole folder would hand /etc/shadow to notebook code.
_ETC = (
    "ld.so.cache", "resolv.conf", "hosts", "nsswitch.conf", "localtime",
    "ssl/certs", "ssl/openssl.cnf", "ca-certificates", "alternatives", "fonts", "mime.types",
)  # fmt: skip
# Where the gateway is root, writing these asks for the user id alone and not for a capability; machines differ in
# which there are.
_PROC_READ_ONLY = (
    "acpi", "bus", "driver", "dynamic_debug", "fs", "irq", "mtrr", "pressure", "scsi", "sys", "sysrq-trigger",
)  # fmt: skip
_UID_INSIDE = 1000
# What bubblewrap fails with on a machine that has run out of something: the next try may work.
_SHORTAGES = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC)


@dataclass(frozen=True)
class Sandbox:
    """What bubblewrap can do on this machine."""

    bwrap: tuple[str, ...] = ()
    """The executable, with further options if any; empty: there is no sandbox, and clusters run unconfined."""
    works: bool = False
    """Whether a trial went well. Where there is a `bwrap` that doesn't work, nothing may be started."""
    disables_userns: bool = True
    """Whether it forbids user namespaces inside; bubblewrap before 0.8 can't."""
    reason: str = ""
    """Why there is none or it doesn't work, for the log."""
    certain: bool = True
    """False where the trial itself failed, as on a machine without a free process: the next one may work."""


def environment_paths(environment: Path) -> list[Path]:
    """List the folders a virtual environment needs to run: its own and its interpreter's."""
    paths = [environment]
    python = environment / "bin" / "python"
    if python.exists():
        # bin/python -> …/versions/3.x/bin/python3.x: two levels up is the interpreter's home.
        paths.append(python.resolve().parent.parent)
    return [path for path in paths if path != Path("/usr")]


def write_identity(folder: Path) -> None:
    """Write the `passwd` and `group` that a sandbox sees: the machine's own would tell who else has an account."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "passwd").write_text(
        f"jovyan:x:{_UID_INSIDE}:{_UID_INSIDE}::/nonexistent:/bin/bash\n", encoding="utf-8"
    )
    (folder / "group").write_text(f"jovyan:x:{_UID_INSIDE}:\n", encoding="utf-8")


def bwrap_prefix(sandbox: Sandbox, *, identity: Path, read_only: Iterable[Path], workdir: Path) -> list[str]:
    """Build a command prefix under which a process sees the system, `read_only` and `workdir`, nothing else.

    Parameters
    ----------
    sandbox
        As `probe_sandbox` found it.
    identity
        Folder that `write_identity` has filled.
    read_only
        Folders to show read-only at their own path; those that don't exist are left out.
    workdir
        The cluster's folder: the only thing that can be written besides an empty /tmp.

    Notes
    -----
    The network stays shared: a cluster is reached over loopback and shields itself with its own TLS certificate.
    `--die-with-parent` and the process namespace make a kill -9 of the gateway take everything along.

    A process is the gateway's own user under another number, so the cluster's folder is its own and a gateway that
    is root has no process inside that believes to be. User namespaces are forbidden inside, because in one of its
    own a process could mount the cgroup file system and lift its own limit.
    """
    command = [
        *sandbox.bwrap,
        "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
        *(["--disable-userns"] if sandbox.disables_userns else []),
        "--uid", str(_UID_INSIDE), "--gid", str(_UID_INSIDE),
        "--cap-drop", "ALL", "--die-with-parent", "--new-session",
        "--proc", "/proc", *_read_only(Path("/proc", name) for name in _PROC_READ_ONLY),
        "--dev", "/dev", "--tmpfs", "/tmp",  # noqa: S108 -- a private, empty one
    ]  # fmt: skip
    for name in _SYSTEM:
        path = Path(name)
        if path.is_symlink():
            command += ["--symlink", str(path.readlink()), name]
        elif path.exists():
            command += ["--ro-bind", name, name]
    command += _read_only(Path("/etc", name) for name in _ETC)
    for name in ("passwd", "group"):
        command += ["--ro-bind-try", str(identity / name), f"/etc/{name}"]
    return [
        *command,
        *_read_only(read_only),
        "--bind",
        str(workdir),
        str(workdir),
        "--remount-ro",
        "/",
        "--chdir",
        str(workdir),
        "--",
    ]


def _read_only(paths: Iterable[Path]) -> list[str]:
    """Show paths at the same place, if they are there."""
    return [part for path in paths for part in ("--ro-bind-try", str(path), str(path))]


def probe_sandbox(bwrap: Sequence[str]) -> Sandbox:
    """Find out by trying what bubblewrap can do here (some machines forbid user namespaces).

    Parameters
    ----------
    bwrap
        The executable, with further options if any.

    Notes
    -----
    User namespaces inside are forbidden wherever that can be done. A trial that failed for want of something says
    nothing about it, so then there is no second one without: it would leave clusters less protected for good.
    """
    said = ""
    for disables_userns in (True, False):
        found = Sandbox(tuple(bwrap), works=True, disables_userns=disables_userns)
        prefix = bwrap_prefix(found, identity=Path("/nonexistent"), read_only=[], workdir=Path(sys.prefix))
        try:
            tried = subprocess.run(
                [*prefix, "/bin/true"],
                check=False,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=20,
                env={**os.environ, "LC_ALL": "C"},
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return Sandbox(tuple(bwrap), reason=str(error), certain=False)
        if tried.returncode == 0:
            return found
        said = tried.stderr.strip()[:200] or f"it ended with {tried.returncode}"
        # a signal is the kernel's, as when memory runs out
        if tried.returncode < 0 or _is_shortage(tried.stderr):
            return Sandbox(tuple(bwrap), reason=said, certain=False)
    return Sandbox(tuple(bwrap), reason=said)


def _is_shortage(said: str) -> bool:
    """Whether bubblewrap lacked what there may be again in a moment; no user namespaces at all stay none."""
    if os.strerror(errno.ENOSPC) in said and _most_user_namespaces() == "0":
        return False
    return any(os.strerror(number) in said for number in _SHORTAGES)


def _most_user_namespaces() -> str:
    try:
        return Path("/proc/sys/user/max_user_namespaces").read_text(encoding="ascii").strip()
    except OSError:
        return ""


class MemoryGroup:
    """A memory cgroup under the gateway's own, if it may make one (cgroup v1 or v2); else `path` is None.

    Parameters
    ----------
    name
        Unlike that of any other process of this gateway.
    limit_bytes
        Memory that its processes may use together.
    notes
        Folder where each group is noted by its name until it is removed, out of reach of the sandboxes. So a gateway
        that follows one that was killed finds what that left, wherever its own cgroup then was.
    """

    def __init__(self, name: str, limit_bytes: int, notes: Path) -> None:
        self.path: Path | None = None
        base = _own_memory_group()
        if base is None:
            return
        root, limit_file = base
        path = root / f"{_GROUP_PREFIX}{name}"
        notes.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.note = notes / name
        self.note.write_text(str(path), encoding="utf-8")
        try:
            path.mkdir(exist_ok=True)
            (path / limit_file).write_text(str(limit_bytes))
        except OSError:
            remove_memory_group(self.note)
            return
        self.path = path

    def join(self) -> None:
        """Move the calling process in; runs between fork and exec, so children follow."""
        if self.path is not None:
            with (self.path / "cgroup.procs").open("w") as procs:
                procs.write(str(os.getpid()))


def remove_memory_group(note: Path, patience_s: float = 2.0) -> bool:
    """End what still runs in the group that `note` names, remove the group, then the note.

    Returns
    -------
    bool
        Whether it is gone. The kernel keeps a group until the last of its processes is: when bubblewrap has ended,
        what was in its sandbox is killed too, but some milliseconds later.
    """
    try:
        path = Path(note.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return True
    if not path.is_relative_to(_CGROUPS) or not path.name.startswith(_GROUP_PREFIX):
        note.unlink(missing_ok=True)  # cut off when the gateway was killed
        return True
    end = time.monotonic() + patience_s
    while not _removed(path):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    note.unlink(missing_ok=True)
    return True


def _removed(path: Path) -> bool:
    with suppress(OSError):
        for pid in (path / "cgroup.procs").read_text(encoding="ascii").split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
    with suppress(OSError):
        path.rmdir()
    return not path.exists()


def _own_memory_group() -> tuple[Path, str] | None:
    for line in Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines():
        _, controllers, name = line.split(":", 2)
        if "memory" in controllers.split(","):
            root, limit = _CGROUPS / "memory" / name.lstrip("/"), "memory.limit_in_bytes"
        elif not controllers:
            root, limit = _CGROUPS / name.lstrip("/"), "memory.max"
            control = root / "cgroup.subtree_control"
            if not control.exists() or "memory" not in control.read_text(encoding="ascii"):
                continue
        else:
            continue
        if root.is_dir() and os.access(root, os.W_OK):
            return root, limit
    return None

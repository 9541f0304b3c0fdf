"""Shut a process into its own home: a bubblewrap command line, built without side effects."""

from __future__ import annotations

import errno
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING

from cubehub_spawner.uids import FIRST, drop_command

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HOME_INSIDE = Path("/home/jovyan")
"""Where every person's home is seen from inside; the same on one machine, in a pod and on Binder."""

UID_INSIDE = 1000

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")

# Where the Hub is root, writing these asks for the user id alone and not for a capability; machines differ in which
# there are.
_PROC_READ_ONLY = (
    "acpi",
    "bus",
    "driver",
    "dynamic_debug",
    "fs",
    "irq",
    "mtrr",
    "pressure",
    "scsi",
    "sys",
    "sysrq-trigger",
)

# Named one by one: inside, the process has the Hub's own user id under another number, so whatever of
# /etc were bound whole would be as readable as it is to the Hub, /etc/shadow included.
_ETC = (
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "fonts",
    "gai.conf",
    "host.conf",
    "hosts",
    "inputrc",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "locale.alias",
    "locale.conf",
    "localtime",
    "mime.types",
    "nsswitch.conf",
    "os-release",
    "pki/ca-trust",
    "pki/tls/cert.pem",
    "pki/tls/certs",
    "protocols",
    "resolv.conf",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
    "terminfo",
    "timezone",
)


@dataclass(frozen=True)
class Isolation:
    """What this machine can do to keep a server to itself."""

    kind: str
    """``bubblewrap``, ``uid`` (a user id per person) or ``none``."""
    reason: str
    """Why it is not bubblewrap, for the banner; empty where it is."""
    program: str = "bwrap"
    """Path of bubblewrap."""
    disables_userns: bool = False
    """Whether it can forbid user namespaces inside (bubblewrap 0.8 and later)."""
    certain: bool = True
    """False where the trial itself failed, as on a machine without a free process: the next one may work."""


def isolate(
    command: Iterable[str],
    *,
    read_only: Iterable[Path | str] = (),
    read_write: Iterable[Path | str] = (),
    binds: Mapping[Path | str, Path | str] | None = None,
    read_only_binds: Mapping[Path | str, Path | str] | None = None,
    tmp: Path | str | None = None,
    chdir: Path | str | None = None,
    program: str = "bwrap",
    disables_userns: bool = True,
    die_with_parent: bool = False,
) -> list[str]:
    """Write the command that runs `command` where it sees only what it is given.

    Inside there are the system's programs read-only, a few harmless files of ``/etc``, an own ``/proc``,
    ``/dev`` and ``/tmp``, and the paths named here. The network is shared: a server must listen on loopback.

    Parameters
    ----------
    command : iterable of str
        Program and arguments, by paths as seen inside.
    read_only, read_write : iterable of path
        Paths to show at the same place. A missing read-only one is left out; a missing writable one is an error
        of bubblewrap's.
    binds, read_only_binds : mapping of path to path, optional
        Outside path to inside path, for what is to be seen elsewhere. Later entries cover earlier ones.
    tmp : path, optional
        Folder to show as ``/tmp``; without one it is in memory and counts as such. It comes before the paths above,
        so that one of them may lie under ``/tmp``.
    chdir : path, optional
        Working directory inside.
    program : str
        Path of bubblewrap.
    disables_userns : bool
        Forbid user namespaces inside; bubblewrap before 0.8 can't.
    die_with_parent : bool
        End everything inside when the process that started bubblewrap ends.

    Returns
    -------
    list of str

    Notes
    -----
    The environment is inherited and deliberately not a parameter: an argument is readable by everyone on the
    machine, and a server's environment holds its token. Clean it where the process is started.

    ``--die-with-parent`` is left out where the Hub is the parent, because servers outlive a restart of the Hub. When the *inner* process ends,
    bubblewrap's own process 1 ends with it, and the kernel kills everything left in its pid namespace.

    User namespaces are forbidden inside because in one of its own a process could mount the cgroup file system and
    lift its own limit.
    """
    argv = [
        program,
        "--unshare-user",
        "--unshare-pid",
        "--unshare-ipc",
        "--unshare-uts",
        "--unshare-cgroup-try",
    ]
    if disables_userns:
        argv.append("--disable-userns")
    argv += ["--uid", str(UID_INSIDE), "--gid", str(UID_INSIDE), "--hostname", "cubehub", "--cap-drop", "ALL"]
    argv.append("--new-session")
    if die_with_parent:
        argv.append("--die-with-parent")
    for path in map(Path, _SYSTEM):
        if path.is_symlink():
            argv += ["--symlink", str(path.readlink()), str(path)]
        else:
            argv += ["--ro-bind-try", str(path), str(path)]
    argv += _read_only(Path("/etc") / name for name in _ETC)
    argv += ["--proc", "/proc", *_read_only(Path("/proc") / name for name in _PROC_READ_ONLY)]
    argv += ["--dev", "/dev", "--dir", "/run"]
    argv += ["--tmpfs", "/tmp"] if tmp is None else ["--bind", str(tmp), "/tmp"]  # noqa: S108 - inside
    argv += _read_only(["/sys/devices/system/cpu", *read_only])
    for outside, inside in (read_only_binds or {}).items():
        argv += ["--ro-bind", str(outside), str(inside)]
    for shown in map(str, read_write):
        argv += ["--bind", shown, shown]
    for outside, inside in (binds or {}).items():
        argv += ["--bind", str(outside), str(inside)]
    argv += ["--remount-ro", "/"]
    if chdir is not None:
        argv += ["--chdir", str(chdir)]
    return [*argv, "--", *command]


def _read_only(paths: Iterable[Path | str]) -> list[str]:
    """Show paths at the same place, if they are there."""
    return [part for path in paths for part in ("--ro-bind-try", str(path), str(path))]


def python_paths(prefix: Path | str) -> list[Path]:
    """List what must be visible for the Python of a virtual environment to run.

    Parameters
    ----------
    prefix : path
        The environment's folder.

    Returns
    -------
    list of Path
        The environment, and the installation at each hop of its ``bin/python`` symlinks that is outside ``/usr``.
    """
    prefix = Path(prefix)
    found = [prefix]
    hop = prefix / "bin" / "python"
    for _ in range(16):  # a loop of symlinks ends here rather than never
        if not hop.is_symlink():
            break
        target = hop.readlink()
        hop = target if target.is_absolute() else hop.parent / target
        base = hop.parent.parent
        if not hop.parent.is_relative_to("/usr") and base not in found:
            found.append(base)
    return _with_link_targets(found)


def _with_link_targets(paths: list[Path]) -> list[Path]:
    """Add where a path that is itself a link (uv's ``cpython-3.11-…``) leads."""
    more = [path.resolve() for path in paths]
    return list(dict.fromkeys([*paths, *(path for path in more if not path.is_relative_to("/usr"))]))


def write_identity(folder: Path) -> dict[Path | str, Path | str]:
    """Write a ``passwd`` and ``group`` for inside, and say where to bind them.

    Without them ``whoami``, ``ssh`` and ``git`` fail for a user id that the machine's own files don't know;
    with the machine's own, everyone would see who else has an account.
    """
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    passwd, group = folder / "passwd", folder / "group"
    _write_once(passwd, f"jovyan:x:{UID_INSIDE}:{UID_INSIDE}::{HOME_INSIDE}:/bin/bash\n")
    _write_once(group, f"jovyan:x:{UID_INSIDE}:\n")
    return {passwd: "/etc/passwd", group: "/etc/group"}


def _write_once(file: Path, text: str) -> None:
    """Leave a file alone that says this already: the servers that run see the very same file."""
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        new = file.with_suffix(".new")
        new.write_text(text, encoding="utf-8")
        new.replace(file)


_SHORTAGES = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC)
"""What bubblewrap fails with on a machine that has run out of something: the next try may work."""

_found: Isolation | None = None


def probe_isolation() -> Isolation:
    """Find out by trying what this machine can do; an answer that is certain is kept for the life of the process."""
    global _found  # noqa: PLW0603 - one machine, one answer
    if _found is None or not _found.certain:
        found = _probe()
        # a shortage says nothing about bubblewrap, and another way in between would take homes away from it
        if found.kind == "none" and found.certain and os.geteuid() == 0:
            found = probe_uid(found.reason)
        _found = found
    return _found


def probe_uid(why_not_bubblewrap: str, uid: int = FIRST, program: str = "/bin/true") -> Isolation:
    """Find out by trying whether a process can become an ordinary user here, and run a program as that.

    Parameters
    ----------
    why_not_bubblewrap : str
        What is said of bubblewrap.
    uid : int
        The user id to try.
    program : str
        A program that does nothing and ends; its whole path must be open to everyone.
    """
    if os.geteuid() != 0:
        return Isolation("none", f"{why_not_bubblewrap}; user ids of their own need root")
    said = _try(drop_command(uid, [program]))
    if said is None:
        return Isolation(
            "none", f"{why_not_bubblewrap}; user ids of their own could not be tried", certain=False
        )
    if said:
        return Isolation("none", f"{why_not_bubblewrap}; user ids of their own: {said}")
    return Isolation("uid", why_not_bubblewrap)


_reached: dict[tuple[str, ...], str] = {}


def uid_reaches(found: Isolation, uid: int, prefix: Path | str, folders: tuple[str, ...]) -> Isolation:
    """See whether an ordinary user gets at the servers' environment and folders; if not, say what is in the way.

    Parameters
    ----------
    found : Isolation
        By user ids; given back where they reach.
    uid : int
        The user id to try.
    prefix : path
        Virtual environment of the servers.
    folders : tuple of str
        Folders to pass through.
    """
    key = (str(uid), str(prefix), *folders)
    if key not in _reached:
        program = f"{prefix}/bin/python"
        look = "import os, sys; [os.stat(folder + '/.') for folder in sys.argv[1:]]"
        said = _try(drop_command(uid, [program, "-I", "-c", look, *folders]))
        if said is None:  # not a word about what can be reached
            return Isolation("none", f"{found.reason}; user ids could not be tried", certain=False)
        _reached[key] = said
    if not _reached[key]:
        return found
    reason = f"{found.reason}; other user ids can't get at {prefix}, its Python or the homes: {_reached[key]}"
    return Isolation("none", reason)


def _try(command: list[str]) -> str | None:
    """Run a command: the last line of what went wrong, empty where nothing did, None where it could not be run."""
    try:
        tried = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            cwd="/",
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if tried.returncode == 0:
        return ""
    if tried.returncode < 0 or _is_shortage(tried.stderr):
        return None
    return (tried.stderr.strip().splitlines() or [f"status {tried.returncode}"])[-1][:200]


def _probe() -> Isolation:
    program = which("bwrap")
    if program is None:
        return Isolation("none", "bubblewrap is not installed (Debian, Ubuntu: apt install bubblewrap)")
    said, certain = "", True
    for disables_userns in (True, False):
        argv = isolate(["/bin/true"], program=program, disables_userns=disables_userns)
        try:
            tried = subprocess.run(
                argv,
                check=False,
                capture_output=True,
                text=True,
                timeout=20,
                env={**os.environ, "LC_ALL": "C"},
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            said, certain = str(error), False
            break
        if tried.returncode == 0:
            return Isolation("bubblewrap", "", program, disables_userns)
        said = tried.stderr.strip() or said
        if tried.returncode < 0 or _is_shortage(tried.stderr):
            # not a word about what the machine can: a trial with less would give protection away for good
            certain = False
            break
    return Isolation("none", f"bubblewrap is installed but can't work here: {said[:200]}", certain=certain)


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

"""Become another user id for good, and then a command: ``_drop UID [--die-with-parent] -- COMMAND``."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import struct
import sys

CANNOT = 111
"""Exit status where it could not be done; nothing of the command ran."""

_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITIES = 64
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
# Linux lets the owner of a file change which project it counts for, and so leave the limit of the home. Only user
# namespaces forbid it, which bubblewrap has and this does not.
_SETFLAGS, _SETFLAGS_32, _FSSETXATTR = 0x40086602, 0x40046602, 0x401C5820
_FILE_SETATTR = 469
_ARCHITECTURES = {"x86_64": (0xC000003E, 16), "aarch64": (0xC00000B7, 29), "riscv64": (0xC00000F3, 29)}
"""By machine: the kernel's number of it, and of ``ioctl``."""
_X32 = 0x40000000
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _COMMAND_AT = 0, 4, 24
_ALLOW, _REFUSE, _END = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000
_libc = ctypes.CDLL(None, use_errno=True)


def become(uid: int) -> None:
    """Give up all power of this process but that of an ordinary user who is in no other group.

    Raises
    ------
    OSError
        It can't be done, or it could be undone.
    """
    for capability in range(
        _CAPABILITIES
    ):  # those the kernel does not know, or may not drop, are no harm below
        _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    if _libc.prctl(
        _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0
    ):  # from here on no program makes it anyone else, sudo included
        raise OSError(ctypes.get_errno(), "new privileges can't be forbidden")
    if os.getresuid() != (uid, uid, uid) or os.getresgid() != (uid, uid, uid) or os.getgroups():
        raise OSError("the user id did not change")
    try:
        os.setuid(0)
    except PermissionError:
        return
    raise OSError("the user id could be changed back")


def keep_projects() -> None:
    """Forbid this process, and all that it starts, to change the project or the flags of a file.

    Notes
    -----
    A filter of system calls, for good. Programs for another architecture, whose calls have other numbers, end. Where
    this machine's numbers are not known here, nothing is done; project quotas are no limit there.

    Raises
    ------
    OSError
        The kernel has no such filters.
    """
    known = _ARCHITECTURES.get(os.uname().machine)
    if known is None:
        return
    architecture, ioctl = known
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _END),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, 7, 0, _X32),
        (_EQUAL, 6, 0, _FILE_SETATTR),
        (_EQUAL, 0, 4, ioctl),
        (_LOAD, 0, 0, _COMMAND_AT),
        (_EQUAL, 3, 0, _SETFLAGS),
        (_EQUAL, 2, 0, _SETFLAGS_32),
        (_EQUAL, 1, 0, _FSSETXATTR),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    code = b"".join(struct.pack("=HBBI", *line) for line in program)
    lines = ctypes.create_string_buffer(code, len(code))
    header = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(lines)))
    if _libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, f"file projects can't be kept: {os.strerror(number)}")


def main() -> int:
    """Run as a program; comes back only where it failed."""
    uid, *options = sys.argv[1 : sys.argv.index("--")]
    command = sys.argv[sys.argv.index("--") + 1 :]
    parent = os.getppid()
    try:
        become(int(uid))
        keep_projects()
        os.umask(0o077)
        if "--die-with-parent" in options:  # anew: a change of user id takes it away
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                return CANNOT
        os.execv(command[0], command)  # noqa: S606 - a full path, no shell
    except OSError as error:
        print(f"{command[0]} can't be run as user id {uid}: {error}", file=sys.stderr)  # noqa: T201 - the server's log
    return CANNOT


if __name__ == "__main__":
    sys.exit(main())

"""Become another user id for good, and then a command: ``_drop UID [--die-with-parent] -- COMMAND``."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

CANNOT = 111
"""Exit status where it could not be done; nothing of the command ran."""

_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITIES = 64
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


def main() -> int:
    """Run as a program; comes back only where it failed."""
    uid, *options = sys.argv[1 : sys.argv.index("--")]
    command = sys.argv[sys.argv.index("--") + 1 :]
    parent = os.getppid()
    try:
        become(int(uid))
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

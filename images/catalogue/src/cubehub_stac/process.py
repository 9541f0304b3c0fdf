"""Ties between a process and its parent that survive a kill -9."""

from __future__ import annotations

import ctypes
import signal

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(sig: int = signal.SIGTERM) -> None:
    """Ask the kernel to send `sig` to the calling process when its parent ends, however it ends.

    Changing the user clears the wish, so a child that drops privileges calls this afterwards.
    """
    _libc.prctl(_PR_SET_PDEATHSIG, int(sig))

"""Processes that do not outlive who started them."""

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int | None = None) -> None:
    """Have the kernel send us SIGTERM when the process that started us ends; Linux only.

    Parameters
    ----------
    parent : int, optional
        That process; if it is another one by now, it has ended already, and so do we.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if parent is not None and os.getppid() != parent:
        os._exit(1)

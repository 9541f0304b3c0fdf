"""The environment variables of a server: who, where, and how many threads."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

THREAD_VARIABLES = (
    "BLIS_NUM_THREADS",
    "DASK_NUM_WORKERS",
    "GDAL_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
"""Libraries count the machine's cores, not the profile's, unless told."""


def server_environment(
    *, username: str, home: Path, tmp: Path, prefix: Path | str, extra_path: Iterable[str], cpu: float
) -> dict[str, str]:
    """Write the variables that a login would have set.

    Parameters
    ----------
    username : str
        As ``whoami`` says it inside.
    home, tmp : Path
        As seen by the server.
    prefix : path
        Virtual environment of the server's programs.
    extra_path : iterable of str
        Folders behind the environment's own in PATH.
    cpu : float
        Cores of the profile; a part of one counts as one thread.
    """
    threads = str(max(1, math.ceil(cpu)))
    path = [f"{prefix}/bin", *extra_path, "/usr/local/bin", "/usr/bin", "/bin"]
    return {
        "HOME": str(home),
        "USER": username,
        "LOGNAME": username,
        "SHELL": "/bin/bash",
        "TMPDIR": str(tmp),
        "PATH": ":".join(path),
        "CPU_COUNT": threads,
        **dict.fromkeys(THREAD_VARIABLES, threads),
    }

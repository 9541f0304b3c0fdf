"""The environment of images/lab, made from its lock and kept between runs."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cubehub_tests.keycloak import cache_folder
from cubehub_tests.needs import network_cut
from uv import find_uv_bin

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def lab_python() -> Iterator[Path]:
    """Interpreter of an environment that holds what images/lab/uv.lock says.

    It is kept in the tests' cache folder: making it anew costs gigabytes, bringing it up to date a second. The lock
    file is held while tests run, so that a second run with another lock cannot change it under their feet; one that
    finds it as it should be waits for nobody.
    """
    folder = cache_folder() / "envs"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lab.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        # a lock is let go before it is taken in the other way, so another run may come in between
        while sync(folder / "lab", "--check").returncode:
            fcntl.flock(lock, fcntl.LOCK_EX)
            done = sync(folder / "lab")
            assert done.returncode == 0, done.stderr
            fcntl.flock(lock, fcntl.LOCK_SH)
        yield folder / "lab/bin/python"


def sync(target: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Bring the environment to what the lock says, or look whether it is."""
    variables = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    return subprocess.run(
        [
            find_uv_bin(), "sync", "--frozen", "--no-dev", "--no-editable", "--project", str(ROOT / "images/lab"),
            "--python", sys.executable, *options,
        ],
        env=variables | {"UV_PROJECT_ENVIRONMENT": str(target)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="session")
def shut_in() -> list[str]:
    """Command prefix that takes away every network but loopback."""
    prefix = network_cut()
    assert prefix, "a test that uses this says so by needs('network-cut')"
    return prefix

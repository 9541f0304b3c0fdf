"""The platform's own catalogue service, with the real PostgreSQL, on items of the test's."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from cubehub.local.platform import LOOPBACK, free_port
from uv import find_uv_bin

from cubehub_tests.platform import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_ROOM = REPOSITORY / "images" / "catalogue"
_START_S = 90


@contextlib.contextmanager
def running_pgstac(items: Sequence[Path]) -> Iterator[str]:
    """Start the service for files or folders of items; gives the address of its STAC API.

    Raises
    ------
    AssertionError
        It did not start, or serves the static catalogue because PostgreSQL is missing.
    """
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    sync = [find_uv_bin(), "sync", "--quiet", "--frozen", "--inexact", "--project", str(_ROOM)]
    subprocess.run(sync, env=environment, check=True)
    # PostgreSQL refuses to be root, and another user walks into no folder of root's that is closed
    with tempfile.TemporaryDirectory(prefix="cubehub-pgstac-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        port = free_port(LOOPBACK, set())
        origin = f"http://{LOOPBACK}:{port}"
        config = folder / "config.json"
        config.write_text(
            json.dumps(
                {
                    "port": port,
                    "public_url": origin,
                    "state_dir": str(folder / "state"),
                    "items": [str(path) for path in items],
                }
            )
        )
        log = folder / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(_ROOM / ".venv" / "bin" / "cubehub-stac"), "--config", str(config)],
                stdout=output,
                stderr=output,
            )
        root = f"{origin}/services/catalogue/"
        try:
            mode = _wait(f"{root}health", process)
            assert mode == "pgstac", f"the catalogue serves {mode}:\n{log.read_text(errors='replace')}"
            yield root
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(url: str, process: subprocess.Popen[bytes]) -> str:
    ends = time.monotonic() + _START_S
    while time.monotonic() < ends and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - on this machine
            return str(json.load(answer)["mode"])
        time.sleep(0.2)
    return "nothing"

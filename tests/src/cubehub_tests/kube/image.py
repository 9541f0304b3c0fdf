"""A small image of a server, made without a registry: Debian's Python, Lab and what belongs to it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from uv import find_uv_bin

ACCOUNT = Path(__file__).parents[4] / "extensions" / "account"
TAG = "localhost/cubehub-server:tests"
_PACKAGES = ("jupyterhub>=6.1,<7", "jupyterlab>=4.5,<5", "ipykernel>=7")
_DEBIAN = "bookworm"
_UNUSED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists")
_MADE_BY = "3"
"""To be raised when what is below changes."""
_COMPILE = ("-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash")
"""Files of an image have no time of their own, by which bytecode is taken for current otherwise."""


def image(mkimage: Path) -> Path:
    """Give a docker archive of the image, made at the first call and kept."""
    kinds = ("*.py", "*.json", "*.js")
    sources = [*(path for kind in kinds for path in ACCOUNT.rglob(kind)), ACCOUNT / "pyproject.toml"]
    digest = hashlib.sha256("\n".join((_MADE_BY, _DEBIAN, *_PACKAGES)).encode())
    for path in sorted(sources):
        if ".venv" not in path.parts and "node_modules" not in path.parts:
            digest.update(path.read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cubehub-tests" / "kube"
    cache.mkdir(parents=True, exist_ok=True)
    made = cache / f"server-{digest.hexdigest()[:12]}.tar"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            for old in cache.glob("server-*.tar"):
                old.unlink()
            _make(mkimage, cache, made)
    return made


def _make(mkimage: Path, cache: Path, made: Path) -> None:
    base, site = cache / f"{_DEBIAN}-{_MADE_BY}", cache / "site"
    if not (base / "usr" / "bin" / "python3").exists():
        _debian(base)
    shutil.rmtree(site, ignore_errors=True)
    target = site / "opt" / "site"
    command = [
        find_uv_bin(),
        "pip",
        "install",
        "--quiet",
        "--python",
        sys.executable,
        "--python-version",
        "3.11",
    ]
    subprocess.run([*command, "--target", target, *_PACKAGES, ACCOUNT], check=True)
    if sys.version_info[:2] == (3, 11):  # Debian's; with another the image is right and slower
        subprocess.run([sys.executable, *_COMPILE, target], check=True)
    environment = {
        "PYTHONPATH": "/opt/site",
        "JUPYTER_PATH": "/opt/site/share/jupyter",
        "JUPYTER_CONFIG_PATH": "/opt/site/etc/jupyter",
        "JUPYTERLAB_DIR": "/opt/site/share/jupyter/lab",
        "HOME": "/home/jovyan",
        "LANG": "C.UTF-8",
    }
    options = [f"--env={name}={value}" for name, value in environment.items()]
    partial = made.with_suffix(".partial")
    command = [sys.executable, str(mkimage), "-t", TAG, "-o", str(partial), "--user", "1000:100", *options]
    subprocess.run([*command, base, site], check=True, stdout=subprocess.DEVNULL)
    partial.replace(made)
    shutil.rmtree(site)


def _debian(base: Path) -> None:
    if shutil.which("debootstrap") is None:
        install = ["apt-get", "install", "-yqq", "--no-install-recommends", "debootstrap"]
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
    partial = base.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    command = ["debootstrap", "--variant=minbase", "--include=python3", _DEBIAN, str(partial)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        raise AssertionError(f"debootstrap: {done.stdout[-2000:]}{done.stderr}")
    for path in _UNUSED:
        shutil.rmtree(partial / path, ignore_errors=True)
    subprocess.run(["chroot", partial, "/usr/bin/python3", *_COMPILE, "/usr/lib/python3.11"], check=False)
    with (partial / "etc" / "passwd").open("a") as passwd:
        passwd.write("jovyan:x:1000:100::/home/jovyan:/bin/bash\n")
    (partial / "home" / "jovyan").mkdir()
    partial.replace(base)

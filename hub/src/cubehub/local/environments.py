"""The virtual environments beside the Hub's own, each made by uv from its lock."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from uv import find_uv_bin

from cubehub.errors import CubeHubError
from cubehub.resources import resource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from cubehub.local.progress import Progress

_SKIPPED = {
    ".venv",
    "__pycache__",
    "tests",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    ".hypothesis",
    "node_modules",
}
# compiled once here: people's servers see the environment read-only and would compile it at every start
_OPTIONS = ("--frozen", "--no-dev", "--no-editable", "--compile-bytecode")
_SIZE = re.compile(r"Downloading (\S+) \(([\d.]+)\s*([KMG])iB\)")
_DONE = re.compile(r"Downloaded (\S+)")
_FACTOR = {"K": 1024, "M": 1024**2, "G": 1024**3}


@dataclass(frozen=True)
class Environment:
    """One environment: where its lock stands and which of our own sources go into it."""

    name: str
    """Folder below DATA/envs."""
    project: tuple[str, ...]
    """Folder of pyproject.toml and uv.lock, as in the repository."""
    local: Mapping[str, tuple[str, ...]]
    """Distributions built from our sources: name to folder."""


ENVIRONMENTS = (
    Environment("catalogue", ("images", "catalogue"), {"cubehub-stac": ("images", "catalogue")}),
    Environment("gateway", ("images", "gateway"), {"cubehub-gateway": ("images", "gateway")}),
    Environment("cubes", ("cube-server",), {"xcube-cubehub": ("cube-server",)}),
    Environment(
        "lab",
        ("images", "lab"),
        {
            "cubehub": ("hub",),
            "cubehub-lab": ("images", "lab"),
            "cubehub-account": ("extensions", "account"),
            "cubehub-catalogue": ("extensions", "catalogue"),
        },
    ),
)


def base_python() -> str:
    """Path of the interpreter outside any virtual environment; every environment is made with it."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


def _sources(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name in _SKIPPED or path.name.endswith(".egg-info"):
            continue
        if path.is_dir():
            yield from _sources(path)
        else:
            yield path


def fingerprint(environment: Environment) -> str:
    """Hash of all that decides the environment's content: lock, our sources, interpreter."""
    digest = hashlib.sha256(f"{base_python()} {sys.version} {_OPTIONS}".encode())
    for folder in sorted({environment.project, *environment.local.values()}):
        root = resource(*folder)
        for path in _sources(root):
            digest.update(f"{path.relative_to(root)}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _uv() -> str:
    try:
        return str(find_uv_bin())
    except FileNotFoundError as error:
        raise CubeHubError(
            "The program uv, which makes the environments, is missing.",
            "Install CubeHub anew; uv comes with its `server` extra: pip install 'cubehub[server]'.",
            code="uv_missing",
        ) from error


def _clear_moved(target: Path, stamp: str | None) -> None:
    """Take away an environment whose stamp names another place: its programs do too, and uv leaves those as they are."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    place = (stamp or "").partition(" ")[2]
    if place and place != str(target):
        # renamed first, so that a killed run leaves no half of it behind
        target.rename(old)
        shutil.rmtree(old, ignore_errors=True)


def sync(environment: Environment, target: Path, log: Path, progress: Progress) -> bool:
    """Make or update one environment; False if it already was as the lock says.

    Notes
    -----
    uv puts a package in place whole or not at all and keeps what it fetched, so an interrupted run
    goes on where it stopped. The stamp is written last: without it the environment is synced again.
    Sizes are those uv announces when it begins a download (about 1 MB and more), so the total grows
    during the first seconds.

    Raises
    ------
    CubeHubError
        uv could not make it (no network at the first start, disk full, …).
    """
    stamp = target / "cubehub-stamp"
    wanted = f"{fingerprint(environment)} {target}"
    stamped = stamp.read_text() if stamp.is_file() else None
    if stamped == wanted:
        return False
    _clear_moved(target, stamped)
    project = resource(*environment.project)
    command = [
        _uv(), "sync", *_OPTIONS, "--color", "never",
        "--project", str(project), "--python", base_python(),
        *(f"--reinstall-package={name}" for name in environment.local),
    ]  # fmt: skip
    variables = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    variables["UV_PROJECT_ENVIRONMENT"] = str(target)
    # of cubehub a notebook needs the code alone, not the rooms that a wheel carries for `cubehub up`
    variables["CUBEHUB_WITHOUT_ROOMS"] = "1"
    sizes: dict[str, int] = {}
    done = 0
    lines: list[str] = []
    with (
        progress.step(f"{environment.name} environment", None) as report,
        log.open("a") as record,
        subprocess.Popen(
            command,
            env=variables,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            encoding="utf-8",
            errors="replace",
        ) as uv,
    ):
        for line in uv.stderr or ():
            record.write(line)
            lines.append(line.rstrip())
            if found := _SIZE.search(line):
                sizes[found[1]] = int(float(found[2]) * _FACTOR[found[3]])
                report(done, sum(sizes.values()))
            elif found := _DONE.search(line):
                done += sizes.get(found[1], 0)
                report(done, about="installing" if done >= sum(sizes.values()) else "")
        if uv.wait():
            said = next((line for line in reversed(lines) if line.strip()), f"exit status {uv.returncode}")
            raise CubeHubError(
                f"The {environment.name} environment could not be made: {said.strip()}",
                f"The first start needs the network and about 4 GB of disk. The whole message is in {log}. Run the command again to go on.",
                code="environment_failed",
            )
    stamp.write_text(wanted)
    return True

"""Keycloak's distribution, from Maven Central into a folder that is whole or not there."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import tarfile
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jgo.maven import MavenContext, PythonResolver

from cubehub.keycloak.errors import KeycloakFetchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cubehub.local.progress import Progress

VERSION = "26.7.3"
SHA256 = "77657f30b7e90d70f727712ce1c967f430fd6a5e9f458d32d8c6df0635345f47"
"""Of the archive, taken when its SHA-1 agreed with the one Maven Central publishes beside it."""
SIZE = 176_448_763
"""Of the archive; bytes."""
_ARCHIVE = f"keycloak-quarkus-dist-{VERSION}.tar.gz"
_HOME = f"keycloak-{VERSION}"
_TRIES = 3


def fetch_keycloak(cache: Path, into: Path, progress: Progress) -> Path:
    """Fetch Keycloak unless it is there already.

    Parameters
    ----------
    cache
        Keeps the archive, so that a damaged or new `into` needs no network.
    into
        Folder to unpack below.
    progress
        Told about the download and the unpacking, both in bytes of the archive.

    Returns
    -------
    Path
        Keycloak's home: `into`/keycloak-VERSION.

    Raises
    ------
    KeycloakFetchError
        No network, a full disk, or an archive that is not the expected one.

    Notes
    -----
    Safe to kill at any moment: archive and home appear by a rename once they are complete, and
    leftovers of a killed run are removed by the next. Two runs on one folder wait for each other.
    """
    home = into / _HOME
    if home.is_dir():
        return home
    try:
        with _alone(cache):
            archive = _archive(cache, progress)
        with _alone(into):
            if not home.is_dir():
                _unpack(archive, home, progress)
    except (OSError, tarfile.TarError) as error:
        raise KeycloakFetchError(
            f"Keycloak {VERSION} could not be unpacked to {into}: {error}",
            "Look for free space (1 GB) and write permission there, then start again.",
        ) from error
    return home


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a folder against other runs, and sweep what killed ones left."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".keycloak.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in folder.glob(".keycloak-partial-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        yield


def _archive(cache: Path, progress: Progress) -> Path:
    archive = cache / _ARCHIVE
    if archive.is_file():
        if _sha256(archive) == SHA256:
            return archive
        archive.unlink()
    for left in reversed(range(_TRIES)):
        scratch = Path(tempfile.mkdtemp(prefix=".keycloak-partial-", dir=cache))
        try:
            fetched = _download(scratch, progress)
            found = _sha256(fetched)
            if found == SHA256:
                return fetched.replace(archive)
            problem: Exception = ValueError(f"its SHA-256 is {found}, expected {SHA256}")
        # requests' errors are OSErrors; jgo says with a RuntimeError that a repository lacks the file
        except (OSError, RuntimeError) as error:
            problem = error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        if left:
            time.sleep(1)
    raise KeycloakFetchError(
        f"Keycloak {VERSION} could not be fetched from Maven Central: {problem}",
        "Check the network (a proxy is taken from HTTPS_PROXY) and start again; what is already there is kept.",
    ) from problem


def _download(repository: Path, progress: Progress) -> Path:
    @contextmanager
    def follow(_name: str, total: int) -> Iterator[Callable[[int], None]]:
        done = 0
        with progress.step("Keycloak", total) as report:

            def add(count: int) -> None:
                nonlocal done
                done += count
                report(done)

            yield add

    context = MavenContext(
        repo_cache=repository, resolver=PythonResolver(progress_callback=follow), timeout=30
    )
    component = context.project("org.keycloak", "keycloak-quarkus-dist").at_version(VERSION)
    return Path(component.artifact(packaging="tar.gz").resolve())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# Debian 12's Python (3.11.2) has no filters yet. What is unpacked is an archive whose checksum was right.
_FILTER: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}


def _unpack(archive: Path, home: Path, progress: Progress) -> None:
    scratch = Path(tempfile.mkdtemp(prefix=".keycloak-partial-", dir=home.parent))
    with (
        progress.step("Keycloak: unpacking", archive.stat().st_size) as report,
        archive.open("rb") as raw,
        tarfile.open(fileobj=raw, mode="r:gz") as tar,
    ):
        for member in tar:
            tar.extract(member, scratch, **_FILTER)
            report(raw.tell())
    (scratch / _HOME).replace(home)
    scratch.rmdir()

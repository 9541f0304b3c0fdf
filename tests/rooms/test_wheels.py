"""`uv build` gives wheels from which CubeHub runs without the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cubehub_tests.platform import REPOSITORY, Whole
from uv import find_uv_bin

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.rooms
WANTED = (
    "config/realm.json",
    "config/profiles.yaml",
    "config/cubes.yaml",
    "config/jupyterhub_config.py",
    "config/dask_gateway_config.py",
    "images/lab/uv.lock",
    "images/gateway/uv.lock",
    "images/catalogue/uv.lock",
    "images/proxy/package-lock.json",
    "cube-server/uv.lock",
    "extensions/account/pyproject.toml",
    "extensions/catalogue/pyproject.toml",
    "hub/pyproject.toml",
    "hub/src/cubehub/publishing/__init__.py",
    "binder/data/olci-north-sea/LICENSE",
    "binder/data/olci-north-sea/cube.zarr/.zattrs",
    "binder/data/s2-l2a-33t-crop/pixels/S2A_33TWL_20230815_0_L2A_crop/B04.tif",
    "binder/notebooks/first-look-at-a-cube.ipynb",
)
UNWANTED = ("/tests/", "/.venv/", "__pycache__", "node_modules", ".pytest_cache")


def uv(*arguments: str, folder: Path) -> str:
    """Run uv outside this environment; gives its output."""
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    ended = subprocess.run(
        [find_uv_bin(), *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, f"uv {' '.join(arguments)}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


@pytest.fixture(scope="module")
def wheels() -> Iterator[Path]:
    """Build all wheels."""
    folder = Path(tempfile.mkdtemp(prefix="cubehub-wheels-"))
    folder.chmod(0o711)
    uv("build", "--all-packages", "--wheel", "--out-dir", str(folder / "dist"), folder=REPOSITORY)
    yield folder / "dist"
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def installed(wheels: Path) -> Path:
    """Install the server half into a fresh environment and give its `cubehub`."""
    environment = wheels.parent / "environment"
    uv("venv", "--python", sys.executable, str(environment), folder=wheels)
    wheel = next(wheels.glob("cubehub-[0-9]*.whl"))
    target = ["--python", str(environment / "bin/python")]
    uv(
        "pip",
        "install",
        *target,
        "--find-links",
        str(wheels),
        f"cubehub[server] @ {wheel.as_uri()}",
        folder=wheels,
    )
    return environment / "bin/cubehub"


def test_the_wheel_carries_what_the_checkout_has(wheels: Path) -> None:
    with zipfile.ZipFile(next(wheels.glob("cubehub-[0-9]*.whl"))) as wheel:
        names = {name.removeprefix("cubehub/_data/") for name in wheel.namelist()}
        size = sum(entry.file_size for entry in wheel.infolist())
    assert [name for name in WANTED if name not in names] == []
    assert [name for name in names for word in UNWANTED if word in name] == []
    assert size < 40 * 2**20


def test_it_installs_and_tells_its_version(installed: Path) -> None:
    said = subprocess.run(
        [installed, "--version"], capture_output=True, text=True, check=True, cwd="/"
    ).stdout
    assert "0." in said
    code = (
        "import cubehub; from cubehub.resources import resource\n"
        "print(cubehub.__file__, resource('config', 'realm.json').is_file(), resource('images', 'lab', 'uv.lock').is_file())"
    )
    where = subprocess.run(
        [installed.with_name("python"), "-c", code], capture_output=True, text=True, check=True, cwd="/"
    ).stdout.split()
    assert where[0].startswith(str(installed.parents[1])), "not the checkout"
    assert where[1:] == ["True", "True"]


@pytest.mark.timeout(1500)
def test_the_platform_comes_up_from_the_wheels(installed: Path) -> None:
    with Whole.make(program=(str(installed),)) as whole:
        whole.up()
        found = whole.status()
        assert found["phase"] == "healthy"
        assert {part["health"] for part in found["parts"].values()} == {"healthy"}
        programs = {process.exe() for process in whole.processes()}
        assert not [name for name in programs if name.startswith(str(REPOSITORY))]
        whole.down()
        assert whole.processes() == []

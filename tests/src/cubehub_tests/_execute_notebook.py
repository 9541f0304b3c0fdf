"""Run by the interpreter of the environment under test: executes one notebook and writes it with its outputs.

Arguments: notebook, result, seconds a cell may take, and a JSON object of expressions to evaluate at the end.
Needs nbclient there (JupyterLab brings it) and nothing of this workspace.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any


def main() -> int:
    """Execute the notebook; 0 if every cell ran, 1 if one raised (its traceback is then in the result)."""
    # Of the environment under test, which has no types for them
    nbformat: Any = importlib.import_module("nbformat")
    nbclient: Any = importlib.import_module("nbclient")
    cell_error: type[Exception] = importlib.import_module("nbclient.exceptions").CellExecutionError

    source, result, timeout_s, ask = sys.argv[1:]
    notebook = nbformat.read(source, as_version=4)
    answers = ", ".join(f"{name!r}: ({expression})" for name, expression in json.loads(ask).items())
    probe = nbformat.v4.new_code_cell(
        f"import json as _json\nprint(_json.dumps({{{answers}}}, default=float))"
    )
    probe["id"] = "answers-to-the-test"
    notebook.cells.append(probe)
    client = nbclient.NotebookClient(
        notebook,
        timeout=int(timeout_s),
        kernel_name="python3",
        resources={"metadata": {"path": str(Path(source).parent)}},
        store_widget_state=True,
    )
    try:
        client.execute()
    except cell_error:
        return 1
    finally:
        nbformat.write(notebook, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Run by the interpreter of the environment under test: runs each cell in a kernel of its own, two at a time.

Reads JSON from its input: ``[{name, code, ask, env}]``. Prints ``{name: answer}``; an answer is the value of `ask`,
or ``{"failed": …}``. Needs jupyter_client and ipykernel there, and nothing of this workspace.
"""

import contextlib
import importlib
import json
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_PATIENCE_S = 240


def main() -> None:
    """Run all."""
    cells = json.load(sys.stdin)
    with ThreadPoolExecutor(2) as lanes:
        answers = list(lanes.map(_run, cells))
    json.dump({cell["name"]: answer for cell, answer in zip(cells, answers, strict=True)}, sys.stdout)


def _run(cell: dict[str, Any]) -> Any:
    manager: Any = importlib.import_module("jupyter_client.manager").KernelManager(kernel_name="python3")
    manager.start_kernel(env={**os.environ, **cell["env"]}, cwd=cell["env"]["HOME"])
    client = manager.client()
    try:
        client.start_channels()
        client.wait_for_ready(timeout=_PATIENCE_S)
        failure, warned = _execute(client, cell["code"])
        if failure:
            return {"failed": failure}
        failure, printed = _execute(
            client, f"import json\nprint('ANSWER', json.dumps({cell['ask']}, default=float))"
        )
        if failure:
            return {"failed": failure}
        (line,) = [line for line in printed.splitlines() if line.startswith("ANSWER ")]
        return {"warned": warned, **json.loads(line.removeprefix("ANSWER "))}
    finally:
        client.stop_channels()
        with contextlib.suppress(RuntimeError):
            manager.shutdown_kernel(now=True)


def _execute(client: Any, code: str) -> tuple[str, str]:
    """Give the traceback, and what was printed."""
    printed, failed = [], []

    def look(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream":
            printed.append(message["content"]["text"])
        if message["msg_type"] == "error":
            failed.append(_ANSI.sub("", "\n".join(message["content"]["traceback"])))

    client.execute_interactive(code, output_hook=look, timeout=_PATIENCE_S)
    return "\n".join(failed)[-4000:], "".join(printed)


if __name__ == "__main__":
    main()

"""A second kernel whose packages live in another environment.

xcube needs an older tornado than JupyterHub, so the two cannot share an environment. Its environment (the cube
server's) has ipykernel; a kernel specification beside Lab's own makes it one click away.
"""

import argparse
import json
import sys
from pathlib import Path


def kernelspec(python: Path, *, display_name: str = "Python 3 (xcube)") -> dict[str, object]:
    """Content of the ``kernel.json`` that starts a kernel with another environment's interpreter.

    Parameters
    ----------
    python : Path
        The other environment's interpreter, e.g. ``DATA/envs/cubes/bin/python``. Kept as given: resolving the
        symbolic link would lead out of the virtual environment.
    display_name : str
        What the launcher shows.

    Notes
    -----
    Packages a person put into ``~/.local`` for Lab's environment would shadow those of the other one, hence
    ``PYTHONNOUSERSITE``. The kernel inherits everything else from the server, Dask's settings among it.
    """
    return {
        "argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": display_name,
        "language": "python",
        "env": {"PYTHONNOUSERSITE": "1"},
        "metadata": {"debugger": True},
    }


def install_kernel(python: Path, *, name: str = "xcube", prefix: Path | None = None) -> Path:
    """Write the specification into an environment and return the path of its ``kernel.json``.

    Parameters
    ----------
    python : Path
        The other environment's interpreter.
    name : str
        Folder name under ``share/jupyter/kernels``; notebooks store it.
    prefix : Path, optional
        The environment whose Lab shall offer the kernel; the running interpreter's own if left out.

    Raises
    ------
    FileNotFoundError
        There is no interpreter at `python`; a specification that cannot start would only show later.
    """
    if not python.exists():
        raise FileNotFoundError(f"no Python interpreter at {python}")
    folder = (prefix or Path(sys.prefix)) / "share" / "jupyter" / "kernels" / name
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "kernel.json"
    target.write_text(json.dumps(kernelspec(python), indent=1) + "\n", encoding="utf-8")
    return target


def main() -> None:
    """Install the xcube kernel from the command line (``cubehub-lab-kernel PYTHON``)."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument(
        "python", type=Path, help="interpreter of the environment that has xcube and ipykernel"
    )
    parser.add_argument("--name", default="xcube")
    arguments = parser.parse_args()
    try:
        print(install_kernel(arguments.python.absolute(), name=arguments.name))  # noqa: T201
    except OSError as error:
        sys.exit(f"error: {error}\nhint: make that environment first")


if __name__ == "__main__":
    main()

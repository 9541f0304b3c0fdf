"""Files of each media type and a STAC API that has them, on loopback; and cells run in fresh kernels of the lab."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from cubehub_tests.catalogue_search import StacStandIn
from cubehub_tests.platform import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SAMPLES = REPOSITORY / "binder/data"
_GRIB = REPOSITORY / "extensions/catalogue/tests/data/code/era5-t2m.grib"
_HERE = Path(__file__).parent


def make_data(python: Path, folder: Path) -> dict[str, Any]:
    """Write the files; gives ``items`` and what is ``expected`` of them.

    Parameters
    ----------
    python
        The lab's interpreter.
    folder
        To write into.
    """
    shutil.copyfile(_GRIB, folder / "era5-t2m.grib")
    shutil.copytree(SAMPLES / "s2-ndvi-slovenia/ndvi_utm33.zarr", folder / "ndvi.zarr")
    pyramids = folder / "services/cubes/s3/pyramids/msi-ndvi.levels"
    pyramids.mkdir(parents=True)
    shutil.copytree(folder / "ndvi.zarr", pyramids / "0.zarr")
    made: dict[str, Any] = json.loads(
        _run(python, "_make_catalogue_data.py", [str(folder), str(SAMPLES)], "", environment(folder))
    )
    return made


def run_cells(python: Path, cells: Sequence[Mapping[str, Any]], home: Path) -> dict[str, Any]:
    """Run each cell in a kernel of its own; gives by name its answer.

    Parameters
    ----------
    python
        The lab's interpreter.
    cells
        Each with ``name``, ``code``, an expression to ``ask`` and variables (``env``).
    home
        Below it each kernel gets a home.
    """
    wanted = []
    for cell in cells:
        folder = home / str(cell["name"])
        folder.mkdir()
        wanted.append({**cell, "env": {**environment(folder), **cell.get("env", {})}})
    found: dict[str, Any] = json.loads(
        _run(python, "_run_cells.py", [], json.dumps(wanted), environment(home))
    )
    return found


def environment(home: Path) -> dict[str, str]:
    """Give what a person's kernel has: next to nothing, and no proxy between it and loopback."""
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "TMPDIR": str(home),
        "no_proxy": "*",
    }


@contextlib.contextmanager
def served(items: list[dict[str, Any]], folder: Path) -> Iterator[tuple[StacStandIn, str]]:
    """Serve a folder with ranges, and the items with links into it; gives the API and the folder's address."""
    stand = StacStandIn()
    loop, ready, over = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    root = ""

    async def serve() -> None:
        nonlocal root
        app = web.Application()
        app.router.add_static("/", folder)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        root = f"http://127.0.0.1:{runner.addresses[0][1]}"
        stand.items = json.loads(json.dumps(items).replace("{ROOT}", root))
        try:
            async with stand.serving():
                # pystac-client wants a whole catalogue
                stand.root = {"stac_version": "1.0.0", "description": "Files", **stand._root()}
                ready.set()
                await over.wait()
        finally:
            await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        if not ready.wait(60):
            raise TimeoutError("the files are not served")
        yield stand, root
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(60)
        loop.close()


def _run(python: Path, script: str, arguments: Sequence[str], sent: str, env: Mapping[str, str]) -> str:
    done = subprocess.run(
        [str(python), "-P", "-W", "ignore", str(_HERE / script), *arguments],
        input=sent, env=dict(env), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise AssertionError(f"{script} ended with {done.returncode}:\n{done.stderr[-4000:]}")
    return done.stdout

"""Cells as the catalogue's code route writes them, in kernels of a person's server of the running platform."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from cubehub_tests.platform import OFFERED, REPOSITORY
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx
    from cubehub_tests.platform import Whole
    from cubehub_tests.servers import Account

pytestmark = [pytest.mark.whole, pytest.mark.needs("postgis")]

SCENES = {"collections": {"cubehub": ["sentinel-2-l2a"]}}
DIGEST = """
import hashlib
import numpy as np
print(*sorted(ds.data_vars), *(str(ds[name].dtype) for name in sorted(ds.data_vars)))
print(*ds.x.values[[0, -1]], *ds.y.values[[0, -1]], *ds.time.values.astype("datetime64[s]"))
print(hashlib.sha256(b"".join(np.ascontiguousarray(ds[name].values).tobytes() for name in sorted(ds.data_vars))).hexdigest())
"""
"""Tells two datasets apart by anything that counts: names, types, coordinates, values."""
OPEN = "import xarray as xr\nds = xr.open_zarr({!r})\n"
SAMPLES = REPOSITORY / "binder/data/s2-l2a-33t-crop/pixels"


class Catalogue:
    """The panel's routes in a person's server."""

    def __init__(self, account: Account) -> None:
        account.start()
        self._account, self._base = account, f"/user/{account.name}/cubehub/catalogue"

    def search(self, query: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
        """Give a search's id and rows."""
        answer = self._account.api.post(
            f"{self._base}/searches", json={"catalogues": ["cubehub"], "query": query}
        )
        events = [json.loads(line) for line in answer.text.splitlines()]
        assert events[-1]["event"] == "end", events
        rows = [row for event in events if event["event"] == "rows" for row in event["rows"]]
        return events[0]["search"], rows

    def code(self, search: str, keys: list[str] | None = None, **options: Any) -> httpx.Response:
        """Have a cell written, for the whole search or for chosen items."""
        body = {"search": search, "options": options, **({"keys": keys} if keys else {})}
        return self._account.api.post(f"{self._base}/code", json=body)

    def find(self, identity: str) -> tuple[str, dict[str, Any]]:
        """Wait for an item; what was published a second ago may take some."""
        found: list[dict[str, Any]] = []
        search = ""

        def there() -> bool:
            nonlocal search
            search, rows = self.search({"ids": [identity]})
            found[:] = rows
            return bool(rows)

        until(there, f"{identity} is in the catalogue")
        return search, found[0]


def until(holds: Callable[[], bool], what: str, patience_s: float = 60) -> None:
    """Wait for something."""
    ends = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < ends, f"not within {patience_s:g} s: {what}"
        time.sleep(0.5)


@pytest.fixture(scope="module")
def catalogue(ana: Account) -> Catalogue:
    """Give Ana's."""
    return Catalogue(ana)


def area_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Give the box of the first row as an area."""
    west, south, east, north = rows[0]["bbox"]
    corners = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [corners]}


def test_on_dask_gateway_the_dataset_is_the_same(catalogue: Catalogue, ana: Account) -> None:
    search, rows = catalogue.search(SCENES)
    keys = [row["key"] for row in rows]
    said = {}
    for compute in ("memory", "cluster"):
        written = catalogue.code(search, keys, compute=compute, bands=["red", "scl"])
        assert written.is_success, written.text
        code = written.json()["code"]
        assert ("Gateway().new_cluster()" in code) == (compute == "cluster")
        with ana.kernel() as kernel:
            try:
                kernel.run(code, timeout_s=240)
                said[compute] = kernel.run(DIGEST, timeout_s=240).text
                if compute == "cluster":
                    assert kernel.run("print(bool(ds.chunks))").text == "True"
                    assert int(kernel.run("print(len(client.scheduler_info()['workers']))").text) >= 1
            finally:
                if compute == "cluster":
                    kernel.run("client.close(); cluster.close()", timeout_s=60)
    assert said["memory"] == said["cluster"]
    assert said["memory"].splitlines()[0] == "red scl uint16 uint8"


def test_what_a_cell_published_is_opened_as_a_cube_with_the_same_values(
    catalogue: Catalogue, ana: Account
) -> None:
    search, rows = catalogue.search(
        {**SCENES, "start": "2023-08-12T00:00:00Z", "end": "2023-08-16T00:00:00Z"}
    )
    assert len(rows) == 2
    written = catalogue.code(
        search, [row["key"] for row in rows], variant="publish", bands=["red"], name="lake"
    )
    assert written.is_success, written.text
    with ana.kernel() as kernel:
        try:
            said = kernel.run(written.json()["code"], timeout_s=300)
            assert "dataset=ana--sentinel-2-l2a" in said.result
            # as the cell publishes it, it is the person's own: the panel says why no cell opens that
            search, row = catalogue.find("ana--sentinel-2-l2a")
            refused = catalogue.code(search, [row["key"]])
            assert (refused.status_code, refused.json()["code"]) == (400, "cube_not_public")
            kernel.run('cubehub.publish(lake, "sentinel-2-l2a", access="public")', timeout_s=300)
            until(lambda: catalogue.find("ana--sentinel-2-l2a")[1]["collection"] == "cubes", "it is public")
            search, row = catalogue.find("ana--sentinel-2-l2a")
            opened = catalogue.code(search, [row["key"]], variant="cube").json()
            assert opened["cube"] == "ana--sentinel-2-l2a"
            with ana.kernel() as fresh:
                fresh.run(opened["code"])
                fresh.run("ds = ds[['red']]")  # the CRS is a variable there
                there = fresh.run(DIGEST).text
            kernel.run("ds = lake[['red']]")
            made = kernel.run(DIGEST).text
        finally:
            kernel.run('cubehub.unpublish("sentinel-2-l2a", now=True)', timeout_s=60)
    assert there == made


@pytest.fixture
def machine(whole: Whole, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Give what an administrator's shell on the platform's machine has; what it builds is taken away again."""
    (tmp_path / "cubehub").symlink_to(whole.data)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    yield {**os.environ, "PATH": path, "XDG_DATA_HOME": str(tmp_path)}
    shutil.rmtree(whole.data / "cubes" / OFFERED, ignore_errors=True)
    (whole.data / "cubes" / f"{OFFERED}.item.json").unlink(missing_ok=True)


def test_what_a_recipe_s_cell_built_is_opened_as_a_cube_with_the_same_values(
    catalogue: Catalogue,
    ana: Account,
    whole: Whole,
    machine: dict[str, str],
    tmp_path: Path,
) -> None:
    _, rows = catalogue.search(SCENES)
    search, _ = catalogue.search({**SCENES, "aoi": area_of(rows), "start": "2023-08-01T00:00:00Z"})
    written = catalogue.code(search, variant="build")
    assert written.is_success, written.text
    cell = tmp_path / "cell.py"
    cell.write_text(written.json()["code"])
    done = subprocess.run(
        [sys.executable, "-P", str(cell)], env=machine, cwd=tmp_path, capture_output=True, text=True,
        check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    search, row = catalogue.find(OFFERED)
    opened = catalogue.code(search, [row["key"]]).json()
    assert opened["cube"] == OFFERED
    with ana.kernel() as kernel:
        kernel.run(opened["code"])
        there = kernel.run(DIGEST).text
        shown = kernel.run("print(*ds.ndvi.median(['x', 'y']).values)").text
    built = whole.data / "cubes" / OFFERED / "pyramid.levels" / "0.zarr"
    on_disk = whole.execute(
        [str(whole.data / "envs/cubes/bin/python"), "-c", f"{OPEN.format(str(built))}{DIGEST}"]
    )
    assert there == on_disk.stdout.strip()
    # and it is what it says: of each step the green of its scenes
    scenes = [green(folder) for folder in sorted(SAMPLES.iterdir())]
    found = [float(word) for word in shown.split()]
    assert len(found) == 3
    assert all(min(scenes) - 0.05 < value < max(scenes) + 0.05 for value in found), (found, scenes)


def green(scene: Path) -> float:
    """Give the median of NDVI over plants, soil and water of a sample scene, from its files."""
    red, near, kind = (
        np.asarray(Image.open(io.BytesIO((scene / f"{name}.tif").read_bytes()))).astype(float)
        for name in ("B04", "B08", "SCL")
    )
    seen = np.isin(kind, (4, 5, 6)) & (red > 0) & (near > 0)
    return float(np.median((near[seen] - red[seen]) / (near[seen] + red[seen])))

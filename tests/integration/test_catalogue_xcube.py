"""Cells that open files by a store of xcube, in a fresh kernel of the platform's environment that has it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from cubehub_catalogue.code import Found, Options, Place, Task, write
from cubehub_tests.catalogue_code import make_data, run_cells, served

if TYPE_CHECKING:
    from pathlib import Path

    from cubehub_tests.platform import Whole

pytestmark = pytest.mark.whole

ASKED = {
    "scene-3": ("ndvi", "[*ds.band_1.shape, *ds.band_1[40, 50:54].values.tolist()]"),
    "cube": ("zarr", "ds.ndvi[3, 0, :3].values.tolist()"),
    "chl-0": ("data", "float(ds.conc_chl.sum())"),
    # sets how Dask computes, so it is the last
    "jp2": ("clp", "int(ds.band_1.astype('int64').sum())"),
}
"""By item the asset that is opened, and what is asked then."""
RUN = """
answers = {}
for name, (code, ask) in json.loads(CELLS).items():
    space = {}
    exec(code, space)
    answers[name] = eval(ask, space)
"""
"""One kernel for all: to import xcube takes longer than all the rest."""


@pytest.fixture(scope="module")
def answers(whole: Whole, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Give by item what its cell's dataset has, and what is expected."""
    folder, home = tmp_path_factory.mktemp("files"), tmp_path_factory.mktemp("homes")
    made = make_data(whole.data / "envs/lab/bin/python", folder)
    cells = {}
    with served(_on_disk(made["items"], folder), folder) as (stand, root):
        items = {item["id"]: item for item in stand.items}
        # as the platform's own: it answers strangers, and people who are logged in by our search
        place = Place("open", "Open", stand.url, direct=False, public=True)
        for identity, (asset, ask) in ASKED.items():
            task = Task(
                places={"open": place}, found=(Found("open", items[identity]),), chosen=True, platform_url=root,
                options=Options.model_validate({"variant": "xcube", "bands": [asset]}),
            )  # fmt: skip
            cells[identity] = (write(task).code, ask)
        code = f"import json\nCELLS = {json.dumps(cells)!r}\n{RUN}"
        kernel = {"name": "all", "code": code, "ask": "answers", "env": {}}
        found = run_cells(whole.data / "envs/cubes/bin/python", [kernel], home)["all"]
    return {"found": found, "expected": made["expected"]}


def _on_disk(items: list[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """Give items with files on this disk: xcube's store for the web takes https alone."""
    for item in items:
        for asset in item["assets"].values():
            asset["href"] = asset["href"].replace("{ROOT}", folder.as_uri())
    return items


def test_stores_of_xcube_give_what_is_in_the_files(answers: dict[str, Any]) -> None:
    found, expected = answers["found"], answers["expected"]
    assert "failed" not in found, found
    rows, columns, *corner = found["scene-3"]
    assert (rows, columns) == (101, 100)
    assert corner == pytest.approx(expected["ndvi"]["3"][0], abs=1e-6)
    assert found["cube"] == pytest.approx(expected["cube"]["corner"], abs=1e-6)
    assert found["chl-0"] == pytest.approx(expected["chl"]["sums"][0], rel=1e-4)
    assert found["jp2"] == expected["jp2"]

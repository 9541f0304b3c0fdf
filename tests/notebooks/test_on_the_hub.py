"""The same notebooks on the running whole: from the person's home, with the published cubes and Dask Gateway."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cubehub_tests.servers import Account

pytestmark = [pytest.mark.whole, pytest.mark.timeout(900)]

NOTEBOOKS = Path(__file__).parents[2] / "binder" / "notebooks"


def run_cells(account: Account, name: str, ask: str) -> tuple[str, str]:
    """Run a notebook's cells in a kernel of the person's server, in their own copy of the examples.

    Returns
    -------
    tuple of str
        All that was printed, and the value of the expression `ask` after the last cell.
    """
    cells = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    account.start()
    with account.kernel() as kernel:
        kernel.run("import os; os.chdir(os.path.expanduser('~/cubehub-examples'))")
        assert kernel.run(f"print(os.path.exists('{name}.ipynb'))").text == "True"
        kernel.run("%matplotlib inline")
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        printed = [kernel.run(source, timeout_s=300).stdout for source in sources]
        return "".join(printed), kernel.run(f"print({ask})").text


def test_first_look_reads_the_published_cube(ana: Account) -> None:
    printed, equal = run_cells(
        ana,
        "first-look-at-a-cube",
        "np.allclose(chl.values, screened.values, rtol=2e-2, equal_nan=True)",
    )
    assert "olci-water-quality: cube server, http" in printed
    assert equal == "True", "the published cube is its input with the distrusted pixels dropped"


def test_ndvi_reads_the_published_cube(ana: Account) -> None:
    printed, rows = run_cells(
        ana, "ndvi-over-a-season", "sum(1 for _ in open('ndvi-curves.csv')) - 1 == clear.sizes['time']"
    )
    assert "msi-ndvi: cube server, http" in printed
    assert rows == "True"


def test_scale_out_uses_the_gateway_and_gives_it_back(ana: Account) -> None:
    printed, left = run_cells(ana, "scale-out-with-dask-gateway", "gateway.list_clusters()")
    assert "olci-water-quality-demo: cube server, http" in printed
    assert "MiB came back" in printed
    assert "No Dask Gateway here" not in printed
    assert left == "[]"

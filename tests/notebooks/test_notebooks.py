"""The notebooks run from start to end without a hub, without an account, without any network but loopback.

What they compute is compared with answers that these tests work out from the sample files by another way.
"""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cubehub_tests.notebooks import NotebookError, NotebookRun, run_notebook

ROOT = Path(__file__).parents[2]
NOTEBOOKS = ROOT / "binder" / "notebooks"
SAMPLES = ROOT / "binder" / "data"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.needs("packages", "network-cut")]


def environment() -> dict[str, str]:
    """What a person has on a machine without a hub: next to nothing."""
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "CUBEHUB_SAMPLES": str(SAMPLES)}


def answer_from_files(python: Path, code: str) -> Any:
    """Evaluate a few lines on the sample files in a plain interpreter of the lab; they print JSON."""
    done = subprocess.run([str(python), "-c", code], cwd=SAMPLES, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check_picture(image: bytes) -> None:
    """A figure of a useful size: the header of a PNG gives width and height."""
    assert image.startswith(b"\x89PNG")
    assert int.from_bytes(image[16:20]) > 400
    assert int.from_bytes(image[20:24]) > 200
    assert len(image) > 8_000


def outside_addresses(run: NotebookRun) -> set[str]:
    """Hosts that the widgets' state would make a browser ask."""
    hosts = re.findall(r"https?://([^/\"'\\\s<>]+)", json.dumps(run.widgets))
    return {host for host in hosts if not host.startswith(("127.0.0.1", "localhost", "www.w3.org"))}


def warnings_shown(run: NotebookRun) -> str:
    return "".join("".join(output["text"]) for output in run.outputs if output.get("name") == "stderr")


def test_start_page_finds_the_samples(lab_python, shut_in):
    run = run_notebook(NOTEBOOKS / "start-here.ipynb", environment(), lab_python, prefix=shut_in)
    assert "No hub here" in run.text
    assert "olci-water-quality: sample" in run.text
    assert "msi-ndvi: sample" in run.text


def test_first_look(lab_python, shut_in):
    run = run_notebook(
        NOTEBOOKS / "first-look-at-a-cube.ipynb",
        environment(),
        lab_python,
        prefix=shut_in,
        ask={
            "day": "str(day.dt.strftime('%Y-%m-%d').item())",
            "kept": "int(chl.notnull().sum())",
            "median": "float(np.median(values))",
            "series": "[float(v) for v in median]",
            "place": "[lat, lon]",
        },
    )
    # The same by hand: zarr and numpy, flag bits as numbers (Rtosa_OOS 0, Iop_OOR 4, Rhow_OOS 15, Valid_PE 31).
    expected = answer_from_files(
        lab_python,
        """
import json, zarr, numpy as np
cube = zarr.open_group("olci-north-sea/cube.zarr", mode="r")
chl, flags = cube["conc_chl"][:], cube["c2rcc_flags"][:].astype("int64") & 0xFFFFFFFF
best = int(np.isfinite(chl).sum(axis=(1, 2)).argmax())
chl[((flags >> 31) & 1 == 0) | (flags & (1 | 1 << 4 | 1 << 15) != 0)] = np.nan
lat, lon = cube["lat"][:], cube["lon"][:]
row, column = np.unravel_index(np.isfinite(chl).sum(axis=0).argmax(), chl.shape[1:])
near = np.ix_(range(len(chl)), abs(lat - lat[row]) <= 0.1, abs(lon - lon[column]) <= 0.1)
box = [step[np.isfinite(step)] for step in chl[near]]
print(json.dumps({
    "best": best,
    "kept": int(np.isfinite(chl).sum()),
    "median": float(np.median(chl[np.isfinite(chl)])),
    "series": [float(np.median(step)) for step in box if step.size >= 10],
    "place": [lat[row], lon[column]],
}))
""",
    )
    assert run.answers["day"] == "2017-01-28"
    assert expected["best"] == 3  # 28 January is the fourth of the five days
    assert run.answers["kept"] == expected["kept"] > 100_000
    assert run.answers["median"] == pytest.approx(expected["median"], rel=1e-6)
    assert run.answers["place"] == pytest.approx(expected["place"])
    assert run.answers["series"] == pytest.approx(expected["series"], rel=1e-5)
    assert len(run.images) == 5
    for image in run.images:
        check_picture(image)
    assert any(model["model_name"] == "Cube3DModel" for model in run.widgets.values())
    assert "mg m^-3" in run.text
    assert warnings_shown(run) == ""
    assert outside_addresses(run) == set()


def test_ndvi(lab_python, shut_in):
    run = run_notebook(
        NOTEBOOKS / "ndvi-over-a-season.ipynb",
        environment(),
        lab_python,
        prefix=shut_in,
        ask={
            "used": "int(clear.sizes['time'])",
            "july": "float(through_the_year(curves['greenest tenth'])[191])",
            "april": "float(through_the_year(curves['greenest tenth'])[111])",
            "csv": "open('ndvi-curves.csv').read()",
            "bounds": "[south, west, north, east]",
        },
    )
    expected = answer_from_files(
        lab_python,
        """
import json, zarr, numpy as np
cube = zarr.open_group("s2-ndvi-slovenia/ndvi_utm33.zarr", mode="r")
ndvi = cube["ndvi"][:].astype("float64")
ndvi[cube["clp"][:] >= 0.2] = np.nan
use = np.isfinite(ndvi).mean(axis=(1, 2)) >= 0.5
epoch = np.datetime64(cube["time"].attrs["units"].split("since ")[1].replace(" ", "T"), "s")
unit = {"seconds": "s", "minutes": "m", "hours": "h", "days": "D"}[cube["time"].attrs["units"].split()[0]]
times = (epoch + cube["time"][:].astype(f"timedelta64[{unit}]"))[use]
month = times.astype("datetime64[M]").astype(int) % 12 + 1
summer = np.nanmean(ndvi[use][(month >= 6) & (month <= 8)], axis=0)
green = summer > np.nanquantile(summer, 0.9)
curve = [float(np.nanmedian(step[green])) for step in ndvi[use]]
print(json.dumps({"used": int(use.sum()), "curve": curve}))
""",
    )
    assert run.answers["used"] == expected["used"] > 30
    header, *rows = run.answers["csv"].splitlines()
    assert header == "time,greenest tenth,least green tenth,clear share of the scene"
    assert [float(row.split(",")[1]) for row in rows] == pytest.approx(expected["curve"], abs=1e-3)
    assert rows[0].startswith("2015-07-11T10:00:08Z,")
    assert 0.7 < run.answers["july"] < 0.9, "a temperate forest in summer"
    assert run.answers["april"] < run.answers["july"] - 0.1, "before leaf-out"
    assert run.answers["bounds"] == pytest.approx([45.866, 14.551, 45.875, 14.564], abs=2e-3)
    assert len(run.images) == 2
    for image in run.images:
        check_picture(image)
    models = {model["model_name"] for model in run.widgets.values()}
    assert {"LeafletMapModel", "LeafletImageOverlayModel", "LeafletMarkerModel"} <= models
    assert warnings_shown(run) == ""
    assert outside_addresses(run) == set()


def test_scale_out(lab_python, shut_in):
    run = run_notebook(
        NOTEBOOKS / "scale-out-with-dask-gateway.ipynb",
        environment(),
        lab_python,
        prefix=shut_in,
        ask={
            "shape": "list(climatology.shape)",
            "peak": "int(climatology.mean(['lat', 'lon']).idxmax())",
            "same": "bool(np.allclose(climatology.sel(month=5), np.exp(np.log(chl.sel(time=chl.time.dt.month == 5).compute("
            "scheduler='threads')).mean('time')), rtol=1e-4))",
            "status": "cluster.status.name",
        },
    )
    assert "No Dask Gateway here" in run.text
    assert re.search(r"workers so far: [12], with [12]\.0 GiB of memory", run.text)
    assert re.search(r"workers: [12]; 1\.8 MiB came back", run.text)
    assert "synthetic demonstration, not a measurement" in run.text
    assert run.answers == {
        "shape": [12, 160, 240],
        "peak": run.answers["peak"],
        "same": True,
        "status": "closed",
    }
    assert run.answers["peak"] in {4, 5, 8}, "the series is made with blooms around days 120 and 225"
    assert len(run.images) == 2
    for image in run.images:
        check_picture(image)
    assert outside_addresses(run) == set()


def test_a_missing_cube_says_where_it_was_looked_for(lab_python, tmp_path):
    nowhere = environment() | {"CUBEHUB_SAMPLES": str(tmp_path)}
    with pytest.raises(NotebookError, match=re.escape(f"could not open 'olci-water-quality' at {tmp_path}")):
        run_notebook(NOTEBOOKS / "start-here.ipynb", nowhere, lab_python)


def test_without_a_network_there_really_is_none(lab_python, shut_in):
    """The proof above is worth something only if the prefix does take the network away."""
    code = "import socket; socket.create_server(('127.0.0.1', 0)); socket.create_connection(('192.0.2.1', 80), 5)"
    done = subprocess.run(
        [*shut_in, str(lab_python), "-c", code], capture_output=True, text=True, check=False
    )
    assert "Network is unreachable" in done.stderr

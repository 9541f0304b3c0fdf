"""What a newcomer sees at once: a time with a picture, and series that come."""

import json

import numpy as np
import pytest
import xarray as xr

from xcube_cubehub import corrections
from xcube_cubehub.build import near_empty_of
from xcube_cubehub.index import Index, Variable
from xcube_cubehub.writer import NEAR_EMPTY, CubeWriter

NORTH_SEA = "olci-water-quality"
SQUARE = [[27.2, 58.6], [27.6, 58.6], [27.6, 58.9], [27.2, 58.9], [27.2, 58.6]]


def hidden(folder, shares, edge=20):
    """Times that are hidden of a cube of which these shares of the pixels have a value, time by time."""
    index = Index("EPSG:4326", 0.0, 1.0, 0.05, -0.05, (edge, edge), 1, ("lat", "lon"), {"chl": Variable()})
    writer = CubeWriter(folder, index, {}, {}, durable=False)
    writer.create()
    for day, share in enumerate(shares):
        values = np.full(edge * edge, np.nan, np.float32)
        values[: round(share * edge * edge)] = 1
        writer.append(day * 86400, {"chl": values.reshape(edge, edge)})
    writer.finish()
    return near_empty_of(folder)


def test_times_that_show_next_to_nothing_are_found(tmp_path):
    assert hidden(tmp_path, [1, 0, 0.5, NEAR_EMPTY / 2, 1, 0]) == {1, 3, 5}


def test_the_share_is_of_pixels_that_ever_have_a_value(tmp_path):
    assert hidden(tmp_path, [0.02, 0.02, 0.0]) == {2}


def test_of_a_cube_that_is_empty_throughout_every_time_stays(tmp_path):
    assert hidden(tmp_path, [0, 0]) == set()


def test_a_cube_that_cannot_be_read_has_nothing_to_hide(tmp_path):
    (tmp_path / "build.json").write_text('{"fingerprint": "x"}')
    assert near_empty_of(tmp_path) == frozenset()


def test_only_times_are_left_out_and_only_of_the_listing():
    def function(_ctx, _ds_id, dim_name):
        return {"name": dim_name, "size": 3, "coordinates": ["a", "b", "c"]}

    listed = corrections.listing_of_times(function, lambda ds_id: {1} if ds_id == "cloudy" else ())
    assert listed(None, "cloudy", "time") == {"name": "time", "size": 2, "coordinates": ["a", "c"]}
    assert listed(None, "cloudy", "lat")["size"] == 3
    assert listed(None, "clear", "time")["size"] == 3


@pytest.mark.slow
def test_the_viewer_opens_the_north_sea_at_a_day_that_shows_it(server, built):
    with xr.open_zarr(built / NORTH_SEA / "pyramid.levels" / "0.zarr", chunks=None) as cube:
        seen = cube.conc_chl.notnull().mean(["lat", "lon"]).values
        days = [str(day)[:10] for day in cube.time.values]
    answer = server.get(f"/datasets/{NORTH_SEA}").json()
    listed = next(d["coordinates"] for d in answer["dimensions"] if d["name"] == "time")
    assert seen[days.index(listed[-1][:10])] > 0.2
    assert len(listed) < len(days)
    assert len(server.get(f"/datasets/{NORTH_SEA}/coords/time").json()["coordinates"]) == len(days)


@pytest.mark.slow
def test_every_cube_says_where_its_data_come_from(server, issuer):
    for cube in server.get("/datasets?details=1", issuer.token()).json()["datasets"]:
        said = " ".join(cube["attributions"])
        made_up = "demo" in cube["id"]
        expected = (
            "synthetic demonstration, not a measurement"
            if made_up
            else "contains modified Copernicus Sentinel data"
        )
        assert expected in said


@pytest.mark.slow
def test_a_series_of_a_polygon_counts_its_pixels(server, built):
    answer = server.request(
        "POST",
        "/timeseries/olci-water-quality-demo/conc_chl?aggMethods=mean,count&startDate=2024-05-01&endDate=2024-05-20",
        json={"type": "Polygon", "coordinates": [SQUARE]},
    )
    assert answer.status_code == 200, answer.text
    rows = answer.json()["result"]
    assert json.dumps(rows)
    with xr.open_zarr(built / "olci-water-quality-demo" / "pyramid.levels" / "0.zarr", chunks=None) as cube:
        inside = cube.conc_chl.sel(
            time=slice("2024-05-01", "2024-05-20"), lat=slice(58.9, 58.6), lon=slice(27.2, 27.6)
        )
        expected = inside.notnull().sum(["lat", "lon"]).values
    # xcube's rule of which edge pixels belong to a polygon is its own
    assert [row["count"] for row in rows] == pytest.approx(list(expected), rel=0.2, abs=2)
    assert max(row["count"] for row in rows) <= rows[0]["count_tot"]

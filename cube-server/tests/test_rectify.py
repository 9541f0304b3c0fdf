"""Swath to grid: against what the field is, and against triangulation by SciPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import LinearNDInterpolator

from xcube_cubehub import rectify
from xcube_cubehub.cubegrid import Area, CubeGrid


def swath(west=3.0, south=51.0, rows=60, columns=80, *, angle=0.25, step=0.01):
    """A bent, turned mesh, as an orbit gives it; longitudes, latitudes."""
    down, along = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    along = along + 0.002 * along * (columns - along)  # pixels widen to one side
    lon = west + step * (along * np.cos(angle) + down * np.sin(angle))
    lat = south + step * (down * np.cos(angle) - along * np.sin(angle)) + 2e-5 * down**1.5
    return lon, lat


def grid_over(lon, lat, resolution=0.007, crs="EPSG:4326"):
    area = Area(
        float(lon.min()) - 0.1, float(lat.min()) - 0.1, float(lon.max()) + 0.1, float(lat.max()) + 0.1
    )
    return CubeGrid.covering(area, crs, resolution)


def test_a_linear_field_comes_back_exactly():
    lon, lat = swath()
    grid = grid_over(lon, lat)
    index = rectify.index_swath(lon, lat, grid)
    found = rectify.bilinear(2 * lon - 3 * lat, index)
    expected = 2 * grid.x[None, :] - 3 * grid.y[:, None]
    inside = np.isfinite(found)
    assert 0.3 < inside.mean() < 0.9
    np.testing.assert_allclose(found[inside], np.broadcast_to(expected, found.shape)[inside], atol=2e-5)


def test_a_wavy_field_agrees_with_triangulation():
    lon, lat = swath()
    grid = grid_over(lon, lat)
    field = np.sin(9 * lon) * np.cos(7 * lat)
    found = rectify.bilinear(field, rectify.index_swath(lon, lat, grid))
    other = LinearNDInterpolator(np.column_stack([lon.ravel(), lat.ravel()]), field.ravel())
    x, y = np.meshgrid(grid.x, grid.y)
    independent = other(x, y)
    both = np.isfinite(found) & np.isfinite(independent)
    assert both.sum() > 0.95 * np.isfinite(found).sum()
    assert np.abs(found - independent)[both].max() < 2e-3
    truth = np.sin(9 * x) * np.cos(7 * y)
    assert np.abs(found - truth)[both].max() < 2e-3


@pytest.mark.parametrize("turn", [np.s_[::-1, :], np.s_[:, ::-1], np.s_[::-1, ::-1]])
def test_the_direction_of_flight_and_scan_does_not_matter(turn):
    lon, lat = swath()
    grid = grid_over(lon, lat)
    field = lon * lat
    there = rectify.bilinear(field, rectify.index_swath(lon, lat, grid))
    back = rectify.bilinear(field[turn], rectify.index_swath(lon[turn], lat[turn], grid))
    np.testing.assert_allclose(there, back, rtol=1e-6)


@pytest.mark.parametrize("wrap", [False, True])
def test_a_swath_over_the_antimeridian_is_whole(wrap):
    lon, lat = swath(west=179.6)
    grid = CubeGrid.covering(Area(179.7, 50.7, -179.6, 51.6), "EPSG:4326", 0.007)
    assert grid.bounds[2] > 180
    stored = np.where(lon > 180, lon - 360, lon) if wrap else lon
    found = rectify.bilinear(lon + lat, rectify.index_swath(stored, lat, grid))
    x, y = np.meshgrid(grid.x, grid.y)
    inside = np.isfinite(found)
    assert inside[:, grid.x > 180].any()
    assert inside[:, grid.x < 180].any()
    np.testing.assert_allclose(found[inside], (x + y)[inside], atol=1e-4)


def test_a_grid_on_the_other_side_of_the_globe_stays_empty():
    lon, lat = swath()
    grid = CubeGrid.covering(Area(-177.2, 51, -176.5, 51.5), "EPSG:4326", 0.01)
    assert not rectify.index_swath(lon, lat, grid).covered


def test_a_global_grid_has_both_ends_of_a_swath_at_its_seam():
    lon, lat = swath(west=179.6)
    grid = CubeGrid.covering(Area(-180, 50.5, 180, 52), "EPSG:4326", 0.02)
    covered = np.isfinite(rectify.index_swath(np.where(lon > 180, lon - 360, lon), lat, grid).row)
    assert covered[:, :10].any()
    assert covered[:, -10:].any()


def test_a_projected_grid():
    lon, lat = swath()
    grid = grid_over(lon, lat, 600, "EPSG:32631")
    found = rectify.bilinear(lat, rectify.index_swath(lon, lat, grid))
    inside = np.isfinite(found)
    assert inside.sum() > 1000
    from pyproj import Transformer

    x, y = np.meshgrid(grid.x, grid.y)
    _, expected = Transformer.from_crs("EPSG:32631", "EPSG:4326", always_xy=True).transform(x, y)
    np.testing.assert_allclose(found[inside], expected[inside], atol=1e-4)


def test_a_mask_neither_grows_nor_shrinks_and_nothing_bleeds_out_of_it():
    lon, lat = swath()
    grid = grid_over(lon, lat)
    index = rectify.index_swath(lon, lat, grid)
    cloud = np.zeros(lon.shape, bool)
    cloud[20:30, 20:50] = True
    found = rectify.bilinear(np.where(cloud, np.nan, 1.0), index)
    flagged = rectify.nearest(cloud, index)
    np.testing.assert_array_equal(np.isfinite(found), np.isfinite(index.row) & ~flagged)
    np.testing.assert_array_equal(found[np.isfinite(found)], 1)


def test_flags_keep_all_their_bits():
    lon, lat = swath()
    words = np.full(lon.shape, (1 << 63) | (1 << 33) | 1, np.uint64)
    found = rectify.nearest(words, rectify.index_swath(lon, lat, grid_over(lon, lat)))
    assert found.dtype == np.uint64
    assert set(np.unique(found)) == {0, (1 << 63) | (1 << 33) | 1}


def test_a_worked_quadrilateral():
    """Corners (0,0) (2,0) (0,2) (4,4) by hand: the point (1.5, 1.5) has p = q, 2p + 2p² = 1.5, so p = 0.5."""
    lon, lat = np.array([[0.0, 2.0], [0.0, 4.0]]), np.array([[0.0, 0.0], [2.0, 4.0]])
    index = rectify.index_swath(lon, lat, CubeGrid("EPSG:4326", 1.0, 2.0, 1.0, (1, 1)))
    assert index.row[0, 0] == pytest.approx(0.5)
    assert index.column[0, 0] == pytest.approx(0.5)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_any_bytes_as_geolocation_end_in_an_answer(seed, share):
    rng = np.random.default_rng(seed)
    lon, lat = swath(rows=12, columns=9)
    hit = rng.random(lon.shape) < share
    lon[hit], lat[hit] = rng.choice([np.nan, np.inf, 1e308, -200, 0, 51.2, 3.3], (2, *lon.shape))[:, hit]
    try:
        index = rectify.index_swath(lon, lat, CubeGrid("EPSG:4326", 2.9, 51.2, 0.01, (40, 30)))
    except rectify.ScrambledError:
        return
    inside = np.isfinite(index.row)
    assert ((index.row[inside] >= 0) & (index.row[inside] <= 11)).all()
    assert ((index.column[inside] >= 0) & (index.column[inside] <= 8)).all()


@pytest.mark.parametrize(
    ("lon", "lat"),
    [(np.zeros(4), np.zeros(4)), (np.zeros((2, 2)), np.zeros((2, 3))), (np.zeros((1, 9)),) * 2],
)
def test_what_is_no_swath_is_refused(lon, lat):
    with pytest.raises(rectify.ScrambledError):
        rectify.index_swath(lon, lat, CubeGrid("EPSG:4326", 0, 1, 0.1, (10, 10)))

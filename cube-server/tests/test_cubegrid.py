import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xcube_cubehub.cubegrid import Area, CubeGrid
from xcube_cubehub.errors import BadInputError


def test_edges_are_multiples_of_the_resolution():
    grid = CubeGrid.covering(Area(0.0011, 50.0, 5.0, 52.4999), "EPSG:4326", 0.0025)
    assert grid.bounds == pytest.approx((0, 50, 5, 52.5))
    assert grid.shape == (1000, 2000)
    assert grid.x[0] == pytest.approx(0.00125)
    assert grid.y[0] == pytest.approx(52.49875)


def test_a_projected_grid_covers_the_bent_area():
    """UTM 33N: 15 E is the central meridian, so x is 500000 there; 0.5 degrees east at 46 N are 38.7 km."""
    grid = CubeGrid.covering(Area(15, 46, 15.5, 46.2), "EPSG:32633", 120)
    west, south, east, north = grid.bounds
    assert west == pytest.approx(500000, abs=120)
    assert east - west == pytest.approx(38_700, abs=300)
    assert north - south == pytest.approx(22_300, abs=300)
    assert all(edge % 120 == 0 for edge in grid.bounds)


@pytest.mark.parametrize(("west", "east"), [(170, -170), (179.99, -179.99), (-180, 180)])
def test_the_antimeridian(west, east):
    grid = CubeGrid.covering(Area(west, -10, east, 10), "EPSG:4326", 0.01)
    assert grid.bounds[0] == pytest.approx(west)
    assert grid.bounds[2] == pytest.approx(east + (360 if east < west else 0))


@given(
    st.floats(-180, 179),
    st.floats(0.01, 1),
    st.floats(-89, 88),
    st.floats(0.01, 1),
    st.sampled_from([0.1, 0.0025, 1 / 3]),
)
def test_any_area_lies_within_its_grid(west, width, south, height, resolution):
    area = Area(west, south, min(west + width, 180), south + height)
    grid = CubeGrid.covering(area, "EPSG:4326", resolution)
    slack = 2e-6 * resolution
    assert grid.bounds[0] <= area.west + slack
    assert grid.bounds[1] <= area.south + slack
    assert grid.bounds[2] >= area.east - slack
    assert grid.bounds[3] >= area.north - slack
    assert grid.shape[1] <= np.ceil(width / resolution) + 2


@pytest.mark.parametrize(
    "numbers", [(0, 0, 0, 1), (0, 1, 1, 0), (0, -91, 1, 0), (-181, 0, 1, 1), (float("nan"), 0, 1, 1)]
)
def test_what_is_no_area_is_refused(numbers):
    with pytest.raises(BadInputError):
        Area(*numbers)


@pytest.mark.parametrize(
    ("crs", "resolution"),
    [
        ("EPSG:4326", 0),
        ("EPSG:4326", -1),
        ("EPSG:4326", 1e-7),
        ("EPSG:0", 1),
        ("x", 1),
        ("EPSG:32633", float("inf")),
    ],
)
def test_what_is_no_grid_is_refused(crs, resolution):
    with pytest.raises(BadInputError):
        CubeGrid.covering(Area(10, 40, 20, 50), crs, resolution)


@pytest.mark.parametrize(
    ("box", "touches"),
    [
        ((10, 40, 11, 41), True),
        ((-20, 40, 0, 41), False),
        ((370.5, 40, 371, 41), True),
        ((9, 41, 10, 42), False),
        ((-180, -90, 180, 90), True),
    ],
)
def test_boxes_in_any_turn(box, touches):
    assert Area(10, 40, 20, 41).touches(*box) is touches
    assert Area(170, 40, -170, 41).touches(175, 40, 185, 41)
    assert Area(170, 40, -170, 41).touches(-179, 40, -178, 41)
    assert not Area(170, 40, -170, 41).touches(-169, 40, -160, 41)

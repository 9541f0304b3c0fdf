"""pandas indexes that several threads look into at once."""

import sys
import threading

import numpy as np
import pytest
import xarray as xr

from xcube_cubehub.contexts import settle_indexes

DAY = np.datetime64("2020-01-01", "ns")


@pytest.fixture
def _restless():
    """Threads that take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def look_up_at_once(dataset, threads=4):
    """What goes wrong when threads ask for the same days for the first time."""
    errors, start = [], threading.Barrier(threads)

    def look_up():
        start.wait()
        try:
            dataset.chl.sel(time=DAY, method="nearest")
        except Exception as error:  # noqa: BLE001 - any failure counts
            errors.append(error)

    running = [threading.Thread(target=look_up) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return errors


@pytest.mark.usefixtures("_restless")
def test_threads_that_look_up_a_day_at_once_all_find_it():
    days = np.datetime64("2015-01-01", "ns") + np.arange(650) * np.timedelta64(4, "D")
    for _ in range(200):
        dataset = xr.Dataset({"chl": ("time", np.zeros(len(days)))}, {"time": days.copy()})
        settle_indexes(dataset)
        assert look_up_at_once(dataset) == []


def test_a_cube_without_times_is_left_alone():
    settle_indexes(xr.Dataset(coords={"time": np.array([], "datetime64[ns]")}))

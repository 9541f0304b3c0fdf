"""Times as people and items write them."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from cubehub_catalogue import times
from cubehub_catalogue.errors import InputError
from hypothesis import given, settings
from hypothesis import strategies as st

MOMENTS = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 28), timezones=st.just(UTC))  # noqa: DTZ001


@settings(deadline=None)
@given(MOMENTS)
def test_what_is_written_is_read_back(moment):
    assert times.parse_time(times.time_text(moment)) == moment


@settings(deadline=None)
@given(MOMENTS, st.integers(-23, 23), st.sampled_from([0, 30, 45]))
def test_zones_are_brought_to_utc(moment, hours, minutes):
    zone = timezone(timedelta(hours=hours, minutes=minutes if hours >= 0 else -minutes))
    assert times.parse_time(moment.astimezone(zone).isoformat()) == moment


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2024", "2024-01-01T00:00:00Z", "2024-12-31T23:59:59.999999Z"),
        ("2024-02", "2024-02-01T00:00:00Z", "2024-02-29T23:59:59.999999Z"),
        ("2024-02-03", "2024-02-03T00:00:00Z", "2024-02-03T23:59:59.999999Z"),
        ("2024-02-03T04:05:06Z", "2024-02-03T04:05:06Z", "2024-02-03T04:05:06Z"),
        ("2024-02-03t04:05z", "2024-02-03T04:05:00Z", "2024-02-03T04:05:00Z"),
        ("2025-03-12 05:23:01.601759+00:00", "2025-03-12T05:23:01.601759Z", "2025-03-12T05:23:01.601759Z"),
        ("2024-02-03T04:05:06.1234567+02", "2024-02-03T02:05:06.123456Z", "2024-02-03T02:05:06.123456Z"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999999Z", "2016-12-31T23:59:59.999999Z"),
        ("2024-05/2024-06", "2024-05-01T00:00:00Z", "2024-06-30T23:59:59.999999Z"),
        ("../2024-06-01", None, "2024-06-01T23:59:59.999999Z"),
        ("2024-06-01/..", "2024-06-01T00:00:00Z", None),
        ("2024-06-01/", "2024-06-01T00:00:00Z", None),
        ("..", None, None),
    ],
)
def test_ranges(text, start, end):
    found = times.parse_interval(text)
    assert tuple(one and times.time_text(one) for one in found) == (start, end)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("yesterday", "is no time"),
        ("2024-13-01", "month must be"),
        ("2024-02-30", "day"),
        ("2024-02-03T25:00:00Z", "hour must be"),
        ("2024-02-03T04:05:06+99:00", "is no time"),
        ("2024/2025/2026", "more than two ends"),
        ("2025/2024", "ends (2024-12-31T23:59:59.999999Z) before it starts"),
        ("9999-12-31T23:59:59-05:00", "is no time"),
    ],
)
def test_what_is_no_time_is_told(text, says):
    with pytest.raises(InputError) as caught:
        times.parse_interval(text)
    assert says in caught.value.message


def test_python_times_are_taken_too():
    assert times.as_utc(date(2024, 5, 1), last=True) == datetime(2024, 5, 1, 23, 59, 59, 999999, tzinfo=UTC)
    assert times.as_utc(datetime(2024, 5, 1)) == datetime(2024, 5, 1, tzinfo=UTC)  # noqa: DTZ001
    assert times.as_utc(None) is None
    with pytest.raises(InputError):
        times.as_utc(5)
    assert times.interval_text(None, None) is None
    assert times.interval_text(datetime(2024, 5, 1, tzinfo=UTC), None) == "2024-05-01T00:00:00Z/.."


def test_an_items_times_are_found_where_they_are():
    start, end = times.item_times(
        {
            "properties": {
                "datetime": None,
                "start_datetime": "2023-01-01T00:00:00Z",
                "end_datetime": "2024-01-01T00:00:00Z",
            }
        }
    )
    assert (start.year, end.year) == (2023, 2024)
    assert times.item_times({"properties": {"datetime": "2023-01-01"}})[1].year == 2023
    for rubbish in ({}, None, {"properties": {"datetime": "soon", "end_datetime": 5}}):
        assert times.item_times(rubbish) == (None, None)

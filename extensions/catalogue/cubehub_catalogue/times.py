"""When to search: what people and items write as times, in UTC."""

from __future__ import annotations

import calendar
import re
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache

from cubehub_catalogue.errors import InputError

_PATTERN = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:[Tt ](?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?"
    r"\s*(?P<zone>[Zz]|[+-]\d\d(?::?\d\d)?)?)?)?)?"
)
_HINT = "Write it as 2026-05-31 or 2026-05-31T12:00:00Z; leave it out for an open end."
_OPEN = {"", ".."}


def parse_time(text: str, *, last: bool = False) -> datetime:
    """Give the time in UTC that a text says.

    Parameters
    ----------
    text
        RFC 3339, or a part of it: a year, a month, a day. Without a zone it is UTC.
    last
        Whether it ends a range: a day is then meant up to its last microsecond.

    Raises
    ------
    InputError
        When it is no time.
    """
    return _parsed(text.strip(), last)


@lru_cache(4096)  # rows, their order and their folding each look at an item's times
def _parsed(text: str, last: bool) -> datetime:
    found = _PATTERN.fullmatch(text)
    if found is None:
        raise InputError("bad_time", f"{text[:60]!r} is no time.", _HINT)
    part = {name: int(value) for name, value in found.groupdict().items() if value and value.isdecimal()}
    try:
        if "month" not in part:
            first, after = date(part["year"], 1, 1), date(part["year"], 12, 31)
        elif "day" not in part:
            first = date(part["year"], part["month"], 1)
            after = first.replace(day=calendar.monthrange(first.year, first.month)[1])
        else:
            first = after = date(part["year"], part["month"], part["day"])
        if "hour" not in part:
            day = after if last else first
            start = datetime(day.year, day.month, day.day, tzinfo=UTC)
            return start + timedelta(days=1, microseconds=-1) if last else start
        micro = int((found["fraction"] or "0")[:6].ljust(6, "0"))
        second = part.get("second", 0)
        if second == 60:  # a leap second, which Python's times do not have
            second, micro = 59, 999_999
        moment = datetime(
            first.year, first.month, first.day, part["hour"], part["minute"], second, micro,
            tzinfo=_zone(found["zone"]),
        )  # fmt: skip
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InputError("bad_time", f"{text[:60]!r} is no time: {error}.", _HINT) from error


def as_utc(value: str | datetime | date | None, *, last: bool = False) -> datetime | None:
    """Give the time in UTC of a text, a datetime or a date; nothing and ``..`` are an open end.

    Raises
    ------
    InputError
        When it is none of them.
    """
    if value is None or (isinstance(value, str) and value.strip() in _OPEN):
        return None
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    if isinstance(value, date):
        return parse_time(value.isoformat(), last=last)
    if not isinstance(value, str):
        raise InputError("bad_time", f"{str(value)[:60]} is no time.", _HINT)
    return parse_time(value, last=last)


def parse_interval(text: str) -> tuple[datetime | None, datetime | None]:
    """Give start and end of ``2026-05/2026-06``, ``../2026``, ``2026-05-01/..``; of a single time its whole span.

    Raises
    ------
    InputError
        When it is no such range, or ends before it starts.
    """
    first, slash, second = text.partition("/")
    if slash and "/" in second:
        raise InputError("bad_time", f"{text[:60]!r} has more than two ends.", _HINT)
    return checked(as_utc(first), as_utc(second if slash else first, last=True))


def checked(start: datetime | None, end: datetime | None) -> tuple[datetime | None, datetime | None]:
    """Give both back when the range is one.

    Raises
    ------
    InputError
        When it ends before it starts.
    """
    if start is not None and end is not None and end < start:
        raise InputError(
            "bad_time",
            f"The range ends ({time_text(end)}) before it starts ({time_text(start)}).",
            "Swap the two.",
        )
    return start, end


def time_text(moment: datetime) -> str:
    """Write a time as RFC 3339 in UTC."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def interval_text(start: datetime | None, end: datetime | None) -> str | None:
    """Write a range as STAC's ``datetime``; None where both ends are open."""
    if start is None and end is None:
        return None
    return f"{time_text(start) if start else '..'}/{time_text(end) if end else '..'}"


def item_times(item: object) -> tuple[datetime | None, datetime | None]:
    """Give when an item starts and ends; what it has written wrong or not at all is None."""
    properties = item.get("properties") if isinstance(item, dict) else None
    if not isinstance(properties, dict):
        return None, None
    found: dict[str, datetime | None] = {}
    for name in ("datetime", "start_datetime", "end_datetime"):
        value = properties.get(name)
        try:
            found[name] = parse_time(value) if isinstance(value, str) else None
        except InputError:
            found[name] = None
    start = found["start_datetime"] or found["datetime"]
    return start, found["end_datetime"] or found["datetime"] or start


def _zone(text: str | None) -> timezone:
    if not text or text in "Zz":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text[0] == "-" else offset)

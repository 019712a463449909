"""Where local days begin and end on the time line.

A local day begins at its first instant. That is midnight on most days; but clocks that spring forward at midnight skip
it, clocks that fall back across it show it twice, and on the date line whole days are missing. The source of every
offset is the IANA time zone database.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.model import validation

__all__ = ["days_after", "local_day", "start_of_day"]

_SECOND: Final = timedelta(seconds=1)
_FARTHEST: Final = 4_000_000


def start_of_day(day: date, zone: str) -> datetime:
    """The first instant, in UTC, of a local day of that IANA time zone.

    Where midnight does not exist it is the end of the gap; a day that never existed begins when the next one does; of
    two midnights it is the first. Raises InvalidValue (`day`, `zone`), also outside the years 1 to 9999 in UTC.
    """
    validation.day("day", day)
    if zone == "UTC":
        return datetime(day.year, day.month, day.day, tzinfo=UTC)
    return _first_instant(day, validation.zone("zone", zone))


def local_day(instant: datetime, zone: str) -> date:
    """The last local day that has begun at that instant.

    This never goes back as time goes on: where clocks fall back across midnight, the day that has begun goes on while
    they show the day before once more. Raises InvalidValue (`instant`, `zone`).
    """
    instant = validation.instant("instant", instant)
    if zone == "UTC":
        return instant.date()
    return _last_day_begun(instant, validation.zone("zone", zone))


def days_after(instant: datetime, days: int, zone: str) -> date:
    """The day at whose beginning a span of `days` days from an event ends.

    It is the first local midnight not earlier than the same wall time `days` days later: an event at 10 January 23:50
    and 90 days end with 9 April, so the answer is 10 April; an event at the first instant of 1 April and 30 days
    give 1 May. Raises InvalidValue (`instant`, `days`, `zone`).
    """
    instant = validation.instant("instant", instant)
    validation.whole("days", days, 0, _FARTHEST)
    today = local_day(instant, zone)
    partly = start_of_day(today, zone) != instant
    try:
        return today + timedelta(days=days + partly)
    except OverflowError:
        raise InvalidValue("days", f"{days} days from {today} is after the year 9999", "Pass fewer days.") from None


def _first_instant(day: date, zone: ZoneInfo) -> datetime:
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    try:
        first, second = midnight.astimezone(UTC), midnight.replace(fold=1).astimezone(UTC)
        # Before a gap counts the offset that fold 0 takes, after it that of fold 1: only there is the order reversed.
        return first if first <= second else _end_of_gap(second, first, midnight, zone)
    except OverflowError:
        raise InvalidValue(
            "day", f"{day} in {zone.key} begins outside the years 1 to 9999 in UTC", "Pass an earlier or later day."
        ) from None


def _end_of_gap(before: datetime, after: datetime, midnight: datetime, zone: ZoneInfo) -> datetime:
    wall = midnight.replace(tzinfo=None)
    while after - before > _SECOND:
        middle = before + timedelta(seconds=(after - before) // _SECOND // 2)
        if middle.astimezone(zone).replace(tzinfo=None) < wall:
            before = middle
        else:
            after = middle
    return after


def _last_day_begun(instant: datetime, zone: ZoneInfo) -> date:
    try:
        wall = instant.astimezone(zone)
    except OverflowError:
        raise InvalidValue(
            "instant", f"{instant.isoformat()} lies outside the years 1 to 9999 in {zone.key}", "Pass another one."
        ) from None
    shown = wall.date()
    if wall.fold:
        following = shown + timedelta(days=1)
        if _first_instant(following, zone) <= instant:
            return following
    return shown

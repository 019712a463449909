from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
import whenever
from hypothesis import given
from hypothesis import strategies as st

from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.model.calendar import days_after, local_day, start_of_day

ZONES = sorted(available_timezones() - {"localtime", "Factory"})
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)

STRANGE_DAYS = [
    ("Africa/Cairo", "2024-04-26", "2024-04-25T22:00:00Z"),  # clocks spring forward at midnight
    ("Africa/Cairo", "2023-10-27", "2023-10-26T22:00:00Z"),  # at midnight they go back to 23:00, which comes twice
    ("Pacific/Apia", "2011-12-29", "2011-12-29T10:00:00Z"),
    ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00Z"),  # this day never was
    ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00Z"),
    ("Pacific/Kwajalein", "1993-08-21", "1993-08-21T12:00:00Z"),  # nor was this one
    ("America/Toronto", "1919-03-31", "1919-03-31T04:30:00Z"),  # 23:30 to 00:30: half the gap lies in the day before
    ("America/St_Johns", "2010-11-07", "2010-11-07T02:30:00Z"),  # back from 00:01 to 23:01: two midnights
    ("America/Havana", "2024-11-03", "2024-11-03T04:00:00Z"),  # back from 01:00 to 00:00: two midnights
    ("America/Juneau", "1867-10-18", "1867-10-17T08:57:41Z"),  # the whole day came twice
    ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00Z"),
    ("Asia/Kathmandu", "2024-01-01", "2023-12-31T18:15:00Z"),
    ("Africa/Monrovia", "1960-01-01", "1960-01-01T00:44:30Z"),
    ("Europe/Amsterdam", "2024-03-31", "2024-03-30T23:00:00Z"),
    ("Australia/Lord_Howe", "2024-04-07", "2024-04-06T13:00:00Z"),
    ("UTC", "2024-02-29", "2024-02-29T00:00:00Z"),
]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def refused(field: str, call: Callable[[], object]) -> None:
    with pytest.raises(InvalidValue) as caught:
        call()
    assert caught.value.field == field


def offset_changes(zone: str) -> list[datetime]:
    """The instants since 1860 at which the zone's offset changes, found by bisection."""
    clock, found = ZoneInfo(zone), []
    one = datetime(1860, 1, 1, tzinfo=UTC)
    while one.year < 2040:
        other = one + timedelta(days=7)
        if one.astimezone(clock).utcoffset() != other.astimezone(clock).utcoffset():
            low, high = one, other
            while high - low > SECOND:
                middle = low + timedelta(seconds=(high - low) // SECOND // 2)
                same = middle.astimezone(clock).utcoffset() == one.astimezone(clock).utcoffset()
                low, high = (middle, high) if same else (low, middle)
            found.append(high)
        one = other
    return found


def start_by_whenever(day: date, zone: str) -> datetime:
    # Asked at noon: in an hour that comes twice it takes the last midnight, be it the next day's.
    noon = whenever.PlainDateTime(day.year, day.month, day.day, 12).assume_tz(zone, disambiguation="compatible")
    return noon.start_of("day").to_instant().to_stdlib()


CHANGING = ["Africa/Cairo", "America/Havana", "America/Juneau", "America/Sao_Paulo", "America/St_Johns"] + [
    *("America/Toronto", "Antarctica/Troll", "Asia/Gaza", "Asia/Manila", "Atlantic/Azores", "Australia/Lord_Howe"),
    *("Europe/Amsterdam", "Pacific/Apia", "Pacific/Enderbury", "Pacific/Kwajalein"),
]
CHANGES = [(zone, instant) for zone in CHANGING for instant in offset_changes(zone)]

near_changes = st.tuples(st.sampled_from(CHANGES), st.timedeltas(-2 * DAY, 2 * DAY)).map(
    lambda drawn: (drawn[0][0], drawn[0][1] + timedelta(seconds=drawn[1] // SECOND))
)
anywhere = st.tuples(
    st.sampled_from(ZONES), st.datetimes(datetime(1850, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
)
moments = near_changes | anywhere


class TestStartOfDay:
    @pytest.mark.parametrize(("zone", "day", "start"), STRANGE_DAYS)
    def test_strange_days(self, zone: str, day: str, start: str) -> None:
        answer = start_of_day(date.fromisoformat(day), zone)
        assert answer == at(start)
        assert answer.tzinfo is UTC

    @given(moments)
    def test_whenever_says_the_same(self, moment: tuple[str, datetime]) -> None:
        zone, instant = moment
        assert start_of_day(instant.date(), zone) == start_by_whenever(instant.date(), zone)

    @given(moments)
    def test_no_earlier_instant_shows_the_day_and_no_later_one_begins_it(self, moment: tuple[str, datetime]) -> None:
        zone, instant = moment
        day = instant.date()
        start, clock = start_of_day(day, zone), ZoneInfo(zone)
        assert start.astimezone(clock).date() >= day
        assert (start - SECOND).astimezone(clock).date() < day

    @given(moments)
    def test_days_begin_in_order(self, moment: tuple[str, datetime]) -> None:
        zone, instant = moment
        starts = [start_of_day(instant.date() + timedelta(days=n), zone) for n in range(-2, 3)]
        assert starts == sorted(starts)

    @pytest.mark.parametrize("day", [datetime(2024, 1, 1), "2024-01-01", None])
    def test_bad_days(self, day: Any) -> None:
        refused("day", lambda: start_of_day(day, "UTC"))
        refused("day", lambda: start_of_day(day, "Europe/Amsterdam"))

    @pytest.mark.parametrize(
        "zone", ["", "Mars/Olympus", "../etc/passwd", "/etc/localtime", "Europe", None, UTC, "utc "]
    )
    def test_bad_zones(self, zone: Any) -> None:
        refused("zone", lambda: start_of_day(date(2024, 1, 1), zone))
        refused("zone", lambda: local_day(datetime(2024, 1, 1, tzinfo=UTC), zone))
        refused("zone", lambda: days_after(datetime(2024, 1, 1, tzinfo=UTC), 1, zone))

    def test_ends_of_time(self) -> None:
        assert start_of_day(date.min, "UTC") == datetime.min.replace(tzinfo=UTC)
        refused("day", lambda: start_of_day(date.min, "Asia/Tokyo"))
        assert start_of_day(date.max, "America/Los_Angeles") == at("9999-12-31T08:00:00Z")


class TestLocalDay:
    @pytest.mark.parametrize(
        ("zone", "instant", "day"),
        [
            ("UTC", "2024-04-01T00:00:00Z", "2024-04-01"),
            ("UTC", "2024-03-31T23:59:59.999999Z", "2024-03-31"),
            ("UTC", "2024-04-01T01:00:00+02:00", "2024-03-31"),
            ("America/Los_Angeles", "2024-04-01T06:30:00Z", "2024-03-31"),
            ("America/Los_Angeles", "2024-04-01T07:00:00Z", "2024-04-01"),
            ("Africa/Cairo", "2024-04-25T21:59:59Z", "2024-04-25"),
            ("Africa/Cairo", "2024-04-25T22:00:00Z", "2024-04-26"),
            ("Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29"),
            ("Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-31"),
            # Clocks show 7 November, then 23:01 of the 6th once more; the 7th goes on.
            ("America/St_Johns", "2010-11-07T02:30:30Z", "2010-11-07"),
            ("America/St_Johns", "2010-11-07T02:31:00Z", "2010-11-07"),
            ("America/St_Johns", "2010-11-07T03:30:00Z", "2010-11-07"),
            ("America/St_Johns", "2010-11-07T02:29:59Z", "2010-11-06"),
        ],
    )
    def test_days(self, zone: str, instant: str, day: str) -> None:
        assert local_day(at(instant), zone) == date.fromisoformat(day)

    @given(moments)
    def test_is_the_greatest_day_begun(self, moment: tuple[str, datetime]) -> None:
        zone, instant = moment
        day = local_day(instant, zone)
        assert start_of_day(day, zone) <= instant
        assert all(start_of_day(day + timedelta(days=n), zone) > instant for n in range(1, 4))

    @given(moments, st.timedeltas(timedelta(0), 2 * DAY))
    def test_never_goes_back(self, moment: tuple[str, datetime], later: timedelta) -> None:
        zone, instant = moment
        assert local_day(instant, zone) <= local_day(instant + later, zone)

    @given(moments)
    def test_differs_from_the_wall_clock_only_where_it_was_set_back(self, moment: tuple[str, datetime]) -> None:
        zone, instant = moment
        wall = instant.astimezone(ZoneInfo(zone))
        if not wall.fold:
            assert local_day(instant, zone) == wall.date()

    @given(moments, st.integers(-12, 12))
    def test_an_instant_is_an_instant_however_written(self, moment: tuple[str, datetime], hours: int) -> None:
        zone, instant = moment
        elsewhere = instant.astimezone(timezone(timedelta(hours=hours)))
        assert local_day(elsewhere, zone) == local_day(instant, zone)
        assert days_after(elsewhere, 3, zone) == days_after(instant.astimezone(ZoneInfo(zone)), 3, zone)

    @pytest.mark.parametrize("instant", [datetime(2024, 1, 1), date(2024, 1, 1), "2024-01-01T00:00Z", None])
    def test_bad_instants(self, instant: Any) -> None:
        refused("instant", lambda: local_day(instant, "UTC"))
        refused("instant", lambda: days_after(instant, 1, "Europe/Amsterdam"))

    def test_ends_of_time(self) -> None:
        assert local_day(datetime.max.replace(tzinfo=UTC), "UTC") == date.max
        refused("instant", lambda: local_day(datetime.max.replace(tzinfo=UTC), "Asia/Tokyo"))
        refused("instant", lambda: local_day(datetime.min.replace(tzinfo=UTC), "America/New_York"))


class TestDaysAfter:
    @pytest.mark.parametrize(
        ("instant", "days", "zone", "day"),
        [
            ("2024-01-10T23:50:00Z", 90, "UTC", "2024-04-10"),
            ("2024-04-01T00:00:00Z", 30, "UTC", "2024-05-01"),
            ("2024-04-01T00:00:00.000001Z", 30, "UTC", "2024-05-02"),
            ("2024-04-01T00:00:00Z", 0, "UTC", "2024-04-01"),
            ("2024-04-01T00:00:01Z", 0, "UTC", "2024-04-02"),
            ("2024-03-30T23:00:00Z", 1, "Europe/Amsterdam", "2024-04-01"),
            ("2024-03-31T22:00:00Z", 30, "Europe/Amsterdam", "2024-05-01"),
            ("2024-04-01T07:00:00Z", 30, "America/Los_Angeles", "2024-05-01"),
            # The first instant of a day counts as its midnight, whatever the clock shows.
            ("2024-04-25T22:00:00Z", 30, "Africa/Cairo", "2024-05-26"),
            ("2024-04-25T22:00:01Z", 30, "Africa/Cairo", "2024-05-27"),
            ("2011-12-30T10:00:00Z", 1, "Pacific/Apia", "2012-01-01"),
        ],
    )
    def test_ends(self, instant: str, days: int, zone: str, day: str) -> None:
        assert days_after(at(instant), days, zone) == date.fromisoformat(day)

    @given(moments, st.integers(0, 1000))
    def test_is_the_first_midnight_with_the_whole_span_behind_it(self, moment: tuple[str, datetime], days: int) -> None:
        zone, instant = moment
        end, today = days_after(instant, days, zone), local_day(instant, zone)
        whole = start_of_day(today, zone) == instant
        assert (end - today).days == days + (not whole)
        assert start_of_day(end, zone) >= instant

    @given(moments, st.integers(0, 1000))
    def test_later_events_end_no_earlier(self, moment: tuple[str, datetime], days: int) -> None:
        zone, instant = moment
        assert days_after(instant, days, zone) <= days_after(instant + timedelta(minutes=1), days, zone)
        assert days_after(instant, days, zone) < days_after(instant, days + 1, zone)

    def test_a_midnight_that_comes_twice_may_be_written_in_its_own_zone(self) -> None:
        midnight = at("2024-11-03T04:00:00Z").astimezone(ZoneInfo("America/Havana"))
        assert days_after(midnight, 1, "America/Havana") == date(2024, 11, 4)

    @pytest.mark.parametrize("days", [-1, 1.0, True, None, "1", 10**9, 3_999_999])
    def test_bad_days(self, days: Any) -> None:
        refused("days", lambda: days_after(at("2024-01-01T00:00:00Z"), days, "UTC"))


class TestEveryZone:
    @pytest.mark.parametrize("year", [1900, 1970, 2024])
    def test_agrees_with_whenever_at_new_year(self, year: int) -> None:
        for zone in ZONES:
            assert start_of_day(date(year, 1, 1), zone) == start_by_whenever(date(year, 1, 1), zone), zone

from __future__ import annotations

import pickle
from calendar import monthrange
from collections.abc import Callable
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
import whenever
from dateutil.relativedelta import relativedelta
from hypothesis import given
from hypothesis import strategies as st

from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.model.schedule import (
    DAILY,
    MONTHLY,
    QUARTERLY,
    WEEKLY,
    YEARLY,
    BillingPeriod,
    BillingSchedule,
    Period,
)

CALENDAR = [DAILY, WEEKLY, *(Period(count, "month") for count in (1, 2, 3, 4, 6, 12)), YEARLY]

days = st.dates(date(1900, 1, 1), date(2200, 12, 31))
month_ends = days.map(lambda day: day.replace(day=monthrange(day.year, day.month)[1]))
anchors = days | month_ends | st.just(date(2024, 2, 29))
periods = st.builds(Period, st.integers(1, 40), st.sampled_from(["day", "week", "month", "year"]))
anniversaries = st.builds(
    BillingSchedule, anchors, periods | st.sampled_from(CALENDAR), month_end=st.sampled_from(["clamp", "sticky"])
)
calendars = st.builds(BillingSchedule, anchors, st.sampled_from(CALENDAR), st.just("calendar"))
schedules = anniversaries | calendars


def on(text: str) -> date:
    return date.fromisoformat(text)


def refused(field: str, call: Callable[[], object]) -> None:
    with pytest.raises(InvalidValue) as caught:
        call()
    assert caught.value.field == field


class TestPeriod:
    @pytest.mark.parametrize(
        ("period", "text"),
        [(MONTHLY, "1 month"), (QUARTERLY, "3 months"), (Period(2, "week"), "2 weeks"), (YEARLY, "1 year")],
    )
    def test_str(self, period: Period, text: str) -> None:
        assert str(period) == text

    @pytest.mark.parametrize(
        ("one", "other"), [(YEARLY, Period(12, "month")), (WEEKLY, Period(7, "day")), (QUARTERLY, Period(3, "month"))]
    )
    def test_periods_that_step_alike(self, one: Period, other: Period) -> None:
        assert one.steps == other.steps

    @pytest.mark.parametrize(
        ("one", "other"), [(YEARLY, MONTHLY), (MONTHLY, Period(30, "day")), (DAILY, MONTHLY), (YEARLY, WEEKLY)]
    )
    def test_periods_that_step_otherwise(self, one: Period, other: Period) -> None:
        assert one.steps != other.steps

    @pytest.mark.parametrize("count", [0, -1, 1201, 1.0, True, "1", None])
    def test_bad_counts(self, count: Any) -> None:
        refused("count", lambda: Period(count, "month"))

    @pytest.mark.parametrize("unit", ["months", "Month", "hour", "", None, 1])
    def test_bad_units(self, unit: Any) -> None:
        refused("unit", lambda: Period(1, unit))

    def test_constants_and_hash(self) -> None:
        assert {DAILY, WEEKLY, MONTHLY, QUARTERLY, YEARLY} == {
            Period(count, unit)  # type: ignore[arg-type]
            for count, unit in [(1, "day"), (1, "week"), (1, "month"), (3, "month"), (1, "year")]
        }


class TestBillingPeriod:
    def test_is_half_open(self) -> None:
        period = BillingPeriod(on("2024-01-01"), on("2024-02-01"))
        assert (period.days, str(period)) == (31, "[2024-01-01, 2024-02-01)")
        assert period == (on("2024-01-01"), on("2024-02-01"))


class TestAnniversary:
    @pytest.mark.parametrize(
        ("anchor", "every", "month_end", "expected"),
        [
            ("2024-01-31", MONTHLY, "clamp", "2024-01-31 2024-02-29 2024-03-31 2024-04-30 2024-05-31"),
            ("2023-01-30", MONTHLY, "clamp", "2023-01-30 2023-02-28 2023-03-30 2023-04-30"),
            ("2024-02-29", MONTHLY, "clamp", "2024-02-29 2024-03-29 2024-04-29"),
            ("2024-02-29", MONTHLY, "sticky", "2024-02-29 2024-03-31 2024-04-30 2024-05-31"),
            ("2023-02-28", MONTHLY, "sticky", "2023-02-28 2023-03-31 2023-04-30"),
            ("2023-02-27", MONTHLY, "sticky", "2023-02-27 2023-03-27"),
            ("2023-04-30", MONTHLY, "sticky", "2023-04-30 2023-05-31 2023-06-30"),
            ("2024-01-30", MONTHLY, "sticky", "2024-01-30 2024-02-29 2024-03-30"),
            ("2024-02-29", YEARLY, "clamp", "2024-02-29 2025-02-28 2026-02-28 2027-02-28 2028-02-29"),
            ("2023-02-28", YEARLY, "clamp", "2023-02-28 2024-02-28"),
            ("2023-02-28", YEARLY, "sticky", "2023-02-28 2024-02-29"),
            ("2023-11-30", QUARTERLY, "clamp", "2023-11-30 2024-02-29 2024-05-30"),
            ("2023-11-30", QUARTERLY, "sticky", "2023-11-30 2024-02-29 2024-05-31"),
            ("2024-02-25", WEEKLY, "clamp", "2024-02-25 2024-03-03"),
            ("2024-02-28", DAILY, "clamp", "2024-02-28 2024-02-29 2024-03-01"),
            ("2024-01-15", Period(30, "day"), "clamp", "2024-01-15 2024-02-14 2024-03-15"),
            ("2024-01-31", Period(5, "month"), "clamp", "2024-01-31 2024-06-30 2024-11-30 2025-04-30"),
        ],
    )
    def test_dates(self, anchor: str, every: Period, month_end: Any, expected: str) -> None:
        wanted = tuple(map(on, expected.split()))
        schedule = BillingSchedule(on(anchor), every, month_end=month_end)
        assert schedule.dates(on(anchor), len(wanted)) == wanted

    def test_the_lattice_goes_back_before_the_anchor(self) -> None:
        schedule = BillingSchedule(on("2024-03-31"), MONTHLY)
        assert schedule.dates(on("2023-11-01"), 3) == (on("2023-11-30"), on("2023-12-31"), on("2024-01-31"))
        assert schedule.period_containing(on("2024-02-28")) == (on("2024-01-31"), on("2024-02-29"))

    def test_restarted_keeps_the_rules(self) -> None:
        schedule = BillingSchedule(on("2024-01-31"), QUARTERLY, month_end="sticky")
        assert schedule.restarted(on("2024-04-30")) == BillingSchedule(on("2024-04-30"), QUARTERLY, month_end="sticky")


class TestCalendar:
    @pytest.mark.parametrize(
        ("every", "day", "start", "end"),
        [
            (DAILY, "2024-02-29", "2024-02-29", "2024-03-01"),
            (WEEKLY, "2024-03-03", "2024-02-26", "2024-03-04"),
            (WEEKLY, "2024-03-04", "2024-03-04", "2024-03-11"),
            (MONTHLY, "2024-02-29", "2024-02-01", "2024-03-01"),
            (Period(2, "month"), "2024-02-29", "2024-01-01", "2024-03-01"),
            (QUARTERLY, "2024-03-31", "2024-01-01", "2024-04-01"),
            (Period(4, "month"), "2024-05-01", "2024-05-01", "2024-09-01"),
            (Period(6, "month"), "2024-12-31", "2024-07-01", "2025-01-01"),
            (Period(12, "month"), "2024-12-31", "2024-01-01", "2025-01-01"),
            (YEARLY, "2024-07-15", "2024-01-01", "2025-01-01"),
        ],
    )
    def test_natural_boundaries(self, every: Period, day: str, start: str, end: str) -> None:
        schedule = BillingSchedule(on("2023-05-17"), every, "calendar")
        assert schedule.period_containing(on(day)) == (on(start), on(end))

    @given(days, days, st.sampled_from(CALENDAR), days)
    def test_the_anchor_does_not_matter(self, one: date, other: date, every: Period, day: date) -> None:
        first, second = (BillingSchedule(anchor, every, "calendar", "sticky") for anchor in (one, other))
        assert first.period_containing(day) == second.period_containing(day)

    @given(days)
    def test_what_boundaries_are(self, day: date) -> None:
        starts = {every: BillingSchedule(day, every, "calendar").period_containing(day).start for every in CALENDAR}
        assert starts[WEEKLY] == day - timedelta(days=day.weekday())
        for every, start in starts.items():
            if every.unit == "month":
                assert (start.day, (start.month - 1) % every.count) == (1, 0)
        assert starts[YEARLY] == date(day.year, 1, 1)

    @pytest.mark.parametrize(
        "every", [Period(2, "day"), Period(2, "week"), Period(5, "month"), Period(24, "month"), Period(2, "year")]
    )
    def test_unnatural_counts(self, every: Period) -> None:
        refused("every", lambda: BillingSchedule(on("2024-01-01"), every, "calendar"))


class TestLattice:
    @given(schedules, days)
    def test_periods_tile(self, schedule: BillingSchedule, day: date) -> None:
        period = schedule.period_containing(day)
        assert period.start <= day < period.end
        assert schedule.period_containing(period.start) == period
        assert schedule.period_containing(period.end - timedelta(days=1)) == period
        assert schedule.period_containing(period.end).start == period.end
        assert schedule.period_containing(period.start - timedelta(days=1)).end == period.start

    @given(schedules, days)
    def test_all_answers_agree(self, schedule: BillingSchedule, day: date) -> None:
        period = schedule.period_containing(day)
        assert schedule.is_date(day) == (period.start == day)
        assert schedule.next_date(after=day) == schedule.nth_after(day, 1) == period.end
        assert schedule.dates(day, 1)[0] == (day if schedule.is_date(day) else period.end)

    @given(schedules, days, st.integers(0, 30))
    def test_dates_are_the_dates_and_no_others(self, schedule: BillingSchedule, start: date, count: int) -> None:
        dates = schedule.dates(start, count)
        assert len(dates) == count
        assert all(map(schedule.is_date, dates))
        assert all(schedule.next_date(after=one) == other for one, other in pairwise(dates))
        for n, later in enumerate(dates[1:], 1):
            assert schedule.nth_after(dates[0], n) == later

    @given(anniversaries, st.integers(0, 60))
    def test_the_anchor_is_a_date_and_never_drifts(self, schedule: BillingSchedule, steps: int) -> None:
        assert schedule.is_date(schedule.anchor)
        day = schedule.anchor
        for _ in range(steps):
            day = schedule.next_date(after=day)
        assert day == schedule.dates(schedule.anchor, steps + 1)[-1]
        for _ in range(steps):
            day = schedule.period_containing(day - timedelta(days=1)).start
        assert day == schedule.anchor

    @given(anniversaries, days)
    def test_month_dates_keep_the_anchors_day_wherever_it_exists(self, schedule: BillingSchedule, start: date) -> None:
        anchor, (day,) = schedule.anchor, schedule.dates(start, 1)
        last = monthrange(day.year, day.month)[1]
        if schedule.every.unit not in ("month", "year"):
            assert (day - anchor).days % (schedule.every.count * (7 if schedule.every.unit == "week" else 1)) == 0
        elif schedule.month_end == "sticky" and anchor.day == monthrange(anchor.year, anchor.month)[1]:
            assert day.day == last
        else:
            assert day.day == min(anchor.day, last)

    @given(schedules)
    def test_equal_by_value(self, schedule: BillingSchedule) -> None:
        twin = pickle.loads(pickle.dumps(schedule))
        assert twin == schedule
        assert hash(twin) == hash(schedule)


class TestOtherLibraries:
    @given(anchors, periods, st.integers(-40, 40))
    def test_relativedelta_adds_the_same(self, anchor: date, every: Period, steps: int) -> None:
        delta: dict[str, Any] = {every.unit + "s": every.count * steps}
        theirs = anchor + relativedelta(**delta)
        assert BillingSchedule(anchor, every).is_date(theirs)

    @given(anchors, periods, st.integers(1, 40))
    def test_whenever_adds_the_same(self, anchor: date, every: Period, steps: int) -> None:
        delta: dict[str, Any] = {every.unit + "s": every.count * steps}
        theirs = whenever.Date(anchor.year, anchor.month, anchor.day).add(**delta).to_stdlib()
        assert BillingSchedule(anchor, every).nth_after(anchor, steps) == theirs

    @given(anchors, periods, st.integers(1, 40))
    def test_relativedelta_counts_the_same_steps(self, anchor: date, every: Period, steps: int) -> None:
        delta: dict[str, Any] = {every.unit + "s": every.count * steps}
        assert BillingSchedule(anchor, every).nth_after(anchor, steps) == anchor + relativedelta(**delta)


class TestHardTimelines:
    """Timelines worked by hand, as far as the schedule decides them."""

    def test_the_anchor_holds_through_february(self) -> None:
        schedule = BillingSchedule(on("2023-01-31"), MONTHLY)
        assert schedule.is_date(on("2023-02-28"))
        assert schedule.next_date(after=on("2023-03-15")) == on("2023-03-31")
        assert schedule.restarted(on("2023-03-30")).next_date(after=on("2023-03-30")) == on("2023-04-30")

    def test_paid_to_february(self) -> None:
        schedule = BillingSchedule(on("2023-01-01"), MONTHLY)
        assert schedule.next_date(after=on("2023-02-28")) == on("2023-03-01")
        assert schedule.next_date(after=on("2023-03-01")) == on("2023-04-01")
        assert schedule.restarted(on("2023-03-03")).next_date(after=on("2023-03-03")) == on("2023-04-03")

    def test_a_leap_day_once_more_in_2028(self) -> None:
        schedule = BillingSchedule(on("2024-02-29"), YEARLY)
        assert schedule.next_date(after=on("2025-03-10")) == on("2026-02-28")
        assert schedule.next_date(after=on("2027-02-28")) == on("2028-02-29")


class TestEdges:
    def test_years_1_and_9999(self) -> None:
        schedule = BillingSchedule(on("2024-07-31"), YEARLY)
        assert schedule.next_date(after=date.min) == on("0001-07-31")
        assert not schedule.is_date(date.min)
        assert not schedule.is_date(date.max)
        refused("day", lambda: schedule.period_containing(date.min))
        refused("day", lambda: schedule.period_containing(date.max))
        refused("after", lambda: schedule.next_date(after=date.max))
        refused("day", lambda: schedule.nth_after(on("2024-01-01"), 4_000_000))
        refused("start", lambda: schedule.dates(date.max, 1))
        assert BillingSchedule(date.max, DAILY).is_date(date.min)
        assert BillingSchedule(date.min, WEEKLY, "calendar").is_date(date.min)
        assert BillingSchedule(date.max, Period(1200, "year")).next_date(after=date.min) == on("0399-12-31")

    @given(st.dates(), st.dates(), st.builds(Period, st.integers(1, 1200), st.sampled_from(["day", "month", "year"])))
    def test_anything_else_never_escapes(self, anchor: date, day: date, every: Period) -> None:
        schedule = BillingSchedule(anchor, every)
        try:
            period = schedule.period_containing(day)
        except InvalidValue as error:
            assert error.field == "day"
        else:
            assert period.start <= day < period.end

    @pytest.mark.parametrize("day", [datetime(2024, 1, 1), "2024-01-01", None, 20240101, 1.0])
    def test_days_are_plain_dates(self, day: Any) -> None:
        schedule = BillingSchedule(on("2024-01-01"), MONTHLY)
        refused("anchor", lambda: BillingSchedule(day, MONTHLY))
        refused("anchor", lambda: schedule.restarted(day))
        refused("day", lambda: schedule.period_containing(day))
        refused("day", lambda: schedule.is_date(day))
        refused("day", lambda: schedule.nth_after(day, 1))
        refused("after", lambda: schedule.next_date(after=day))
        refused("start", lambda: schedule.dates(day, 1))

    @pytest.mark.parametrize("number", [-1, 1.0, True, "1", None, 10**9])
    def test_bad_numbers(self, number: Any) -> None:
        schedule = BillingSchedule(on("2024-01-01"), MONTHLY)
        refused("count", lambda: schedule.dates(on("2024-01-01"), number))
        refused("n", lambda: schedule.nth_after(on("2024-01-01"), number))
        refused("n", lambda: schedule.nth_after(on("2024-01-01"), 0))

    def test_bad_rules(self) -> None:
        bad: Any = "monthly"
        refused("every", lambda: BillingSchedule(on("2024-01-01"), bad))
        refused("align", lambda: BillingSchedule(on("2024-01-01"), MONTHLY, bad))
        refused("month_end", lambda: BillingSchedule(on("2024-01-01"), MONTHLY, month_end=bad))

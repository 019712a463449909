"""Dates that other billing systems publish in their own tests, replayed on our schedules.

The cases are not part of this project. SUBSCRIPTION_LIFECYCLE_ORACLES names the folder that holds them; without it
every test here is skipped. The functions below say in our words what a case asks; whatever we answer otherwise is in
EXCEPTIONS with the reason, and is asserted to differ.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from dateutil.relativedelta import relativedelta

from subscription_lifecycle.model.calendar import local_day, start_of_day
from subscription_lifecycle.model.schedule import MONTHLY, BillingPeriod, BillingSchedule, Period

if "SUBSCRIPTION_LIFECYCLE_ORACLES" not in os.environ:
    pytest.skip("SUBSCRIPTION_LIFECYCLE_ORACLES does not name a folder of published cases", allow_module_level=True)

FOLDER = Path(os.environ["SUBSCRIPTION_LIFECYCLE_ORACLES"])
Case = dict[str, Any]
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)

FIXED = "TestInvoiceDateUtilsWithFixedProration"
UPGRADE = (
    "Lago begins an upgrade's fixed charges at its second; our periods are whole local days, so it bills from 00:00"
)
MOVED = "Lago stretches the first period after a move of zone to its last invoice; our dates stay, only instants move"
THIRTY = "Kill Bill can count every month as 30 or 28 days; we prorate by the days the period really has"

EXCEPTIONS: dict[str, str] = {
    "weekly_service_spec.rb:475": UPGRADE,
    "monthly_service_spec.rb:642": UPGRADE,
    "quarterly_service_spec.rb:581": UPGRADE,
    "monthly_service_spec.rb:377": MOVED,
    "monthly_service_spec.rb:596": MOVED,
    "quarterly_service_spec.rb:535": MOVED,
    "semiannual_service_spec.rb:691": MOVED,
    "testTargetStart": "Kill Bill rejects a run dated before the start; ours is no error, it finds nothing due yet",
    f"{FIXED}.testProRationAfterLastBillingCycleDate:40 2023-02-23": THIRTY,
    f"{FIXED}.testProRationAfterLastBillingCycleDate:40 2024-02-23": THIRTY,
    f"{FIXED}.testProRationBeforeFirstBillingPeriod1:66 2024-02-23": THIRTY,
    f"{FIXED}.testProRationBeforeFirstBillingPeriod2:92 2023-06-15": THIRTY,
    f"{FIXED}.testDaysBetweenWithFixedDaysInMonthForDifferentMonths:130 2023-05-23": THIRTY,
    f"{FIXED}.testDaysBetweenWithFixedDaysInMonth28:155 2023-05-23": THIRTY,
    f"{FIXED}.testDaysBetweenWithFixedDaysInMonth28:155 2023-06-23": THIRTY,
}


def read(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))  # type: ignore[no-any-return]


SEEN: set[str] = set()


def replay(
    file: str,
    section: str,
    name: Callable[[Case], str] = lambda case: case["id"],
    only: Callable[[Case], bool] = lambda case: True,
) -> pytest.MarkDecorator:
    """One test per case; where an id comes twice, the later ones are numbered."""
    times: Counter[str] = Counter()
    found = []
    for case in filter(only, read(f"{file}.json")[section]):
        times[text := name(case)] += 1
        text = text if times[text] == 1 else f"{text}#{times[text]}"
        SEEN.add(text)
        found.append(pytest.param(f"{file} {case.get('kind', section)}", text, case, id=text))
    return pytest.mark.parametrize(("group", "name", "case"), found)


@pytest.fixture
def same(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Compares, or asserts the difference that EXCEPTIONS explains, and records the case for the count at the end."""

    def check(group: str, name: str, ours: object, theirs: object) -> None:
        if name in EXCEPTIONS:
            record_property("replayed", f"{group}: differs")
            assert ours != theirs, f"this is no exception any more: {EXCEPTIONS[name]}"
        else:
            record_property("replayed", group)
            assert ours == theirs

    return check


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def on(text: str) -> date:
    return date.fromisoformat(text)


# ---- Lago ------------------------------------------------------------------------------------------------------------

INTERVALS = {
    "weekly": Period(1, "week"),
    "monthly": MONTHLY,
    "quarterly": Period(3, "month"),
    "semiannual": Period(6, "month"),
    "yearly": Period(1, "year"),
}


class Lago:
    """What one input of Lago's date services means in schedules, local days and instants."""

    def __init__(self, given: Case) -> None:
        self.given = given
        self.zone: str = given["customer_timezone"]
        self.today = local_day(at(given["billing_at"]), self.zone)
        anchor = local_day(at(given["subscription_at"]), self.zone)
        self.plan = BillingSchedule(anchor, INTERVALS[given["interval"]], given["billing_time"])
        self.months = BillingSchedule(anchor, MONTHLY, given["billing_time"])
        over = given["status"] == "terminated" and at(given["terminated_at"]) <= at(given["billing_at"])
        self.terminated_at = at(given["terminated_at"]) if over else None
        self._so_far = over or given["current_usage"]

    def answer(self, field: str) -> Any:
        if field.startswith("first_month_in"):
            return self._first_month(only_the_first="first_semiannual" in field)
        if field == "next_end_of_period":
            return self._last_second(self.plan.period_containing(self.today))
        if field == "previous_beginning_of_period":
            current = self.given.get("current_period", False)
            return start_of_day(self._period(self.plan, current=current).start, self.zone)
        if field == "single_day_price":
            return self._period(self.plan, current=self._current).days
        if self.given["started_at"] is None:
            return None
        return self._boundary(field)

    @property
    def _current(self) -> bool:
        return self.given["pay_in_advance"] or self._so_far

    def _boundary(self, field: str) -> Any:
        kind = "fixed_charges" if field.startswith("fixed_charges") else "charges" if "charges" in field else "plan"
        if kind == "plan":
            period = self._period(self.plan, current=self._current)
        else:
            period = self._charged(kind)
            if "period" not in field and not self._due(kind):
                return None
        if field.endswith("duration_in_days"):
            return period.days
        if field.endswith("from_datetime"):
            began = start_of_day(local_day(at(self.given["started_at"]), self.zone), self.zone)
            return max(start_of_day(period.start, self.zone), began)
        end = self._last_second(period)
        return min(end, self.terminated_at) if self.terminated_at else end

    def _charged(self, kind: str) -> BillingPeriod:
        """Usage and fixed charges are billed in arrears, whatever the plan itself does."""
        schedule = self.months if self.given[f"bill_{kind}_monthly"] else self.plan
        return self._period(schedule, current=self._so_far)

    def _due(self, kind: str) -> bool:
        """Where one kind of charge is billed monthly, the other waits for the run that follows the plan's period."""
        other = "charges" if kind == "fixed_charges" else "fixed_charges"
        if self.given[f"bill_{kind}_monthly"] or not self.given[f"bill_{other}_monthly"]:
            return True
        return self._so_far or self.plan.is_date(self.months.period_containing(self.today).start)

    def _first_month(self, *, only_the_first: bool) -> bool:
        first = self.plan.is_date(self.months.period_containing(self.today).start)
        same = self.plan.period_containing(self.today) == self.plan.period_containing(self.plan.anchor)
        return first and (same or not only_the_first)

    def _period(self, schedule: BillingSchedule, *, current: bool) -> BillingPeriod:
        period = schedule.period_containing(self.today)
        return period if current else schedule.period_containing(period.start - DAY)

    def _last_second(self, period: BillingPeriod) -> datetime:
        return start_of_day(period.end, self.zone) - SECOND


def lago_expects(case: Case) -> Any:
    given, expected = Lago(case["input"]), case["expected"]
    if "amount_divided_by_days" in expected:
        return expected["amount_divided_by_days"]
    if "same_as_field" in expected:
        return given.answer(expected["same_as_field"])
    if "derived" in expected:
        count, unit = expected["derived"]["minus"].split()
        back = relativedelta(**{unit.rstrip("s") + "s": int(count)})
        day = local_day(given.answer(expected["derived"]["field"]), given.zone) - back
        start = start_of_day(day + DAY if expected["derived"]["end_of_day"] else day, given.zone)
        return start - SECOND if expected["derived"]["end_of_day"] else start
    value = expected["value"]
    return at(value) if isinstance(value, str) else value


@replay("lago_period_dates", "cases")
def test_lago_period(group: str, name: str, case: Case, same: Callable[..., None]) -> None:
    same(group, name, Lago(case["input"]).answer(case["field"]), lago_expects(case))


class LagoDays:
    """On which local days Lago bills: where a period begins, and each month where charges are billed monthly."""

    def __init__(self, case: Case, subscribed: date, *, monthly: bool) -> None:
        every = MONTHLY if monthly else INTERVALS[case["interval"]]
        self.subscribed, self.schedule = subscribed, BillingSchedule(subscribed, every, case["billing_time"])

    def billed(self, day: date) -> bool:
        return day > self.subscribed and self.schedule.is_date(day)


@replay("lago_billing_days", "billing_day_matrix")
def test_lago_matrix(group: str, name: str, case: Case, same: Callable[..., None]) -> None:
    monthly = case["bill_charges_monthly"] or case["bill_fixed_charges_monthly"]
    days = LagoDays(case, on(case["subscription_at"]), monthly=monthly)
    asked = case["billed_on"] + case["not_billed_on"]
    same(group, name, [day for day in asked if days.billed(on(day))], case["billed_on"])


@replay("lago_billing_days", "timezone_cases")
def test_lago_zone(group: str, name: str, case: Case, same: Callable[..., None]) -> None:
    today = local_day(at(case["at"]), case["timezone"] or case["seller_timezone"])
    days = LagoDays(case, date(2021, 2, 20), monthly=False)
    same(group, name, days.billed(today), case["billed"])


@replay("lago_billing_days", "sweep_timelines")
def test_lago_sweep(group: str, name: str, case: Case, same: Callable[..., None]) -> None:
    """A sweep bills the local day it runs on, once: so many different billing days, so many invoices."""
    zone = case["timezone"]
    days = LagoDays(case, local_day(at(case["subscribed_at"]), zone), monthly=case["usage_charges_monthly"])

    invoiced: set[date] = set()

    def new_invoices(sweeps: list[str]) -> int:
        due = {day for sweep in sweeps if days.billed(day := local_day(at(sweep), zone))} - invoiced
        invoiced.update(due)
        return len(due)

    together, each = case["sweeps_that_together_make_exactly_one_invoice"], case["sweeps_each_making_one_invoice"]
    before, after = case["sweeps_that_must_not_invoice_before"], case["sweeps_that_must_not_invoice_after"]
    ours = tuple(new_invoices(sweeps) for sweeps in (before, together, after, each))
    same(group, name, ours, (0, min(len(together), 1), 0, len(each)))


# ---- Kill Bill -------------------------------------------------------------------------------------------------------

BILLING_PERIODS = {
    "DAILY": Period(1, "day"),
    "WEEKLY": Period(1, "week"),
    "BIWEEKLY": Period(2, "week"),
    "THIRTY_DAYS": Period(30, "day"),
    "MONTHLY": MONTHLY,
    "QUARTERLY": Period(3, "month"),
    "ANNUAL": Period(1, "year"),
}


def on_cycle_day(start: date, cycle_day: int, billing_period: str) -> BillingSchedule:
    """Month-based periods begin on the bill cycle day, counted from the start's own month; others from the start."""
    every = BILLING_PERIODS[billing_period]
    if every.unit not in ("month", "year"):
        return BillingSchedule(start, every)
    return BillingSchedule(start.replace(day=cycle_day), every)


def cycles(case: Case) -> list[Fraction]:
    """Whole periods and the fractions before and after them, each by the days of the period it lies in."""
    start, target = on(case["start"]), on(case["target"])
    end = on(case["end"]) if case["end"] else date.max
    schedule = on_cycle_day(start, case["bill_cycle_day"], case["billing_period"])
    billed, day = [], start
    while day <= target and day < end:
        period = schedule.period_containing(day)
        assert period.start <= day < period.end
        billed.append(Fraction((min(period.end, end) - day).days, period.days))
        day = period.end
    return billed


def billing_run(case: Case) -> tuple[BillingSchedule, date]:
    """The schedule of a run, and the day up to which it bills."""
    start, target = on(case["start"]), on(case["target"])
    schedule = on_cycle_day(start, case["bill_cycle_day"], case["billing_period"])
    greedy = case["in_arrear_mode"] == "GREEDY"
    reached = schedule.dates(target, 1)[0] if greedy else schedule.period_containing(target).start
    if case["end"] and on(case["end"]) <= max(reached, target):
        return schedule, on(case["end"])
    return schedule, reached


def asked(case: Case) -> object:
    if case["ask"] == "FirstBillingCycleDate":
        schedule = on_cycle_day(on(case["start"]), case["bill_cycle_day"], case["billing_period"])
        return schedule.dates(on(case["start"]), 1)[0].isoformat()
    schedule, reached = billing_run(case)
    if case["ask"] == "EffectiveEndDate":
        return reached.isoformat()
    if case["ask"] == "NextBillingCycleDate":
        return schedule.next_date(after=reached).isoformat()
    return reached >= on(case["start"])


def half_up(fraction: Fraction) -> Decimal:
    return Decimal(int(fraction * 10**9 + Fraction(1, 2))).scaleb(-9)


MATHS = "killbill_billing_math"


@replay(MATHS, "number_of_cycles")
def test_kill_bill_cycles(group: str, name: str, case: Case, same: Callable[..., None]) -> None:
    ours = cycles(case)
    rounded = sum(map(half_up, ours), Decimal(0))
    same(group, name, (sum(ours), rounded), (Fraction(case["expected_exact"]), Decimal(case["expected_cycles"])))


@replay(MATHS, "intervals", lambda case: f"{case['id']} {case['ask']}")
def test_kill_bill_interval(group: str, name: str, case: Case, same: Callable[..., None]) -> None:
    same(group, name, asked(case), case["expected"])


@replay(MATHS, "invalid_sequences")
def test_kill_bill_target_before_start(group: str, name: str, case: Case, same: Callable[..., None]) -> None:
    assert not cycles(case | {"billing_period": "MONTHLY"})
    same(group, name, "nothing due yet", case["expected"])


@replay(MATHS, "bill_cycle_day")
def test_kill_bill_cycle_day(group: str, name: str, case: Case, same: Callable[..., None]) -> None:
    if "first_charge_at" in case:
        ours = local_day(at(case["first_charge_at"]), case["account_timezone"]).day
        return same(group, name, ours, case["expected_bill_cycle_day"])
    day = on(case["date"])
    start = on(case["previous_date"]) if case["previous_date"] else day
    schedule = on_cycle_day(start, case["bill_cycle_day"], case["billing_period"])
    least = day.replace(day=1) if case["rule"] == "same month, clamped" else day
    return same(group, name, schedule.dates(least, 1)[0].isoformat(), case["expected_date"])


@replay(MATHS, "proration_fractions", lambda case: f"{case['id']} {case.get('start') or case['last_cycle_date']}")
def test_kill_bill_fraction(group: str, name: str, case: Case, same: Callable[..., None]) -> None:
    if case["what"] == "days_between":
        return same(group, name, (on(case["end"]) - on(case["start"])).days, case["expected"])
    if case["what"] == "fraction_before_first_cycle_date":
        start, end = on(case["start"]), on(case["first_cycle_date"])
        period = BillingSchedule(end, MONTHLY).period_containing(start)
    else:
        start, end = on(case["last_cycle_date"]), on(case["end"])
        period = BillingSchedule(start, MONTHLY).period_containing(end)
    return same(group, name, half_up(Fraction((end - start).days, period.days)), Decimal(case["expected"]))


BLOCKING = "killbill_blocking_and_bcd"


@replay(
    BLOCKING,
    "bill_cycle_day_change",
    lambda case: f"day {case['new_day']} from {case['effective_from'] or case['start']}",
)
def test_kill_bill_new_cycle_day(group: str, name: str, case: Case, same: Callable[..., None]) -> None:
    least = on(case["effective_from"]) if case["effective_from"] else max(on(case["now"]), on(case["start"]))
    schedule = BillingSchedule(date(2000, 1, case["new_day"]), MONTHLY)
    same(group, name, schedule.dates(least, 1)[0].isoformat(), case["effective"])


@replay(BLOCKING, "alignment", only=lambda case: "timezone" in case)
def test_kill_bill_phase_end(group: str, name: str, case: Case, same: Callable[..., None]) -> None:
    """A phase of three months ends three local months later. The other alignments are about phases, not dates."""
    zone, duration = case["timezone"], case["duration"]
    every = Period(int(duration[1:-1]), {"M": "month", "D": "day"}[duration[-1]])  # type: ignore[arg-type]
    began = local_day(at(case["input"]), zone)
    same(group, name, BillingSchedule(began, every).next_date(after=began), local_day(at(case["result"]), zone))


def test_every_exception_is_a_case() -> None:
    assert set(EXCEPTIONS) <= SEEN

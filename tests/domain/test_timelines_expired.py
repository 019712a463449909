"""Timelines T1–T14, T41, T42, T44: the term ended, and somebody comes back.

Unless said: from 1 January 2024, by card, in UTC, the standard policy (30 days expired, 90 days disabled).
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.domain.world import CARD, SUPPORT, A, M, MakeWorld, World, Y, day, euros, instant, policy

from subscription_lifecycle import (
    ACTIVE,
    DISABLED,
    EXPIRED,
    LAPSED,
    MONTHLY,
    BillingPeriod,
    Correct,
    Entry,
    NotPossible,
    Period,
    Plan,
    Reactivate,
    SetRecurringBilling,
)

REMINDS_OF_RECURRING_BILLING = "recurring_billing.off"
FEW_DAYS = "charge.few_days"


def period(start: str, end: str) -> BillingPeriod:
    return BillingPeriod(day(start), day(end))


@pytest.fixture
def t1(world: World) -> World:
    """M, recurring billing off on 10 March, played to the end of that day."""
    world.start(M, off="2024-03-10")
    return world


def test_t01_reactivated_on_20_april(t1: World) -> None:
    t1.at("2024-04-20")
    assert (t1.state, t1.sub.since) == (EXPIRED, instant("2024-04-01"))
    with t1.new_captures("20.00"):
        result = t1.reactivate()
    after = result.subscription
    assert (after.state, after.causes, after.next_billing_date) == (ACTIVE, (), day("2024-05-01"))
    assert after.paid_through == after.term_end == day("2024-05-01")
    assert result.entries[-1].billed == period("2024-04-01", "2024-05-01")
    assert not after.recurring_billing
    assert [reminder.code for reminder in result.reminders] == [REMINDS_OF_RECURRING_BILLING]
    t1.at("2024-05-01")
    assert (t1.state, t1.sub.since) == (EXPIRED, instant("2024-05-01"))


def test_t02_reactivated_at_the_very_end_of_the_term(t1: World) -> None:
    t1.jump("2024-04-01T00:00:00")
    assert t1.state == EXPIRED
    with t1.new_captures("20.00"):
        after = t1.reactivate().subscription
    assert (after.state, after.next_billing_date) == (ACTIVE, day("2024-05-01"))


@pytest.mark.parametrize(
    ("when", "buys"),
    [
        pytest.param("2024-04-29", "2 days", id="t03_reactivated_two_days_before_the_next_date"),
        pytest.param("2024-04-30T23:59", "1 minute", id="t04_reactivated_one_minute_before_the_next_date"),
    ],
)
def test_t03_t04_a_charge_that_buys_little_is_warned_of(t1: World, when: str, buys: str) -> None:
    t1.at(when)
    preview = t1.preview(Reactivate(CARD))
    result = t1.reactivate()
    assert preview.terms.charge == t1.captured[-1] == euros(20)
    assert preview.terms.next_billing_date == result.subscription.next_billing_date == day("2024-05-01")
    assert preview.reminders == result.reminders
    warned = {reminder.code: str(reminder) for reminder in result.reminders}
    assert warned.keys() == {REMINDS_OF_RECURRING_BILLING, FEW_DAYS}
    assert f"buys {buys}:" in warned[FEW_DAYS]


def test_t05_reactivated_when_the_window_is_over(t1: World) -> None:
    t1.jump("2024-05-01T00:00")
    assert (t1.state, t1.sub.cause, t1.sub.since) == (DISABLED, LAPSED, instant("2024-05-01"))
    with t1.new_captures("20.00"):
        after = t1.reactivate().subscription
    assert (after.state, after.causes, after.next_billing_date) == (ACTIVE, (), day("2024-06-01"))


def told(entry: Entry) -> tuple[Any, ...]:
    """What an entry says, but for when it was written and the deletion that counts from there."""
    changes = {name: change for name, change in entry.changes.items() if name not in ("recorded_at", "until")}
    return entry.version, entry.event, entry.row, entry.effective_at, changes, entry.billed, entry.charge


def played(last_sweep: str) -> World:
    world = World()
    world.start(M, off="2024-03-10")
    if instant(last_sweep) > world.clock():
        world.at(last_sweep)
    world.jump("2024-05-10")
    return world


@pytest.mark.parametrize("last_sweep", ["2024-05-10", "2024-03-10", "2024-03-20"], ids=["daily", "never", "died"])
def test_t06_when_the_sweep_ran_changes_nothing(last_sweep: str) -> None:
    """Assumed: "never" is not once after recurring billing went off: two renewals unswept would be held (T39)."""
    world = played(last_sweep)
    assert (world.state, world.sub.cause) == (DISABLED, LAPSED)
    with world.new_captures("20.00"):
        after = world.reactivate().subscription
    assert (after.state, after.next_billing_date) == (ACTIVE, day("2024-06-10"))
    assert after.schedule.anchor == after.term_start == day("2024-05-10")
    effective = {entry.row: entry.effective_at for entry in world.history}
    assert effective["expire: active"] == instant("2024-04-01")
    assert effective["disable: expired, lapsed"] == instant("2024-05-01")
    daily = played("2024-05-10")
    daily.reactivate()
    assert [told(entry) for entry in world.history] == [told(entry) for entry in daily.history]
    assert after == daily.sub


@pytest.mark.parametrize(
    ("when", "next_date", "billed", "unpaid"),
    [
        ("2023-02-28", "2023-03-01", ("2023-02-01", "2023-03-01"), []),
        ("2023-03-01", "2023-04-01", ("2023-03-01", "2023-04-01"), [("2023-02-01", "2023-03-01")]),
        ("2023-03-03", "2023-04-03", ("2023-03-03", "2023-04-03"), []),
    ],
)
def test_t07_paid_to_1_february_2023(
    make_world: MakeWorld, when: str, next_date: str, billed: tuple[str, str], unpaid: list[tuple[str, str]]
) -> None:
    """On 3 March the window is over: LAPSED, so February is part of the gap and no longer recorded as served unpaid."""
    world = make_world("2023-01-01")
    world.start(M, off="2023-01-02")
    world.at(when)
    lapsed = when == "2023-03-03"
    assert (world.state, world.sub.cause) == ((DISABLED, LAPSED) if lapsed else (EXPIRED, None))
    with world.new_captures("20.00"):
        result = world.reactivate()
    assert result.subscription.next_billing_date == day(next_date)
    assert result.entries[-1].billed == period(*billed)
    assert result.entries[-1].served_unpaid == tuple(period(*spell) for spell in unpaid)


@pytest.mark.parametrize(("rule", "charge"), [("free", "20.00"), ("owed", "60.00")])
def test_t08_two_months_were_served_unpaid(make_world: MakeWorld, rule: str, charge: str) -> None:
    """ "Owed" collects April and May together with June."""
    world = make_world("2024-01-01", policy(expired_days=90, served_unpaid=rule))
    world.start(M, off="2024-03-10")
    world.at("2024-06-20")
    assert world.state == EXPIRED
    with world.new_captures(charge):
        result = world.reactivate()
    assert result.subscription.next_billing_date == day("2024-07-01")
    assert result.subscription.arrears == ()
    entry = result.entries[-1]
    assert entry.billed == period("2024-06-01", "2024-07-01")
    assert entry.served_unpaid == (period("2024-04-01", "2024-05-01"), period("2024-05-01", "2024-06-01"))


@pytest.mark.parametrize(
    ("when", "state", "next_date", "anchor"),
    [("2023-03-15", EXPIRED, "2023-03-31", "2023-01-31"), ("2023-03-30", DISABLED, "2023-04-30", "2023-03-30")],
)
def test_t09_anchored_on_the_31st(make_world: MakeWorld, when: str, state: Any, next_date: str, anchor: str) -> None:
    world = make_world("2023-01-31")
    world.start(M, off="2023-02-01")
    world.at("2023-02-28")
    assert (world.state, world.sub.since) == (EXPIRED, instant("2023-02-28"))
    world.at(when)
    assert world.state == state
    if state == DISABLED:
        assert (world.sub.cause, world.sub.since) == (LAPSED, instant("2023-03-30"))
    with world.new_captures("20.00"):
        after = world.reactivate().subscription
    assert (after.state, after.next_billing_date, after.schedule.anchor) == (ACTIVE, day(next_date), day(anchor))


def test_t10_yearly_from_a_leap_day(make_world: MakeWorld) -> None:
    world = make_world("2024-02-29")
    world.start(Y, off="2024-03-01")
    world.at("2025-03-10")
    assert (world.state, world.sub.since) == (EXPIRED, instant("2025-02-28"))
    with world.new_captures("365.00"):
        after = world.reactivate().subscription
    assert after.next_billing_date == day("2026-02-28")
    world.recurring_billing(on=True)
    for year in ("2026", "2027"):
        world.at(f"{year}-02-28")
    assert world.sub.next_billing_date == day("2028-02-29")
    world.at("2028-02-29")
    assert world.sub.next_billing_date == day("2029-02-28")


def test_t11_the_term_ends_at_local_midnight(world: World) -> None:
    """In Los Angeles 1 April begins at 07:00Z."""
    world.jump("2024-01-01T08:00")
    world.start(M, off="2024-03-10", time_zone="America/Los_Angeles")
    world.at("2024-04-01T06:30")
    assert world.state == ACTIVE
    refused = world.refused(Reactivate(CARD))
    assert isinstance(refused, NotPossible)
    world.jump("2024-04-01T07:00")
    assert world.state == EXPIRED
    with world.new_captures("20.00"):
        after = world.reactivate().subscription
    assert (after.state, after.next_billing_date) == (ACTIVE, day("2024-05-01"))


@pytest.mark.parametrize(
    ("zone", "start", "last_moment", "begins"),
    [
        pytest.param("Africa/Cairo", "2024-03-26", "2024-04-25T21:59:59", "2024-04-25T22:00", id="cairo"),
        pytest.param("Pacific/Apia", "2011-11-30", "2011-12-30T09:59:59", "2011-12-30T10:00", id="apia"),
    ],
)
def test_t12_days_without_midnight_and_days_that_never_were(
    make_world: MakeWorld, zone: str, start: str, last_moment: str, begins: str
) -> None:
    """26 April 2024 begins at 01:00 in Cairo; 30 December 2011 never was in Apia and begins with the 31st."""
    world = make_world(f"{start}T12:00")
    world.start(M, time_zone=zone, recurring_billing=False)
    expected = world.sub.schedule.next_date(after=day(start))
    assert world.sub.term_end == expected == day("2024-04-26" if zone == "Africa/Cairo" else "2011-12-30")
    world.at(last_moment)
    assert world.state == ACTIVE
    world.jump(begins)
    assert (world.state, world.sub.since) == (EXPIRED, instant(begins))
    with world.new_captures("20.00"):
        after = world.reactivate().subscription
    assert after.next_billing_date == after.schedule.next_date(after=expected)


def test_t13_instalments_go_on_inside_the_term(world: World) -> None:
    world.start(A, off="2024-03-10")
    with world.new_captures("20.00"):
        world.at("2024-04-01")
    assert (world.state, world.sub.next_billing_date) == (ACTIVE, day("2024-05-01"))
    world.at("2024-12-31")
    assert (world.state, world.sub.next_billing_date) == (ACTIVE, day("2025-01-01"))
    assert world.captured == [euros(20)] * 12
    with world.new_captures():
        world.at("2025-01-01")
    assert (world.state, world.sub.since) == (EXPIRED, instant("2025-01-01"))


def test_t14_a_new_term_begins_where_the_old_one_ended(world: World) -> None:
    world.start(A, off="2024-03-10")
    world.at("2025-01-10")
    with world.new_captures("20.00"):
        result = world.reactivate()
    after = result.subscription
    assert result.entries[-1].billed == period("2025-01-01", "2025-02-01")
    assert after.next_billing_date == day("2025-02-01")
    assert (after.term_start, after.term_end) == (day("2025-01-01"), day("2026-01-01"))


def test_t41_a_later_policy_moves_no_promise(world: World) -> None:
    """Assumed: M from 1 February 2024, so that it expires on 1 March."""
    world.use(policy(expired_days=90))
    world.at("2024-02-01")
    world.start(M, off="2024-02-10")
    world.at("2024-04-01")
    assert (world.state, world.sub.since, world.sub.until) == (EXPIRED, instant("2024-03-01"), day("2024-05-30"))
    world.use(policy(expired_days=30))
    world.at("2024-05-29T23:59")
    assert (world.state, world.sub.until) == (EXPIRED, day("2024-05-30"))
    world.at("2024-05-30")
    assert (world.state, world.sub.cause) == (DISABLED, LAPSED)


def test_t42_the_stored_plan_holds(t1: World) -> None:
    """The seller's new price is a new plan: it reaches new subscriptions, not this one."""
    t1.at("2024-04-20")
    dearer = Plan("monthly", euros(25), MONTHLY)
    t1.start(dearer, id="new")
    assert t1.captured[-1] == euros(25)
    with t1.new_captures("20.00"):
        after = t1.reactivate().subscription
    assert after.plan.price == euros(20)


def test_t44_a_window_of_zero_days_skips_the_state(make_world: MakeWorld) -> None:
    world = make_world("2024-01-01", policy(expired_days=0))
    world.start(M, off="2024-03-10")
    entries = len(world.history)
    world.at("2024-04-01")
    assert (world.state, world.sub.cause, world.sub.since) == (DISABLED, LAPSED, instant("2024-04-01"))
    assert len(world.history) == entries + 1
    assert world.sub.until == day("2024-06-30")


def test_the_switch_waits_until_service_is_back(t1: World) -> None:
    """RB is not editable while expired; after the reactivation it is, and the next term renews."""
    t1.at("2024-04-20")
    assert isinstance(t1.refused(SetRecurringBilling(True)), NotPossible)
    t1.reactivate()
    t1.recurring_billing(on=True)
    with t1.new_captures("20.00"):
        t1.at("2024-05-01")
    assert (t1.state, t1.sub.next_billing_date) == (ACTIVE, day("2024-06-01"))


def test_a_date_that_support_moved_ahead_is_where_it_is_extended_from(t1: World) -> None:
    """April is given away: the date is set to 1 May while expired, and a reactivation in April buys May."""
    t1.at("2024-04-10")
    t1.done(Correct(next_billing_date=day("2024-05-01"), reason="goodwill"), by=SUPPORT)
    t1.at("2024-04-20")
    with t1.new_captures("20.00"):
        result = t1.reactivate()
    assert result.subscription.next_billing_date == day("2024-06-01")
    assert (result.entries[-1].billed, result.entries[-1].served_unpaid) == (period("2024-05-01", "2024-06-01"), ())


def test_what_was_served_and_is_billed_after_all_counts_as_periods_of_the_plan(make_world: MakeWorld) -> None:
    """Three weeks in all: after the first, two are left; the fourth is not billed, nor another later."""
    world = make_world("2024-01-01", policy(served_unpaid="owed"))
    world.start(Plan("three weeks", euros(10), Period(1, "week"), cycles=3), off="2024-01-03")
    world.at("2024-01-25")
    assert world.state == EXPIRED
    with world.new_captures("20.00"):
        world.reactivate()
    assert (world.sub.cycles, world.sub.until) == (3, day("2024-01-29"))
    world.recurring_billing(on=True)
    with world.new_captures():
        world.at("2024-02-20")
    assert world.state == EXPIRED


def test_of_a_long_plan_everything_that_was_served_is_billed(make_world: MakeWorld) -> None:
    world = make_world("2024-01-01", policy(served_unpaid="owed"))
    world.start(Plan("six weeks", euros(10), Period(1, "week"), cycles=6), off="2024-01-03")
    world.at("2024-01-25")
    with world.new_captures("30.00"):
        world.reactivate()
    world.recurring_billing(on=True)
    with world.new_captures("10.00", "10.00"):
        world.at("2024-04-01")
    assert world.sub.cycles == 6

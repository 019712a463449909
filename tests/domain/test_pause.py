"""Timeline T35 and all around it: a pause, what it does to dates and money, and the ways out."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import attrs
import pytest
from tests.domain.world import ADMIN, BANK, CARD, SUPPORT, TRIAL, USER, A, M, World, day, euros, instant, policy

from subscription_lifecycle import (
    ACTIVE,
    CANCELLED,
    EXPIRED,
    PAST_DUE,
    PAUSE,
    PAUSED,
    PROVIDER,
    Access,
    BillingPeriod,
    BillingSchedule,
    Cancel,
    Condition,
    Disable,
    Enable,
    NotPossible,
    Pause,
    PayArrears,
    PaymentDeclined,
    Policy,
    Reactivate,
    Refused,
    Resume,
    SetRecurringBilling,
)
from subscription_lifecycle.ports import ChargedBack


def paused(world: World, when: str = "2024-03-20", until: str | None = None) -> None:
    world.at(when)
    world.done(Pause(until=None if until is None else day(until)))
    assert (world.state, world.sub.causes, world.access) == (PAUSED, (PAUSE,), Access.NONE)


def in_march(plan: Any = M, pauses: str = "2024-03-20", until: str | None = None, **changes: Any) -> World:
    """Since January, and paused; the keywords are the policy's."""
    world = World("2024-01-01", policy(**changes))
    world.start(plan)
    paused(world, pauses, until)
    return world


def codes(refused: Refused) -> tuple[str, ...]:
    return tuple(refusal.code for refusal in refused.refusals)


def what_was_paid(world: World) -> list[tuple[date, date]]:
    return [(paid.period.start, paid.period.end) for paid in world.sub.settlements]


# -- the dates move: T35


def test_t35_the_dates_move_by_the_paused_days() -> None:
    world = in_march()
    world.at("2024-04-10")
    with world.new_captures():
        preview = world.preview(Resume())
        world.done(Resume())
    assert preview.terms.next_billing_date == day("2024-04-22")
    sub = world.sub
    assert (sub.state, sub.causes, sub.interrupted) == (ACTIVE, (), None)
    assert (sub.next_billing_date, sub.paid_through, sub.term_end) == (day("2024-04-22"),) * 3
    assert what_was_paid(world) == [(day("2024-03-22"), day("2024-04-22"))]
    with world.new_captures("20.00"):
        world.at("2024-05-21")
    with world.new_captures("20.00"):
        world.at("2024-05-22")
    assert world.sub.next_billing_date == day("2024-06-22")


def test_a_term_keeps_its_instalments() -> None:
    world = in_march(A)
    world.at("2024-04-10")
    world.done(Resume())
    world.recurring_billing(on=False)
    assert (world.sub.term_start, world.sub.term_end) == (day("2024-01-01"), day("2025-01-22"))
    world.at("2025-01-22")
    assert len(world.captured) == 12
    assert world.state == EXPIRED


@pytest.mark.parametrize("rule", ["move", "restart"])
def test_a_term_keeps_its_instalments_whichever_days_it_was_paused(rule: Any) -> None:
    world = in_march(A, resume=rule, until="2024-04-10")
    world.at("2024-06-30")
    paused(world, "2024-06-30", "2024-08-31")
    world.at("2024-09-01")
    world.recurring_billing(on=False)
    world.at("2025-06-30")
    assert len(world.captured) == 12
    assert world.state != ACTIVE


def test_an_anchor_on_the_31st_does_not_drift_by_a_pause() -> None:
    world = World("2024-01-31")
    world.start(M)
    paused(world, "2024-03-10", "2024-04-10")
    world.at("2024-04-10")
    assert world.sub.next_billing_date == day("2024-05-01")
    world.at("2024-09-01")
    dates = [entry.billed.start for entry in world.history if entry.billed is not None]
    assert [str(found) for found in dates[2:]] == [f"2024-{month:02}-01" for month in (5, 6, 7, 8, 9)]


@pytest.mark.parametrize("rule", ["move", "keep", "restart"])
def test_a_pause_of_no_days_changes_nothing(rule: Any) -> None:
    world = in_march(resume=rule, pause_credit=True)
    before = world.subs.as_of("sub", instant("2024-03-19"))
    world.jump("2024-03-20T23:59")
    with world.new_captures():
        world.done(Resume())
    assert _without_trace(world.sub) == _without_trace(before)


def _without_trace(subscription: Any) -> Any:
    return attrs.evolve(subscription, version=0, recorded_at=None, since=None, paused=None)


def test_the_longest_pause_ends_by_itself() -> None:
    world = in_march(pause_days=30)
    assert world.sub.until == day("2024-04-19")
    world.at("2024-04-18T23:59")
    assert world.state == PAUSED
    world.at("2024-04-19")
    assert (world.state, world.sub.next_billing_date) == (ACTIVE, day("2024-05-01"))


@pytest.mark.parametrize("zone", ["Europe/Amsterdam", "America/Los_Angeles", "Pacific/Apia", "Africa/Cairo"])
def test_days_are_local(zone: str) -> None:
    world = World("2024-01-01T12:00")
    world.start(M, time_zone=zone)
    begins = world.sub.term_start
    paused(world, "2024-03-20T12:00")
    since = world.sub.paused
    assert since is not None
    world.at("2024-04-10T12:00")
    before = world.sub.next_billing_date
    world.done(Resume())
    assert since.since == day("2024-03-20") + (begins - day("2024-01-01"))
    assert (world.sub.next_billing_date - before).days == 21


@pytest.mark.parametrize("rule", ["move", "keep", "restart"])
def test_late_sweeps_give_the_same(rule: Any) -> None:
    def life(*stops: str) -> tuple[Any, ...]:
        world = World("2024-01-01", policy(resume=rule, pause_credit=True))
        world.start(M)
        world.at("2024-03-20")
        world.done(Pause("period_end", day("2024-04-10")))
        for stop in stops:
            world.jump(stop)
            world.swept()
        rows = [(entry.row, entry.effective_at, entry.billed, entry.charge) for entry in world.history]
        return rows, attrs.evolve(world.sub, recorded_at=None)

    assert life("2024-04-01", "2024-04-10", "2024-04-11", "2024-04-25") == life("2024-04-25")


# -- limits


def test_who_may_and_when() -> None:
    world = World("2024-01-01", policy(pause_days=30))
    world.start(M)
    world.at("2024-03-20")
    assert codes(world.refused(Pause(), by=USER)) == ("role.billing",)
    assert codes(world.refused(Pause(until=day("2024-04-20")))) == ("pause.length",)
    assert "2024-04-19" in str(world.refused(Pause(until=day("2024-04-20"))))
    assert codes(world.refused(Pause(until=day("2024-03-20")))) == ("pause.length",)
    assert codes(world.refused(Pause(day("2024-03-20")))) == ("pause.date",)
    assert codes(world.refused(Resume())) == ("pause.none",)


def test_once_a_billed_period() -> None:
    world = in_march()
    world.at("2024-03-22")
    world.done(Resume())
    assert codes(world.refused(Pause())) == ("pause.again",)
    assert codes(world.refused(Pause(day("2024-03-28")))) == ("pause.again",)
    assert world.preview(Pause(day("2024-04-28"))).after.pause is not None
    assert world.preview(Pause(), by=SUPPORT).after.state == PAUSED
    world.at("2024-04-03")
    assert world.preview(Pause()).after.state == PAUSED


def test_not_in_a_trial_nor_past_due_nor_owing() -> None:
    world = World("2024-01-01")
    world.start(TRIAL)
    assert isinstance(world.refused(Pause()), NotPossible)
    world = World("2024-01-01")
    world.start(M)
    world.at("2024-01-31")
    world.declining(1)
    world.at("2024-02-02")
    assert world.state == PAST_DUE
    assert isinstance(world.refused(Pause()), NotPossible)


def test_another_end() -> None:
    world = in_march(until="2024-04-10")
    assert codes(world.refused(Pause(until=day("2024-06-19")))) == ("pause.length",)
    world.at("2024-03-25")
    world.done(Pause(until=day("2024-03-28")))
    assert (world.sub.until, world.state) == (day("2024-03-28"), PAUSED)
    world.done(Cancel("now"))
    world.reactivate()
    world.recurring_billing(on=True)
    assert (world.sub.until, world.state) == (day("2024-03-28"), PAUSED)
    world.at("2024-03-28")
    assert (world.state, world.sub.next_billing_date) == (ACTIVE, day("2024-04-09"))


# -- at the period's end, on a date


def test_at_the_periods_end_nothing_is_billed() -> None:
    world = World("2024-01-01")
    world.start(M)
    world.at("2024-03-20")
    world.done(Pause("period_end"))
    with world.new_captures():
        world.at("2024-05-01")
    assert (world.state, world.sub.since) == (PAUSED, instant("2024-04-01"))
    with world.new_captures("20.00"):
        world.done(Resume())
        world.swept()
    assert (world.state, world.sub.next_billing_date) == (ACTIVE, day("2024-06-01"))


def test_on_a_date_and_withdrawn() -> None:
    world = World("2024-01-01")
    world.start(M)
    world.at("2024-03-10")
    world.done(Pause(day("2024-03-20"), day("2024-04-10")))
    assert (world.state, world.sub.since) == (ACTIVE, instant("2024-01-01"))
    world.done(Resume())
    assert world.sub.pause is None
    world.done(Pause(day("2024-03-20"), day("2024-04-10")))
    world.at("2024-03-20")
    assert (world.state, world.sub.until, world.sub.pause) == (PAUSED, day("2024-04-10"), None)
    world.at("2024-04-10")
    assert (world.state, world.sub.next_billing_date) == (ACTIVE, day("2024-04-22"))


def test_one_that_is_wanted_at_once_forgets_the_end_of_one_to_come() -> None:
    world = World("2024-01-01", policy(pause_days=30))
    world.start(M)
    world.at("2024-03-10")
    world.done(Pause(day("2024-05-20"), day("2024-06-10")))
    world.done(Pause())
    assert (world.sub.until, world.sub.pause) == (day("2024-04-09"), None)


def test_while_past_due_it_waits_for_good_standing() -> None:
    world = World("2024-01-01")
    world.start(M)
    world.at("2024-03-10")
    world.done(Pause(day("2024-04-03"), day("2024-05-01")))
    world.at("2024-03-31")
    world.declining(1)
    world.at("2024-04-05")
    assert world.state == PAST_DUE
    with world.new_captures("20.00"):
        world.at("2024-04-09")
    assert (world.state, world.sub.since, world.sub.until) == (PAUSED, instant("2024-04-08"), day("2024-05-01"))


def test_where_service_ends_first_there_is_no_pause() -> None:
    world = World("2024-01-01")
    world.start(M)
    world.at("2024-03-10")
    world.done(Pause("period_end"))
    world.recurring_billing(on=False)
    world.at("2024-04-01")
    assert world.state == EXPIRED
    world.reactivate()
    world.at("2024-04-20")
    assert world.state == ACTIVE


def test_a_cancellation_withdraws_it() -> None:
    world = World("2024-01-01")
    world.start(M)
    world.at("2024-03-10")
    world.done(Pause(day("2024-03-20")))
    world.done(Cancel("now"))
    assert world.sub.pause is None
    world.at("2024-03-25")
    world.reactivate()
    world.at("2024-03-26")
    assert world.state == ACTIVE


# -- the other rules


@pytest.mark.parametrize("by_clock", [True, False])
def test_dates_that_are_ahead_stay(by_clock: bool) -> None:
    world = in_march(until="2024-03-25", resume="keep")
    with world.new_captures():
        if by_clock:
            world.at("2024-03-25")
        else:
            world.jump("2024-03-25T00:00")
            world.swept()
    assert (world.state, world.sub.next_billing_date, world.sub.credit) == (ACTIVE, day("2024-04-01"), None)


@pytest.mark.parametrize("by_clock", [True, False])
def test_keep_charges_the_rest_of_the_period(by_clock: bool) -> None:
    world = in_march(until="2024-04-10" if by_clock else None, resume="keep")
    with world.new_captures("14.00"):  # 21/30
        world.at("2024-04-10")
        if not by_clock:
            assert world.preview(Resume()).terms.charge == euros("14.00")
            world.done(Resume())
    assert (world.state, world.sub.next_billing_date) == (ACTIVE, day("2024-05-01"))
    with world.new_captures("20.00"):
        world.at("2024-05-02")


@pytest.mark.parametrize("by_clock", [True, False])
def test_restart_buys_a_period(by_clock: bool) -> None:
    world = in_march(until="2024-04-10" if by_clock else None, resume="restart")
    with world.new_captures("20.00"):
        world.at("2024-04-10")
        if not by_clock:
            world.done(Resume())
    assert (world.state, world.sub.next_billing_date) == (ACTIVE, day("2024-05-10"))
    assert (world.sub.term_start, world.sub.term_end) == (day("2024-04-10"), day("2024-05-10"))


def test_advance_means_keep() -> None:
    """Its name stays for a version: what is left of a period that began meanwhile is not free."""
    with pytest.warns(DeprecationWarning, match="keep"):
        advancing = Policy(resume="advance")
    assert advancing == Policy(resume="keep")


def test_keep_on_a_date_buys_the_period() -> None:
    world = in_march(until="2024-05-01", resume="keep")
    with world.new_captures("20.00"):
        world.at("2024-05-01")
    assert world.sub.next_billing_date == day("2024-06-01")


def test_days_that_are_lost_become_credit() -> None:
    world = in_march(until="2024-03-25", resume="keep", pause_credit=True)
    world.at("2024-03-25")
    assert world.sub.credit == euros("3.23")  # 5/31
    assert (world.sub.next_billing_date, what_was_paid(world)) == (
        day("2024-04-01"),
        [(day("2024-03-06"), day("2024-04-01"))],  # as many days as are left, those before the pause among them
    )
    with world.new_captures("16.77"):
        world.at("2024-04-01")


@pytest.mark.parametrize("rule", ["keep", "restart"])
def test_days_that_are_lost_pay_for_what_is_bought(rule: Any) -> None:
    world = in_march(resume=rule, pause_credit=True)
    world.at("2024-04-10")
    bought = {"keep": "6.26", "restart": "12.26"}[rule]  # less 12/31
    with world.new_captures(bought):
        world.done(Resume())
    assert world.sub.credit is None


def test_what_is_lost_is_credit_also_if_the_clock_is_declined() -> None:
    world = in_march(until="2024-04-10", resume="keep", pause_credit=True)
    world.declining(1)
    world.at("2024-04-10")
    assert (world.state, world.sub.owed, world.sub.credit) == (PAST_DUE, euros("14.00"), euros("7.74"))
    assert world.sub.until == day("2024-05-10")


def test_the_calendars_dates_stay_and_lost_days_are_credit() -> None:
    world = World("2024-01-15")
    world.start(M, schedule=BillingSchedule(day("2024-01-15"), M.billing, "calendar"))
    paused(world, "2024-03-20", "2024-03-25")
    world.at("2024-03-25")
    assert (world.sub.next_billing_date, world.sub.credit) == (day("2024-04-01"), euros("3.23"))


@pytest.mark.parametrize(("rule", "ends"), [("move", "2024-04-22"), ("keep", "2024-04-10"), ("restart", "2024-04-10")])
def test_without_recurring_billing(rule: Any, ends: str) -> None:
    world = in_march(until="2024-04-10", resume=rule)
    world.recurring_billing(on=False)
    with world.new_captures():
        world.at(ends)
    assert (world.state, world.sub.since) == (EXPIRED, instant(ends))


def test_without_recurring_billing_what_is_paid_is_not_given_up() -> None:
    world = in_march(until="2024-03-25", resume="restart")
    world.recurring_billing(on=False)
    with world.new_captures():
        world.at("2024-03-26")
    assert (world.state, world.sub.until) == (ACTIVE, day("2024-04-01"))


# -- declined, owed


def test_declined_for_a_person_nothing_moves() -> None:
    world = in_march(resume="keep")
    world.at("2024-04-10")
    before = world.sub
    world.declining(1)
    with pytest.raises(PaymentDeclined):
        world.do(Resume())
    assert attrs.evolve(world.sub, version=0, recorded_at=None) == attrs.evolve(before, version=0, recorded_at=None)


def test_declined_for_the_clock_it_is_a_debt() -> None:
    world = in_march(until="2024-03-25", resume="restart")
    world.declining(1)
    world.at("2024-03-25")
    assert (world.state, world.sub.owed, world.sub.paid_through) == (PAST_DUE, euros(20), day("2024-03-25"))
    world.done(Cancel("now", "prorated"))
    assert (world.sub.credit, world.refunded) == (None, [])


@pytest.mark.parametrize("by_clock", [True, False])
def test_a_chargeback_meanwhile(by_clock: bool) -> None:
    world = in_march(until="2024-05-10" if by_clock else None, disputed_method="ask")
    world.at("2024-03-25")
    world.subs.report_payment(world.gateway.captures[-1].reference, ChargedBack("dp_1"))
    assert (world.state, world.sub.owed) == (PAUSED, euros(20))
    if by_clock:
        with world.new_captures():
            world.at("2024-05-10")
        assert (world.state, world.sub.until) == (PAST_DUE, day("2024-06-09"))
        with world.new_captures("20.00"):
            world.at("2024-05-17")
    else:
        world.at("2024-05-10")
        with world.new_captures("20.00"):
            world.done(Resume())
    assert (world.state, world.sub.arrears, world.sub.next_billing_date) == (ACTIVE, (), day("2024-05-22"))
    assert by_clock or world.sub.paid_through == day("2024-05-22")


@pytest.mark.parametrize(("end", "until"), [("disable", "2024-06-09"), ("keep", None)])
def test_the_retries_after_it_have_the_end_that_policy_gives_them(end: str, until: str | None) -> None:
    """Where nothing ends with them, no end is promised: neither for old debts nor for a charge that is declined."""
    promised = None if until is None else day(until)
    charged_back, declined = (
        in_march(until="2024-05-10", when_retries_end=end, resume=rule) for rule in ("move", "restart")
    )
    charged_back.at("2024-03-25")
    charged_back.subs.report_payment(charged_back.gateway.captures[-1].reference, ChargedBack("dp_1"))
    declined.at("2024-05-09")
    declined.declining(1)
    for world in (charged_back, declined):
        world.at("2024-05-10")
        assert (world.state, world.sub.owed, world.sub.until) == (PAST_DUE, euros(20), promised)
        world.declining(9)
        world.at("2024-06-08")
        assert world.state == PAST_DUE
    declined.at("2024-06-10")
    assert (declined.state == PAST_DUE) == (end == "keep")


# -- several blockers


@pytest.mark.parametrize(("lifted", "resumed"), [("2024-03-28", "2024-03-30"), ("2024-04-05", "2024-04-10")])
def test_a_block_during_a_pause(lifted: str, resumed: str) -> None:
    world = in_march(A)
    term = world.sub.term_start, world.sub.term_end
    world.at("2024-03-25")
    world.done(Disable(PROVIDER), by=SUPPORT)
    assert world.sub.causes == (PROVIDER, PAUSE)
    world.at(lifted)
    world.done(Enable(), by=SUPPORT)
    assert (world.state, world.sub.until) == (PAUSED, day("2024-06-18"))
    assert (world.sub.term_start, world.sub.term_end) == term
    world.at(resumed)
    world.done(Resume())
    days = (day(resumed) - day("2024-03-20")).days
    assert (world.state, world.sub.next_billing_date) == (ACTIVE, day("2024-04-01") + timedelta(days=days))


def test_a_block_lifted_on_the_very_date_leaves_the_term() -> None:
    world = in_march(A)
    world.at("2024-03-25")
    world.done(Disable(PROVIDER), by=SUPPORT)
    world.at("2024-04-01")
    world.done(Enable(), by=SUPPORT)
    assert (world.state, world.sub.term_end) == (PAUSED, day("2025-01-01"))


@pytest.mark.parametrize("rule", ["move", "keep"])
def test_a_block_that_outlasts_the_pause(rule: Any) -> None:
    world = in_march(until="2024-03-28", resume=rule, pause_credit=True)
    world.at("2024-03-25")
    world.done(Disable(PROVIDER), by=SUPPORT)
    world.at("2024-03-30T10:00")
    world.done(Enable(), by=SUPPORT)
    world.swept()
    moved = rule == "move"
    assert (world.state, world.sub.next_billing_date) == (ACTIVE, day("2024-04-11" if moved else "2024-04-01"))
    assert world.sub.credit == (None if moved else euros("6.45"))
    given = [entry.charge.credits for entry in world.history if entry.charge is not None and entry.charge.credits]
    assert given == ([] if moved else [euros("6.45")])


# -- cancelled while paused


def test_what_was_not_served_goes_back() -> None:
    world = in_march()
    world.at("2024-04-10")
    world.recurring_billing(on=False)
    world.done(Cancel("now", "prorated"))
    world.swept()
    assert world.refunded == [euros("7.74")]  # 12/31
    assert world.state == CANCELLED


def test_where_the_dates_stay_paused_days_are_gone() -> None:
    world = in_march(resume="keep")
    world.at("2024-03-25")
    world.done(Cancel("now", "prorated"))
    world.swept()
    assert world.refunded == [euros("4.52")]  # 7/31


@pytest.mark.parametrize("rule", ["move", "keep"])
def test_cancelled_and_back_on_the_same_day(rule: Any) -> None:
    world = in_march(until="2024-04-10", resume=rule)
    world.at("2024-03-25")
    before = world.sub
    world.done(Cancel("now", "prorated"))
    world.reactivate()
    after = world.sub
    for field in ("state", "causes", "interrupted", "until", "next_billing_date", "term_end", "paid_through"):
        assert getattr(after, field) == getattr(before, field)
    world.swept()
    assert sum(amount.minor for amount in world.refunded) == world.captured[-1].minor
    world.recurring_billing(on=True)
    world.at("2024-04-10")
    assert (world.state, world.sub.next_billing_date) == (ACTIVE, day("2024-04-22" if rule == "move" else "2024-05-01"))


def test_cancelled_and_back_later() -> None:
    world = in_march()
    world.at("2024-03-25")
    world.done(Cancel("now", "prorated"))
    world.at("2024-03-28")
    with world.new_captures("7.74"):
        world.reactivate()
    assert (world.state, world.sub.until) == (PAUSED, day("2024-06-18"))
    world.at("2024-03-30")
    world.done(Resume())
    assert (world.state, world.sub.next_billing_date) == (ACTIVE, day("2024-04-11"))


def test_cancelled_and_back_when_the_period_is_over() -> None:
    world = in_march()
    world.at("2024-03-25")
    world.done(Cancel("now", "prorated"))
    world.at("2024-04-10")
    with world.new_captures("20.00"):
        world.reactivate()
    assert (world.state, world.sub.causes, world.sub.next_billing_date) == (ACTIVE, (), day("2024-05-10"))


def test_a_scheduled_cancellation_inside_the_pause() -> None:
    world = World("2024-01-01")
    world.start(M)
    world.at("2024-03-10")
    world.done(Cancel(day("2024-03-25"), "prorated"))
    paused(world)
    world.at("2024-03-26")
    assert world.state == CANCELLED
    assert world.refunded == [euros("7.74")]


def test_a_full_refund_after_a_move() -> None:
    world = in_march(full_refund_days=10)
    world.at("2024-03-24")
    world.done(Resume())
    assert codes(world.refused(Cancel("now", "full"))) == ("refund.full",)
    world.done(Cancel("now", "full"), by=SUPPORT)
    world.swept()
    assert world.refunded == [euros("20.00")]


def test_a_refund_after_a_move() -> None:
    world = in_march()
    world.at("2024-04-03")
    world.recurring_billing(on=False)
    world.recurring_billing(on=True)
    world.at("2024-04-10")
    world.done(Resume())
    world.at("2024-04-15")
    world.done(Cancel("now", "prorated"))
    world.swept()
    assert world.refunded == [euros("4.52")]  # 7/31


# -- brought in


def test_adopted_while_paused() -> None:
    world = in_march(until="2024-04-10")
    brought = attrs.evolve(world.sub, id="other", version=0, paused=None, settlements=())
    world.subs.adopt(brought, by=SUPPORT, idempotency_key="adopt")
    world.at("2024-03-25")
    world.done(Disable(PROVIDER), by=SUPPORT, id="other")
    world.at("2024-03-28")
    world.done(Enable(), by=SUPPORT, id="other")
    world.at("2024-04-10")
    found = world.subs.get("other")
    assert (found.state, found.next_billing_date, found.paid_through) == (ACTIVE, day("2024-04-22"), day("2024-04-22"))


def test_adopted_without_a_method_there_must_be_one_where_there_is_something_to_pay() -> None:
    for rule, expected in (("move", ()), ("keep", ("resume.payment_method",))):
        world = in_march(resume=rule)
        brought = attrs.evolve(world.sub, id="other", version=0, payment_method=None)
        world.subs.adopt(brought, by=SUPPORT, idempotency_key="adopt")
        world.at("2024-04-10")
        assert tuple(refusal.code for refusal in world.subs.explain("other", Resume(), by=ADMIN)) == expected
        assert not world.subs.explain("other", Resume(CARD), by=ADMIN)


def test_paid_by_bank_when_it_ends() -> None:
    world = in_march(resume="restart")
    world.at("2024-04-10")
    world.gateway.process_next()
    world.done(Resume(BANK))
    assert (world.state, len(world.sub.submitted)) == (ACTIVE, 1)


def test_the_condition_is_named() -> None:
    world = in_march()
    assert Condition(PAUSED, PAUSE) in world.subs.lifecycle.conditions
    assert isinstance(world.refused(Reactivate(CARD)), NotPossible)
    assert world.preview(SetRecurringBilling(False)).after.until == world.sub.until


@pytest.mark.parametrize("rule", ["move", "keep"])
def test_what_a_bank_takes_back_while_resuming_is_open_does_not_come_back(rule: Any) -> None:
    world = in_march(resume=rule, pause_credit=True)
    february, march = (capture.reference for capture in world.gateway.captures[-2:])
    world.at("2024-03-25")
    world.subs.report_payment(february, ChargedBack("dp_1"))
    world.gateway.require_action_next()
    open_one = world.waits(Resume()).payment.reference
    world.gateway.report(march, ChargedBack("dp_2"))
    world.subs.report_payment(march, ChargedBack("dp_2"))
    world.capture_arrives(open_one)
    world.swept()
    assert world.state == PAST_DUE
    assert march not in {paid.reference for paid in world.sub.settlements}
    assert world.sub.owed == euros(20)
    world.done(Cancel("now", "prorated"))
    world.swept()
    assert world.refunded == []
    # Of the pause, given before; February's debt was paid whole.
    assert world.sub.credit == (None if rule == "move" else euros("3.23"))


def test_the_clock_resumes_without_a_method() -> None:
    world = in_march(resume="keep", until="2024-04-10")
    brought = attrs.evolve(world.sub, id="other", version=0, payment_method=None)
    world.subs.adopt(brought, by=SUPPORT, idempotency_key="adopt")
    world.at("2024-04-10")
    found = world.subs.get("other")
    assert (found.state, found.owed, found.causes) == (PAST_DUE, euros("14.00"), ())


@pytest.mark.parametrize("rule", ["keep", "restart"])
def test_what_fell_due_meanwhile_is_held(rule: Any) -> None:
    world = in_march(resume=rule, until="2024-04-10", pause_credit=True)
    world.jump("2024-06-20")
    report = world.swept()
    assert report.held == ("sub",)
    assert world.sub.credit == euros("7.74")
    assert world.sub.owed == euros({"keep": "54.00", "restart": "60.00"}[rule])


def test_what_a_bank_takes_back_of_a_period_that_moved_twice_is_owed_where_it_is_now() -> None:
    """The second pause began after the days that were first paid for."""
    world = World("2024-01-01", policy())
    world.start(A)
    january = world.gateway.captures[-1].reference
    world.at("2024-01-10")
    world.done(Pause())
    world.at("2024-01-20")
    world.done(Resume())
    world.at("2024-02-03")
    world.done(Pause(), by=SUPPORT)
    world.at("2024-02-05")
    world.done(Resume())
    assert what_was_paid(world) == [(day("2024-01-13"), day("2024-02-13"))]
    world.gateway.report(january, ChargedBack("dp_1"))
    world.subs.report_payment(january, ChargedBack("dp_1"))
    assert [debt.period for debt in world.sub.arrears] == [BillingPeriod(day("2024-01-13"), day("2024-02-13"))]
    world.done(PayArrears())
    assert world.sub.paid_through == day("2024-02-13")
    world.done(Cancel("now", "prorated"))
    world.swept()
    assert world.refunded == [euros("5.16")]  # 8 of 31 days


def test_of_two_periods_that_one_payment_paid_only_the_one_that_was_paused_moved() -> None:
    """Both have 31 days."""
    world = World("2024-06-01", policy(retry_days=60, retry_after=(50,)))
    world.start()
    world.unpaid("2024-07-01", "2024-08-02")
    assert world.state == PAST_DUE
    world.at("2024-08-05")
    world.done(PayArrears())
    both = world.gateway.captures[-1].reference
    assert what_was_paid(world) == [(day("2024-08-01"), day("2024-09-01"))]
    world.done(Pause())
    world.at("2024-08-15")
    world.done(Resume())
    world.gateway.report(both, ChargedBack("dp_1"))
    world.subs.report_payment(both, ChargedBack("dp_1"))
    assert [debt.period for debt in world.sub.arrears] == [
        BillingPeriod(day("2024-07-01"), day("2024-08-01")),
        BillingPeriod(day("2024-08-11"), day("2024-09-11")),
    ]


@pytest.mark.parametrize("hour", ["15:00", "00:00"])
def test_a_pause_whose_day_passed_begins_when_service_is_in_good_standing_and_not_before(hour: str) -> None:
    world = World("2024-01-01", policy())
    world.start()
    world.at("2024-01-05")
    world.done(Pause(day("2024-02-10")))
    world.at("2024-01-31")
    world.declining(2)
    world.at(f"2024-02-12T{hour}")
    world.gateway._next.clear()
    world.done(PayArrears())
    world.at("2024-02-13")
    assert (world.state, world.sub.since) == (PAUSED, instant(f"2024-02-12T{hour}"))
    assert world.sub.paused is not None
    assert world.sub.paused.since == day("2024-02-12")
    before = world.subs.as_of("sub", instant("2024-02-11T23:59" if hour == "00:00" else "2024-02-12T10:00"))
    assert before is not None
    assert (before.state, before.owed) == (PAST_DUE, euros(20))


@pytest.mark.parametrize("meanwhile", [True, False])
def test_what_a_bank_takes_back_while_resuming_is_open_moves_too(meanwhile: bool) -> None:
    """Else whoever pays it gets fewer days for it than were paid for."""
    world = in_march()
    february, march = (capture.reference for capture in world.gateway.captures[-2:])
    world.at("2024-03-25")
    world.subs.report_payment(february, ChargedBack("dp_1"))
    world.gateway.require_action_next()
    open_one = world.waits(Resume()).payment.reference
    if meanwhile:
        world.subs.report_payment(march, ChargedBack("dp_2"))
    world.capture_arrives(open_one)
    world.swept()
    if not meanwhile:
        world.subs.report_payment(march, ChargedBack("dp_2"))
    assert [debt.period for debt in world.sub.arrears] == [BillingPeriod(day("2024-03-06"), day("2024-04-06"))]
    assert world.sub.paid_through == day("2024-03-06")
    world.done(PayArrears())
    assert (world.state, world.sub.paid_through) == (ACTIVE, day("2024-04-06"))
    world.done(Cancel("now", "prorated"))
    world.swept()
    assert world.refunded == [euros("7.74")]  # 12 of 31 days

"""How soon, how long and how often: the limits that policy and plan set, and what may be named in a reactivation."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs
import pytest
from tests.domain.world import (
    ADMIN,
    CARD,
    INVOICE,
    SUPPORT,
    A,
    MakeWorld,
    World,
    Y,
    day,
    euros,
    policy,
)

from subscription_lifecycle import (
    ACTIVE,
    CANCELLED,
    DISABLED,
    EXPIRED,
    MONTHLY,
    NON_PAYMENT,
    PAST_DUE,
    PROVIDER,
    STANDARD,
    Access,
    BillingSchedule,
    Cancel,
    Cause,
    Command,
    Correct,
    Disable,
    Enable,
    Lifecycle,
    PayArrears,
    Plan,
    Policy,
    Reactivate,
    Refused,
    SetRecurringBilling,
    Transition,
)
from subscription_lifecycle.machine.transition import INTERRUPTED_STATE
from subscription_lifecycle.standard import (
    deadline_it_had,
    hold_the_clock,
    may_support,
    no_deadline,
    release_the_clock,
)

THREE = Plan("three", euros(20), MONTHLY, cycles=3)
TRIED = Plan("tried", euros(20), MONTHLY, trial=MONTHLY, cycles=2)
COMMITTED = Plan("committed", euros(20), MONTHLY, term=A.term, cycles=3)


def codes(refused: Refused) -> set[str]:
    return {refusal.code for refusal in refused.refusals}


# -- a fixed number of periods


def test_after_its_last_period_it_expires(make_world: MakeWorld) -> None:
    """Three periods from the 31st, in a zone where the clocks change meanwhile."""
    world = make_world("2024-01-31")
    world.start(THREE, time_zone="Europe/Amsterdam", schedule=BillingSchedule(day("2024-01-31"), MONTHLY))
    with world.new_captures("20.00", "20.00"):
        world.at("2024-04-30")
    assert (world.state, world.sub.cycles, world.sub.until) == (EXPIRED, 3, day("2024-05-30"))
    assert str(world.sub.since) == "2024-04-29 22:00:00+00:00"
    with world.new_captures():
        world.at("2024-06-30")
    assert world.sub.recurring_billing
    assert codes(world.refused(Reactivate(CARD))) == {"cycles.none"}
    assert codes(world.refused(Reactivate(CARD), by=SUPPORT)) == {"cycles.none"}


def test_its_end_is_promised_from_the_last_period_on(world: World) -> None:
    world.start(THREE)
    world.at("2024-02-29")
    assert world.sub.until is None
    world.at("2024-03-01")
    assert world.sub.until == day("2024-04-01")
    world.recurring_billing(on=False)
    world.recurring_billing(on=True)
    assert world.sub.until == day("2024-04-01")


@pytest.mark.parametrize("plan", [THREE, COMMITTED])
def test_swept_late_no_period_more_is_billed(make_world: MakeWorld, plan: Plan) -> None:
    for catch_up, captured in (("each", 3), ("latest", 2), ("hold", 1)):
        world = make_world("2024-01-01", policy(catch_up=catch_up, expired_days=400))
        world.start(plan)
        world.jump("2024-09-01")
        world.swept()
        assert (world.state, world.sub.cycles, len(world.captured)) == (EXPIRED, 3, captured)
        assert world.sub.owed == euros(20 * (3 - captured))
        assert str(world.sub.since) == "2024-04-01 00:00:00+00:00"


def test_switched_off_inside_a_longer_term_it_ends_with_the_last_period(world: World) -> None:
    world.start(COMMITTED)
    world.at("2024-01-10")
    world.recurring_billing(on=False)
    assert world.sub.until == day("2024-04-01"), "the term is twelve months, and three are billed"
    with world.new_captures("20.00", "20.00"):
        world.at("2024-04-01")
    assert world.state == EXPIRED


def test_a_trial_is_no_period(world: World) -> None:
    world.start(TRIED)
    with world.new_captures("20.00", "20.00"):
        world.at("2024-04-01")
    assert world.state == EXPIRED


def test_the_last_period_unpaid(world: World) -> None:
    """It is retried while it runs; service ends with it, and paying for it buys nothing more."""
    world.start(THREE)
    world.at("2024-02-15")
    world.declining(9)
    world.at("2024-03-31")
    assert (world.state, world.sub.cycles) == (DISABLED, 3)
    world.gateway._next.clear()
    with world.new_captures("20.00"):
        world.done(PayArrears())
    assert (world.state, world.sub.until) == (ACTIVE, day("2024-04-01"))
    with world.new_captures():
        world.at("2024-04-01")
    assert world.state == EXPIRED


def test_the_last_period_unpaid_buys_no_other_where_recovery_restarts(make_world: MakeWorld) -> None:
    world = make_world("2024-01-01", policy(recovery="restart", retry_after=(2, 20), retry_days=10))
    world.start(THREE)
    world.at("2024-02-15")
    world.declining(2)
    world.at("2024-03-20")
    assert world.state == DISABLED
    with world.new_captures("20.00"):
        world.at("2024-03-21")
    assert (world.state, world.sub.cycles, world.sub.next_billing_date) == (ACTIVE, 3, day("2024-04-01"))


@pytest.mark.parametrize("cycles", [0, -1, 1.5, True, "3", 36_501])
def test_a_number_of_periods_that_is_none(cycles: Any) -> None:
    with pytest.raises(ValueError, match="cycles"):
        Plan("p", euros(20), MONTHLY, cycles=cycles)


# -- notice


def test_the_end_is_asked_for_in_time(make_world: MakeWorld) -> None:
    world = make_world("2024-01-01", policy(notice_days=14))
    world.start(A)
    world.at("2024-12-18T23:59")
    with world.new_captures():
        world.recurring_billing(on=False)
    world.recurring_billing(on=True)
    world.at("2024-12-19")
    for command in (SetRecurringBilling(False), Cancel("term_end"), Cancel("now"), Cancel(day("2024-12-20"))):
        assert codes(world.refused(command)) >= {"notice.short"}, command
    assert world.refused(SetRecurringBilling(False)).refusals[0].remedy.startswith("Choose a day from 2025-01-02 on")
    world.done(Cancel("now"), by=SUPPORT)


def test_an_end_on_a_day_is_asked_for_in_time(make_world: MakeWorld) -> None:
    world = make_world("2024-01-01", policy(notice_days=14))
    world.start(A)
    world.at("2024-05-10")
    assert codes(world.refused(Cancel(day("2024-05-23")))) == {"notice.short"}
    world.done(Cancel(day("2024-05-24")))
    world.at("2024-05-24")
    assert world.state == CANCELLED


# -- how long it can be reactivated


@pytest.mark.parametrize(("days", "last"), [(0, "2024-04-01"), (10, "2024-04-11"), (45, "2024-05-16")])
def test_it_is_reactivated_in_time_or_by_support(make_world: MakeWorld, days: int, last: str) -> None:
    """Counted from the day service ended: that it lapsed later does not begin the days anew."""
    world = make_world("2024-01-01", policy(reactivation_days=days))
    world.start(off="2024-03-10")
    world.at(last)
    assert world.subs.explain("sub", Reactivate(CARD), by=ADMIN) == ()
    for later in (1, 8, 15, 25, 40):
        world.at(str(day(last) + timedelta(days=later)))
        assert world.state in (EXPIRED, DISABLED)
        assert codes(world.refused(Reactivate(CARD))) == {"reactivate.too_late"}
    with world.new_captures("20.00"):
        world.reactivate(by=SUPPORT)


def test_cancelled_it_is_reactivated_in_time(make_world: MakeWorld) -> None:
    world = make_world("2024-01-01", policy(reactivation_days=5))
    world.start(Y)
    world.at("2024-03-10T15:00")
    world.done(Cancel("now"))
    world.at("2024-03-15T23:59")
    assert world.subs.explain("sub", Reactivate(CARD), by=ADMIN) == ()
    world.at("2024-03-16")
    assert codes(world.refused(Reactivate(CARD))) == {"reactivate.too_late"}


# -- what a reactivation may name


def test_kept_or_refused(make_world: MakeWorld) -> None:
    world = make_world()
    world.start()
    world.at("2024-03-10")
    world.done(Cancel("now"))
    with world.new_captures():
        world.done(Reactivate(CARD, keep_or_refuse=True))
    assert world.sub.next_billing_date == day("2024-04-01")
    world.done(Cancel("now"))
    world.at("2024-04-01")
    assert codes(world.refused(Reactivate(CARD, keep_or_refuse=True))) == {"reactivate.period_over"}
    with world.new_captures("20.00"):
        world.done(Reactivate(CARD))


def test_kept_or_refused_where_recovery_restarts(make_world: MakeWorld) -> None:
    world = make_world("2024-01-01", policy(recovery="restart", retry_days=10, retry_after=()))
    world.start()
    world.at("2024-02-15")
    world.gateway.decline_next()
    world.at("2024-03-20")
    assert (world.state, world.sub.cause) == (DISABLED, NON_PAYMENT)
    assert codes(world.refused(Reactivate(CARD, keep_or_refuse=True))) == {"reactivate.period_over"}
    with world.new_captures("20.00"):
        world.done(Reactivate(CARD))
    assert world.sub.next_billing_date == day("2024-04-20")


def lapsed(world: World) -> World:
    """Off on 1 April, lapsed on 1 May."""
    world.start(off="2024-03-10")
    world.at("2024-05-20")
    assert world.state == DISABLED
    return world


def test_support_lets_a_new_period_begin_earlier(world: World) -> None:
    lapsed(world)
    with world.new_captures("20.00"):
        world.done(Reactivate(CARD, start_on=day("2024-05-05")), by=SUPPORT)
    assert (world.sub.next_billing_date, world.sub.term_start) == (day("2024-06-05"), day("2024-05-05"))
    billed = world.history[-1].billed
    assert billed is not None
    assert (billed.start, billed.end) == (day("2024-05-05"), day("2024-06-05"))


@pytest.mark.parametrize(
    "start_on", ["2024-04-30", "2024-04-01", "2024-01-01", "2024-05-21", "9999-12-30", "0001-01-01"]
)
def test_a_day_that_is_billed_served_or_to_come_is_refused(world: World, start_on: str) -> None:
    lapsed(world)
    assert codes(world.refused(Reactivate(CARD, start_on=day(start_on)), by=SUPPORT)) == {"reactivate.start_on"}


def test_a_period_that_would_be_over_is_refused(world: World) -> None:
    lapsed(world)
    world.at("2024-06-10")
    assert codes(world.refused(Reactivate(CARD, start_on=day("2024-05-10")), by=SUPPORT)) == {"reactivate.start_on"}
    with world.new_captures("20.00"):
        world.done(Reactivate(CARD, start_on=day("2024-05-11")), by=SUPPORT)
    assert world.sub.next_billing_date == day("2024-06-11")


def test_customers_choose_no_earlier_day(world: World) -> None:
    lapsed(world)
    assert codes(world.refused(Reactivate(CARD, start_on=day("2024-05-19")))) == {"reactivate.start_on"}


def test_where_no_new_period_is_bought_no_day_is_named(world: World) -> None:
    world.start(off="2024-03-10")
    world.at("2024-03-15")
    world.done(Cancel("now"))
    refused = world.refused(Reactivate(CARD, start_on=day("2024-03-15")), by=SUPPORT)
    assert codes(refused) == {"reactivate.not_new"}


# -- credit is used first


def test_credit_is_used_before_anything_is_captured(world: World) -> None:
    lapsed(world)
    world.done(Correct(credit=euros("12.50"), reason="goodwill"), by=SUPPORT)
    with world.new_captures("7.50"):
        world.reactivate()
    assert world.sub.credit is None


def test_credit_that_is_enough_needs_no_payment(world: World) -> None:
    lapsed(world)
    world.done(Correct(credit=euros("32.50"), reason="goodwill"), by=SUPPORT)
    with world.new_captures():
        world.reactivate()
    assert (world.state, world.sub.credit) == (ACTIVE, euros("12.50"))
    world.recurring_billing(on=True)
    world.at("2024-06-19")
    with world.new_captures("7.50"):
        world.at("2024-06-20")


def test_credit_is_used_by_retries_and_invoices(make_world: MakeWorld) -> None:
    world = make_world("2024-01-01", policy(retry_after=(7,)))
    world.start()
    world.at("2024-02-15")
    world.gateway.decline_next()
    world.at("2024-03-02")
    assert world.state == PAST_DUE
    world.done(Correct(credit=euros(5), reason="goodwill"), by=SUPPORT)
    with world.new_captures("15.00"):
        world.at("2024-03-08")
    world.done(Cancel("now"))
    world.at("2024-04-10")
    world.done(Correct(credit=euros(5), reason="goodwill"), by=SUPPORT)
    with world.new_captures():
        world.reactivate(INVOICE)
    assert [line.amount for line in world.take_lines("inv")] == [euros(15)]


def test_credit_that_was_not_needed_stays_when_it_is_declined(world: World) -> None:
    lapsed(world)
    world.done(Correct(credit=euros(5), reason="goodwill"), by=SUPPORT)
    world.gateway.decline_next()
    with pytest.raises(Exception, match="declined"):
        world.reactivate()
    assert (world.state, world.sub.credit) == (DISABLED, euros(5))


# -- several blocks at once, with rows of one's own


FRAUD = Cause("fraud", rank=5)


@attrs.frozen
class Suspect(Command):
    """Block service until the fraud desk has looked."""


@attrs.frozen
class Clear(Command):
    """The fraud desk has looked."""


def with_fraud() -> Lifecycle:
    running = (ACTIVE, PAST_DUE, CANCELLED, DISABLED)
    return STANDARD.with_policies(Policy(retry_after=(7,))).extend(
        Transition(Suspect, running, DISABLED, adds=FRAUD, guards=[may_support], until=no_deadline,
                   effects=[hold_the_clock]),
        Transition(Clear, DISABLED, INTERRUPTED_STATE, cause=FRAUD, guards=[may_support], until=deadline_it_had,
                   effects=[release_the_clock]),
        Transition(Disable, DISABLED, DISABLED, case=PROVIDER, cause=FRAUD, adds=PROVIDER, guards=[may_support],
                   until=no_deadline, effects=[hold_the_clock]),
        name="with-fraud",
    )  # fmt: skip


@pytest.mark.parametrize("ways", [(Disable(PROVIDER), Suspect()), (Suspect(), Disable(PROVIDER))])
def test_two_blocks_and_service_returns_with_the_last(make_world: MakeWorld, ways: tuple[Command, Command]) -> None:
    world = make_world("2024-01-01", with_fraud())
    world.start(Y)
    world.at("2024-03-10")
    for way in ways:
        world.done(way, by=SUPPORT)
    assert (world.state, world.sub.causes) == (DISABLED, (FRAUD, PROVIDER))
    assert codes(world.refused(Enable(), by=SUPPORT)) == {"not_possible"}, "the strongest is lifted first"
    world.done(Clear(), by=SUPPORT)
    assert (world.state, world.sub.causes, world.sub.until) == (DISABLED, (PROVIDER,), None)
    world.done(Enable(), by=SUPPORT)
    assert (world.state, world.sub.causes, world.access) == (ACTIVE, (), Access.FULL)
    assert world.sub.next_billing_date == day("2025-01-01")


def test_three_in_the_way(make_world: MakeWorld) -> None:
    """Fraud over the provider over non-payment: lifted one by one, no money moves before the last, and then once."""
    world = make_world("2024-01-01", with_fraud())
    world.start()
    world.at("2024-02-15")
    world.declining(2)
    world.at("2024-04-02")
    assert world.sub.causes == (NON_PAYMENT,)
    promised = world.sub.until
    world.done(Disable(PROVIDER), by=SUPPORT)
    world.done(Suspect(), by=SUPPORT)
    assert world.sub.causes == (FRAUD, PROVIDER, NON_PAYMENT)
    with world.new_captures():
        world.at("2024-05-01")
        world.done(Clear(), by=SUPPORT)
        world.at("2024-05-02")
        world.done(Enable(), by=SUPPORT)
        world.at("2024-05-03")
    assert (world.state, world.sub.causes, world.sub.until) == (DISABLED, (NON_PAYMENT,), promised)
    with world.new_captures("20.00", "20.00"):
        world.done(PayArrears())
        world.swept()
    assert (world.state, world.access, world.sub.next_billing_date) == (ACTIVE, Access.FULL, day("2024-06-03"))

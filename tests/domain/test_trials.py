"""Trials: with and without a payment method, extended, converted, over; one per customer and plan."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from tests.domain.world import (
    BANK,
    CARD,
    INVOICE,
    OTHER_CARD,
    SUPPORT,
    TRIAL,
    M,
    MakeWorld,
    World,
    day,
    euros,
    policy,
)

from subscription_lifecycle import (
    ACTIVE,
    CANCELLED,
    DELETED,
    DISABLED,
    EXPIRED,
    LAPSED,
    MONTHLY,
    PAST_DUE,
    SCHEDULED,
    TRIALING,
    Access,
    Actor,
    Applied,
    BillingSchedule,
    Cancel,
    ChangePaymentMethod,
    ConvertTrial,
    Delete,
    ExtendTrial,
    InvalidValue,
    PaymentDeclined,
    Period,
    Plan,
    Reactivate,
    Refused,
    Role,
)

BORIS = Actor("boris", Role.BILLING_ADMIN, customer="fabrikam")


def codes(refused: Refused) -> set[str]:
    return {refusal.code for refusal in refused.refusals}


def trying(world: World, when: str, **more: Any) -> World:
    """The trial of thirty days from 1 January ends on the 31st."""
    world.start(TRIAL, **more)
    assert (world.state, world.sub.until, world.captured) == (TRIALING, day("2024-01-31"), [])
    world.at(when)
    return world


# -- its end


def test_it_turns_into_a_paid_period(world: World) -> None:
    trying(world, "2024-01-30T23:59")
    with world.new_captures("20.00"):
        world.at("2024-01-31")
    assert (world.state, world.sub.next_billing_date, world.sub.paid_through) == (
        ACTIVE,
        day("2024-02-29"),
        day("2024-02-29"),
    )
    with world.new_captures("20.00"):
        world.at("2024-02-29")
    assert world.sub.next_billing_date == day("2024-03-31"), "anchored on the 31st, it does not drift"


@pytest.mark.parametrize("way", ["no method", "recurring billing off"])
def test_it_expires(world: World, way: str) -> None:
    if way == "no method":
        trying(world, "2024-01-30", payment_method=None)
    else:
        trying(world, "2024-01-10")
        world.recurring_billing(on=False)
    with world.new_captures():
        world.at("2024-01-31")
    assert (world.state, world.access) == (EXPIRED, Access.FULL)
    with world.new_captures():
        world.at("2024-03-01")
    assert (world.state, world.sub.cause) == (DISABLED, LAPSED)
    with world.new_captures("20.00"):
        world.reactivate()
    assert (world.state, world.sub.next_billing_date) == (ACTIVE, day("2024-04-01"))


def test_a_method_that_comes_in_time_lets_it_go_on(world: World) -> None:
    trying(world, "2024-01-20", payment_method=None)
    world.done(ChangePaymentMethod(CARD))
    with world.new_captures("20.00"):
        world.at("2024-01-31")
    assert world.state == ACTIVE


def test_declined_at_its_end_it_is_past_due(world: World) -> None:
    trying(world, "2024-01-30")
    world.gateway.decline_next()
    world.at("2024-01-31")
    assert (world.state, world.sub.owed, world.access) == (PAST_DUE, euros(20), Access.FULL)
    with world.new_captures("20.00"):
        world.at("2024-02-07")
    assert (world.state, world.sub.next_billing_date) == (ACTIVE, day("2024-02-29"))


def test_swept_late_it_says_the_same(make_world: MakeWorld) -> None:
    early, late = make_world(), make_world()
    for world in (early, late):
        world.start(TRIAL, time_zone="America/Los_Angeles")
    early.at("2024-02-10")
    late.jump("2024-02-10")
    assert late.access is Access.FULL
    late.swept()
    told = [[(e.row, e.event, e.effective_at, e.billed) for e in world.history] for world in (early, late)]
    assert told[0] == told[1]
    assert str(early.history[-1].effective_at) == "2024-01-30 08:00:00+00:00", "local midnight"


# -- longer


def test_it_is_extended_once_in_its_last_days(world: World) -> None:
    trying(world, "2024-01-15")
    refused = world.refused(ExtendTrial())
    assert codes(refused) == {"trial.early"}
    assert refused.refusals[0].remedy == "Ask again from 2024-01-16 on."
    world.at("2024-01-16")
    with world.new_captures():
        world.done(ExtendTrial())
    found = world.sub
    assert (found.state, found.until, found.trial_end, found.next_billing_date, found.paid_through) == (
        TRIALING,
        *[day("2024-03-01")] * 4,
    )
    world.at("2024-02-20")
    assert codes(world.refused(ExtendTrial())) == {"trial.extended"}
    with world.new_captures("20.00"):
        world.at("2024-03-01")
    assert (world.state, world.sub.next_billing_date) == (ACTIVE, day("2024-04-01"))


def test_it_is_extended_by_fewer_days(world: World) -> None:
    trying(world, "2024-01-30")
    for until in (day("2024-01-31"), day("2024-01-05"), day("2024-03-02"), date.max):
        refused = world.refused(ExtendTrial(until))
        assert codes(refused) == {"trial.length"}
        assert refused.refusals[0].remedy == "Choose a day up to 2024-03-01."
    world.done(ExtendTrial(day("2024-02-10")))
    with world.new_captures():
        world.at("2024-02-09")
    with world.new_captures("20.00"):
        world.at("2024-02-10")
    assert world.sub.next_billing_date == day("2024-03-10")


def test_extended_it_keeps_a_schedule_that_was_given(world: World) -> None:
    """Billed on the first of the month: the first, shorter period is paid by days."""
    world.start(TRIAL, schedule=BillingSchedule(day("2024-01-01"), MONTHLY))
    world.at("2024-01-20")
    world.done(ExtendTrial(day("2024-02-16")))
    with world.new_captures("9.66"):
        world.at("2024-02-16")
    assert world.sub.next_billing_date == day("2024-03-01"), "14 of 29 days"
    with world.new_captures("20.00"):
        world.at("2024-03-01")


def test_how_long_and_when_is_policy(make_world: MakeWorld) -> None:
    world = trying(make_world("2024-01-01", policy(trial_extension_days=7, trial_extension_within=2)), "2024-01-28")
    assert codes(world.refused(ExtendTrial())) == {"trial.early"}
    world.at("2024-01-29")
    world.done(ExtendTrial())
    assert world.sub.until == day("2024-02-07")


def test_nobody_else_extends_it(world: World) -> None:
    trying(world, "2024-01-20")
    assert codes(world.refused(ExtendTrial(), by=Actor("bob", customer="contoso"))) == {"role.billing"}
    assert codes(world.refused(ExtendTrial(), by=BORIS)) == {"another_customer"}


@pytest.mark.parametrize("until", ["2024-02-01", 5, True])
def test_a_day_that_is_none_is_refused(until: Any) -> None:
    with pytest.raises(InvalidValue) as caught:
        ExtendTrial(until)
    assert caught.value.field == "until"


# -- shorter


def test_it_is_converted_early(world: World) -> None:
    trying(world, "2024-01-10")
    with world.new_captures("20.00"):
        result = world.done(ConvertTrial())
    assert (world.state, world.sub.next_billing_date, world.sub.trial_end) == (
        ACTIVE,
        day("2024-02-10"),
        day("2024-01-10"),
    )
    assert result.entries[-1].billed is not None
    with world.new_captures("20.00"):
        world.at("2024-02-10")


def test_declined_as_it_is_converted_it_goes_on(world: World) -> None:
    trying(world, "2024-01-10")
    before = world.sub
    world.gateway.decline_next()
    with pytest.raises(PaymentDeclined):
        world.done(ConvertTrial(OTHER_CARD))
    after = world.sub
    same = ("state", "until", "trial_end", "next_billing_date", "payment_method", "paid_through", "arrears", "schedule")
    assert [getattr(after, name) for name in same] == [getattr(before, name) for name in same]
    with world.new_captures("20.00"):
        world.at("2024-01-31")
    assert world.sub.payment_method == CARD


def test_converted_without_a_method_it_is_refused(world: World) -> None:
    trying(world, "2024-01-10", payment_method=None)
    assert codes(world.refused(ConvertTrial())) == {"payment_method.needed"}
    with world.new_captures("20.00"):
        world.done(ConvertTrial(CARD))
    assert world.sub.payment_method == CARD


def test_converted_by_invoice_and_by_bank(make_world: MakeWorld) -> None:
    world = trying(make_world(), "2024-01-10")
    with world.new_captures():
        world.done(ConvertTrial(INVOICE))
    assert [line.amount for line in world.take_lines("inv")] == [euros(20)]
    world = trying(make_world(), "2024-01-10")
    world.gateway.process_next()
    result = world.do(ConvertTrial(BANK))
    assert isinstance(result, Applied)
    assert (world.state, world.sub.paid_through) == (ACTIVE, day("2024-02-10"))


def test_converted_while_recurring_billing_is_off_it_ends_with_the_period(world: World) -> None:
    trying(world, "2024-01-10")
    world.recurring_billing(on=False)
    result = world.done(ConvertTrial())
    assert (world.sub.until, [reminder.code for reminder in result.reminders]) == (
        day("2024-02-10"),
        ["recurring_billing.off"],
    )
    with world.new_captures():
        world.at("2024-02-10")
    assert world.state == EXPIRED


def test_only_a_trial_is_extended_or_converted(world: World) -> None:
    world.start(M)
    for command in (ExtendTrial(), ConvertTrial()):
        assert codes(world.refused(command)) == {"not_possible"}


# -- one per customer and plan


def test_there_is_one_trial_per_customer_and_plan(world: World) -> None:
    world.start(TRIAL)
    world.at("2024-01-10")
    world.done(Delete())
    assert world.state == DELETED
    more = {"plan": TRIAL, "payment_method": CARD}
    with pytest.raises(Refused) as caught:
        world.subs.start("again", customer="contoso", by=SUPPORT, idempotency_key="k", **more)  # type: ignore[arg-type]
    assert codes(caught.value) == {"claim.taken"}
    other = Plan("other", euros(20), MONTHLY, trial=Period(30, "day"))
    world.subs.start("other", customer="contoso", plan=other, payment_method=CARD, by=SUPPORT, idempotency_key="k")
    world.subs.start("theirs", customer="fabrikam", by=BORIS, idempotency_key="k", **more)  # type: ignore[arg-type]
    assert world.subs.get("theirs").state == TRIALING


def test_who_has_a_colon_in_the_name_takes_nobody_elses_trial(world: World) -> None:
    for customer, plan in (("contoso:eu", "pro"), ("contoso", "eu:pro")):
        tried = Plan(plan, euros(20), MONTHLY, trial=Period(30, "day"))
        world.start(tried, id=customer, customer=customer, by=SUPPORT)
        assert world.subs.get(customer).state == TRIALING


# -- cancelled, and back


def test_cancelled_and_reactivated_into_its_rest(world: World) -> None:
    """T37."""
    trying(world, "2024-01-10")
    world.done(Cancel("now"))
    assert world.state == CANCELLED
    world.at("2024-01-15")
    with world.new_captures():
        world.reactivate()
    assert (world.state, world.sub.until, world.sub.trial_end) == (TRIALING, day("2024-01-31"), day("2024-01-31"))
    with world.new_captures():
        world.at("2024-01-31")
    assert world.state == EXPIRED, "cancelling switched recurring billing off"


def test_cancelled_in_its_trial_and_back_behind_its_end(world: World) -> None:
    """There is no second trial: a period from today is paid."""
    trying(world, "2024-01-10")
    world.done(Cancel("now"))
    world.at("2024-02-05")
    with world.new_captures("20.00"):
        world.reactivate()
    assert (world.state, world.sub.next_billing_date) == (ACTIVE, day("2024-03-05"))


def test_a_scheduled_start_is_cancelled_and_comes_back(world: World) -> None:
    """T38."""
    world.start(M, start_on=day("2024-06-01"))
    world.at("2024-05-10")
    world.done(Cancel("now"))
    world.at("2024-05-15")
    with world.new_captures():
        world.done(Reactivate(CARD))
    assert (world.state, world.sub.next_billing_date) == (SCHEDULED, day("2024-06-01"))
    with world.new_captures("20.00"):
        world.at("2024-06-01")


def test_who_tries_it_may_leave_at_any_time(make_world: MakeWorld) -> None:
    """Notice is given for service that is paid: else a trial could not be left before it costs."""
    world = trying(make_world("2024-01-01", policy(notice_days=60)), "2024-01-30")
    with world.new_captures():
        world.recurring_billing(on=False)
        world.at("2024-01-31")
    assert world.state == EXPIRED

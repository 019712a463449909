"""Timelines T15–T19, T31, T37, T38, T43, T45, T47: the customer cancelled, or the provider blocked."""

from __future__ import annotations

import pytest
from tests.domain.world import (
    ADMIN,
    BANK,
    CARD,
    SUPPORT,
    TRIAL,
    A,
    M,
    MakeWorld,
    Refund,
    World,
    Y,
    day,
    euros,
    instant,
    policy,
)

from subscription_lifecycle import (
    ACTIVE,
    CANCELLED,
    CUSTOMER,
    DELETED,
    DISABLED,
    PAST_DUE,
    PAUSE,
    PROVIDER,
    SCHEDULED,
    TRIALING,
    Cancel,
    Disable,
    Enable,
    NotPossible,
    Pause,
    Reactivate,
    Role,
    SetRecurringBilling,
)
from subscription_lifecycle.ports import Declined


def cancelled(world: World, when: str, refund: Refund = "none") -> None:
    world.at(when)
    world.done(Cancel("now", refund))
    assert (world.state, world.sub.cause) == (CANCELLED, CUSTOMER)
    assert not world.sub.recurring_billing


def test_t15_inside_a_term_the_rest_of_the_period_is_bought(world: World) -> None:
    world.start(A)
    cancelled(world, "2024-03-10")
    term = world.sub.term_start, world.sub.term_end
    world.at("2024-05-20")
    preview = world.preview(Reactivate(CARD))
    with world.new_captures("7.74"):  # 12/31 of 20.00
        after = world.reactivate().subscription
    assert preview.terms.charge == euros("7.74")
    assert (after.state, after.next_billing_date, after.paid_through) == (ACTIVE, day("2024-06-01"), day("2024-06-01"))
    assert (after.term_start, after.term_end) == term == (day("2024-01-01"), day("2025-01-01"))


def test_t16_back_to_the_state_it_left(world: World) -> None:
    world.start(M)
    world.at("2024-03-10")
    before = world.sub
    cancelled(world, "2024-03-10")
    world.at("2024-03-20")
    with world.new_captures():
        result = world.reactivate()
    after = result.subscription
    assert (after.state, after.causes, after.next_billing_date) == (ACTIVE, (), day("2024-04-01"))
    assert (after.paid_through, after.schedule, after.term_end) == (
        before.paid_through,
        before.schedule,
        before.term_end,
    )
    assert not after.recurring_billing
    assert [reminder.code for reminder in result.reminders] == ["recurring_billing.off"]


@pytest.mark.parametrize(("when", "next_date"), [("2024-04-05", "2024-05-05"), ("2024-04-01T00:00", "2024-05-01")])
def test_t17_the_term_is_over(world: World, when: str, next_date: str) -> None:
    world.start(M)
    cancelled(world, "2024-03-10")
    world.at(when)
    with world.new_captures("20.00"):
        after = world.reactivate().subscription
    assert (after.state, after.next_billing_date) == (ACTIVE, day(next_date))
    assert after.schedule.anchor == after.term_start == day(when[:10])


def test_t18_what_was_refunded_for_the_days_to_come_is_charged_again(make_world: MakeWorld) -> None:
    world = make_world("2023-01-01")
    world.start(Y)
    cancelled(world, "2023-04-10", "prorated")
    assert world.refunded == [euros(266)]
    world.at("2023-04-20")
    with world.new_captures("256.00"):
        after = world.reactivate().subscription
    assert (after.state, after.next_billing_date) == (ACTIVE, day("2024-01-01"))
    assert after.paid_through == day("2024-01-01")


def test_t19_the_preview_warns_of_paid_days(make_world: MakeWorld) -> None:
    world = make_world("2023-01-01")
    world.start(Y)
    world.at("2023-04-10")
    (warning,) = world.preview(Cancel("now")).reminders
    assert "266 paid days" in str(warning)
    assert "term_end" in str(warning)
    assert world.preview(Cancel("term_end")).reminders == ()
    assert world.preview(Cancel("now", "prorated")).reminders == ()
    result = world.done(Cancel("now"))
    assert result.reminders == (warning,)
    assert world.refunded == []
    world.at("2023-07-08T23:59")
    assert world.state == CANCELLED
    world.at("2023-07-09")
    assert (world.state, world.sub.since) == (DELETED, instant("2023-07-09"))


def test_t31_no_customer_lifts_the_providers_block(world: World) -> None:
    """ "Not possible, twice": there is no row to cancel; the row to reactivate is support's alone (S11)."""
    world.start(M)
    world.at("2024-03-10")
    world.done(Disable(PROVIDER, "fraud"), by=SUPPORT)
    assert isinstance(world.refused(Cancel("now")), NotPossible)
    (refusal,) = world.refused(Reactivate(CARD)).refusals
    assert set(refusal.allowed_roles) == {Role.SUPPORT, Role.PROVIDER}
    assert (world.state, world.sub.causes) == (DISABLED, (PROVIDER,))


def test_t37_a_trial_that_was_cancelled_goes_on(world: World) -> None:
    world.start(TRIAL)
    cancelled(world, "2024-01-10")
    world.at("2024-01-15")
    with world.new_captures():
        after = world.reactivate().subscription
    assert (after.state, after.trial_end, after.until) == (TRIALING, day("2024-01-31"), day("2024-01-31"))
    assert after.next_billing_date == day("2024-01-31")


def test_t38_a_start_that_was_cancelled_stays_scheduled(world: World) -> None:
    world.start(M, start_on=day("2024-06-01"))
    cancelled(world, "2024-05-10")
    world.at("2024-05-15")
    with world.new_captures():
        after = world.reactivate().subscription
    assert (after.state, after.next_billing_date, after.until) == (SCHEDULED, day("2024-06-01"), day("2024-06-01"))
    with world.new_captures("20.00"):
        world.at("2024-06-01")
    assert (world.state, world.sub.next_billing_date) == (ACTIVE, day("2024-07-01"))


def test_t43_ninety_days_from_ten_to_midnight(world: World) -> None:
    world.start(M)
    world.at("2024-01-10T23:50")
    world.done(Cancel("now"))
    assert world.sub.until == day("2024-04-10")
    world.at("2024-04-09T23:59")
    assert world.state == CANCELLED
    world.at("2024-04-10T00:00")
    assert (world.state, world.sub.since) == (DELETED, instant("2024-04-10"))


def test_t45_the_way_out_is_open_while_past_due(world: World) -> None:
    world.start(M)
    world.gateway.decline_next()
    world.at("2024-02-01")
    assert world.state == PAST_DUE
    offered = world.actions()
    assert offered[Cancel].availability == offered[SetRecurringBilling].availability == "available"
    world.done(SetRecurringBilling(False))
    world.done(Cancel("now"))
    assert (world.state, world.sub.owed) == (CANCELLED, euros(20))


def test_t45_the_way_out_is_open_while_a_debit_is(make_world: MakeWorld) -> None:
    """The renewal's debit is stopped at the gateway first. It was due, so its period stays owed, as when declined."""
    world = make_world("2024-01-01", policy(activates_on={"bank_account": "captured"}))
    world.start(M, BANK)
    world.gateway.process_next()
    world.at("2024-02-01")
    (open_one,) = [request.reference for request in world.gateway.requests[1:]]
    offered = world.actions()
    assert offered[Cancel].availability == offered[SetRecurringBilling].availability == "available"
    world.done(Cancel("now"))
    assert world.gateway.ledger[open_one] == Declined("voided", retryable=False, gateway_id=f"ch_{open_one}")
    assert (world.state, world.sub.owed) == (CANCELLED, euros(20))
    assert world.captured == [euros(20)]


def test_t47_blocked_by_mistake_over_a_billing_date(world: World) -> None:
    world.start(M)
    world.at("2024-03-31")
    world.done(Disable(PROVIDER), by=SUPPORT)
    with world.new_captures():
        world.at("2024-05-10")
    assert (world.state, world.sub.arrears) == (DISABLED, ())
    lifted = world.done(Enable(), by=SUPPORT).subscription
    assert (lifted.state, lifted.causes, lifted.next_billing_date) == (ACTIVE, (), day("2024-05-10"))
    assert lifted.schedule.anchor == day("2024-05-10")
    assert lifted.credit == euros("0.65")  # one day of 31
    with world.new_captures("19.35"):
        world.swept()
    assert (world.sub.next_billing_date, world.sub.credit) == (day("2024-06-10"), None)


@pytest.mark.parametrize(("rounding", "credit"), [("last", "3.23"), ("daily", "3.25")])
def test_t47_unserved_days_are_rounded_as_policy_says(make_world: MakeWorld, rounding: str, credit: str) -> None:
    """Five days of 31, of 20.00: 3.23; or 0.65 a day, rounded first."""
    world = make_world("2024-01-01", policy(rounding=rounding))
    world.start(M)
    world.at("2024-03-27")
    world.done(Disable(PROVIDER), by=SUPPORT)
    world.at("2024-05-10")
    assert world.done(Enable(), by=SUPPORT).subscription.credit == euros(credit)


def test_a_block_outlives_what_a_customer_did(world: World) -> None:
    """Cancelled first, then blocked: lifting the block leads back to the cancellation, not to service."""
    world.start(M)
    cancelled(world, "2024-03-10")
    world.done(Disable(PROVIDER), by=SUPPORT)
    assert world.sub.causes == (PROVIDER, CUSTOMER)
    world.at("2024-03-12")
    lifted = world.done(Enable(), by=SUPPORT).subscription
    assert (lifted.state, lifted.causes) == (CANCELLED, (CUSTOMER,))
    assert world.reactivate(by=ADMIN).subscription.state == ACTIVE


def test_an_instalment_is_not_charged_on_the_day_that_service_ends_on(world: World) -> None:
    world.start(A)
    world.at("2024-03-05")
    world.done(Cancel(day("2024-04-01")))
    with world.new_captures():
        world.at("2024-04-02")
    assert (world.state, world.sub.next_billing_date) == (CANCELLED, day("2024-04-01"))


def test_nobody_pays_to_resume_on_the_day_that_service_ends_on(make_world: MakeWorld) -> None:
    world = make_world("2024-01-01", policy(resume="keep"))
    world.start(A)
    world.at("2024-03-05")
    world.done(Cancel(day("2024-04-10")))
    world.at("2024-03-20")
    world.done(Pause(until=day("2024-04-10")))
    with world.new_captures():
        world.at("2024-04-11")
    assert (world.state, world.sub.causes) == (CANCELLED, (CUSTOMER, PAUSE))


def test_who_cancels_once_more_replaces_the_day(world: World) -> None:
    world.start(A)
    world.at("2024-03-05")
    for when, until in (("2024-03-10", "2024-03-10"), ("2024-03-20", "2024-03-20"), ("2024-03-15", "2024-03-15")):
        world.done(Cancel(day(when)))
        assert (str(world.sub.until), world.sub.cancellation.on) == (until, day(when))
    world.done(Cancel("term_end"))
    assert (world.sub.until, world.sub.cancellation) == (day("2025-01-01"), None)


def test_the_renewal_after_a_block_does_not_come_before_it_is_lifted(world: World) -> None:
    """What was so on the morning of that day is told as it was."""
    world.start(M)
    world.at("2024-01-20")
    world.done(Disable(), by=SUPPORT)
    world.at("2024-02-15T18:00")
    world.done(Enable(), by=SUPPORT)
    world.at("2024-02-16")
    assert world.entry("renew").effective_at == instant("2024-02-15T18:00")
    morning = world.subs.as_of("sub", instant("2024-02-15T10:00"))
    assert morning is not None
    assert (morning.state, morning.next_billing_date) == (DISABLED, day("2024-02-01"))

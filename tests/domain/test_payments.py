"""What becomes of a capture: it comes, it does not, somebody must act, or nobody knows; and keys used again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.domain.world import ADMIN, BANK, CARD, OTHER_CARD, SUPPORT, USER, M, MakeWorld, World, day, euros, policy

from subscription_lifecycle import (
    ACTIVE,
    CANCELLED,
    DELETED,
    EXPIRED,
    PAST_DUE,
    PROVIDER,
    Applied,
    AwaitingPayment,
    Cancel,
    ChangePaymentMethod,
    Disable,
    IdempotencyKeyReused,
    Interrupted,
    InvalidValue,
    PayArrears,
    PaymentDeclined,
    PaymentInProgress,
    Reactivate,
    Refused,
    SetRecurringBilling,
    UnknownPayment,
)
from subscription_lifecycle.ports import ActionRequired, Captured, ChargedBack, Declined, Processing, Write


@pytest.fixture
def expired(world: World) -> World:
    """T1's subscription on 10 February 2024: expired since the first."""
    world.start(M, off="2024-01-10")
    world.at("2024-02-10")
    return world


def events(world: World, count: int) -> list[str]:
    return [entry.event for entry in world.history[-count:]]


# -- it comes, or it does not


def test_captured(expired: World) -> None:
    result = expired.reactivate(OTHER_CARD)
    assert result.payment is not None
    assert (result.payment.status, result.payment.amount, result.payment.method) == ("captured", euros(20), OTHER_CARD)
    assert result.payment.at == expired.clock()
    (request,) = expired.gateway.requests[1:]
    assert request.reference == result.payment.reference == expired.gateway.captures[-1].reference
    assert (request.customer, request.subscription, request.customer_present) == ("contoso", "sub", True)
    assert events(expired, 2) == ["attempted", "applied"]


@pytest.mark.parametrize("retryable", [True, False], ids=["soft", "hard"])
def test_declined(expired: World, retryable: bool) -> None:
    expired.gateway.decline_next(code="stolen_card", retryable=retryable)
    with pytest.raises(PaymentDeclined) as caught:
        expired.reactivate(OTHER_CARD)
    error = caught.value
    assert (error.decline, error.retryable, error.money, error.repeat) == (
        "stolen_card",
        retryable,
        "untouched",
        "new_key",
    )
    assert (expired.state, expired.sub.payment_method, len(expired.captured)) == (EXPIRED, CARD, 1)
    assert expired.reactivate(OTHER_CARD).subscription.state == ACTIVE


def test_a_declined_renewal_is_retried_on_the_policys_days(world: World) -> None:
    """7, 14, 21 and 28 days after the oldest debt; the next period is billed meanwhile, and all is collected."""
    world.start(M)
    world.declining(3)
    world.at("2024-02-01")
    world.at("2024-02-21")
    asked = [entry.effective_at.date() for entry in world.history if entry.event == "attempted"][1:]
    assert asked == [day("2024-02-01"), day("2024-02-08"), day("2024-02-15")]
    assert (world.state, world.sub.owed) == (PAST_DUE, euros(20))
    with world.new_captures("20.00"):
        world.at("2024-02-22")
    assert (world.state, world.sub.arrears, world.sub.until) == (ACTIVE, (), None)


def test_a_renewal_is_asked_for_without_the_customer(world: World) -> None:
    world.start(M)
    world.at("2024-02-01")
    assert [request.customer_present for request in world.gateway.requests] == [True, False]


# -- the customer must act


@pytest.mark.parametrize("told", ["reported", "swept"])
def test_the_customer_must_act(expired: World, told: str) -> None:
    expired.gateway.require_action_next()
    waiting = expired.waits(Reactivate(CARD))
    assert waiting.why == "customer_action"
    assert waiting.next_action is not None
    assert waiting.next_action["type"] == "redirect"
    assert waiting.payment.status == "customer_action"
    assert (expired.state, len(expired.captured)) == (EXPIRED, 1)
    expired.capture_arrives(waiting.payment.reference)
    if told == "reported":
        result = expired.subs.report_payment(waiting.payment.reference, Captured("ch", expired.clock()))
        assert isinstance(result, Applied)
    else:
        expired.swept()
    assert (expired.state, expired.sub.next_billing_date) == (ACTIVE, day("2024-03-01"))
    assert expired.captured == [euros(20)] * 2


def test_a_report_may_come_any_number_of_times(expired: World) -> None:
    expired.gateway.require_action_next()
    waiting = expired.waits(Reactivate(CARD))
    expired.capture_arrives(waiting.payment.reference)
    for _ in range(3):
        expired.subs.report_payment(waiting.payment.reference, Captured("ch", expired.clock()))
    versions = expired.sub.version
    expired.swept()
    assert (expired.sub.version, len(expired.captured), expired.refunded) == (versions, 2, [])


def test_a_report_of_a_decline_ends_the_wait(expired: World) -> None:
    expired.gateway.require_action_next()
    waiting = expired.waits(Reactivate(CARD))
    result = expired.subs.report_payment(waiting.payment.reference, Declined("authentication_failed"))
    assert isinstance(result, Applied)
    assert (result.subscription.state, result.subscription.next_billing_date) == (EXPIRED, day("2024-02-01"))
    assert expired.reactivate().subscription.state == ACTIVE


def test_reports_may_come_in_any_order(expired: World) -> None:
    """What the bank said on the way, heard when the money is there already, changes nothing."""
    result = expired.reactivate()
    assert result.payment is not None
    before = expired.record()
    for stale in (Processing("ch"), ActionRequired("ch", {})):
        assert expired.subs.report_payment(result.payment.reference, stale).entries == ()
    assert expired.record() == before


def test_a_chargeback_may_be_reported_twice(expired: World) -> None:
    result = expired.reactivate()
    assert result.payment is not None
    for _ in range(2):
        expired.subs.report_payment(result.payment.reference, ChargedBack("ch"))
    assert (expired.state, expired.sub.owed) == (PAST_DUE, euros(20))


def test_a_report_of_a_payment_that_was_never_asked_for(expired: World) -> None:
    with pytest.raises(UnknownPayment):
        expired.subs.report_payment("pay_unknown", Captured("ch", expired.clock()))


def test_a_payment_that_nobody_finishes_is_given_up(expired: World) -> None:
    """A card has one day. The window that ran out meanwhile was held."""
    expired.at("2024-03-01")
    expired.gateway.require_action_next()
    expired.clock.set(expired.clock() + timedelta(hours=23))
    waiting = expired.waits(Reactivate(CARD))
    expired.at("2024-03-02T22:59")
    assert (expired.state, events(expired, 1)) == (EXPIRED, ["awaiting"])
    expired.at("2024-03-02T23:00")
    assert events(expired, 2) == ["abandoned", "applied"]
    assert expired.history[-1].row == "disable: expired, lapsed"
    assert isinstance(expired.gateway.ledger[waiting.payment.reference], Declined)
    with pytest.raises(PaymentDeclined):
        expired.subs.execute("sub", Reactivate(CARD), by=ADMIN, idempotency_key=str(expired.history[-2].key))


# -- the bank is at it


def test_a_card_that_is_processed_is_waited_for(expired: World) -> None:
    expired.gateway.process_next()
    waiting = expired.waits(Reactivate(CARD))
    assert (waiting.why, waiting.next_action, expired.state) == ("processing", None, EXPIRED)
    expired.capture_arrives(waiting.payment.reference)
    expired.swept()
    assert expired.state == ACTIVE


def test_a_debit_brings_service_when_it_is_submitted(expired: World) -> None:
    expired.gateway.process_next()
    result = expired.reactivate(BANK)
    assert result.payment is not None
    assert (result.subscription.state, result.payment.status) == (ACTIVE, "submitted")
    expired.capture_arrives(result.payment.reference)
    settled = expired.subs.report_payment(result.payment.reference, Captured("ch", expired.clock()))
    assert [entry.event for entry in settled.entries] == ["settled"]
    again = expired.subs.report_payment(result.payment.reference, Captured("ch", expired.clock()))
    assert again.entries == ()
    assert (expired.state, expired.refunded) == (ACTIVE, [])


def test_a_debit_that_fails_later_is_a_debt(expired: World) -> None:
    expired.gateway.process_next()
    result = expired.reactivate(BANK)
    assert result.payment is not None
    expired.at("2024-02-15")
    for _ in range(2):
        expired.subs.report_payment(result.payment.reference, Declined("no_funds"))
    (debt,) = expired.sub.arrears
    assert (expired.state, debt.amount, debt.period.start) == (PAST_DUE, euros(20), day("2024-02-01"))
    assert expired.sub.paid_through == day("2024-02-01")
    with expired.new_captures("20.00"):
        expired.done(PayArrears(OTHER_CARD))
    assert expired.state == ACTIVE


# -- nobody knows


@pytest.mark.parametrize("charged", [True, False])
@pytest.mark.parametrize("then", ["sweep", "same key", "another command"])
def test_an_answer_that_was_lost_is_looked_up(expired: World, charged: bool, then: str) -> None:
    expired.gateway.time_out_next(charged=charged)
    waiting = expired.subs.execute("sub", Reactivate(CARD), by=ADMIN, idempotency_key="click")
    assert isinstance(waiting, AwaitingPayment)
    assert (waiting.why, expired.state) == ("unknown", EXPIRED)
    if then == "sweep":
        expired.swept()
    elif then == "same key":
        again = expired.subs.execute("sub", Reactivate(CARD), by=ADMIN, idempotency_key="click")
        assert isinstance(again, Applied)
    else:
        expired.refused(ChangePaymentMethod(CARD), by=USER)
        expired.done(Disable(PROVIDER), by=SUPPORT)
    assert len(expired.captured) == 2
    assert {request.reference for request in expired.gateway.requests[1:]} == {waiting.payment.reference}
    if then != "another command":
        assert (expired.state, expired.sub.next_billing_date) == (ACTIVE, day("2024-03-01"))


def test_a_renewal_whose_answer_was_lost_is_charged_once(world: World) -> None:
    world.start(M)
    world.gateway.time_out_next(charged=True)
    world.at("2024-02-01")
    assert (world.state, len(world.captured)) == (ACTIVE, 2)
    world.at("2024-02-03")
    assert (world.sub.next_billing_date, world.captured) == (day("2024-03-01"), [euros(20)] * 2)


def test_a_fact_that_could_not_be_written_is_found_again(expired: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The money came and the store failed: Interrupted says so, and the same key finishes it."""
    write = expired.store.write

    def broken(value: Write) -> None:
        if value.attempt is None:
            raise OSError("disk full")
        write(value)

    monkeypatch.setattr(expired.store, "write", broken)
    with pytest.raises(Interrupted) as caught:
        expired.subs.execute("sub", Reactivate(CARD), by=ADMIN, idempotency_key="click")
    assert (caught.value.money, caught.value.repeat) == ("captured", "same_key")
    monkeypatch.undo()
    result = expired.subs.execute("sub", Reactivate(CARD), by=ADMIN, idempotency_key="click")
    assert isinstance(result, Applied)
    assert (expired.state, expired.captured) == (ACTIVE, [euros(20)] * 2)


# -- keys


def test_the_same_key_is_the_same_answer(expired: World) -> None:
    first = expired.subs.execute("sub", Reactivate(CARD), by=ADMIN, idempotency_key="click")
    expired.at("2024-02-20")
    again = expired.subs.execute("sub", Reactivate(CARD), by=ADMIN, idempotency_key="click")
    assert again == first
    assert len(expired.captured) == 2


def test_the_same_key_is_the_same_decline(expired: World) -> None:
    expired.gateway.decline_next(code="stolen_card", retryable=False)
    found = []
    for _ in range(2):
        with pytest.raises(PaymentDeclined) as caught:
            expired.subs.execute("sub", Reactivate(CARD), by=ADMIN, idempotency_key="click")
        found.append((caught.value.reference, caught.value.decline, caught.value.retryable))
    assert found[0] == found[1]
    assert len(expired.gateway.requests) == 2


def test_a_key_with_other_content_is_an_error(expired: World) -> None:
    expired.subs.execute("sub", Reactivate(CARD), by=ADMIN, idempotency_key="click")
    before = expired.record()
    with pytest.raises(IdempotencyKeyReused):
        expired.subs.execute("sub", Reactivate(OTHER_CARD), by=ADMIN, idempotency_key="click")
    assert expired.record() == before


def test_a_refusal_does_not_use_a_key_up(expired: World) -> None:
    with pytest.raises(Refused):
        expired.subs.execute("sub", Reactivate(None), by=ADMIN, idempotency_key="click")
    result = expired.subs.execute("sub", Reactivate(CARD), by=ADMIN, idempotency_key="click")
    assert isinstance(result, Applied)


# -- an open payment is in the way


def test_an_open_payment_is_in_the_way(expired: World) -> None:
    expired.gateway.require_action_next()
    waiting = expired.waits(Reactivate(CARD))
    before = expired.record()
    with pytest.raises(PaymentInProgress) as caught:
        expired.do(Reactivate(OTHER_CARD))
    assert caught.value.reference == waiting.payment.reference
    assert expired.record() == before
    assert len(expired.captured) == 1


def test_a_person_may_pre_empt_it_with_another_method(expired: World) -> None:
    expired.gateway.require_action_next()
    waiting = expired.waits(Reactivate(CARD))
    expired.done(ChangePaymentMethod(OTHER_CARD))
    assert isinstance(expired.gateway.ledger[waiting.payment.reference], Declined)
    assert (expired.state, expired.sub.payment_method) == (EXPIRED, OTHER_CARD)
    with expired.new_captures("20.00"):
        expired.reactivate(OTHER_CARD)


def test_money_that_comes_for_a_pre_empted_payment_goes_back(expired: World) -> None:
    expired.gateway.require_action_next()
    waiting = expired.waits(Reactivate(CARD))
    expired.done(Disable(PROVIDER), by=SUPPORT)
    expired.capture_arrives(waiting.payment.reference)
    expired.subs.report_payment(waiting.payment.reference, Captured("ch", expired.clock()))
    assert expired.refunded == [euros(20)]
    assert (len(expired.captured), len(expired.refunded)) == (2, 1)


def test_switching_recurring_billing_off_pre_empts_a_renewal(make_world: MakeWorld) -> None:
    """The period was due and stays owed; it is not captured behind the customer's back."""
    world = make_world("2024-01-01")
    world.start(M)
    world.gateway.require_action_next()
    world.at("2024-02-01")
    world.done(SetRecurringBilling(False))
    assert (world.state, world.sub.owed, len(world.captured)) == (PAST_DUE, euros(20), 1)
    world.done(Cancel("now"))
    assert (world.state, world.sub.owed) == (CANCELLED, euros(20))


def test_a_refusal_comes_before_an_open_payment_is_touched(expired: World) -> None:
    expired.gateway.require_action_next()
    expired.waits(Reactivate(CARD))
    before, asked = expired.record(), len(expired.gateway.requests)
    with pytest.raises(Refused):
        expired.do(ChangePaymentMethod(OTHER_CARD), by=USER)
    assert (expired.record(), len(expired.gateway.requests)) == (before, asked)


# -- no gateway


def test_without_a_gateway_what_moves_no_money_works(world: World) -> None:
    world.use(world.subs.lifecycle, gateway=False)
    before = world.store.load("sub", None)
    with pytest.raises(InvalidValue) as caught:
        world.start(M)
    assert (caught.value.field, before) == ("gateway", world.store.load("sub", None))
    world.start(M, start_on=day("2024-06-01"))
    assert world.done(Cancel("now")).subscription.state == CANCELLED


def test_without_a_method_a_renewal_is_as_declined(make_world: MakeWorld) -> None:
    """A scheduled start without a charge, adopted without a method: nothing is asked for, the period is owed."""
    world = make_world("2024-01-01", policy())
    world.start(M)
    world.subs.adopt(world.sub.changed({"id": "adopted", "payment_method": None}), by=SUPPORT, idempotency_key="adopt")
    with world.new_captures("20.00"):
        world.at("2024-02-01")
    adopted = world.subs.get("adopted")
    assert (adopted.state, adopted.owed) == (PAST_DUE, euros(20))
    assert world.subs.get("sub").state not in (PAST_DUE, DELETED)

"""What two processes may do to each other's money: nothing is lost, nothing is written over."""

from __future__ import annotations

from typing import Any

import pytest
from tests.engine.cast import ALICE, CARD, OTHER_CARD, SUPPORT, TWENTY, do, start

from subscription_lifecycle import (
    ACTIVE,
    DISABLED,
    PAST_DUE,
    Applied,
    AwaitingPayment,
    ChangePaymentMethod,
    ConcurrentChange,
    Disable,
    MemoryStore,
    PayArrears,
    PaymentDeclined,
    Reactivate,
    Subscriptions,
)
from subscription_lifecycle.ports import Captured, CaptureRequest, ChargedBack, PaymentOutcome
from subscription_lifecycle.testing import FakeClock, FakeGateway
from subscription_lifecycle.testing.faults import Process


@pytest.fixture
def subs() -> Subscriptions:
    """Expired since 1 February; it is the third."""
    clock = FakeClock("2024-01-01T00:00Z")
    found = Subscriptions(MemoryStore(), FakeGateway(clock), clock=clock)
    start(found, recurring_billing=False)
    clock.set("2024-02-03T00:00Z")
    found.sweep()
    return found


def arrives(subs: Subscriptions, reference: str) -> Any:
    outcome = Captured("ch", subs.clock())
    subs.gateway.report(reference, outcome)
    return subs.report_payment(reference, outcome)


def test_a_late_payment_leaves_the_open_one_open(subs: Subscriptions) -> None:
    subs.gateway.require_action_next()
    given_up = do(subs, Reactivate(CARD), "first")
    do(subs, ChangePaymentMethod(OTHER_CARD), "other card")
    subs.gateway.require_action_next()
    waiting = do(subs, Reactivate(OTHER_CARD), "second")
    late = arrives(subs, given_up.payment.reference)
    assert [entry.event for entry in late.entries] == ["late", "refunded"]
    arrives(subs, waiting.payment.reference)
    assert subs.get("s").state == ACTIVE
    assert [refund.reference for refund in subs.gateway.refunds] == [given_up.payment.reference]


def test_money_that_came_before_it_could_be_stopped_counts(
    subs: Subscriptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    subs.gateway.require_action_next()
    reference = do(subs, Reactivate(CARD), "back").payment.reference
    void = subs.gateway.void

    def too_late(reference: str, /) -> bool:
        subs.gateway.report(reference, Captured("ch", subs.clock()))
        return bool(void(reference))

    monkeypatch.setattr(subs.gateway, "void", too_late)
    do(subs, Disable(), "block", SUPPORT)
    assert subs.get("s").state == DISABLED
    assert [entry.event for entry in subs.history("s")][-3:] == ["awaiting", "applied", "applied"]
    assert (subs.get("s").interrupted, subs.get("s").settlements[-1].reference) == (ACTIVE, reference)


@pytest.mark.parametrize("stops", [True, False], ids=["stopped", "not to be stopped"])
def test_money_that_came_after_it_was_given_up_goes_back(
    subs: Subscriptions, monkeypatch: pytest.MonkeyPatch, stops: bool
) -> None:
    """The gateway answers two days late; a sweep has given the payment up meanwhile, and stopped it where it can."""
    capture = subs.gateway.capture

    def slow(request: CaptureRequest, /) -> PaymentOutcome:
        subs.clock.advance(days=2)  # type: ignore[attr-defined]
        subs.sweep()
        return capture(request)  # type: ignore[no-any-return]

    monkeypatch.setattr(subs.gateway, "capture", slow)
    if not stops:
        monkeypatch.setattr(subs.gateway, "void", lambda reference: False)
    with pytest.raises(PaymentDeclined):
        do(subs, Reactivate(CARD), "back")
    ended = ["abandoned"] if stops else ["abandoned", "late", "refunded"]
    assert [entry.event for entry in subs.history("s")][-len(ended) :] == ended
    assert len(subs.gateway.captures) == (1 if stops else 2)
    assert [refund.amount for refund in subs.gateway.refunds] == ([] if stops else [TWENTY])


def test_an_answer_is_not_lost_to_what_was_learnt_of_other_money(
    subs: Subscriptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the gateway is asked, the bank takes January back; the reactivation is told all the same."""
    first, capture = subs.gateway.captures[0].reference, subs.gateway.capture

    def meanwhile(request: CaptureRequest, /) -> PaymentOutcome:
        subs.report_payment(first, ChargedBack("ch"))
        return capture(request)  # type: ignore[no-any-return]

    monkeypatch.setattr(subs.gateway, "capture", meanwhile)
    result = do(subs, Reactivate(CARD), "back")
    assert isinstance(result, Applied)
    assert result.subscription.owed == TWENTY
    again = do(subs, Reactivate(CARD), "back")
    assert (again.subscription, again.payment) == (result.subscription, result.payment)
    assert set(map(str, result.entries)) < set(map(str, again.entries))


def test_who_comes_second_to_a_renewal_is_told_so() -> None:
    clock = FakeClock("2024-01-01T00:00Z")
    subs = Subscriptions(MemoryStore(), FakeGateway(clock), clock=clock)
    start(subs)
    clock.set("2024-02-01T00:00Z")
    process = Process(subs)
    process.execute("s", ChangePaymentMethod(OTHER_CARD), by=ALICE, idempotency_key="card")
    process.step()
    subs.sweep()
    while not process.done:
        process.step()
    assert isinstance(process.error, ConcurrentChange)
    assert process.error.repeat == "same_key"


def test_at_one_instant_another_command_under_the_key_is_not_taken_for_the_same(subs: Subscriptions) -> None:
    first, second = Process(subs), Process(subs)
    first.execute("s", Reactivate(CARD), by=ALICE, idempotency_key="back")
    second.execute("s", Reactivate(OTHER_CARD), by=ALICE, idempotency_key="back")
    for process in (first, second, first, second):
        process.step()
    assert isinstance(second.error, ConcurrentChange)


def test_a_debt_that_comes_while_arrears_are_paid_keeps_dunning() -> None:
    clock = FakeClock("2024-01-01T00:00Z")
    subs = Subscriptions(MemoryStore(), FakeGateway(clock), clock=clock)
    start(subs)
    clock.set("2024-02-01T00:00Z")
    subs.gateway.decline_next()
    subs.sweep()
    subs.gateway.require_action_next()
    waiting = do(subs, PayArrears(OTHER_CARD), "pay")
    assert isinstance(waiting, AwaitingPayment)
    subs.report_payment(subs.gateway.captures[0].reference, ChargedBack("ch"))
    arrives(subs, waiting.payment.reference)
    assert (subs.get("s").state, subs.get("s").owed) == (PAST_DUE, TWENTY)
    clock.set("2024-02-08T00:00Z")
    subs.sweep()
    assert (subs.get("s").state, subs.get("s").arrears) == (ACTIVE, ())

"""What the clock asks of a method while a payment by it is disputed, and what allows it again."""

from __future__ import annotations

import pytest
from tests.domain.world import CARD, OTHER_CARD, SUPPORT, M, MakeWorld, World, day, euros, policy

from subscription_lifecycle import (
    ACTIVE,
    DISABLED,
    PAST_DUE,
    ChangePaymentMethod,
    PayArrears,
    Reactivate,
    Renew,
    RetryPayment,
)
from subscription_lifecycle.ports import Captured, ChargebackReversed, ChargedBack
from subscription_lifecycle.testing import laws
from subscription_lifecycle.testing.step import whole_life


def told(world: World, outcome: ChargedBack | ChargebackReversed | Captured, payment: int = 0) -> None:
    reference = world.gateway.captures[payment].reference
    world.gateway.report(reference, outcome)
    world.subs.report_payment(reference, outcome)


def disputed(world: World) -> World:
    """Its first payment, on the tenth day."""
    world.start()
    world.at("2024-01-10")
    told(world, ChargedBack("dp_1"))
    return world


def test_its_debt_is_not_collected_by_the_clock(make_world: MakeWorld) -> None:
    for how in ("owed", "disable"):
        world = disputed(make_world("2024-01-01", policy(chargeback=how)))
        assert world.sub.disputed_method == CARD
        with world.new_captures():
            world.at("2024-03-20")
        assert (world.state, len(world.gateway.requests)) == (DISABLED, 1)


def test_a_renewal_counts_as_declined(make_world: MakeWorld) -> None:
    """Support let go of the debt, and nobody has chosen another method."""
    world = make_world("2024-01-01", policy())
    disputed(world)
    world.subs.forgive_arrears("sub", by=SUPPORT, idempotency_key="forgiven")
    assert (world.state, world.sub.owed) == (ACTIVE, euros(0))
    world.at("2024-02-01")
    assert (world.state, world.sub.owed, len(world.gateway.requests)) == (PAST_DUE, euros(20), 1)
    renewed = world.history[-1]
    assert (type(renewed.command), renewed.event, renewed.payment) == (Renew, "declined", None)
    laws.history_is_the_truth(whole_life(world.subs, "sub"))


def test_policy_may_ask_it_all_the_same(make_world: MakeWorld) -> None:
    world = disputed(make_world("2024-01-01", policy(disputed_method="ask")))
    with world.new_captures("20.00"):
        world.at("2024-01-17")
    assert (world.state, world.sub.disputed_method) == (ACTIVE, CARD)
    with world.new_captures("20.00"):
        world.at("2024-02-01")


@pytest.mark.parametrize(
    "way", [PayArrears(), PayArrears(CARD), RetryPayment(), ChangePaymentMethod(CARD), PayArrears(OTHER_CARD)]
)
def test_who_pays_with_it_or_chooses_it_has_it_asked_again(make_world: MakeWorld, way: PayArrears) -> None:
    world = disputed(make_world("2024-01-01", policy()))
    world.at("2024-01-12")
    world.done(way)
    assert world.sub.disputed_method is None
    with world.new_captures(*["20.00"] * (1 + isinstance(way, ChangePaymentMethod))):
        world.at("2024-02-01")
    assert (world.state, world.sub.owed, world.sub.next_billing_date) == (ACTIVE, euros(0), day("2024-03-01"))


def test_who_comes_back_with_it_has_it_asked_again(make_world: MakeWorld) -> None:
    world = disputed(make_world("2024-01-01", policy(chargeback="disable")))
    world.done(Reactivate(CARD))
    assert world.sub.disputed_method is None
    with world.new_captures("20.00"):
        world.at("2024-02-01")


def test_a_payment_that_is_declined_chooses_nothing(make_world: MakeWorld) -> None:
    world = disputed(make_world("2024-01-01", policy()))
    world.gateway.decline_next()
    world.done(RetryPayment())
    assert world.sub.disputed_method == CARD


def test_an_undone_dispute_allows_it_again(make_world: MakeWorld) -> None:
    world = disputed(make_world("2024-01-01", policy()))
    world.at("2024-01-20")
    told(world, ChargebackReversed("dp_1"))
    assert (world.state, world.sub.owed, world.sub.disputed_method) == (ACTIVE, euros(0), None)
    with world.new_captures("20.00"):
        world.at("2024-02-01")
    laws.history_is_the_truth(whole_life(world.subs, "sub"))


def test_each_of_several_disputes_must_be_undone(make_world: MakeWorld) -> None:
    world = make_world("2024-01-01", policy())
    world.start(M)
    world.at("2024-02-10")
    told(world, ChargedBack("dp_1"), 0)
    told(world, ChargedBack("dp_2"), 1)
    told(world, ChargebackReversed("dp_1"), 0)
    assert world.sub.disputed_method == CARD
    told(world, ChargebackReversed("dp_2"), 1)
    assert world.sub.disputed_method is None


def test_the_end_that_is_heard_of_first_leaves_no_dispute(make_world: MakeWorld) -> None:
    world = make_world("2024-01-01", policy())
    world.start()
    world.at("2024-01-10")
    told(world, ChargebackReversed("dp_1"))
    told(world, ChargedBack("dp_1"))
    assert (world.state, world.sub.disputed_method) == (ACTIVE, None)


def test_a_method_that_is_not_on_file_any_more_is_in_nobodys_way(make_world: MakeWorld) -> None:
    world = make_world("2024-01-01", policy())
    world.start()
    world.at("2024-01-05")
    world.done(ChangePaymentMethod(OTHER_CARD))
    world.at("2024-01-10")
    told(world, ChargedBack("dp_1"))
    assert world.sub.disputed_method is None
    with world.new_captures("20.00"):
        world.at("2024-01-17")

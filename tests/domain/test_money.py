"""Captured − refunded = settled + credit: after every step of lives in which money goes to and fro."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest
from tests.domain.world import BANK, CARD, OTHER_CARD, SUPPORT, A, M, World, Y, euros, policy

from subscription_lifecycle import (
    PROVIDER,
    Cancel,
    Command,
    Disable,
    Enable,
    Money,
    PayArrears,
    PaymentDeclined,
    Plan,
    Reactivate,
    Refused,
)
from subscription_lifecycle.ports import Captured

Step = Callable[[World], object]


def on(when: str) -> Step:
    return lambda world: world.at(when)


def do(command: Command, *, support: bool = False) -> Step:
    return lambda world: world.done(command, by=SUPPORT) if support else world.done(command)


def declines(times: int) -> Step:
    return lambda world: world.declining(times)


def settled(world: World) -> Money:
    """What the entries say was paid for periods, less what they say went back, as money or as credit for lost days."""
    total = euros(0)
    for entry in world.history:
        if entry.event == "applied" and entry.charge is not None:
            total += entry.charge.total("EUR") - (entry.charge.credits or euros(0))
        if entry.row.startswith("cancel") and "settlements" in entry.changes:
            back = [paid.refunded for paid in entry.changes["settlements"].after if paid.refunded is not None]
            total -= sum(back, euros(0))
    return total


def assert_conserved(world: World) -> None:
    captured, refunded = sum(world.captured, euros(0)), sum(world.refunded, euros(0))
    promised = sum((refund.amount for refund in world.sub.refunds), euros(0))
    assert captured - refunded - promised == settled(world) + (world.sub.credit or euros(0))


LIVES: dict[str, Sequence[Step]] = {
    "cancel, refund, reactivate, cancel, refund": [
        on("2024-01-11"),
        do(Cancel("now", "prorated")),
        on("2024-01-16"),
        do(Reactivate(OTHER_CARD)),
        on("2024-01-20"),
        do(Cancel("now", "prorated"), support=True),
        on("2024-02-20"),
        do(Reactivate(CARD)),
        do(Cancel("now", "full"), support=True),
    ],
    "declined, paid late, cancelled": [
        declines(2),
        on("2024-02-10"),
        do(PayArrears(OTHER_CARD)),
        on("2024-02-12"),
        do(Cancel("now", "prorated")),
        on("2024-03-20"),
        do(Reactivate(CARD)),
    ],
    "unpaid for months, reactivated": [declines(6), on("2024-03-10"), do(Reactivate(CARD)), on("2024-05-15")],
    "blocked over a billing date": [
        on("2024-01-20"),
        do(Disable(PROVIDER), support=True),
        on("2024-03-05"),
        do(Enable(), support=True),
        on("2024-03-06"),
        do(Cancel("now", "prorated")),
        on("2024-03-07"),
        do(Reactivate(CARD)),
    ],
}


@pytest.mark.parametrize("rounding", ["last", "daily"])
@pytest.mark.parametrize("plan", [M, A, Y], ids=lambda plan: plan.id)
@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES.keys())
def test_money_is_conserved(life: Sequence[Step], plan: Plan, rounding: str) -> None:
    world = World("2024-01-01", policy(rounding=rounding))
    world.start(plan)
    for step in life:
        with suppress(Refused, PaymentDeclined):  # what one plan allows another refuses: then nothing moves
            step(world)
        assert_conserved(world)
    assert world.captured


def test_one_payment_that_settles_several_debts_is_refunded_in_part(world: World) -> None:
    """40.00 for February and March; on 10 March 22 of 31 days of March go back."""
    world.start(M)
    world.declining(5)
    world.at("2024-03-02")
    with world.new_captures("40.00"):
        world.done(PayArrears(CARD))
    world.at("2024-03-10")
    world.done(Cancel("now", "prorated"))
    assert world.refunded == [euros("14.19")]
    assert_conserved(world)


def test_late_money_goes_back_whole(world: World) -> None:
    """Given up after a day, captured after two: nothing is kept silently, and the period is not paid twice."""
    world.start(M, off="2024-01-10")
    world.at("2024-02-10")
    world.gateway.require_action_next()
    waiting = world.waits(Reactivate(CARD))
    world.at("2024-02-11T12:00")
    assert world.history[-1].event == "abandoned"
    world.capture_arrives(waiting.payment.reference)
    for _ in range(3):
        world.subs.report_payment(waiting.payment.reference, Captured("ch", world.clock()))
    assert world.captured[-1] == world.refunded[-1] == euros(20)
    assert len(world.refunded) == 1
    assert_conserved(world)
    with world.new_captures("20.00"):
        world.done(Reactivate(BANK))

"""What the founding article implies: P1–P8, in every condition, and along random lives (S29)."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from tests.domain.conditions import REACTIVABLE, SELF_SERVICE, WAYS, in_condition
from tests.domain.world import BANK, CARD, INVOICE, OTHER_CARD, SUPPORT, USER, A, M, World, Y, euros, policy

from subscription_lifecycle import (
    ACTIVE,
    CANCELLED,
    DELETED,
    DISABLED,
    EXPIRED,
    LAPSED,
    NON_PAYMENT,
    STANDARD,
    Cancel,
    Command,
    PaymentDeclined,
    PaymentMethod,
    Reactivate,
    Refund,
    Refused,
    ReportInvoice,
    SetRecurringBilling,
    Subscription,
)
from subscription_lifecycle.machine.transition import SAME_STATE

GONE = [name for name in WAYS if name.startswith("deleted")]
INTERRUPTED = [name for name in REACTIVABLE if name.endswith("date ahead")]


@pytest.mark.parametrize("condition", GONE)
def test_p1_nothing_leaves_deleted(condition: str) -> None:
    """No command leads out of DELETED, whoever gives it, and the clock does nothing there.

    Money may be heard of still: support can refund, and say what became of an invoice.
    """
    world = in_condition(condition)
    assert {action.availability for action in world.actions(by=USER).values()} <= {"refused", "support_only"}
    offered = {kind for kind, action in world.actions(by=SUPPORT).items() if action.availability != "refused"}
    assert offered <= {Refund, ReportInvoice}
    assert STANDARD.due(world.sub) is None
    assert all(row.target is SAME_STATE for row in STANDARD.rows if DELETED in row.source)


@pytest.mark.parametrize("method", [CARD, OTHER_CARD, BANK, INVOICE], ids=["on_file", "another", "debit", "invoice"])
@pytest.mark.parametrize("condition", SELF_SERVICE)
def test_p2_the_payer_chose_the_method(condition: str, method: PaymentMethod) -> None:
    """Reactivated and active, it has the payment method that was chosen."""
    world = in_condition(condition, policy(arrears="forgive"))
    assert world.done(Reactivate(method)).subscription.payment_method == method


@pytest.mark.parametrize("condition", REACTIVABLE)
def test_p3_only_what_ended_moves_the_date(condition: str) -> None:
    """Of reactivations whose date lies ahead none moves it; besides "expired" those that do are marked as assumed."""
    world = in_condition(condition)
    before = world.sub.next_billing_date
    result = world.reactivate(by=SUPPORT)
    moved = result.subscription.next_billing_date != before
    assert moved == (condition not in INTERRUPTED)
    if moved and condition != "expired":
        assert STANDARD.row(result.entries[-1].row).assumed is not None


@pytest.mark.parametrize("on", [True, False])
@pytest.mark.parametrize("condition", REACTIVABLE)
def test_p4_recurring_billing_is_not_touched(condition: str, on: bool) -> None:
    """On stays on, off stays off."""
    world = in_condition(condition)
    if world.sub.recurring_billing != on:
        stored = world.sub.changed({"id": "adopted", "recurring_billing": on})
        world.subs.adopt(stored, by=SUPPORT, idempotency_key="adopt")
        result = world.do(Reactivate(CARD), by=SUPPORT, id="adopted")
    else:
        result = world.reactivate(by=SUPPORT)
    assert result.subscription.recurring_billing == on


@pytest.mark.parametrize("condition", WAYS)
def test_p5_a_refused_event_changes_nothing(condition: str) -> None:
    """Whatever is refused leaves snapshot, history and gateway as they were."""
    world = in_condition(condition)
    commands: list[Command] = [Reactivate(CARD), Reactivate(None), Cancel("now"), SetRecurringBilling(True)]
    for command in commands:
        world.refused(command, by=USER)
    world.refused(Reactivate(None))


@pytest.mark.parametrize("condition", SELF_SERVICE)
def test_p6_a_charge_at_once_is_for_what_ended(condition: str) -> None:
    """Where the article speaks, a charge at once is due for "expired" by card or bank alone; every other charge is of a
    row marked as assumed, or collects what policy says is owed."""
    world = in_condition(condition)
    decision = world.preview(Reactivate(CARD))
    owed = world.sub.owed
    assumed = STANDARD.row(decision.row).assumed
    assert (decision.terms.charge == owed) == (condition in INTERRUPTED)
    assert condition in INTERRUPTED or condition == "expired" or assumed is not None
    if not world.sub.arrears:
        assert world.preview(Reactivate(INVOICE)).collected == ("nothing" if condition in INTERRUPTED else "invoice")


@pytest.mark.parametrize("condition", WAYS)
def test_p7_what_is_offered_is_what_works(condition: str) -> None:
    """Each command: offered if, and only if, it is not refused; by support as by a customer."""
    for by in (USER, SUPPORT):
        world = in_condition(condition)
        for command in (Reactivate(CARD), Cancel("now"), SetRecurringBilling(False)):
            refusals = world.subs.explain("sub", command, by=by)
            offered = world.actions(by=by)[type(command)]
            assert (offered.availability == "available") == (refusals == ())


@pytest.mark.parametrize("condition", INTERRUPTED)
def test_p8_the_date_is_the_last_one_of_service(condition: str) -> None:
    """After S26 and S27 it is the date last set in service. Where that lies in the past by now, which the article does
    not discuss, the design moves it (the rows marked as assumed)."""
    world = in_condition(condition)
    served = [entry for entry in world.history if "next_billing_date" in entry.changes]
    assert served[-1].changes["next_billing_date"].after == world.sub.next_billing_date
    after = world.reactivate(by=SUPPORT).subscription
    assert after.next_billing_date == served[-1].changes["next_billing_date"].after


# -- random lives


def one_event(world: World, chance: random.Random) -> None:
    """Something that the article or its neighbours speak of; what is refused or declined must change nothing else."""
    command: Command = chance.choice(
        [
            Reactivate(chance.choice([CARD, OTHER_CARD, BANK, INVOICE, None])),
            Cancel("now"),
            Cancel("term_end"),
            SetRecurringBilling(on=chance.random() < 0.5),
        ]
    )
    before, asked = world.sub, len(world.captured)
    offered = world.actions()[type(command)].availability
    try:
        after = world.done(command).subscription
    except (Refused, PaymentDeclined) as error:
        if isinstance(error, Refused):
            assert world.sub == before  # P5
            assert offered != "available" or command == Reactivate(None) or before.arrears  # P7
        assert (world.sub.state, world.sub.next_billing_date) == (before.state, before.next_billing_date)
        return
    assert offered == "available"  # P7
    if isinstance(command, Reactivate):
        reactivated(before, after, command, len(world.captured) - asked)


def reactivated(before: Subscription, after: Subscription, command: Reactivate, captures: int) -> None:
    assert after.payment_method == command.payment_method  # P2
    assert after.recurring_billing == before.recurring_billing  # P4
    ended = before.state == EXPIRED or before.cause == LAPSED
    if ended:
        assert after.next_billing_date > before.next_billing_date
        assert captures == (0 if command.payment_method == INVOICE else 1)  # P6
    elif after.next_billing_date == before.next_billing_date:  # P3, P8
        assert captures == (1 if before.arrears else 0)
    else:
        assert before.state == CANCELLED or before.cause == NON_PAYMENT


@pytest.mark.parametrize("seed", range(40))
def test_s29_random_lives_keep_the_properties(seed: int) -> None:
    """Any sequence of buying, renewing, switching, cancelling and reactivating keeps P1–P8."""
    chance = random.Random(seed)
    world = World()
    world.start(chance.choice([M, A, Y]), chance.choice([CARD, BANK, INVOICE]))
    for _ in range(14):
        if chance.random() < 0.3:
            world.gateway.decline_next()
        world.at(str(world.clock().date() + timedelta(days=chance.choice([1, 5, 12, 33]))))
        before = world.state
        one_event(world, chance)
        assert before != DELETED or world.state == DELETED  # P1
        assert world.sub.owed >= euros(0)
        assert world.state in (ACTIVE, EXPIRED, CANCELLED, DISABLED, DELETED) or world.state.name == "past_due"

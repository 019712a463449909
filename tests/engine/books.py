"""A gateway's ledger held against what is on record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from subscription_lifecycle import Entry, Subscriptions
from subscription_lifecycle.model.charge import RefundDue
from subscription_lifecycle.testing import laws
from subscription_lifecycle.testing.step import Step, snapshots


def step_of(subs: Subscriptions, id: str = "s") -> Step:
    """Everything that ever happened, as one step."""
    stored, history = subs.store.load(id, None), tuple(subs.store.history(id))
    assert stored is not None
    return Step(
        subs=subs,
        gateway=subs.gateway,
        id=id,
        now=subs.clock(),
        what="all of it",
        before=stored,
        after=stored,
        entries=history,
        snapshots=snapshots(subs.lifecycle, history),
        moved=False,
    )


def adds_up(subs: Subscriptions, id: str = "s") -> None:
    """Nothing lost, nothing taken twice, nothing kept, no debt gone."""
    step = step_of(subs, id)
    for law in (laws.money_adds_up, laws.debts_stay):
        law(step)
    used, asked = used_by_lines(step.history), refunds_asked(step.history)
    failed = {entry.payment.reference for entry in step.history if entry.event == "failed" and entry.payment}
    for capture in subs.gateway.captures if step.after.attempt is None else ():
        rest = capture.amount.minor - used.get(capture.reference, 0)
        assert capture.reference in failed or 0 <= rest <= asked[capture.reference], f"{capture} was kept"


def used_by_lines(history: Sequence[Entry]) -> dict[str, int]:
    """What the lines of an entry say was due, in minor units, by the payment that paid for them."""
    return {
        entry.payment.reference: entry.charge.due(entry.payment.amount.currency).minor
        for entry in history
        if entry.event == "applied" and entry.payment is not None and entry.charge is not None
    }


def refunds_asked(history: Sequence[Entry]) -> Counter[str]:
    """What was put on record to go back, in minor units by payment, less what a chargeback overtook."""
    asked = Counter[str]()
    for entry in history:
        before: Sequence[RefundDue] | None
        before, after = entry.changes.get("refunds", ((), ()))
        for refund in after:
            asked[refund.reference] += 0 if refund in (before or ()) else refund.amount.minor
        if entry.event == "failed":
            for refund in before or ():
                asked[refund.reference] -= 0 if refund in after else refund.amount.minor
    return +asked

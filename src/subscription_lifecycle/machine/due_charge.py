"""A charge that is due: what it counts as while nobody asks for it, and what may fall due behind it."""

from __future__ import annotations

from subscription_lifecycle.machine.decision import Decision
from subscription_lifecycle.model.subscription import Subscription


def as_paid(charge: Decision) -> Subscription:
    return charge.settled("payment").after


def as_before(charge: Decision) -> Subscription:
    if charge.declined is None or charge.owed_if_unpaid is not None:
        return charge.after
    return charge.declined


# -- what makes it held or passed over; False: it is made; None: look on


def a_bill(step: Decision) -> bool | None:
    return True if step.collected == "capture" and step.owed_if_unpaid is not None else None


def a_charge(step: Decision) -> bool | None:
    """Another one before the state is left: nobody loses service for non-payment, or more of it, unasked."""
    if step.collected == "capture":
        return True
    return None if step.after.state == step.before.state else False


def a_retry(step: Decision) -> bool | None:
    """Another one for the same debts: the card is not asked for them twice at once."""
    if step.collected == "capture":
        return step.owed_if_unpaid is None
    return None if step.after.state == step.before.state and step.billed is None else False

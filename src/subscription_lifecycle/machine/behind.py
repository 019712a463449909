"""What may fall due behind a charge, so that it is held or passed over.

True: it is. False: it is made. None: look on.
"""

from __future__ import annotations

from subscription_lifecycle.machine.decision import Decision


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

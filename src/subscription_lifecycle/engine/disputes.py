"""What banks take back and give back: counted, because either may be heard of first, and each more than once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from subscription_lifecycle.model.entry import Change, Entry
from subscription_lifecycle.model.payment import Payment
from subscription_lifecycle.model.subscription import Subscription

CHARGED_BACK: Final = "charged_back"
REVERSED: Final = "chargeback_reversed"


def told_of(history: Iterable[Entry], reference: str) -> list[Entry]:
    """What was heard of that payment."""
    return [entry for entry in history if entry.payment is not None and entry.payment.reference == reference]


def heard(told: Iterable[Entry]) -> set[tuple[str | None, str | None]]:
    """Every chargeback and every end of one, by the gateway's id of the dispute."""
    return {_named(entry.payment) for entry in told if entry.payment is not None}


def standing_against(told: Iterable[Entry]) -> int:
    """How many chargebacks were not undone: with one or more the bank has the money. Less than none: not heard of."""
    codes = [code for code, _ in heard(told)]
    return codes.count(CHARGED_BACK) - codes.count(REVERSED)


def what_is_disputed(before: Subscription, history: Iterable[Entry], payment: Payment) -> Mapping[str, Any]:
    """What a chargeback, or the end of one, changes in which method is disputed: only the one on file is asked."""
    history, method = tuple(history), payment.method
    if payment.code == CHARGED_BACK:
        stands = standing_against(told_of(history, payment.reference)) >= 0
        return {"disputed_method": method} if stands and method == before.payment_method else {}
    payments = [entry.payment for entry in history if entry.payment is not None]
    paid = {each.reference for each in payments if each.method == method}
    standing = [standing_against(told_of(history, name)) - (name == payment.reference) for name in paid]
    return {"disputed_method": None} if method == before.disputed_method and max(standing, default=0) <= 0 else {}


def also_changed(after: Subscription, entry: Entry, changes: Mapping[str, Any]) -> tuple[Subscription, Entry]:
    """The same with these changes too."""
    new = {name: value for name, value in changes.items() if getattr(after, name) != value}
    told = {name: Change(getattr(after, name), value) for name, value in new.items()}
    return (after.changed(new), attrs.evolve(entry, changes={**entry.changes, **told})) if new else (after, entry)


def _named(payment: Payment) -> tuple[str | None, str | None]:
    return payment.code, payment.gateway_id

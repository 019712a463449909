"""What banks take back and give back: counted, because either may be heard of first, and each more than once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from subscription_lifecycle.model.entry import Entry
from subscription_lifecycle.model.payment import Payment

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


def _named(payment: Payment) -> tuple[str | None, str | None]:
    return payment.code, payment.gateway_id

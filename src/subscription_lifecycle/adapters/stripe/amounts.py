"""Amounts in Stripe's own units, which are not always the minor units of ISO 4217.

Source: Stripe's page on supported currencies, its lists of zero-decimal and three-decimal ones and its special cases.
HUF and TWD are special there for payouts alone; their charges are in hundredths, as in ISO 4217.
"""

from __future__ import annotations

from typing import Final

from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.model.currencies import exponent
from subscription_lifecycle.model.money import Money

_WHOLE = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF"

WHOLE_UNITS: Final = frozenset(_WHOLE.split())
HUNDREDTHS_OF_WHOLE_UNITS: Final = frozenset({"ISK", "UGX"})
THOUSANDTHS: Final = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})


def to_stripe(money: Money) -> int:
    """The amount in Stripe's unit, which is not always the minor unit of ISO 4217.

    Raises InvalidValue (`amount`) for what Stripe cannot take exactly: a thousandth of a dinar, a part of an ariary.
    """
    stripes, ours = _units(money.currency)
    amount, rest = divmod(money.minor * stripes, ours)
    if rest or (money.currency in THOUSANDTHS and amount % 10):
        raise InvalidValue(
            "amount", f"Stripe cannot take {money} exactly", "Round the price first, by a rule of yours."
        )
    return amount


def from_stripe(amount: int, currency: str) -> Money:
    """Money from Stripe's unit; `currency` in either case. Raises InvalidValue for parts of a minor unit."""
    code = currency.upper()
    stripes, ours = _units(code)
    minor, rest = divmod(amount * ours, stripes)
    if rest:
        raise InvalidValue("amount", f"{amount} {code} of Stripe is no whole minor unit", "Look it up at Stripe.")
    return Money(minor, code)


def _units(currency: str) -> tuple[int, int]:
    """How many of Stripe's units and of ours the currency's major unit has."""
    ours = exponent(currency)
    if currency in WHOLE_UNITS:
        return 1, 10**ours
    if currency in HUNDREDTHS_OF_WHOLE_UNITS or ours == 2:
        return 100, 10**ours
    if currency in THOUSANDTHS:
        return 1000, 10**ours
    raise InvalidValue("currency", f"Stripe's unit of {currency} is not known", "Charge in another currency.")

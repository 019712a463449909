"""What is charged."""

from __future__ import annotations

from datetime import date
from typing import Final

import attrs

from subscription_lifecycle.model import validation

CARD: Final = "card"
BANK_ACCOUNT: Final = "bank_account"
INVOICE: Final = "invoice"


@attrs.frozen
class PaymentMethod:
    """A way to pay, by the gateway's token and never by a number. `kind` is open: wallets, UPI, Boleto.

    `country` is the ISO 3166 code of where it was issued; `expires` the last day a card can be charged.
    """

    kind: str = attrs.field(validator=validation.name)
    token: str | None = attrs.field(default=None, validator=validation.optional(validation.name), repr=False)
    country: str = attrs.field(kw_only=True, validator=validation.country)
    expires: date | None = attrs.field(default=None, kw_only=True, validator=validation.an_optional_day)

    @classmethod
    def card(cls, token: str, *, country: str, expires: date | None = None) -> PaymentMethod:
        validation.named("token", token)
        return cls(CARD, token, country=country, expires=expires)

    @classmethod
    def bank_account(cls, token: str, *, country: str) -> PaymentMethod:
        validation.named("token", token)
        return cls(BANK_ACCOUNT, token, country=country)

    @classmethod
    def invoice(cls, *, country: str) -> PaymentMethod:
        return cls(INVOICE, country=country)

    def __str__(self) -> str:
        return self.kind.replace("_", " ")

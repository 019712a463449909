"""The founding article as a story: who asks what, and when. What comes of it is not written here.

The cards are charged until they expire, a bank debit takes days, and the clock does the rest by itself.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

import attrs

from subscription_lifecycle import (
    ACTIVE,
    MONTHLY,
    YEARLY,
    Actor,
    Adopt,
    BillingSchedule,
    Cancel,
    Command,
    Disable,
    Money,
    PaymentMethod,
    Plan,
    Policy,
    Reactivate,
    Role,
    SetRecurringBilling,
    Start,
    Subscription,
)

ZONE: Final = "Europe/Amsterdam"
CUSTOMER: Final = "contoso"
BEGINS: Final = date(2026, 1, 31)
ENDS: Final = date(2026, 7, 2)

ALICE: Final = Actor("alice", Role.BILLING_ADMIN, customer=CUSTOMER)
BOB: Final = Actor("bob", customer=CUSTOMER)
SAM: Final = Actor("sam", Role.SUPPORT)

CARD: Final = PaymentMethod.card("tok_visa", country="NL", expires=date(2029, 12, 31))
OLD_CARD: Final = PaymentMethod.card("tok_old", country="NL", expires=date(2026, 2, 28))
BANK: Final = PaymentMethod.bank_account("tok_iban", country="NL")
FOREIGN_BANK: Final = PaymentMethod.bank_account("tok_iban_be", country="BE")
INVOICE: Final = PaymentMethod.invoice(country="NL")

MONTH: Final = Plan("monthly", Money.of("20.00", "EUR"), MONTHLY)
YEAR: Final = Plan("yearly", Money.of("240.00", "EUR"), YEARLY)
YEAR_BY_MONTH: Final = Plan("yearly billed monthly", Money.of("20.00", "EUR"), MONTHLY, term=YEARLY)

SHOP: Final = Policy(retry_days=14, retry_after=(3, 7), no_bank_account_in=frozenset({"BE", "ES", "FR", "IT"}))
"""The seller's policy: bank accounts are refused in four countries, and a declined renewal is retried for two weeks."""


@attrs.frozen
class Asks:
    """Somebody gives a command; with `reads_terms` they look at the preview first and agree to what it shows."""

    at: str
    by: Actor
    command: Command
    reads_terms: bool = False

    @property
    def instant(self) -> datetime:
        return datetime.fromisoformat(self.at)


@attrs.frozen
class BankReports:
    """The gateway learns that the last debit of the subscription has arrived."""

    at: str

    @property
    def instant(self) -> datetime:
        return datetime.fromisoformat(self.at)


@attrs.frozen
class Life:
    """One subscription, what its story is about, and what people do."""

    id: str
    about: str
    steps: tuple[Asks | BankReports, ...]


def start(plan: Plan, method: PaymentMethod) -> Start:
    return Start(customer=CUSTOMER, plan=plan, payment_method=method, time_zone=ZONE, policy="shop")


STORAGE: Final = Subscription(
    id="storage",
    customer=CUSTOMER,
    plan=YEAR,
    state=ACTIVE,
    schedule=BillingSchedule(date(2025, 2, 21), YEARLY),
    next_billing_date=date(2026, 2, 21),
    paid_through=date(2026, 2, 21),
    term_start=date(2025, 2, 21),
    term_end=date(2026, 2, 21),
    recurring_billing=False,
    payment_method=BANK,
    time_zone=ZONE,
    policy="shop",
)
"""It began in another system, and comes in alive."""

STORY: Final = (
    Life(
        "chat",
        "Expires, and is bought back: the next billing date moves on by a month",
        (
            Asks("2026-01-31T10:00Z", ALICE, start(MONTH, OLD_CARD)),
            Asks("2026-02-02T10:00Z", ALICE, Reactivate(CARD)),
            Asks("2026-02-10T10:00Z", ALICE, SetRecurringBilling(False)),
            Asks("2026-03-05T09:00Z", BOB, Reactivate(CARD)),
            Asks("2026-03-05T09:10Z", ALICE, Reactivate()),
            Asks("2026-03-05T09:20Z", ALICE, Reactivate(OLD_CARD)),
            Asks("2026-03-05T09:30Z", ALICE, Reactivate(CARD), reads_terms=True),
            Asks("2026-03-05T09:40Z", ALICE, SetRecurringBilling(True)),
        ),
    ),
    Life(
        "storage",
        "Expires and lapses, and is bought back: a new period from that day",
        (
            Asks("2026-01-31T10:00Z", SAM, Adopt(STORAGE)),
            Asks("2026-04-10T10:00Z", ALICE, Reactivate(FOREIGN_BANK)),
            Asks("2026-04-10T10:10Z", ALICE, Reactivate(BANK), reads_terms=True),
            BankReports("2026-04-14T08:00Z"),
        ),
    ),
    Life(
        "crm",
        "Cancelled in mid-term with a refund, and taken back: the date stays, and what was refunded is paid again",
        (
            Asks("2026-02-01T10:00Z", ALICE, start(YEAR, CARD)),
            Asks("2026-03-15T10:00Z", ALICE, Cancel("now", "prorated")),
            Asks("2026-03-25T10:00Z", ALICE, Reactivate(CARD), reads_terms=True),
        ),
    ),
    Life(
        "calls",
        "Cancelled in mid-term, and taken back after its billing date: the rest of the period is paid by days",
        (
            Asks("2026-02-01T10:00Z", ALICE, start(YEAR_BY_MONTH, CARD)),
            Asks("2026-02-20T10:00Z", ALICE, Cancel("now")),
            Asks("2026-03-12T10:00Z", ALICE, Reactivate(CARD), reads_terms=True),
        ),
    ),
    Life(
        "mail",
        "Disabled because no payment arrived: what is owed is paid, and the date stays",
        (
            Asks("2026-02-01T10:00Z", ALICE, start(YEAR_BY_MONTH, OLD_CARD)),
            Asks("2026-03-20T10:00Z", ALICE, Reactivate(INVOICE)),
            Asks("2026-03-20T10:10Z", ALICE, Reactivate(CARD), reads_terms=True),
        ),
    ),
    Life(
        "sites",
        "Paid by invoice and disabled by the provider: only support brings it back",
        (
            Asks("2026-02-01T10:00Z", ALICE, start(MONTH, INVOICE)),
            Asks("2026-02-10T10:00Z", SAM, Disable(reason="reported for abuse")),
            Asks("2026-02-11T10:00Z", ALICE, Reactivate(INVOICE)),
            Asks("2026-02-14T10:00Z", SAM, Reactivate()),
        ),
    ),
    Life(
        "print",
        "Nobody comes back for it",
        (
            Asks("2026-02-01T10:00Z", ALICE, start(MONTH, CARD)),
            Asks("2026-02-03T10:00Z", ALICE, SetRecurringBilling(False)),
            Asks("2026-07-01T10:00Z", ALICE, Reactivate(CARD)),
        ),
    ),
)

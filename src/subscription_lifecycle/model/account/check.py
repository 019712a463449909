"""What no write may break: six rules that one account, and the entry that led to it, can keep by themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.model.account.account import (
    KINDS,
    NO_PAYMENT,
    OWED,
    Account,
    Booking,
    Posting,
    currency_of,
)

ONE_PAYMENT = frozenset({"gateway", "transit", "refunded", "refund_due", "parked"})


def check(account: Account, bookings: Iterable[Booking] = ()) -> None:
    """Raises InvalidValue (`account`) for an account that cannot be, or a booking that makes or keeps money.

    1. The postings of an entry sum to zero, and so does the account, in each currency.
    2. No account is on its wrong side.
    3. No more of a payment goes back than came.
    4. A payment pays for no more service than there is of it.
    5. Service that nobody has paid is owed.
    6. No more is earned or forfeited than service was delivered or let go of.
    """
    for problem in problems(account, bookings):
        raise InvalidValue("account", problem, "Book it with the verbs of the account, which keep it whole.")


def problems(account: Account, bookings: Iterable[Booking] = ()) -> Iterator[str]:
    """Every rule that is broken, as a sentence."""
    for booking in bookings:
        if booking.postings:
            yield from _entry(account.currency, booking.postings)
    yield from _account(account)


def _entry(currency: str, postings: tuple[Posting, ...]) -> Iterator[str]:
    sums: dict[str, int] = {}
    kept = given = 0
    for name, amount in postings:
        of = currency_of(name, currency)
        if amount.currency != of:
            yield f"{name} is kept in {of}, and {amount} is posted to it"
        sums[of] = sums.get(of, 0) + amount.minor
        if name.kind in ("earned", "forfeited"):
            kept -= amount.minor
        elif name.kind == "service" and amount.minor > 0:
            given += amount.minor
    if any(sums.values()):
        yield f"the postings of an entry sum to {_told(sums)} and not to zero"
    if kept > given:
        yield f"{kept} minor units are kept for service of {given}"


def _account(account: Account) -> Iterator[str]:
    sums: dict[str, int] = {}
    here: dict[tuple[str, str], int] = {}
    used: dict[str, int] = {}
    unpaid: dict[str, int] = {}
    taken: dict[str, int] = {}
    for name, amount in account.balances.items():
        kind, of, by = name
        side = KINDS.get(kind)
        if side is None:
            yield f"{name} is no kind of account"
            continue
        if side * amount < 0:
            yield f"{name} is on the wrong side: {amount} minor units"
        currency = currency_of(name, account.currency)
        sums[currency] = sums.get(currency, 0) + amount
        if kind in ONE_PAYMENT:
            key = of, currency
            here[key] = here.get(key, 0) + amount
        elif kind in ("taken", "untaken"):
            taken[of] = taken.get(of, 0) + amount
        elif kind == "service":
            lot = account.lots.get(of)
            if lot is None:
                yield f"{name} belongs to no lot"
            elif by == "due":
                unpaid[lot.bill] = unpaid.get(lot.bill, 0) - amount
            elif by not in NO_PAYMENT:
                used[by] = used.get(by, 0) - amount
    if any(sums.values()):
        yield f"the account sums to {_told(sums)} and not to zero"
    for (payment, _), left in here.items():
        if left < 0:
            yield f"{payment} gives back {-left} minor units more than came"
    for payment, amount in used.items():
        if amount > max(0, here.get((payment, account.currency), 0) + taken.get(payment, 0)):
            yield f"{payment} pays for service of {amount} minor units, and less than that is here of it"
    for bill, amount in unpaid.items():
        if amount > sum(account.minor(kind, bill) for kind in OWED):
            yield f"{amount} minor units of the service on bill {bill} are unpaid, and less than that is owed"


def _told(sums: Mapping[str, int]) -> str:
    return " and ".join(f"{amount} minor units of {currency}" for currency, amount in sums.items() if amount)

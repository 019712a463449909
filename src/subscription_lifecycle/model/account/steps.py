"""What a rule asks of the account: verbs and their arguments, carried out on whatever the account is then.

A rule answers steps, never postings. Sums that a person agreed to, or that a gateway reported, are in the arguments;
everything else is looked up when the step is carried out. Arguments are plain JSON, so that steps can be stored with an
open payment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any, Final, Literal

import attrs

from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.model.account import banks, giving_back, invoices, paying, selling
from subscription_lifecycle.model.account.account import Account, Booking
from subscription_lifecycle.model.account.draft import Draft
from subscription_lifecycle.model.mapping import frozen_mapping
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.schedule import BillingPeriod

_DATED_BILLS: Final = frozenset({"fail", "confirm_refund", "invoice_unpaid"})
_DAYS: Final = frozenset({"start", "end", "since", "until", "ask_on"})

VERBS: Final[Mapping[str, Callable[..., None]]] = frozen_mapping(
    {
        verb.__name__: verb
        for verb in (
            *(selling.sell, selling.forget_returned, selling.shift, selling.serve, selling.reopen),
            *(paying.use_credit, paying.capture, paying.arrive, paying.put_on_hold, paying.fall_due),
            *(paying.park, paying.unpark),
            *(invoices.put_on_invoice, invoices.invoice_unpaid, invoices.invoice_paid),
            *(banks.fail, banks.undo_dispute, banks.lose, banks.confirm_refund, banks.refund_failed),
            *(giving_back.give_back, giving_back.forfeit, giving_back.forgive, giving_back.favour),
            *(giving_back.give_credit, giving_back.waive),
        )
    }
)
"""Every verb, by its name."""


def _arguments(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return frozen_mapping({name: _plain(item) for name, item in value.items() if item is not None})


def _plain(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Money):
        return value.minor
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (tuple, list)) else value


def _known(_: object, attribute: attrs.Attribute[str], value: object) -> None:
    if value not in VERBS:
        raise InvalidValue(attribute.name, f"{value!r} is no verb of the account", f"Use one of {', '.join(VERBS)}.")


@attrs.frozen
class Step:
    """One verb with its arguments: days as ISO text, sums in minor units."""

    verb: str = attrs.field(validator=_known)
    arguments: Mapping[str, Any] = attrs.field(factory=dict, converter=_arguments, hash=False)

    def carry_out(self, draft: Draft) -> None:
        given: dict[str, Any] = {
            name: date.fromisoformat(value) if name in _DAYS else value for name, value in self.arguments.items()
        }
        if self.verb in _DATED_BILLS and "bills" in given:
            given["bills"] = {bill: _dated(told) for bill, told in given["bills"].items()}
        VERBS[self.verb](draft, **given)

    def __str__(self) -> str:
        return f"{self.verb.replace('_', ' ')} {', '.join(f'{k} {v}' for k, v in self.arguments.items())}".strip()


def _dated(told: Iterable[Any]) -> tuple[Any, ...]:
    amount, *days = told
    return amount, *(date.fromisoformat(day) for day in days)


Steps = tuple[Step, ...]


def carried_out(account: Account, steps: Iterable[Step], day: date, rounding: str = "last") -> tuple[Account, Booking]:
    """The account after steps, and the booking that leads there. `day` is the local day of the entry."""
    draft = Draft(account, day, rounding)
    for step in steps:
        step.carry_out(draft)
    booking = draft.booking()
    return (draft.account(), booking) if booking else (account, booking)


# -- the verbs, as rules ask for them


def sell(
    bill: str,
    period: BillingPeriod,
    amount: Money,
    *,
    item: str | None = None,
    gift: Money | None = None,
    again: bool = False,
) -> Step:
    """Sell days for a price. It is owed until something pays for it; `gift` is the part that the seller pays.

    `again`: the days went back before.
    """
    days = {"start": period.start, "end": period.end}
    return Step("sell", {"bill": bill, **days, "amount": amount, "item": item, "gift": gift, "again": again or None})


def use_credit(*bills: str, most: Money | None = None) -> Step:
    """Credit pays these bills, or all that are owed; no more than `most`."""
    return Step("use_credit", {"bills": list(bills) or None, "most": most})


def capture(payment: str, amount: Money, *bills: str) -> Step:
    """Money of a payment is here: it pays these bills, or the oldest, and the rest goes back."""
    return Step("capture", {"payment": payment, "amount": amount, "bills": list(bills) or None})


def give_back(
    since: date,
    *,
    until: date | None = None,
    to: Literal["payment", "credit"] = "payment",
    whole: bool = False,
    unpaid: Literal["waived", "owed"] = "waived",
    buyable: bool = False,
    items: Iterable[str] | None = None,
    reason: str | None = None,
) -> Step:
    """Days that will not be served go back to who paid for them, and are owed no more by who has not."""
    return Step(
        "give_back",
        {
            "since": since,
            "until": until,
            "to": to,
            "whole": whole or None,
            "unpaid": unpaid,
            "buyable": buyable or None,
            "items": None if items is None else list(items),
            "reason": reason,
        },
    )


def waive(since: date, *, until: date | None = None, buyable: bool = False) -> Step:
    """Days that nobody has paid are owed no more."""
    return Step("waive", {"since": since, "until": until, "buyable": buyable or None})


def reopen(payment: str, captured: Money, refunded: Money) -> Step:
    """A payment that nothing was left to do with is heard of again."""
    return Step("reopen", {"payment": payment, "captured": captured, "refunded": refunded})


def forfeit(since: date, until: date | None = None) -> Step:
    """Days are taken and nothing is given for them."""
    return Step("forfeit", {"since": since, "until": until})


def shift(since: date, days: int) -> Step:
    """Days move; no money does."""
    return Step("shift", {"since": since, "days": days})


def forgive(*bills: str) -> Step:
    """Let go of these bills, or of everything that is owed."""
    return Step("forgive", {"bills": list(bills) or None})


def favour(payment: str, amount: Money, reason: str = "refunded") -> Step:
    """Give money of a payment back for nothing."""
    return Step("favour", {"payment": payment, "amount": amount, "reason": reason})


def put_on_hold(*bills: str) -> Step:
    """Bills wait for an operator: the clock asks for none of them."""
    return Step("put_on_hold", {"bills": list(bills)})


def put_on_invoice(*bills: str) -> Step:
    """Bills become lines of the customer's next invoice."""
    return Step("put_on_invoice", {"bills": list(bills)})


def invoice_unpaid(invoice: str, bills: Mapping[str, tuple[Any, ...]], *, paid_before: bool = False) -> Step:
    """What stands on an invoice was not paid: it is owed. By bill: how much in minor units, and its days."""
    return Step("invoice_unpaid", {"invoice": invoice, "bills": bills, "paid_before": paid_before or None})


def invoice_paid(invoice: str, bills: Mapping[str, Money]) -> Step:
    """What stands on an invoice was paid elsewhere; what was paid twice becomes credit."""
    return Step("invoice_paid", {"invoice": invoice, "bills": bills})


def give_credit(amount: Money) -> Step:
    """Give credit by hand; a negative amount takes it away again."""
    return Step("give_credit", {"amount": amount})


def fall_due(*bills: str) -> Step:
    """These bills, or all that are owed, count as owed since today."""
    return Step("fall_due", {"bills": list(bills) or None})


def forget_returned() -> Step:
    """Days that went back cannot be bought again any more."""
    return Step("forget_returned")


def serve(until: date) -> Step:
    """What was delivered is earned."""
    return Step("serve", {"until": until})

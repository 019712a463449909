"""Where a gateway and the entries tell different things of one payment, and what sets it right. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import attrs

from subscription_lifecycle.engine.disputes import CHARGED_BACK, REVERSED
from subscription_lifecycle.engine.payments import Booked
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.payment import (
    ActionRequired,
    Captured,
    ChargebackReversed,
    ChargedBack,
    Declined,
    PaymentOutcome,
    Processing,
)

__all__ = ["Difference", "Kind", "There", "differing"]

Kind = Literal[
    "unknown",
    "captured_there",
    "captured_here",
    "captured_twice",
    "declined_there",
    "other_amount",
    "charged_back_there",
    "charged_back_here",
    "refunded_there",
    "refunded_here",
    "refunded_more",
    "refunded_less",
]


@attrs.frozen(kw_only=True)
class Difference:
    """One payment of which the gateway's ledger and the entries tell different things.

    "there" is the gateway, "here" the entries: `captured_there` says that money came which no entry counts.
    `gateway` and `entries` are what each has, captured or refunded as the kind says; None: nothing. `subscription` is
    None for a payment that is `unknown` here. `remedy` says what to do. Where there is an `outcome`, reporting it sets
    the entries right: `subs.report_payment(difference.reference, difference.outcome)`.
    """

    kind: Kind
    reference: str
    subscription: str | None
    gateway: Money | None
    entries: Money | None
    remedy: str
    outcome: PaymentOutcome | None = None

    def __str__(self) -> str:
        whose = f" of {self.subscription}" if self.subscription else ""
        what = self.kind.replace("_", " ")
        return (
            f"{what}: {self.reference}{whose}, {_said(self.gateway)} there, {_said(self.entries)} here. {self.remedy}"
        )


def _said(money: Money | None) -> str:
    return "nothing" if money is None else str(money)


@attrs.frozen
class There:
    """A payment as the gateway has it; `refunded` is None where it does not list it. Several ids hold money: twice."""

    reference: str
    outcome: PaymentOutcome | None
    captured: Money | None
    refunded: Money | None
    holding: tuple[str, ...] = ()

    @property
    def came(self) -> bool:
        return isinstance(self.outcome, Captured | ChargebackReversed)

    @property
    def went_back(self) -> bool:
        """All of it was given back."""
        return bool(self.captured) and self.captured == self.refunded

    @property
    def told(self) -> PaymentOutcome | None:
        """The outcome, with the amount that came: it may not be the one that was asked for."""
        if isinstance(self.outcome, Captured) and self.captured is not None:
            return attrs.evolve(self.outcome, amount=self.captured)
        return self.outcome


def differing(there: There, here: Booked | None, now: datetime, pending: timedelta) -> Difference | None:
    """What must be looked at first, if anything. A refund may be `pending` here for so long."""
    if here is None:
        return _unknown(there)
    if len(there.holding) > 1:
        remedy = f"It was taken more than once ({', '.join(there.holding)}): give all but one back at the gateway."
        return _difference("captured_twice", there, here, remedy)
    return _captures(there, here) or _refunds(there, here, now, pending)


def _unknown(there: There) -> Difference | None:
    """Nobody asked for it here. Where no money is held nor can come, nothing is left to do."""
    if isinstance(there.outcome, Processing | ActionRequired):
        remedy = "No entry asked for it: find out who did, and stop it at the gateway before it is captured."
    elif there.came and not there.went_back:
        remedy = "No entry asked for it: find out who did; if it is nobody's, refund it at the gateway."
    else:
        return None
    return Difference(
        kind="unknown",
        reference=there.reference,
        subscription=None,
        gateway=there.captured or None,
        entries=None,
        remedy=remedy,
    )


def _difference(
    kind: Kind, there: There, here: Booked, remedy: str, outcome: PaymentOutcome | None = None
) -> Difference:
    about_refunds = kind.startswith("refunded")
    gateway = there.refunded if about_refunds else there.captured
    entries = _total_refunded(here) if about_refunds else here.captured
    return Difference(
        kind=kind,
        reference=here.reference,
        subscription=here.subscription,
        gateway=gateway or None,
        entries=entries or None,
        remedy=remedy,
        outcome=outcome,
    )


def _total_refunded(here: Booked) -> Money:
    return here.refunded + here.refunding


REPORT = "Report it: report_payment(reference, outcome)."


def _captures(there: There, here: Booked) -> Difference | None:
    match here.standing:
        case "open" | "submitted":
            return _still_waited_for(there, here)
        case "captured":
            return _counted(there, here)
        case "charged_back":
            return _lost(there, here)
        case "declined":
            return _given_up(there, here)


def _still_waited_for(there: There, here: Booked) -> Difference | None:
    """Asked for here, and not at its end: what the gateway knows already can be reported."""
    told = there.told
    if there.came and there.went_back:
        remedy = "It came and was given back at the gateway: if it stays so, report_payment(reference, Declined(...))."
        return _difference("refunded_there", there, here, remedy)
    if there.came and not here.captured:
        return _difference("captured_there", there, here, REPORT, told)
    if there.came:
        return _other_amount(there, here)
    if isinstance(told, ChargedBack):
        return _difference("charged_back_there", there, here, REPORT, told)
    if isinstance(told, Declined):
        return _difference("declined_there", there, here, REPORT, told)
    return None


def _counted(there: There, here: Booked) -> Difference | None:
    """Captured here."""
    if there.came:
        return _other_amount(there, here)
    if isinstance(there.outcome, ChargedBack):
        return _disputed("charged_back_there", there, here, CHARGED_BACK, there.outcome)
    if there.outcome is None:
        remedy = "Ask the gateway: it may have been deleted, or taken in another account."
    elif isinstance(there.outcome, Declined):
        remedy = "Ask the gateway what became of it; where it never came, report_payment(reference, ChargedBack(...))."
    else:
        remedy = "It counts as paid here and is under way there: ask the gateway, and look again when it has ended."
    return _difference("captured_here", there, here, remedy)


def _other_amount(there: There, here: Booked) -> Difference | None:
    if there.captured is None or there.captured == here.captured:
        return None
    if here.standing == "open":
        return _difference("other_amount", there, here, REPORT, there.told)
    remedy = "Ask the gateway which is right: what is too much goes back there, what is missing is no debt here yet."
    return _difference("other_amount", there, here, remedy)


def _lost(there: There, here: Booked) -> Difference | None:
    """Charged back here."""
    if not there.came or there.went_back:
        return None
    if isinstance(there.outcome, ChargebackReversed):
        return _disputed("charged_back_here", there, here, REVERSED, there.outcome)
    remedy = (
        "The gateway holds it: where the dispute was won, report_payment(reference, ChargebackReversed(gateway_id))."
    )
    return _difference("charged_back_here", there, here, remedy)


def _disputed(
    kind: Kind, there: There, here: Booked, code: str, outcome: ChargedBack | ChargebackReversed
) -> Difference:
    if (code, outcome.gateway_id) not in here.disputes:
        return _difference(kind, there, here, REPORT, outcome)
    remedy = f"{outcome.gateway_id} was reported before: if this is another dispute, report it under an id of its own."
    return _difference(kind, there, here, remedy)


def _given_up(there: There, here: Booked) -> Difference | None:
    """Declined here, or given up."""
    if not there.came or there.went_back:
        return None
    return _difference("captured_there", there, here, REPORT, there.told)


def _refunds(there: There, here: Booked, now: datetime, pending: timedelta) -> Difference | None:
    if there.refunded is None or here.standing not in ("captured", "charged_back"):
        return None
    confirmed, promised = here.refunded, _total_refunded(here)
    # Nothing is nothing in every currency.
    given = there.refunded or Money.zero(promised.currency)
    if given.currency != promised.currency:
        return _difference("refunded_more", there, here, "It was refunded in another currency: ask the gateway why.")
    if given == promised:
        return None
    if given > promised:
        remedy = (
            "Somebody gave it back at the gateway, and no entry knows: find out who; dates and debts stay as they are."
        )
        return _difference("refunded_more" if promised else "refunded_there", there, here, remedy)
    if given < confirmed:
        remedy = "The gateway had taken it on: if it failed, report_payment(reference, RefundFailed(its id))."
    elif here.refunding_since is not None and now - here.refunding_since > pending:
        remedy = "sweep() asks for it again: has it run, and why does the gateway refuse?"
    else:
        return None
    return _difference("refunded_less" if given else "refunded_here", there, here, remedy)

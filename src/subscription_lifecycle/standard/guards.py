"""Every no of the standard lifecycle: who may ask, and what must hold."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from subscription_lifecycle.machine.guard import Context, guard
from subscription_lifecycle.model.actor import Role
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.payment_method import BANK_ACCOUNT, PaymentMethod
from subscription_lifecycle.model.policy import Policy
from subscription_lifecycle.standard.commands import (
    Cancel,
    ChangePaymentMethod,
    ConvertTrial,
    Correct,
    PayArrears,
    Reactivate,
    Refund,
    ReportInvoice,
    Resume,
    Start,
)

AnyCommand = Context[Command]
Paying = Context[Start | ConvertTrial | Reactivate | Resume | PayArrears | ChangePaymentMethod]


def _billing(policy: Policy) -> frozenset[Role]:
    return policy.billing_roles | policy.support_roles


def _support(policy: Policy) -> frozenset[Role]:
    return policy.support_roles


def _clock(policy: Policy) -> tuple[Role, ...]:
    return (Role.CLOCK,)


def _due(context: AnyCommand) -> bool:
    """The clock asks, and the row's own time has come."""
    if Role.CLOCK not in context.by.roles or context.row.due is None:
        return False
    due = context.row.due(context.subscription, context.policy)
    return due is not None and due <= context.at


# -- who may ask: S6, S8; where it is not self-service, support: S11, S17


@guard(
    "role.billing",
    "Only an administrator for billing, or support, may do this.",
    remedy="Ask one of them.",
    allowed_roles=_billing,
)
def may_manage_billing(context: AnyCommand) -> bool:
    return bool(context.by.roles & _billing(context.policy))


@guard(
    "role.billing_or_due",
    "Only an administrator for billing, or support, may do this before its time.",
    remedy="Ask one of them, or wait for the clock.",
    allowed_roles=_billing,
)
def may_manage_billing_or_is_due(context: AnyCommand) -> bool:
    return bool(context.by.roles & _billing(context.policy)) or _due(context)


@guard("role.support", "Only support may do this.", remedy="Contact support.", allowed_roles=_support)
def may_support(context: AnyCommand) -> bool:
    return bool(context.by.roles & context.policy.support_roles)


@guard(
    "role.self_service",
    "This is not offered as self-service.",
    remedy="Contact support.",
    allowed_roles=_support,
)
def self_service_is_offered(context: AnyCommand) -> bool:
    return context.policy.self_service or bool(context.by.roles & context.policy.support_roles)


@guard("role.clock", "Only the clock does this, when it is due.", remedy="Let sweep run.", allowed_roles=_clock)
def is_due(context: AnyCommand) -> bool:
    return _due(context)


@guard("role.reported", "Only the gateway's report does this.", remedy="Use report_payment.", allowed_roles=_clock)
def is_reported(context: AnyCommand) -> bool:
    return Role.CLOCK in context.by.roles


# -- how it is paid: S12, S18; a bank account not in every country: S25


@guard(
    "payment_method.missing",
    "A payment method must be given.",
    remedy="Choose one, or add one, in the same command.",
    reads_command=True,
)
def payment_method_is_given(context: Paying) -> bool:
    """Wherever something is or will be charged; what is free asks nobody for a card."""
    subscription = context.subscription
    free = not subscription.price and not subscription.arrears
    return free or context.command.payment_method is not None


@guard(
    "payment_method.needed",
    "There is something to pay and no payment method.",
    remedy="Give a payment method.",
    reads_command=True,
)
def payment_method_is_known(context: Paying) -> bool:
    return context.payment_method is not None or not context.subscription.price


@guard(
    "payment_method.country",
    "Paying from a bank account is not possible in this country.",
    remedy="Choose a card.",
    reads_command=True,
)
def bank_account_is_accepted(context: Paying) -> bool:
    method = context.command.payment_method
    return method is None or method.kind != BANK_ACCOUNT or method.country not in context.policy.no_bank_account_in


@guard(
    "payment_method.invoice",
    "Paying by invoice is not offered.",
    remedy="Choose a card or a bank account.",
    reads_command=True,
)
def invoice_is_offered(context: Paying) -> bool:
    return context.policy.invoice or not _by_invoice(context.command.payment_method, context.policy)


def _open_invoices(context: AnyCommand) -> Mapping[str, Any]:
    invoices = sorted({debt.invoice for debt in context.subscription.arrears if debt.invoice})
    what = (
        f"invoice {', '.join(invoices)}"
        if invoices
        else f"the {context.subscription.owed} owed by card or bank account"
    )
    return {"what": what, "owed": str(context.subscription.owed)}


@guard(
    "arrears.by_invoice",
    "What is owed cannot be put on an invoice.",
    remedy="Pay {what}, or choose another payment method.",
    reads_command=True,
    details=_open_invoices,
)
def arrears_are_not_put_on_an_invoice(context: AnyCommand) -> bool:
    if not context.subscription.arrears or context.policy.arrears != "collect":
        return True
    return not _by_invoice(context.payment_method, context.policy)


def _by_invoice(method: PaymentMethod | None, policy: Policy) -> bool:
    return method is not None and policy.activation(method.kind) == "at_once"


# -- what must hold


@guard("arrears.none", "Nothing is owed.", remedy="There is nothing to do.")
def something_is_owed(context: AnyCommand) -> bool:
    return bool(context.subscription.arrears)


@guard(
    "recurring_billing.off",
    "Recurring billing is off and the term is over: paying what is owed would not bring service back.",
    remedy="Reactivate: it collects what is owed and buys a period.",
)
def recurring_billing_is_on(context: AnyCommand) -> bool:
    return context.subscription.recurring_billing


@guard(
    "arrears.others",
    "Something else is owed too.",
    remedy="Have all of it paid.",
    reads_command=True,
)
def the_invoice_is_all_that_is_owed(context: Context[ReportInvoice]) -> bool:
    return all(debt.invoice == context.command.invoice for debt in context.subscription.arrears)


@guard(
    "cancel.date",
    "The cancellation must lie after today and before the term's end.",
    remedy='Choose such a day, or when="now" or when="term_end".',
    reads_command=True,
    details=lambda context: {"term_end": context.subscription.term_end},
)
def cancellation_is_within_the_term(context: Context[Cancel]) -> bool:
    when = context.command.when
    return isinstance(when, str) or context.today < when < context.subscription.term_end


@guard(
    "refund.at_term_end",
    "At the term's end there is nothing to refund.",
    remedy='Ask for refund="none", or cancel now.',
    reads_command=True,
)
def nothing_is_refunded_at_the_end(context: Context[Cancel]) -> bool:
    return context.command.refund == "none"


@guard(
    "refund.full",
    "A full refund is given by support, or within the days that policy names.",
    remedy='Ask support, or for refund="prorated".',
    reads_command=True,
    allowed_roles=_support,
)
def full_refund_is_in_time(context: Context[Cancel]) -> bool:
    if context.command.refund != "full" or context.by.roles & context.policy.support_roles:
        return True
    subscription, days = context.subscription, timedelta(days=context.policy.full_refund_days)
    on = context.today if isinstance(context.command.when, str) else max(context.today, context.command.when)
    starts = [paid.period.start for paid in subscription.settlements if paid.period.end > on]
    if on >= subscription.next_billing_date:
        # A period that is not paid for yet will be by then.
        starts.append(subscription.schedule.period_containing(on).start)
    return all(on < start + days for start in starts)


@guard(
    "refund.again",
    "This period was refunded once already.",
    remedy='Ask support, or for refund="none".',
    reads_command=True,
    allowed_roles=_support,
)
def refund_is_the_first_of_the_period(context: Context[Cancel]) -> bool:
    if context.command.refund == "none" or context.by.roles & context.policy.support_roles:
        return True
    return not any(paid.recharged for paid in context.subscription.settlements if paid.period.end > context.today)


@guard(
    "refund.payment",
    "There is no payment of that reference that was captured and not refunded.",
    remedy="Look it up in the history; what a cancellation gave back of a payment counts too.",
    reads_command=True,
    reads_facts=("payment",),
)
def payment_is_refundable(context: Context[Refund]) -> bool:
    payment = context.facts["payment"]
    return payment is not None and not payment["returned"]


@guard(
    "refund.amount",
    "Not more can go back than was captured, in its currency.",
    remedy="Ask for {captured} or less.",
    reads_command=True,
    reads_facts=("payment",),
    details=lambda context: {"captured": _captured(context)},
)
def refund_is_not_more_than_was_paid(context: Context[Refund]) -> bool:
    asked, captured = context.command.amount, _captured(context)
    return asked is None or (asked.currency == captured.currency and asked <= captured)


def _captured(context: Context[Refund]) -> Money:
    payment = context.facts["payment"]
    return Money(0 if payment is None else payment["captured"], context.subscription.currency)


@guard(
    "written_off",
    "Days to come were written off: whoever comes back buys them.",
    remedy="Reactivate.",
)
def nothing_is_left_to_buy(context: AnyCommand) -> bool:
    settlements = context.subscription.settlements
    return not any(paid.refunded_from is not None and paid.period.end > context.today for paid in settlements)


@guard(
    "correct.date",
    "The next billing date must be a date of the schedule, and it only moves later: what was billed once is not again.",
    remedy="Choose such a date.",
    reads_command=True,
)
def corrected_date_is_billable(context: Context[Correct]) -> bool:
    asked, subscription = context.command.next_billing_date, context.subscription
    if asked is None:
        return True
    return subscription.schedule.is_date(asked) and asked >= subscription.next_billing_date


@guard(
    "correct.term",
    "A commitment ends on a date of the schedule, on or after the next billing date; without one, service is billed to "
    "the next billing date and no further.",
    remedy="Choose such a date, or correct the next billing date.",
    reads_command=True,
)
def corrected_term_is_possible(context: Context[Correct]) -> bool:
    subscription, command = context.subscription, context.command
    billed_until = command.next_billing_date or subscription.next_billing_date
    if subscription.plan.term is None:
        return command.term_end in (None, billed_until)
    end = command.term_end or subscription.term_end
    if command.term_end is None and command.next_billing_date is None:
        return True
    return subscription.schedule.is_date(end) and end >= max(subscription.term_start, billed_until)


@guard(
    "correct.credit",
    "Credit cannot be less than nothing.",
    remedy="Choose zero or more.",
    reads_command=True,
)
def corrected_credit_is_possible(context: Context[Correct]) -> bool:
    return context.command.credit is None or context.command.credit.minor >= 0

"""What an outcome, and its preview, tell the person who asked."""

from __future__ import annotations

from datetime import timedelta

from subscription_lifecycle.machine.guard import Context
from subscription_lifecycle.model.calendar import start_of_day
from subscription_lifecycle.model.charge import Charge, Reminder
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.subscription import Subscription

AnyCommand = Context[Command]


def recurring_billing_is_off(context: AnyCommand, after: Subscription, charge: Charge) -> Reminder | None:
    """To keep it from expiring again, switch recurring billing on (S24)."""
    if after.recurring_billing:
        return None
    return Reminder(
        "recurring_billing.off", f"Recurring billing is off: service ends on {after.term_end} unless it is switched on."
    )


def buys_few_days(context: AnyCommand, after: Subscription, charge: Charge) -> Reminder | None:
    """A charge that buys less than the days policy names."""
    left = start_of_day(after.next_billing_date, after.time_zone) - context.at
    if left >= timedelta(days=context.policy.few_days) or not charge.due(after.currency):
        return None
    return Reminder("charge.few_days", f"This buys {_span(left)}: the next billing date is {after.next_billing_date}.")


def paid_days_are_lost(context: AnyCommand, after: Subscription, charge: Charge) -> Reminder | None:
    """A cancellation without refund gives up paid days; at the term's end it would not."""
    days = (after.paid_through - context.today).days
    if days <= 0 or after.refunds != context.subscription.refunds or after.credit != context.subscription.credit:
        return None
    return Reminder("cancel.paid_days", f'{days} paid days are given up; when="term_end" keeps them.')


def _span(left: timedelta) -> str:
    for unit, size in (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1))):
        count = left // size
        if count:
            return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    return "less than a minute"

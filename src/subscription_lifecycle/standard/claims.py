"""Keys that are unique in a whole store."""

from __future__ import annotations

from subscription_lifecycle.machine.guard import Context
from subscription_lifecycle.model.command import Command


def one_trial_per_plan(context: Context[Command]) -> str | None:
    """One trial per customer and plan."""
    # Names may hold colons: the length tells where the first one ends.
    customer = context.subscription.customer
    return f"trial:{len(customer)}:{customer}:{context.subscription.plan.id}"

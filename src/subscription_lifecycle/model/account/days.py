"""What some days of a sum are worth."""

from __future__ import annotations

from datetime import date

from subscription_lifecycle.model.schedule import BillingPeriod


def half_up(numerator: int, denominator: int) -> int:
    """A quotient, rounded to the nearest whole; halves away from zero."""
    size = (2 * abs(numerator) + denominator) // (2 * denominator)
    return size if numerator >= 0 else -size


def share(amount: int, of: BillingPeriod, start: date, end: date, rounding: str = "last") -> int:
    """The part of an amount that some of the days it is for have, and never more than all of it.

    "last" rounds once; "daily" rounds the price of a day first. The other days keep the rest, so nothing is lost.
    """
    start, end = max(start, of.start), min(end, of.end)
    days = (end - start).days
    if days <= 0 or not of.days:
        return 0
    if days == of.days:
        return amount
    part = half_up(amount, of.days) * days if rounding == "daily" else half_up(amount * days, of.days)
    return min(amount, part)

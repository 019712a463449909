"""Whatever a life leads to can be told as an account: balanced, and with the same debts, credit and refunds."""

from __future__ import annotations

from collections import Counter

import pytest

from subscription_lifecycle import STANDARD
from subscription_lifecycle.model.account.account import Account, booked_so_far
from subscription_lifecycle.model.account.check import check
from subscription_lifecycle.model.account.opening import opening
from subscription_lifecycle.model.calendar import local_day
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.testing import law, lifecycle_machine
from subscription_lifecycle.testing.step import Step


def opened(subscription: Subscription) -> Account:
    """The account of a snapshot; it keeps every rule that a write is held to."""
    assert subscription.recorded_at is not None
    account, booking = opening(subscription, local_day(subscription.recorded_at, subscription.time_zone))
    check(account, [booking])
    assert Account(subscription.currency).after(booking) == account
    assert Account(subscription.currency).after(booked_so_far(account)) == account
    return account


@law("a snapshot can be told as an account that says the same of debts, credit, refunds and debits under way")
def can_be_told_as_an_account(step: Step) -> None:
    subscription = step.subscription
    account = opened(subscription)
    said = Counter((debt.period, debt.amount, debt.since, debt.held, debt.invoice) for debt in account.arrears)
    assert said == Counter(
        (debt.period, debt.amount, debt.since, debt.held, debt.invoice) for debt in subscription.arrears
    )
    assert account.owed == subscription.owed
    assert account.credit == (subscription.credit or account.credit * 0)
    assert _by_payment(account.refunds) == _by_payment(subscription.refunds)
    assert _by_payment(account.submitted) == _by_payment(subscription.submitted)


def _by_payment(items: object) -> Counter[tuple[str, str]]:
    found = Counter[tuple[str, str]]()
    assert isinstance(items, tuple)
    for item in items:
        found[item.reference, item.amount.currency] += item.amount.minor
    return found


@pytest.mark.slow
class TestAccounts(lifecycle_machine(STANDARD, laws=(can_be_told_as_an_account,)).TestCase):  # type: ignore[misc]
    """Random lives of the standard lifecycle."""

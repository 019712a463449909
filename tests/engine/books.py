"""A gateway's ledger held against what is on record, when all is over."""

from __future__ import annotations

from subscription_lifecycle import Subscriptions
from subscription_lifecycle.testing import laws
from subscription_lifecycle.testing.step import whole_life


def adds_up(subs: Subscriptions, id: str = "s") -> None:
    """Nothing lost, nothing taken twice, nothing kept, no debt gone."""
    step = whole_life(subs, id)
    for law in (laws.money_adds_up, laws.debts_stay):
        law(step)

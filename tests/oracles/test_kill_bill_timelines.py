"""Kill Bill's own integration tests, replayed: dunning, and service that ends or is kept.

Which timelines are in scope is decided by what each of them does. Of those, every fact is compared, or says why it
cannot be; what we answer otherwise is in EXCEPTIONS and is asserted to differ. The counts are asserted too, so that
nothing is left out silently.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.oracles import timelines
from tests.oracles.published import NAMED, WITHOUT, Case, read
from tests.oracles.timelines import Fact, Timeline

if not NAMED:
    pytest.skip(WITHOUT, allow_module_level=True)

TIMELINES: dict[str, Case] = {timeline["id"]: timeline for timeline in read("killbill_timelines.json")["timelines"]}
DUNNING = "overdue/TestOverdueIntegration.java#"
CANCELLED = "overdue/TestOverdueWithSubscriptionCancellation.java#"

FREE = "the free first phase has no end there, so it is charged through its first day; ours is paid to the trial's end"
COUNTED = "this ladder counts invoices or sums; ours counts days"
REFUNDED = "a refund reopens the invoice of its old day there; money that is taken back is owed since that day to us"
LOOPED = "the clock there is a day ahead of what the data tells"

EXCEPTIONS: dict[tuple[str, str], str] = {
    (f"{DUNNING}testOverdueStages3:311", "4 2012-05-01 charged_through"): FREE,
    (f"{DUNNING}testShouldNotBeInOverdueAfterDraftExternalCharge:680", "3 2012-05-01 charged_through"): FREE,
    (f"{DUNNING}testShouldBeInOverdueAfterRefundWithoutAdjustment:719", "3 2012-05-01 charged_through"): FREE,
    (f"{DUNNING}testShouldBeInOverdueAfterRefundWithoutAdjustment:719", "15 2012-07-05 overdue_state"): REFUNDED,
    (f"{DUNNING}testOverdueClearWithCredit:1099", "4 2012-05-01 charged_through"): FREE,
    (f"{CANCELLED}testCheckSubscriptionCancellation:68", "4 2012-05-01 charged_through"): FREE,
    (f"{CANCELLED}testCheckSubscriptionCancellationWithMultipleBundles:115", "4 2012-05-01 charged_through"): FREE,
    (f"{CANCELLED}testCheckSubscriptionCancellationWithMultipleBundles:115", "7 2012-05-01 charged_through"): FREE,
    (f"{CANCELLED}testCheckSubscriptionCancellationWithMultipleBundles:115", "10 2012-05-01 charged_through"): FREE,
    ("TestIntegration.java#testBasePlanCompleteWithBillingDayInPast:245", "8 2012-03-01 charged_through"): LOOPED,
} | {
    (f"{DUNNING}testOverdueStateWith{what}", where): COUNTED
    for what in ("NumberOfUnpaidInvoicesCondition:954", "TotalUnpaidInvoiceBalanceCondition:1026")
    for where in ("8 2012-08-01 overdue_state", "10 2012-09-01 overdue_state", "11 2012-10-01 advance_clock")
}


def left_out(timeline: Case) -> str | None:
    """Why a timeline is not replayed, by what it does."""
    steps = timeline["steps"]
    done = [step["do"] for step in steps if "do" in step]
    events = [event for step in steps for event in (*step.get("emits", ()), *step.get("events", ()))]
    begun: list[str] = next((step.get("emits", []) for step in steps if step.get("do") == "subscribe"), [])
    begun = begun or next((step["events"] for step in steps if "CREATE" in step.get("events", ())), [])
    gateway = [step["value"] for step in steps if step.get("do") == "set_gateway"]
    items = [item for step in steps for item in step.get("items", ())]
    reasons = {
        "no instants are told": any(step["at"] is None for step in steps),
        "an account pays for another": "ChildParent" in timeline["id"],
        "the plan is changed": any(name.startswith("changePlan") for name in done),
        "the cycle day is moved": "updateBCD" in done,
        "a block of which nothing is told": "addBlockingState" in done,
        "tags switch dunning, invoices or payments off": "AutoPayOff" in timeline["id"]
        or any("TAG" in step.get("events", ()) for step in steps)
        or (bool(begun) and not {"INVOICE", "NULL_INVOICE"} & {*begun}),
        "billed in arrears": "NULL_INVOICE" in begun,
        "add-ons of which nothing is told": "addon" in timeline["id"].lower()
        or events.count("CREATE") > done.count("subscribe") + done.count("add_addon"),
        "a first phase that has a price": "PAYMENT" in begun and "PHASE" in events,
        "a payment of which nothing is told": gateway == ["true", "false", "true"],
        "a loop of which nothing is told": bool(timeline.get("has_control_flow")) and "EXPIRED" in events,
        "single charges": any(item["type"] == "FIXED" and float(item["amount"]) for item in items),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


LEFT_OUT = {name: why for name, timeline in TIMELINES.items() if (why := left_out(timeline)) is not None}
REPLAYED = [name for name in TIMELINES if name not in LEFT_OUT]


@functools.cache
def played(name: str) -> tuple[Fact, ...]:
    return tuple(Timeline(TIMELINES[name]).facts())


def differs(name: str, fact: Fact) -> bool:
    """Whether an exception is about this fact, and not about another of the same step."""
    return (name, fact.where) in EXCEPTIONS and fact.kind in ("charged through", "overdue state", "rung reached")


@pytest.mark.parametrize("name", REPLAYED)
def test_timeline(name: str, record_property: Callable[[str, object], None]) -> None:
    compared = [fact for fact in played(name) if fact.untold is None]
    assert compared
    for fact in compared:
        if differs(name, fact):
            assert fact.ours != fact.theirs, f"no exception any more: {EXCEPTIONS[name, fact.where]}"
    same = [fact for fact in compared if not differs(name, fact)]
    assert [(fact.where, fact.kind, fact.ours) for fact in same] == [
        (fact.where, fact.kind, fact.theirs) for fact in same
    ]
    whole = len(same) == len(played(name))
    record_property("replayed", f"Kill Bill timelines, {'whole' if whole else 'in part'}")


def test_nothing_is_left_out_silently(record_property: Callable[[str, object], None]) -> None:
    facts = [(name, fact) for name in REPLAYED for fact in played(name)]
    assert {(name, fact.where) for name, fact in facts if differs(name, fact)} == set(EXCEPTIONS)
    assert Counter(fact.untold for _, fact in facts if fact.untold) == NOT_COMPARED
    assert Counter(fact.kind for name, fact in facts if fact.untold is None and not differs(name, fact)) == SAME
    assert Counter(LEFT_OUT.values()) == NOT_REPLAYED
    assert len(REPLAYED) == 28
    for reason in LEFT_OUT.values():
        record_property("left out", f"Kill Bill timelines: {reason}")


def test_the_page_says_so() -> None:
    """docs/published_cases.md has a line for each reason, with its count."""
    page = (Path(__file__).parents[2] / "docs" / "published_cases.md").read_text(encoding="utf-8")
    counts = [*Counter(EXCEPTIONS.values()).items(), *NOT_COMPARED.items(), *NOT_REPLAYED.items()]
    assert [line for reason, count in counts if (line := f"| {count} | {reason} |") not in page] == []
    assert f"{sum(SAME.values())} facts the same" in page


NOT_REPLAYED = {
    "no instants are told": 22,
    "the plan is changed": 8,
    "add-ons of which nothing is told": 7,
    "tags switch dunning, invoices or payments off": 5,
    "a first phase that has a price": 3,
    "an account pays for another": 2,
    "billed in arrears": 2,
    "a block of which nothing is told": 1,
    "a loop of which nothing is told": 1,
    "a payment of which nothing is told": 1,
    "single charges": 1,
    "the cycle day is moved": 1,
}
"""Timelines."""
NOT_COMPARED = {
    timelines.TOGETHER: 22,
    timelines.NO_ITEMS: 12,
    timelines.PAID: 8,
    timelines.ADD_ON: 7,
    timelines.STAYS: 4,
    timelines.ONE_END: 4,
    timelines.CHANGE: 3,
    timelines.UNRESOLVED: 2,
    timelines.ONE_OFF: 1,
}
"""Facts of the replayed ones."""
SAME = {
    "payment": 127,
    "end": 123,
    "failed payment": 105,
    "rung reached": 50,
    "access": 38,
    "overdue state": 33,
    "charged through": 25,
    "invoice item": 23,
    "entitlement": 13,
    "balance": 1,
    "payment given back": 1,
}
"""Facts that are the same."""

"""What must hold after every step, for any lifecycle: fifteen laws, and how to write your own.

A law is a function of a Step that raises AssertionError. `lifecycle_machine` asks every law after every step; most look
at the whole history so far, so nothing that went wrong is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

import attrs

from subscription_lifecycle.errors import PaymentDeclined, Refused
from subscription_lifecycle.machine.decision import Applied
from subscription_lifecycle.machine.transition import unchanged
from subscription_lifecycle.model.actor import SYSTEM, Role
from subscription_lifecycle.model.calendar import local_day, start_of_day
from subscription_lifecycle.model.entry import Entry, fold
from subscription_lifecycle.model.schedule import BillingPeriod
from subscription_lifecycle.model.state import Access
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.standard.causes import PROVIDER
from subscription_lifecycle.standard.commands import Adopt, Cancel, Correct, Disable, Enable, Reactivate
from subscription_lifecycle.testing.step import Step


@attrs.frozen
class Law:
    """A sentence and its check."""

    sentence: str
    check: Callable[[Step], None] = attrs.field(repr=False)

    def __call__(self, step: Step) -> None:
        try:
            self.check(step)
        except AssertionError as error:
            error.add_note(f"The law: {self.sentence}.")
            error.add_note(step.story())
            raise


def law(sentence: str) -> Callable[[Callable[[Step], None]], Law]:
    """Make a law of a check."""
    return lambda check: Law(sentence, check)


LEFT_ALONE = ("state", "causes", "next_billing_date", "paid_through", "arrears", "payment_method", "schedule", "credit")


@law("no row leaves a final state; entries about money may follow")
def final_is_final(step: Step) -> None:
    ended = False
    for entry, snapshot in step.snapshots:
        assert not ended or "state" not in entry.changes, f"{entry.id} leaves a final state"
        ended = snapshot.state.final


@law("a refusal changes nothing, a decline only what its row says; entries fold to the snapshot and can be replayed")
def history_is_the_truth(step: Step) -> None:
    if isinstance(step.error, Refused) and step.first:
        assert step.before == step.after, "a refusal changed what is stored"
        assert not step.entries and not step.moved, "a refusal left entries or moved money"
    if isinstance(step.error, PaymentDeclined) and not step.subscription.state.final:
        for field in LEFT_ALONE:
            caught_up = _after_due_rows(step)
            assert getattr(step.subscription, field) == getattr(caught_up, field), f"a decline changed {field}"
        assert [entry.event for entry in step.entries[-2:]] == ["attempted", "declined"], "a decline is two entries"
    assert [entry.version for entry in step.history] == list(range(1, len(step.history) + 1)), "a version is missing"
    folded = fold(step.history)
    assert folded == step.subscription, "the entries do not fold to the snapshot"
    _replay(step)


def _after_due_rows(step: Step) -> Subscription:
    found = [snapshot for entry, snapshot in step.snapshots if entry.version <= step.entries[-2].version]
    return found[-1]


def _replay(step: Step) -> None:
    """Every entry that a row made is made again, from what it says itself."""
    new = {entry.version for entry in step.entries}
    decided = None
    before: Subscription | None = None
    for entry, snapshot in step.snapshots:
        if entry.event == "attempted":
            decided = entry
        if entry.version in new and entry.event in ("applied", "held", "declined") and before is not None:
            attempted = decided is not None and decided.key == entry.key and decided.row == entry.row
            at = decided.recorded_at if attempted and decided is not None else entry.recorded_at
            start = before
            again = step.lifecycle.decide_again(step.lifecycle.known(start), entry, at)
            expected = (again.declined or again.before) if entry.event == "declined" else again.after
            _same(entry, snapshot, expected)
        before = snapshot


def _same(entry: Entry, snapshot: Subscription, again: Subscription) -> None:
    for field in attrs.fields(Subscription):
        if field.name in ("version", "recorded_at", "settlements"):
            continue
        found, expected = getattr(snapshot, field.name), getattr(again, field.name)
        assert found == expected, f"{entry.id} cannot be replayed: {field.name} was {found}, is now {expected}"


@law("what is refused no input makes succeed; preview, explain and outcome agree")
def answers_agree(step: Step) -> None:
    if step.explained is None or step.command is None:
        return
    refused = isinstance(step.error, Refused)
    codes = {refusal.code for refusal in step.explained}
    assert refused == bool(codes), f"explained {codes or 'nothing'}, but the outcome was {step.error or step.result!r}"
    if isinstance(step.error, Refused):
        assert {refusal.code for refusal in step.error.refusals} == codes, "explain and outcome name other reasons"
    if step.offered is not None and step.offered.availability != "available":
        assert refused, f"{step.command.title} was offered as {step.offered.availability} and succeeded"
    if step.previewed is not None and isinstance(step.result, Applied) and step.entries:
        last = [entry for entry in step.entries if entry.command == step.command and entry.by == step.by]
        if last and last[-1].event == "applied":
            assert last[-1].terms == step.previewed.terms, "the outcome has other terms than the preview"


@law(
    "billed periods never overlap; within one unbroken spell of service they touch; every gap has an entry that names why"
)
def periods_tile(step: Step) -> None:
    billed = [(entry, entry.billed) for entry in step.history if entry.billed is not None]
    for (earlier, one), (later, two) in pairwise(billed):
        assert one.end <= two.start, f"{earlier.id} billed {one}, {later.id} billed {two}"
        if one.end == two.start:
            continue
        served = sum(period.days for period in later.served_unpaid)
        between = [entry for entry in step.history if earlier.version < entry.version <= later.version]
        named = any({"causes", "schedule", "next_billing_date"} & entry.changes.keys() for entry in between)
        assert served == (two.start - one.end).days or named, f"nothing names the gap between {one} and {two}"


@law(
    "every next billing date is a date of the stored schedule; only restarting rows replace it; the anchor never drifts"
)
def dates_are_scheduled(step: Step) -> None:
    for number, (entry, snapshot) in enumerate(step.snapshots):
        # The first day that is billed may begin a short first period.
        first = snapshot.next_billing_date in (snapshot.term_start, snapshot.trial_end)
        assert first or snapshot.schedule.is_date(snapshot.next_billing_date), (
            f"{entry.id}: {snapshot} is off its schedule"
        )
        if number and "schedule" in entry.changes:
            assert step.lifecycle.row(entry.row).billing_date is not unchanged, f"{entry.id} replaced the schedule"


@law("for each period and purpose at most one capture succeeds; what was captured, refunded and credited adds up")
def money_adds_up(step: Step) -> None:
    if step.after.attempt is not None:
        return
    _captured_once(step)
    known = {entry.payment.reference: entry.payment for entry in step.history if entry.payment is not None}
    taken = [capture for capture in step.gateway.captures if capture.subscription == step.id]
    assert len({capture.reference for capture in taken}) == len(taken), "a payment was captured twice"
    for capture in taken:
        payment = known.get(capture.reference)
        assert payment is not None, f"{capture.reference} was captured and nobody knows"
        assert payment.status in ("captured", "submitted") and payment.amount == capture.amount, (
            f"{payment} was captured as {capture.amount}"
        )
    given = [refund for refund in step.gateway.refunds if refund.reference in known]
    # A refund may have been made and its confirmation lost: it is on record still, and asked for again.
    made = {refund.reference for refund in given}
    promised = sum(refund.amount.minor for refund in step.subscription.refunds if refund.reference not in made)
    asked = _refunds_asked(step)
    assert sum(refund.amount.minor for refund in given) + promised == asked, "a refund was lost or doubled"
    for refund in given:
        assert refund.amount <= known[refund.reference].amount, f"{refund} gives back more than was taken"


def _captured_once(step: Step) -> None:
    seen: dict[tuple[str, BillingPeriod], str] = {}
    for entry in step.history:
        if entry.event == "failed" and entry.payment is not None:
            seen = {line: reference for line, reference in seen.items() if reference != entry.payment.reference}
        if entry.event != "applied" or entry.charge is None:
            continue
        reference = entry.payment.reference if entry.payment is not None else entry.id
        for line in entry.charge.lines:
            if line.purpose == "recharge":
                continue
            other = seen.setdefault((line.purpose, line.period), reference)
            assert other == reference, f"{line.period} was charged twice for {line.purpose}: {other} and {reference}"


def _refunds_asked(step: Step) -> int:
    total = 0
    for entry in step.history:
        if "refunds" not in entry.changes:
            continue
        before, after = entry.changes["refunds"]
        total += sum(refund.amount.minor for refund in after if refund not in (before or ()))
    return total


@law("debts do not evaporate: arrears shrink only by money or by an entry that forgives")
def debts_stay(step: Step) -> None:
    for entry in step.history:
        if "arrears" not in entry.changes:
            continue
        before, after = entry.changes["arrears"]
        left = {(debt.period, debt.amount) for debt in after}
        gone = {(debt.period, debt.amount) for debt in before or ()} - left
        named = (
            entry.charge.settles + entry.charge.forgives
            if entry.charge is not None and entry.event == "applied"
            else ()
        )
        assert gone <= {(debt.period, debt.amount) for debt in named}, f"{entry.id} lost a debt"


@law("each day of full access is billed, or a trial, a grace or served unpaid")
def service_is_covered(step: Step) -> None:
    covered = _covered(step)
    for entry, snapshot, start, end in step.spells():
        if snapshot.state.access is not Access.FULL:
            continue
        for day in step.local_days(snapshot, start, end):
            if day >= snapshot.next_billing_date:
                # Nothing was billed for it yet: a grace that ends, or a renewal that is due.
                due = step.lifecycle.due(step.lifecycle.known(snapshot))
                assert snapshot.until is not None or due is not None, f"{day} in {snapshot.state} is free for ever"
            else:
                assert any(period.start <= day < period.end for period in covered), (
                    f"{day} in {snapshot.state} was never billed ({entry.id})"
                )


def _covered(step: Step) -> list[BillingPeriod]:
    """What was billed, served unpaid, given as a trial, or stood before we came to know it."""
    found: list[BillingPeriod] = []
    for entry, snapshot in step.snapshots:
        found += [*entry.served_unpaid, *([] if entry.billed is None else [entry.billed])]
        if snapshot.trial_end is not None:
            found.append(BillingPeriod(snapshot.term_start, snapshot.trial_end))
        if isinstance(entry.command, Adopt):
            found.append(BillingPeriod(date.min, snapshot.next_billing_date))
        if isinstance(entry.command, Correct) and "next_billing_date" in entry.changes:
            found.append(BillingPeriod(*entry.changes["next_billing_date"]))
    return found


@law("no arbitrage: customers get no more days than they pay for, owe, or policy gives them")
def service_is_paid(step: Step) -> None:
    if not step.customers_only or step.after.attempt is not None:
        return
    subscription = step.subscription
    prices = _prices(step)
    used = _days_used(step, prices)
    zero = Fraction(0)
    value = sum((prices[day] for day in used), zero)
    paid = sum(
        line.amount.minor
        for entry in step.history
        if entry.event == "applied" and entry.charge
        for line in entry.charge.lines
    )
    owed = subscription.owed.minor
    failed = sum(entry.payment.amount.minor for entry in step.history if entry.event == "failed" and entry.payment)
    given = _given_back(step)
    grace = _given_days(step, prices)
    # Each rounded price may differ by one unit from the exact part of a period.
    slack = sum(1 for entry in step.history if entry.charge is not None or "settlements" in entry.changes)
    got = paid + owed - failed - given
    assert value <= got + grace + slack, (
        f"{len(used)} days worth {float(value):.0f} were had for {got} and a grace of {float(grace):.0f}"
    )


def _prices(step: Step) -> dict[date, Fraction]:
    """What one day of each billed period costs."""
    prices: dict[date, Fraction] = {}
    for entry, snapshot in step.snapshots:
        period = entry.billed
        if period is None:
            continue
        whole = snapshot.schedule.period_containing(period.start)
        price = Fraction(snapshot.price.minor, max(whole.days, period.days))
        prices |= {period.start + timedelta(days=count): price for count in range(period.days)}
    return prices


def _days_used(step: Step, prices: dict[date, Fraction]) -> set[date]:
    return {
        day
        for _, snapshot, start, end in step.spells()
        if snapshot.state.access is Access.FULL
        for day in step.local_days(snapshot, start, end)
        if day < snapshot.next_billing_date and day in prices
    }


def _given_back(step: Step) -> int:
    """Refunds and credit that cancellations gave, less credit that was used again as money."""
    total = 0
    for entry in step.history:
        if entry.event not in ("applied", "held") or entry.changes.get("settlements") is None:
            continue
        before, after = entry.changes["settlements"]
        known = {(paid.period, paid.reference): paid.refunded for paid in before or ()}
        for paid in after:
            earlier = known.get((paid.period, paid.reference))
            total += (paid.refunded.minor if paid.refunded else 0) - (earlier.minor if earlier else 0)
    return total


def _given_days(step: Step, prices: dict[date, Fraction]) -> Fraction:
    """The day of a cancellation is refunded although it was begun: once in a billed period."""
    days = [
        local_day(entry.effective_at, snapshot.time_zone)
        for entry, snapshot in step.snapshots
        if isinstance(entry.command, Cancel) and "settlements" in entry.changes
    ]
    full = sum(1 for entry in step.history if isinstance(entry.command, Cancel) and entry.command.refund == "full")
    policy = step.lifecycle.policy_of(step.subscription)
    most = max(prices.values(), default=Fraction(0))
    return sum((prices.get(day, Fraction(0)) for day in days), Fraction(0)) + full * policy.full_refund_days * most


@law("cancel and reactivate, or block and lift, within a day leave state, dates, debts and money as they were")
def there_and_back(step: Step) -> None:
    found = list(step.snapshots)
    for number, (entry, _) in enumerate(found):
        if not number or not isinstance(entry.command, Cancel | Disable) or "causes" not in entry.changes:
            continue
        before, rest = found[number - 1][1], [pair for pair in found[number + 1 :] if pair[0].event != "refunded"]
        back = [
            pair for pair in rest[:2] if pair[0].event == "applied" and isinstance(pair[0].command, Reactivate | Enable)
        ]
        if not back or (back[0] is not rest[0] and rest[0][0].event != "attempted"):
            continue
        _is_back(step, entry, before, *back[0])


def _is_back(step: Step, left: Entry, before: Subscription, entry: Entry, after: Subscription) -> None:
    same_day = local_day(left.effective_at, before.time_zone) == local_day(entry.effective_at, before.time_zone)
    if not same_day or local_day(left.effective_at, before.time_zone) >= before.next_billing_date or before.arrears:
        return
    for field in (
        "state",
        "schedule",
        "next_billing_date",
        "paid_through",
        "term_start",
        "term_end",
        "arrears",
        "credit",
    ):
        assert getattr(after, field) == getattr(before, field), f"{entry.id}: {field} did not come back"
    refunded = sum(paid.refunded.minor for paid in _newly_refunded(left))
    charged = sum(line.amount.minor for line in entry.charge.lines) if entry.charge else 0
    assert refunded == charged, f"{entry.id}: {refunded} went back and {charged} was charged again"


def _newly_refunded(entry: Entry) -> Iterable[Any]:
    before, after = entry.changes.get("settlements", ((), ()))
    known = {paid.period for paid in before or () if paid.refunded is not None}
    return (paid for paid in after if paid.refunded is not None and paid.period not in known)


@law("when the sweep runs never changes an answer, up to when it was written and what was held")
def sweeps_do_not_matter(step: Step) -> None:
    start = step.before.subscription
    if step.before.attempt is not None or start.recorded_at is None or start.recorded_at >= step.now:
        return
    middle = start.recorded_at + (step.now - start.recorded_at) / 2
    late, early = step.lifecycle.catch_up(start, step.now), step.lifecycle.catch_up(start, middle)
    if early.charge is not None or any(decision.event == "held" for decision in late.steps):
        return
    twice = step.lifecycle.catch_up(early.subscription, step.now)
    for field in ("state", "causes", "next_billing_date", "term_end", "arrears", "paid_through", "schedule", "since"):
        one, two = getattr(late.subscription, field), getattr(twice.subscription, field)
        assert one == two or _window_moved(step, late.steps, twice.steps), (
            f"{field}: swept once {one}, swept twice {two}"
        )


def _window_moved(step: Step, late: Iterable[Any], twice: Iterable[Any]) -> bool:
    """A deletion comes a full window after its notice was written: a later sweep gives notice later."""
    return {decision.after.state.final for decision in twice} != {decision.after.state.final for decision in late}


@law("time goes on: no instant sees more due rows than there are states")
def due_rows_progress(step: Step) -> None:
    if step.after.attempt is not None:
        return
    caught = step.lifecycle.catch_up(step.subscription, step.now + timedelta(days=40))
    instants = [decision.at for decision in caught.steps]
    for instant in set(instants):
        assert instants.count(instant) <= len(step.lifecycle.states), f"{instant} sees no end of due rows"


@law("promises hold: no deadline moves earlier by itself, nothing irreversible comes unannounced")
def promises_hold(step: Step) -> None:
    before: Subscription | None = None
    for entry, snapshot in step.snapshots:
        if before is not None and entry.by == SYSTEM and "until" in entry.changes and snapshot.state == before.state:
            earlier, later = entry.changes["until"]
            assert earlier is None or later is None or later >= earlier, f"{entry.id} moved {earlier} to {later}"
        if (
            before is not None
            and entry.by == SYSTEM
            and snapshot.state.final
            and not before.state.final
            and before.causes
        ):
            assert before.until is not None, f"{entry.id} ended what had no deadline"
            due = start_of_day(before.until, before.time_zone)
            assert entry.recorded_at >= due, f"{entry.id} ended it before {before.until}"
        before = snapshot


@law("reactivation never flips recurring billing; no customer lifts the provider's block; roles only ever help")
def roles_are_respected(step: Step) -> None:
    for entry in step.history:
        policy = step.lifecycle.policies.get(entry.policy)
        support = policy.support_roles if policy is not None else frozenset[Role]()
        if isinstance(entry.command, Reactivate):
            assert "recurring_billing" not in entry.changes, f"{entry.id} flipped recurring billing"
        before, after = entry.changes.get("causes", ((), ()))
        lifted = PROVIDER in (before or ()) and PROVIDER not in after
        assert not lifted or entry.by.roles & support, f"{entry.id}: {entry.by} lifted the provider's block"
        assert entry.by.roles, f"{entry.id}: {entry.by} has no role"
    _more_roles_help(step)


def _more_roles_help(step: Step) -> None:
    if step.explained is None or step.command is None or step.by is None or step.command.creates:
        return
    subscription = step.lifecycle.projected(step.before.subscription, step.now)
    few = step.lifecycle.explain(subscription, step.command, by=step.by, at=step.now)
    more = attrs.evolve(step.by, roles=step.by.roles | {Role.GLOBAL_ADMIN, Role.SUPPORT})
    many = step.lifecycle.explain(subscription, step.command, by=more, at=step.now)
    assert {refusal.code for refusal in many} <= {refusal.code for refusal in few}, "more roles met more refusals"


@law("what is recorded is never undone by a clock: times rise, the present is what is stored, payments go by our names")
def time_is_honest(step: Step) -> None:
    written = [entry.recorded_at for entry in step.history]
    assert written == sorted(written), "recorded_at goes back"
    assert step.subs.as_of(step.id, step.now) == step.subs.get(step.id), "as_of(now) is not what is"
    subscription = step.lifecycle.known(step.subscription)
    moved = subscription.changed({"time_zone": "Asia/Kolkata"})
    here, there = step.lifecycle.due(subscription), step.lifecycle.due(moved)
    if here is not None and there is not None:
        assert local_day(here.at, subscription.time_zone) == local_day(there.at, moved.time_zone), "a zone moved a date"
    for capture in step.gateway.captures:
        if capture.subscription == step.id:
            assert step.subs.store.find(capture.reference) == step.id, f"{capture.reference} is not found by our name"


ALL = (
    final_is_final,
    history_is_the_truth,
    answers_agree,
    periods_tile,
    dates_are_scheduled,
    money_adds_up,
    debts_stay,
    service_is_covered,
    service_is_paid,
    there_and_back,
    sweeps_do_not_matter,
    due_rows_progress,
    promises_hold,
    roles_are_respected,
    time_is_honest,
)
"""The fifteen, in the order of the guide."""

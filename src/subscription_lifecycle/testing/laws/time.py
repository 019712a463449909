"""Laws of time: periods tile, dates hold, sweeps do not matter, promises are kept."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

from subscription_lifecycle.errors import DefinitionError
from subscription_lifecycle.machine.transition import unchanged
from subscription_lifecycle.model.actor import SYSTEM
from subscription_lifecycle.model.calendar import local_day, start_of_day
from subscription_lifecycle.model.entry import Entry
from subscription_lifecycle.model.schedule import BillingPeriod
from subscription_lifecycle.model.state import Access
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.standard.commands import Adopt, Correct, Notify
from subscription_lifecycle.standard.states import CANCELLED, DISABLED, PAUSED
from subscription_lifecycle.testing.law import law
from subscription_lifecycle.testing.laws.pauses import pauses_take_nothing, resumptions
from subscription_lifecycle.testing.step import Step


@law("billed periods never overlap; in one unbroken spell of service they touch; every gap has an entry naming why")
def periods_tile(step: Step) -> None:
    billed = [(entry, entry.billed) for entry in step.history if entry.billed is not None]
    resumed = list(resumptions(step))
    restarted = [found for found in resumed if found.rule == "restart" and found.days]
    for (earlier, one), (later, two) in pairwise(billed):
        owed = one
        for found in resumed:
            if earlier.version < found.entry.version <= later.version:
                owed = found.along(owed)
        for found in restarted:
            # What is left of a period is given up where a pause ends in a new one.
            if earlier.version < found.entry.version <= later.version and one.start < found.on < one.end:
                one = BillingPeriod(one.start, found.on)
        # A period that service went off in may be let go of for a new one.
        let_go = any(debt.period in (one, owed) for debt in later.forgiven)
        assert one.end <= two.start or let_go, f"{earlier.id} billed {one}, {later.id} billed {two}"
        if one.end >= two.start:
            continue
        served = sum(period.days for period in later.served_unpaid)
        between = [entry for entry in step.history if earlier.version < entry.version <= later.version]
        named = any(
            {"causes", "schedule"} & entry.changes.keys()
            or ("next_billing_date" in entry.changes and entry.billed is None)
            for entry in between
        )
        assert served == (two.start - one.end).days or named, f"nothing names the gap between {one} and {two}"


@law(
    "every next billing date is a date of the stored schedule; only restarting rows replace it; the anchor never drifts"
)
def dates_are_scheduled(step: Step) -> None:
    resumed = {found.entry.version for found in resumptions(step)}
    for number, (entry, snapshot) in enumerate(step.snapshots):
        # The first day that is billed may begin a short first period.
        first = snapshot.next_billing_date in (snapshot.term_start, snapshot.trial_end)
        assert first or snapshot.schedule.is_date(snapshot.next_billing_date), (
            f"{entry.id}: {snapshot} is off its schedule"
        )
        if number and "schedule" in entry.changes:
            row = step.lifecycle.row(entry.row)
            replaces = row.billing_date is not unchanged or entry.version in resumed
            assert replaces, f"{entry.id} replaced the schedule"
            back = "causes" in entry.changes
            assert row.due is None or entry.billed is None or back, f"{entry.id}: the anchor drifts by itself"


@law("each day of full access is billed, or a trial, a grace or served unpaid; without access the clock bills nothing")
def service_is_covered(step: Step) -> None:
    pauses_take_nothing(step)
    covered = _covered(step)
    for entry, snapshot, start, end in step.spells():
        if entry.billed is not None and entry.by == SYSTEM and entry.event in ("applied", "held"):
            assert snapshot.state.access is Access.FULL, f"{entry.id} billed {entry.billed} in {snapshot.state}"
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
    return found + [period for resumed in resumptions(step) for period in resumed.moved]


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
        moved = field in ("state", "causes", "since") and _window_moved(late.steps, twice.steps)
        assert one == two or moved, f"{field}: swept once {one}, swept twice {two}"


def _window_moved(late: Iterable[Any], twice: Iterable[Any]) -> bool:
    """A deletion comes a full window after its notice was written: a later sweep gives notice later."""
    return {decision.after.state.final for decision in twice} != {decision.after.state.final for decision in late}


@law("time goes on: no instant sees more due rows than there are states")
def due_rows_progress(step: Step) -> None:
    if step.after.attempt is not None:
        return
    try:
        caught = step.lifecycle.catch_up(step.subscription, step.now + timedelta(days=40))
    except DefinitionError as error:
        raise AssertionError(str(error)) from error
    instants = [decision.at for decision in caught.steps]
    for instant in set(instants):
        assert instants.count(instant) <= len(step.lifecycle.states), f"{instant} sees no end of due rows"


@law("promises hold: no deadline moves earlier by itself, nothing irreversible comes unannounced")
def promises_hold(step: Step) -> None:
    before: Subscription | None = None
    told: Entry | None = None
    for entry, snapshot in step.snapshots:
        assert snapshot.state != PAUSED or snapshot.until is not None, f"{entry.id}: the pause never ends"
        if before is not None and entry.by == SYSTEM:
            if "until" in entry.changes and snapshot.state == before.state:
                earlier, later = entry.changes["until"]
                assert earlier is None or later is None or later >= earlier, f"{entry.id} moved {earlier} to {later}"
            if snapshot.state.final and before.causes and not before.state.final:
                _was_announced(step, entry, before, told)
        if "until" in entry.changes and not entry.command.announces:
            told = entry
        before = snapshot


def _was_announced(step: Step, ended: Entry, before: Subscription, told: Entry | None) -> None:
    """The deadline was on record for the whole window; a person may have chosen a shorter one, still to come."""
    assert before.until is not None, f"{ended.id} ended what had no deadline"
    assert told is not None
    assert ended.recorded_at >= start_of_day(before.until, before.time_zone), f"{ended.id} came before {before.until}"
    policy = step.lifecycle.policy_of(before)
    windows = {DISABLED: policy.disabled_days, CANCELLED: policy.cancelled_days} if told.by == SYSTEM else {}
    least = local_day(told.recorded_at, before.time_zone) + timedelta(days=windows.get(before.state, 0))
    announced = told.recorded_at <= start_of_day(before.until, before.time_zone) and least <= before.until
    assert announced, f"{told.id} announced {before.until} on {told.recorded_at}: too late"
    if "deletion" in policy.notices:
        last = [entry for entry in step.history[: ended.version] if entry.command == Notify("deletion")][-1:]
        assert before.noticed.get("deletion") == before.until, f"{ended.id} ends what nobody was told of"
        days = (before.until - local_day(last[0].recorded_at, before.time_zone)).days
        assert days >= policy.notices["deletion"], f"{last[0].id} told of {before.until} {days} days before"

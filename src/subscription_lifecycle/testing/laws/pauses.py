"""What a pause does to days that were paid for: named for the other laws, from the history alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from fractions import Fraction

import attrs

from subscription_lifecycle.model.calendar import local_day
from subscription_lifecycle.model.entry import Entry
from subscription_lifecycle.model.policy import ResumeRule
from subscription_lifecycle.model.schedule import BillingPeriod
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.standard.causes import PAUSE
from subscription_lifecycle.standard.commands import Pause, PauseAsScheduled, Reactivate
from subscription_lifecycle.testing.step import Step


@attrs.frozen
class Resumed:
    """A pause that ended in a way of its own: its first local day and the day it ended, and the dates around it."""

    entry: Entry
    rule: ResumeRule
    begun: date
    on: date
    old: date
    new: date

    @property
    def days(self) -> timedelta:
        return self.on - self.begun

    @property
    def moves(self) -> bool:
        return self.rule == "move" and bool(self.days)

    @property
    def moved(self) -> list[BillingPeriod]:
        """Where the days went that were billed and not served."""
        return [BillingPeriod(self.on, self.old + self.days)] if self.moves and self.begun < self.old else []

    def along(self, period: BillingPeriod) -> BillingPeriod:
        """Where a period is, once the dates moved; one that was over before the pause stays."""
        if not self.moves or period.end < self.old or self.begun >= self.old:
            return period
        return BillingPeriod(period.start + self.days, period.end + self.days)

    def prices(self, prices: Mapping[date, Fraction]) -> Mapping[date, Fraction]:
        """What those days cost: as much as where they came from."""
        count = (self.old - self.begun).days if self.moves else 0
        days = (self.begun + timedelta(days=number) for number in range(count))
        return {day + self.days: prices[day] for day in days if day in prices}


def resumptions(step: Step) -> Iterator[Resumed]:
    """Every pause that ended; not those that a cancellation ended."""
    before: Subscription | None = None
    begun = date.max
    for entry, snapshot in step.snapshots:
        was, is_ = before is not None and PAUSE in before.causes, PAUSE in snapshot.causes
        if is_ and not was:
            day = local_day(entry.effective_at, snapshot.time_zone)
            begun = day if before is not None or snapshot.paused is None else snapshot.paused.since
        over = was and not is_ and not snapshot.state.final and not _begins_anew(step, entry)
        if over and before is not None:
            rule = step.lifecycle.policy_of(before).resume
            if rule == "move" and before.schedule.align == "calendar":
                rule = "keep"
            on = local_day(entry.effective_at, snapshot.time_zone)
            yield Resumed(entry, rule, begun, on, before.next_billing_date, snapshot.next_billing_date)
        before = snapshot


def _begins_anew(step: Step, entry: Entry) -> bool:
    """A pause that was cancelled ends with it; one that was over when service came back just resumed."""
    return isinstance(entry.command, Reactivate) and PAUSE in step.lifecycle.row(entry.row).lifts


def pauses_take_nothing(step: Step) -> None:
    """Where the dates move, they move by as many days as were paused."""
    for found in resumptions(step):
        assert not found.moves or found.new == found.old + found.days, (
            f"{found.entry.id}: {found.days.days} days were paused, the date moved from {found.old} to {found.new}"
        )


def first_days(step: Step) -> Iterator[date]:
    """The day of a pause counts as paused although it was begun: once in a billed period."""
    known = set[int]()
    for entry, snapshot in step.snapshots:
        begins = isinstance(entry.command, Pause | PauseAsScheduled) and "causes" in entry.changes
        if begins and snapshot.cycles not in known:
            known.add(snapshot.cycles)
            yield local_day(entry.effective_at, snapshot.time_zone)

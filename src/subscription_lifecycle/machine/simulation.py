"""A simulation under way: due rows and commands one after the other, on the pure core alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import attrs

from subscription_lifecycle.errors import (
    AlreadyExists,
    DefinitionError,
    IdempotencyKeyReused,
    InvalidValue,
    LifecycleError,
    PaymentInProgress,
    Refused,
    UnknownSubscription,
)
from subscription_lifecycle.machine.decision import Decision, payment_after
from subscription_lifecycle.machine.lifecycle import CaughtUp, Lifecycle
from subscription_lifecycle.machine.planned import Facts, Later, Payments, PlannedCommand
from subscription_lifecycle.machine.telling import Moment, RefusedCommand
from subscription_lifecycle.model import validation
from subscription_lifecycle.model.actor import SYSTEM, Actor, Role
from subscription_lifecycle.model.calendar import local_day
from subscription_lifecycle.model.charge import RefundDue
from subscription_lifecycle.model.command import Command, ConfirmRefund, FailPayment, SettlePayment
from subscription_lifecycle.model.entry import Entry, Event, changes_between
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.payment import (
    ActionRequired,
    Captured,
    Declined,
    Payment,
    PaymentOutcome,
    Processing,
)
from subscription_lifecycle.model.subscription import Subscription

MOST_ROUNDS = 100_000
"""More instants at which something is due than a daily plan has in two centuries."""

NEW = "simulated"
GIVEN_UP = Declined("timed_out")
PREEMPTED = Declined("preempted")


@attrs.frozen
class Open:
    """A payment that has no end yet, and the end that it will have."""

    decision: Decision
    payment: Payment
    ends_at: datetime
    ends: Captured | Declined
    ends_as: Event


@attrs.define
class Run:
    """Where the simulation stands."""

    lifecycle: Lifecycle
    payments: Payments
    facts: Facts
    now: datetime
    snapshot: Subscription | None
    happened: list[Moment | RefusedCommand] = attrs.field(factory=list)
    pending: Open | None = None
    debits: dict[str, tuple[datetime, Captured | Declined]] = attrs.field(factory=dict)
    charged: set[tuple[str, date]] = attrs.field(factory=set)
    charged_at_once: set[tuple[str, date]] = attrs.field(factory=set)
    not_here: set[str] = attrs.field(factory=set)
    """Payments whose money is under way or did not come: none of it can go back."""
    stuck_at: int | None = None
    asked: int = 0

    # -- time

    def go(self, planned: Sequence[PlannedCommand], end: datetime) -> None:
        waiting, rounds = list(reversed(planned)), 0
        count = 0
        self.sweep()
        while True:
            self.look(count)
            count = len(self.happened)
            following = self.next_instant()
            if waiting and (following is None or waiting[-1].at < following):
                item = waiting.pop()
                self.now = item.at
                self.charged_at_once.clear()
                self.take(item)
            elif following is None or following > end:
                return
            else:
                rounds += 1
                if rounds > MOST_ROUNDS:
                    raise self._restless()
                if self.now < following:
                    self.charged_at_once.clear()
                self.now = following
            self.sweep()

    def next_instant(self) -> datetime | None:
        """When the clock has something to do. What a guard refused waits until something else has changed."""
        if self.snapshot is None:
            return None
        times = [at for at, _ in self.debits.values()]
        if self.pending is not None:
            times.append(self.pending.ends_at)
        elif self.stuck_at != self.snapshot.version:
            due = self.lifecycle.due(self.snapshot)
            times += [] if due is None else [due.at]
        return max(self.now, min(times)) if times else None

    def sweep(self) -> None:
        """What the clock does at this instant: payments that end, what is due, refunds."""
        if self.snapshot is None:
            return
        if self.pending is not None and self.pending.ends_at <= self.now:
            ended = self.pending
            self.conclude(ended.decision, ended.payment, ended.ends, ended.ends_as)
        for reference, (at, outcome) in list(self.debits.items()):
            if at <= self.now:
                del self.debits[reference]
                self.debit_ended(reference, outcome)
        while self.pending is None:
            caught = self.lifecycle.catch_up(self.snapshot, self.now)
            if caught.charge is not None:
                try:
                    self.charge_due(caught)
                except IdempotencyKeyReused as error:
                    if self.stuck_at != self.snapshot.version:
                        self.refuse(caught.charge.command, SYSTEM, error)
                    self.stuck_at = self.snapshot.version
                    return
            elif caught.steps:
                after, entries = attrs.evolve(caught.steps[-1], earlier=caught.steps[:-1]).begun(
                    self.now, key=None, reference=""
                )
                self.record(after, entries)
            else:
                break
        if self.pending is None:
            self.stuck_at = self._stuck()
            self.give_back()

    def _stuck(self) -> int | None:
        assert self.snapshot is not None
        due = self.lifecycle.due(self.snapshot)
        return self.snapshot.version if due is not None and due.at <= self.now else None

    def charge_due(self, caught: CaughtUp) -> None:
        assert caught.due is not None
        assert caught.charge is not None
        due, current, decision = caught.due, caught.subscription, caught.charge
        told = self.facts(current, due.command)
        if told:
            decision = self.lifecycle.decide_due(current, due, self.now, told)
        name = due.command.title, local_day(due.at, current.time_zone)
        if name in self.charged_at_once:
            raise self._restless()
        if name in self.charged:
            # The dates were set back by hand: the engine charges a day's renewal once.
            raise IdempotencyKeyReused(current.id, f"{due.command.title} {name[1]}")
        self.charged.add(name)
        self.charged_at_once.add(name)
        self.carry_out(attrs.evolve(decision, earlier=caught.steps))

    def _restless(self) -> DefinitionError:
        assert self.snapshot is not None
        name, state = self.lifecycle.name, self.snapshot.state
        return DefinitionError((f"{name}: the due rows of {state} never come to rest.",))

    # -- commands

    def take(self, item: PlannedCommand) -> None:
        try:
            decision = self.decided(item)
            if decision.collected == "capture" and decision.method is None and decision.declined is None:
                raise InvalidValue(
                    "payment_method", "there is something to pay and no payment method", "Give one in the command."
                )
        except LifecycleError as error:
            if isinstance(error, DefinitionError) or getattr(error, "field", None) == "payments":
                raise
            self.refuse(item.command, item.by, error)
        else:
            self.carry_out(decision)

    def decided(self, item: PlannedCommand) -> Decision:
        """The decision, once an open payment that it may pre-empt has been given up; a refusal comes before that."""
        if item.command.creates:
            if self.snapshot is not None:
                raise AlreadyExists(self.snapshot.id)
            return self.decide(item.command.create(NEW, self.now), item)
        if self.snapshot is None:
            raise UnknownSubscription(NEW)
        for _ in range(len(self.lifecycle.states) + 1):
            caught = None if self.pending is not None else self.lifecycle.catch_up(self.snapshot, self.now)
            if caught is not None and caught.charge is None:
                return self.decide(self.snapshot, item)
            expected = self.expected(item)
            if caught is not None:
                self.charge_due(caught)
                continue
            assert self.pending is not None
            if not expected.interrupts or Role.CLOCK in item.by.roles:
                break
            self.conclude(self.pending.decision, self.pending.payment, PREEMPTED, "abandoned")
        raise PaymentInProgress(self.snapshot.id, NEW if self.pending is None else self.pending.payment.reference)

    def decide(self, subscription: Subscription, item: PlannedCommand) -> Decision:
        command = item.command
        known = None if command.creates else self.lifecycle.at(subscription, self.now)
        told = self.facts(known, command)
        if command.reads_history:
            told = {**told, **command.facts([each.entry for each in self.happened if isinstance(each, Moment)])}
        return self.lifecycle.decide(subscription, command, by=item.by, at=self.now, facts=told)

    def expected(self, item: PlannedCommand) -> Decision:
        assert self.snapshot is not None
        try:
            return self.decide(self.lifecycle.projected(self.snapshot, self.now), item)
        except Refused as refused:
            try:
                return self.decide(self.snapshot, item)
            except Refused:
                raise refused from None

    def refuse(self, command: Command, by: Actor, error: LifecycleError) -> None:
        self.happened.append(RefusedCommand(self.now, command, by, error))

    # -- money

    def carry_out(self, decision: Decision) -> None:
        self.asked += 1
        reference = f"{NEW}_{self.asked}"
        if decision.collected == "capture" and decision.method is None:
            after, entries = decision.unpaid(self.now, key=reference)
            self.record(after, entries)
            return
        after, entries = decision.begun(self.now, key=None, reference=reference)
        payment = entries[-1].payment
        if payment is None:
            self.record(after, entries)
            self.give_back()
            return
        told = self.payments(attrs.evolve(decision, earlier=()))
        outcome = told.outcome if isinstance(told, Later) and told.at <= self.now else told
        waits = outcome.meanwhile if isinstance(outcome, Later) else _answered(outcome, payment.amount)
        gives_up = self.now + timedelta(days=self.lifecycle.policy_of(decision.before).days_to_pay(payment.method.kind))
        self.pending = Open(decision, payment, gives_up, GIVEN_UP, "abandoned")
        self.record(after, entries)
        if isinstance(outcome, Later) and outcome.at <= gives_up:
            self.pending = Open(decision, payment, outcome.at, outcome.outcome, "declined")
        self.conclude(decision, payment, waits, "declined")
        submitted = decision.submitted and isinstance(waits, Processing)
        if submitted and isinstance(outcome, Later):
            self.debits[reference] = outcome.at, outcome.outcome

    def conclude(self, decision: Decision, payment: Payment, outcome: PaymentOutcome, ended: Event) -> None:
        """Record what the money's outcome leads to, by the decision that asked for it."""
        base = self.snapshot
        assert base is not None
        after, entry, told = decision.concluded(base, outcome, self.now, key=None, reference=payment.reference)
        if entry is None:
            assert self.pending is not None
            self.pending = attrs.evolve(self.pending, payment=told)
            self.note("awaiting", decision.command, {}, told, decision.row)
            return
        self.pending = None
        if told.status == "submitted":
            self.not_here.add(told.reference)
        self.record(after, [attrs.evolve(entry, event=ended) if entry.event == "declined" else entry])
        self.still_owing(decision, base, payment.reference)
        if entry.event == "applied" or (decision.declined is not None and not decision.declined.state.final):
            self.give_back()

    def still_owing(self, decision: Decision, base: Subscription, reference: str) -> None:
        """A debt that was made while the payment was open is collected like others where service came back."""
        assert self.snapshot is not None
        new = any(debt not in decision.before.arrears for debt in base.arrears)
        if not new or all(state.settled != self.snapshot.state for state in self.lifecycle.states.values()):
            return
        owing = self.by_the_table(FailPayment(reference, Money.zero(base.currency)))
        if owing is not None:
            self.record(*owing.begun(self.now, key=None, reference=""))

    def by_the_table(self, command: Command) -> Decision | None:
        """What the table's row for a report about money says; None where it has none."""
        assert self.snapshot is not None
        try:
            return self.lifecycle.decide(self.snapshot, command, by=SYSTEM, at=self.now)
        except Refused:
            return None

    def debit_ended(self, reference: str, outcome: Captured | Declined) -> None:
        """Service ran on it: it has arrived, or what it paid for is owed by the table's row for that."""
        assert self.snapshot is not None
        told = [each.entry for each in self.happened if isinstance(each, Moment)]
        told = [entry for entry in told if entry.payment is not None and entry.payment.reference == reference]
        known = told[-1].payment
        assert known is not None
        payment = attrs.evolve(payment_after(outcome, known), code=getattr(outcome, "code", None))
        left = {"submitted": tuple(debit for debit in self.snapshot.submitted if debit.reference != reference)}
        if isinstance(outcome, Captured):
            self.not_here.discard(reference)
            self.note("settled", SettlePayment(reference, payment.amount), left, payment, "settle payment")
            return
        going_back = [due for due in self.snapshot.refunds if due.reference == reference]
        paid = [entry.charge.lines for entry in told if entry.charge is not None and entry.event == "applied"]
        command = FailPayment(reference, payment.amount, paid[-1] if paid else ())
        decision = None if _covers(going_back, payment.amount) else self.by_the_table(command)
        if decision is None:
            kept = tuple(due for due in self.snapshot.refunds if due not in going_back)
            self.note("failed", command, {**left, "refunds": kept}, payment, "fail payment")
            return
        after, (*earlier, entry) = decision.begun(self.now, key=None, reference=reference)
        self.record(after, [*earlier, attrs.evolve(entry, event="failed", payment=payment)])

    def give_back(self) -> None:
        assert self.snapshot is not None
        for refund in self.snapshot.refunds:
            if refund.reference in self.not_here:
                continue
            left = tuple(other for other in self.snapshot.refunds if other != refund)
            self.note("refunded", ConfirmRefund(refund.reference), {"refunds": left}, None, "confirm refund")

    # -- what is on record

    def note(
        self, event: Event, command: Command, changes: Mapping[str, Any], payment: Payment | None, row: str
    ) -> None:
        """An entry that no row of the table makes: what is learnt about money."""
        before = self.snapshot
        assert before is not None
        after = before.changed({**changes, "version": before.version + 1, "recorded_at": self.now})
        entry = Entry(
            subscription=before.id,
            version=after.version,
            event=event,
            row=row,
            command=command,
            by=SYSTEM,
            effective_at=self.now,
            recorded_at=self.now,
            changes=changes_between(before, after),
            lifecycle=(self.lifecycle.name, self.lifecycle.version),
            policy=before.policy,
            payment=payment,
        )
        self.record(after, [entry])

    def record(self, after: Subscription, entries: Sequence[Entry]) -> None:
        for entry in entries[:-1]:
            before = self.snapshot if self.snapshot is not None and self.snapshot.version else None
            found = {name: change.after for name, change in entry.changes.items()}
            self.snapshot = (
                Subscription(**found, version=entry.version)
                if before is None
                else before.changed({**found, "version": entry.version})
            )
            self._happened(entry)
        self.snapshot = after
        self._happened(entries[-1])

    def _happened(self, entry: Entry) -> None:
        assert self.snapshot is not None
        self.happened.append(Moment(entry, self.snapshot, self.snapshot.state.access))

    def look(self, since: int) -> None:
        """The access that the last thing that happened at this instant leads to.

        An open payment holds the timers: what is due behind it is not taken as done.
        """
        for index in reversed(range(since, len(self.happened))):
            last = self.happened[index]
            if isinstance(last, Moment):
                if self.pending is None:
                    self.happened[index] = attrs.evolve(last, access=self.lifecycle.access(last.after, at=self.now))
                return


def _covers(refunds: Sequence[RefundDue], amount: Money) -> bool:
    return sum(refund.amount.minor for refund in refunds) >= amount.minor


def _answered(outcome: object, asked: Money) -> PaymentOutcome:
    if not isinstance(outcome, (Captured, Declined, ActionRequired, Processing)):
        raise InvalidValue(
            "payments",
            f"{validation.brief(outcome)} is no answer to a charge",
            "Answer Captured, Declined, ActionRequired, Processing or Later.",
        )
    if isinstance(outcome, Captured) and outcome.amount not in (None, asked):
        raise InvalidValue("payments", f"{outcome.amount} is not the {asked} that was asked for", "Leave it out.")
    return outcome

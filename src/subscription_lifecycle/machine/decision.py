"""The pure answer to a command, and what follows when the money came, did not come, or waits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Literal

import attrs

from subscription_lifecycle.errors import PaymentDeclined
from subscription_lifecycle.model import validation
from subscription_lifecycle.model.actor import Actor
from subscription_lifecycle.model.charge import Charge, InvoiceLine, Reminder, Settlement, Submitted, Terms, without
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.entry import Entry, Event, changes_between
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.payment import (
    ActionRequired,
    Captured,
    Declined,
    Payment,
    PaymentOutcome,
    PaymentStatus,
    Processing,
)
from subscription_lifecycle.model.payment_method import PaymentMethod
from subscription_lifecycle.model.schedule import BillingPeriod
from subscription_lifecycle.model.subscription import Subscription

Why = Literal["customer_action", "processing", "unknown", "mismatched"]


@attrs.frozen
class Applied:
    """It is on record: the new snapshot, the entries that lead to it, the payment, and what the person should know."""

    subscription: Subscription
    entries: tuple[Entry, ...]
    payment: Payment | None = None
    reminders: tuple[Reminder, ...] = ()


@attrs.frozen
class AwaitingPayment:
    """The intent is on record and the money is open: the customer must act, the bank is at it, or nobody knows yet.

    "customer_action" needs the customer; "mismatched", where the gateway took another amount than it was asked for,
    needs an operator; the others are finished by `sweep` or by the gateway's report.
    """

    subscription: Subscription
    entries: tuple[Entry, ...]
    payment: Payment
    reminders: tuple[Reminder, ...]
    why: Why
    next_action: Mapping[str, Any] | None = attrs.field(default=None, hash=False)


@attrs.frozen(kw_only=True, slots=False)  # One is made per command, and without slots in half the time.
class Decision:
    """What the table says to one command at one instant: row, before, after, charge, terms.

    Everything that follows is in it, so it can be stored with a payment and is never decided again. `at` is when it
    takes effect, `now` when it was decided. `after` is the snapshot if the money comes (or none is needed), `declined`
    the one if it does not and the row says where that leads. `collected` says how the charge is collected; with
    `submitted` service starts before the money is certain, and from `ask_on` the clock asks for it. `earlier` are the
    due rows that had to be applied first.
    """

    lifecycle: tuple[str, int]
    row: str
    command: Command
    by: Actor
    at: datetime
    now: datetime
    before: Subscription
    after: Subscription
    declined: Subscription | None = None
    event: Literal["applied", "held"] = "applied"
    charge: Charge = Charge()
    collected: Literal["nothing", "capture", "invoice"] = "nothing"
    submitted: bool = False
    ask_on: date | None = None
    method: PaymentMethod | None = None
    settlements: tuple[Settlement, ...] = ()
    facts: Mapping[str, Any] = attrs.field(factory=dict, hash=False)
    billed: BillingPeriod | None = None
    served_unpaid: tuple[BillingPeriod, ...] = ()
    claims: str | None = None
    interrupts: bool = False
    timed: bool = False
    reminders: tuple[Reminder, ...] = ()
    earlier: tuple[Decision, ...] = ()

    def changed(self, changes: Mapping[str, Any]) -> Decision:
        """The same decision with these fields instead; `attrs.evolve` takes ten times as long."""
        new = object.__new__(Decision)
        new.__dict__.update(self.__dict__)
        new.__dict__.update(changes)
        return new

    @property
    def terms(self) -> Terms:
        """The charge, however it is collected, and the next billing date if the money comes."""
        return Terms(self.charge.due(self.before.currency), self.after.next_billing_date)

    @property
    def owed_if_unpaid(self) -> BillingPeriod | None:
        """The billed period that becomes a debt if the money does not come; none where a decline bills nothing."""
        spared = self.declined is not None and self.declined.cycles == self.before.cycles
        return None if spared else self.billed

    def apply(self, outcome: PaymentOutcome | None = None, *, reference: str = "payment") -> Applied | AwaitingPayment:
        """What follows. Pure: nothing is stored and no money moves.

        Without a charge to capture the outcome is not needed. With one: Captured applies; Declined leads to the row's
        `declined` state or raises PaymentDeclined (then nothing moved); ActionRequired, Processing or None wait.
        """
        start, entries = self.begun(self.now, key=None, reference=reference)
        if self.collected != "capture":
            return Applied(start, entries, None, self.reminders)
        after, entry, payment = self.concluded(start, outcome, self.now, key=None, reference=reference)
        if entry is None:
            why, action = waits_for(outcome)
            return AwaitingPayment(start, entries, payment, self.reminders, why, action)
        if entry.event == "declined" and (self.declined is None or self.declined.state.final):
            raise PaymentDeclined(
                self.before.id, reference, payment.code or "declined", getattr(outcome, "retryable", False)
            )
        return Applied(after, (*entries, entry), payment, self.reminders if entry.event == "applied" else ())

    def begun(
        self, recorded_at: datetime, *, key: str | None, reference: str
    ) -> tuple[Subscription, tuple[Entry, ...]]:
        """The due rows before it, and then itself, or, where money must be captured first, the attempt."""
        entries: list[Entry] = []
        snapshot: Subscription | None = self.earlier[0].before if self.earlier else self.before
        for step in self.earlier:
            snapshot, entry = step._entry(snapshot, step.after, step.event, recorded_at, key=None)
            entries.append(entry)
        if snapshot is not None and snapshot.version == 0:
            snapshot = None
        if self.collected == "capture":
            asked = self.before
            payment = Payment(reference, self._due, self._method, "unknown")
            snapshot, entry = self._entry(snapshot, asked, "attempted", recorded_at, key=key, payment=payment)
        else:
            after = self._settled(self.after, None)
            snapshot, entry = self._entry(snapshot, after, self.event, recorded_at, key=key)
        return snapshot, (*entries, entry)

    def concluded(
        self,
        base: Subscription,
        outcome: PaymentOutcome | None,
        recorded_at: datetime,
        *,
        key: str | None,
        reference: str,
    ) -> tuple[Subscription, Entry | None, Payment]:
        """The entry that ends an attempt standing at `base`; no entry while the money is still open."""
        payment = payment_after(outcome, Payment(reference, self._due, self._method, "unknown"))
        if isinstance(outcome, Captured) or (isinstance(outcome, Processing) and self.submitted):
            if isinstance(outcome, Processing):
                payment = attrs.evolve(payment, status="submitted")
            settled = self._settled(onto(base, self.before, self.after), reference)
            if payment.status == "submitted" and self.ask_on is not None:
                debit = Submitted(reference, payment.amount, self.ask_on)
                settled = settled.changed({"submitted": (*settled.submitted, debit)})
            after, entry = self._entry(base, settled, "applied", recorded_at, key=key, payment=payment)
            return after, entry, payment
        if isinstance(outcome, Declined):
            declined = onto(base, self.before, self.if_declined(retryable=outcome.retryable))
            after, entry = self._entry(base, declined, "declined", recorded_at, key=key, payment=payment)
            return after, entry, payment
        return base, None, payment

    def if_declined(self, *, retryable: bool) -> Subscription:
        """The snapshot without the money: as before, or where the row leads; a method refused for good is on record."""
        if self.declined is None or retryable:
            return self.declined or self.before
        return self.declined.changed({"declined_method": self.method})

    def unpaid(self, recorded_at: datetime, *, key: str) -> tuple[Subscription, tuple[Entry, ...]]:
        """As declined, where there is no payment method to ask."""
        assert self.declined is not None
        steps = self.changed({"event": "held", "collected": "nothing", "settlements": (), "after": self.declined})
        after, entries = steps.begun(recorded_at, key=key, reference="")
        return after, (*entries[:-1], attrs.evolve(entries[-1], event="declined"))

    @property
    def _due(self) -> Any:
        return self.charge.due(self.before.currency)

    @property
    def _method(self) -> PaymentMethod:
        assert self.method is not None, "a capture needs a payment method"
        return self.method

    def settled(self, reference: str | None = None) -> Decision:
        """The same, where no payment is waited for: what it settles is in `after` already, for the steps behind it."""
        if not self.settlements:
            return self
        return self.changed({"after": self._settled(self.after, reference), "settlements": ()})

    def _settled(self, after: Subscription, reference: str | None) -> Subscription:
        if not self.settlements:
            return after
        named = tuple(attrs.evolve(settlement, reference=reference) for settlement in self.settlements)
        return after.changed({"settlements": (*after.settlements, *named)})

    def _entry(
        self,
        base: Subscription | None,
        after: Subscription,
        event: Event,
        recorded_at: datetime,
        *,
        key: str | None,
        payment: Payment | None = None,
    ) -> tuple[Subscription, Entry]:
        version = (base.version if base is not None else 0) + 1
        after = after.changed({"version": version, "recorded_at": recorded_at})
        applied = event == "applied"
        entry = Entry(
            subscription=after.id,
            version=version,
            event=event,
            row=self.row,
            command=self.command,
            by=self.by,
            effective_at=self.at,
            recorded_at=recorded_at,
            changes=changes_between(base, after),
            lifecycle=self.lifecycle,
            policy=self.before.policy,
            key=key,
            facts=self.facts,
            charge=self.charge if self.charge.lines or self.charge.forgives or self.charge.credits else None,
            terms=self.terms,
            payment=payment,
            billed=self._billed_by(event),
            served_unpaid=self.served_unpaid if applied else (),
            forgiven=self.charge.forgives if applied else (),
            invoice_lines=self._invoice_lines(version) if applied else (),
        )
        return after, entry

    def _billed_by(self, event: Event) -> BillingPeriod | None:
        if event == "applied":
            return self.billed
        return self.owed_if_unpaid if event == "held" or (event == "declined" and self.declined) else None

    def _invoice_lines(self, version: int) -> tuple[InvoiceLine, ...]:
        if self.collected != "invoice":
            return ()
        lines, used = [], self.charge.credit_used
        for number, line in enumerate(self.charge.lines, 1):
            amount = line.amount
            if used is not None:
                part = min(used, amount)
                amount, used = amount - part, used - part
            id = f"{self.before.id}/{version}/{number}"
            description = f"{self.before.plan.id} × {self.before.quantity} {line.period}"
            lines.append(InvoiceLine(id, self.before.customer, self.before.id, amount, line.period, description))
        return tuple(lines)

    def __str__(self) -> str:
        money = f"; {self._due} by {self.method}" if self.collected != "nothing" else ""
        states = f"{self.before.state} → {self.after.state}"
        billing = f"next billing date {self.after.next_billing_date}"
        return f"{self.command.title.capitalize()}: {states}, {billing}{money}."


def onto(base: Subscription, before: Subscription, after: Subscription) -> Subscription:
    """What a decision changes, made to a snapshot that learnt of other money while the payment was open.

    Debts, refunds and settlements that came or went meanwhile stay so; credit adds up; all else is as decided, but
    a state that is left when nothing is owed is not left while such a debt remains, and one that was entered meanwhile
    keeps the deadline it was given. What came to be owed meanwhile moves as it would have moved while it was paid for.
    """
    changes: dict[str, Any] = {}
    entered = base.state == after.state != before.state
    owed_meanwhile = without(base.arrears, before.arrears)
    owing = base.state.settled == after.state and bool(owed_meanwhile)
    moved = _moved(base, before, after) if owed_meanwhile else {}
    for name, new in vars(after).items():
        old, now = getattr(before, name), getattr(base, name)
        if new is old or new == old or name in ("version", "recorded_at"):
            continue
        if owing and name in ("state", "since", "until"):
            continue
        if entered and name in ("since", "until"):
            continue
        if name == "paid_through":
            owed_since = [moved.get(debt.period, debt.period).start for debt in owed_meanwhile]
            changes["paid_through"] = min([new, *owed_since])
        elif now == old or name not in ("arrears", "refunds", "settlements", "submitted", "credit"):
            changes[name] = new
        elif name == "credit":
            zero = Money.zero(before.currency)
            changes["credit"] = (now or zero) + (new or zero) - (old or zero) or None
        else:
            came, left = without(new, old), without(old, new)
            if name == "settlements":
                # What a bank has taken back meanwhile is not paid for again by having moved.
                gone = {paid.reference for paid in without(old, now)} - {None}
                came = tuple(paid for paid in came if paid.reference not in gone)
                # What coming back costs is paid now, also where a bank has taken back meanwhile what went back of it.
                left += tuple(attrs.evolve(paid, reference=None) for paid in without(left, now) if paid.refunded_from)
            changes[name] = (*without(now, left), *came)
    if moved:
        changes["arrears"] = tuple(
            attrs.evolve(debt, period=moved.get(debt.period, debt.period)) if debt in owed_meanwhile else debt
            for debt in changes.get("arrears", base.arrears)
        )
    return base.changed(changes) if changes else base


def _moved(base: Subscription, before: Subscription, after: Subscription) -> Mapping[BillingPeriod, BillingPeriod]:
    """Where a decision leads the days of what was paid for when it was made, and is not any more."""
    return {
        gone.period: paid.period
        for gone in without(before.settlements, base.settlements)
        for paid in without(after.settlements, before.settlements)
        if (gone.reference, gone.amount, gone.period.days) == (paid.reference, paid.amount, paid.period.days)
    }


def payment_after(outcome: PaymentOutcome | None, payment: Payment) -> Payment:
    """A payment with what its outcome says of it."""
    if outcome is None:
        return payment
    found: dict[str, Any] = {"status": _STATUS.get(type(outcome), "unknown"), "gateway_id": outcome.gateway_id}
    if isinstance(outcome, Captured):
        found["at"] = validation.instant("at", outcome.at)
        if outcome.amount not in (None, payment.amount):
            found["captured"] = outcome.amount
    elif isinstance(outcome, Declined):
        found |= {"code": outcome.code, "retryable": outcome.retryable}
    elif isinstance(outcome, ActionRequired):
        found["next_action"] = outcome.next_action
    return attrs.evolve(payment, **found)


_STATUS: Mapping[type, PaymentStatus] = {
    Captured: "captured",
    Declined: "declined",
    ActionRequired: "customer_action",
    Processing: "processing",
}


def waits_for(outcome: PaymentOutcome | None) -> tuple[Why, Mapping[str, Any] | None]:
    """Why an open payment is open, and what the customer must do."""
    match outcome:
        case ActionRequired(next_action=action):
            return "customer_action", action
        case Processing():
            return "processing", None
        case Captured():
            return "mismatched", None
        case _:
            return "unknown", None

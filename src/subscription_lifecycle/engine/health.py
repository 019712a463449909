"""What waits for somebody, and what can never be: looked for in the store, a page at a time. It writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Literal

import attrs

from subscription_lifecycle.engine.effects import FindDue, FindParked, FindSubscriptions, Flow, Load, Now, ReadHistory
from subscription_lifecycle.engine.payments import Booked, booked
from subscription_lifecycle.engine.soundness import broken_laws
from subscription_lifecycle.engine.writing import due_at
from subscription_lifecycle.machine.lifecycle import Lifecycle
from subscription_lifecycle.model import validation
from subscription_lifecycle.model.calendar import start_of_day
from subscription_lifecycle.model.entry import Entry
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.ports import Parked, Stored

LARGEST_PAGE = 100_000

__all__ = ["Finding", "Health", "What", "health"]

What = Literal[
    "payment_open",
    "payment_mismatched",
    "debit_open",
    "overdue",
    "refund_open",
    "refund_failed",
    "credit_left",
    "debt_held",
    "entry_parked",
    "mirror_parked",
    "sweep_failing",
    "law_broken",
    "unreadable",
]


@attrs.frozen(kw_only=True)
class Finding:
    """Something about one subscription that wants a person: what it is, since when (UTC, where known), what to do."""

    what: What
    subscription: str
    details: str
    since: datetime | None
    remedy: str

    def __str__(self) -> str:
        since = f" since {self.since:%Y-%m-%d %H:%M} UTC" if self.since else ""
        return f"{self.what.replace('_', ' ')}: {self.subscription}{since}, {self.details}. {self.remedy}"


@attrs.frozen(kw_only=True)
class Health:
    """What was found, in the order of urgency in which it was looked for, among the subscriptions `examined`.

    `ok`: nothing was found. `next`: pass it as `after` to look further; None: everything has been looked at.
    """

    at: datetime
    findings: tuple[Finding, ...]
    examined: int
    next: str | None

    @property
    def ok(self) -> bool:
        return not self.findings

    def __str__(self) -> str:
        """A short report, a line for each finding."""
        more = "" if self.next is None else f", more after {self.next}"
        verdict = "nothing to do" if self.ok else f"{len(self.findings)} findings"
        heading = f"{self.examined} subscriptions at {self.at:%Y-%m-%d %H:%M} UTC: {verdict}{more}"
        return "\n".join([heading, *map(str, self.findings)])


@attrs.frozen
class _Bounds:
    now: datetime
    open: timedelta
    due: timedelta


def health(lifecycle: Lifecycle, opened: timedelta, due: timedelta, after: str | None, limit: int) -> Flow[Health]:
    """First what the indexes know: what is parked, and what is due, open payments and refunds among it. Then a page."""
    if after is not None:
        validation.named("after", after)
    validation.whole("limit", limit, 1, LARGEST_PAGE)
    opened, due = validation.span("open_longer_than", opened), validation.span("due_longer_than", due)
    now: datetime = yield Now()
    bounds = _Bounds(now, opened, due)
    findings, ids = list[Finding](), dict[str, None]()
    answered: Iterable[str] = yield FindDue(now, limit)
    waiting = tuple(answered)
    parked: Sequence[Parked] = yield FindParked()
    if after is None:
        findings += [_parked(one) for one in parked]
        ids |= dict.fromkeys(waiting)
    found: Iterable[Subscription] = yield FindSubscriptions(None, None, after, limit)
    page = [one.id for one in found]
    ids |= dict.fromkeys(page)
    # Where the list is cut off, who is not on it may be due as well; and who is put off is due and not on it.
    put_off = {one.subscription for one in parked if one.what == "subscription"}
    listed = frozenset(waiting) if len(waiting) < limit else None
    for id in ids:
        try:
            findings += yield from _examined(lifecycle, id, bounds, None if id in put_off else listed, limit)
        except Exception as error:
            remedy = (
                "Nothing is done for it until it can be read: give the lifecycle what it lacks, or mend what is stored."
            )
            findings.append(_finding("unreadable", id, f"{type(error).__name__}: {error}", None, remedy))
    return Health(at=now, findings=tuple(findings), examined=len(ids), next=page[-1] if len(page) == limit else None)


def _examined(
    lifecycle: Lifecycle, id: str, bounds: _Bounds, listed: frozenset[str] | None, limit: int
) -> Flow[list[Finding]]:
    stored: Stored | None = yield Load(id, None)
    if stored is None:
        return []
    answered: Iterable[Entry] = yield ReadHistory(id)
    history = tuple(answered)
    version = stored.subscription.version
    beyond = bool(history) and history[-1].version > version
    if beyond:
        # Written since, or not what the snapshot was made of.
        again: Stored | None = yield Load(id, None)
        beyond = again is None or again.subscription.version < history[-1].version
    known = history if beyond else tuple(entry for entry in history if entry.version <= version)
    found = list(_found(lifecycle, stored, known, bounds))
    mistimed = yield from _mistimed(lifecycle, stored, bounds, listed, limit)
    for law in (*broken_laws(lifecycle, stored, known), *mistimed):
        remedy = "Never by the library: find out who wrote to its tables, and keep what is there until that is known."
        found.append(_finding("law_broken", id, law, stored.subscription.recorded_at, remedy))
    return found


def _mistimed(
    lifecycle: Lifecycle, stored: Stored, bounds: _Bounds, listed: frozenset[str] | None, limit: int
) -> Flow[tuple[str, ...]]:
    """Whether the store would hand it to a sweep, and should. Looked at twice: it may just have been written."""
    id, at = stored.subscription.id, due_at(lifecycle, stored.subscription, stored.attempt)
    is_due = at is not None and at <= bounds.now
    if listed is None or (id in listed) == is_due:
        return ()
    answered: Iterable[str] = yield FindDue(bounds.now, limit)
    waiting = tuple(answered)
    again: Stored | None = yield Load(id, None)
    changed = again is None or again.subscription.version != stored.subscription.version
    if changed or (id in waiting) == is_due or len(waiting) >= limit:
        return ()
    return ("it is due and no sweep will find it" if is_due else "sweeps find it and nothing is due",)


def _found(lifecycle: Lifecycle, stored: Stored, history: Sequence[Entry], bounds: _Bounds) -> Iterator[Finding]:
    payments = booked(stored, history)
    if stored.attempt is not None:
        yield from _open_payment(stored, bounds)
    yield from _submitted(stored, history, bounds)
    yield from _refunds(stored, payments, bounds)
    yield from _money_left(stored)
    yield from _overdue(lifecycle, stored, bounds)


def _open_payment(stored: Stored, bounds: _Bounds) -> Iterator[Finding]:
    attempt, id = stored.attempt, stored.subscription.id
    assert attempt is not None
    payment = attempt.payment
    if payment.status == "mismatched":
        details = f"{attempt.reference} took {payment.captured} for {payment.amount}"
        remedy = (
            "Give it back at the gateway and report_payment(reference, Declined('given_back')), or let it be given up."
        )
        yield _finding("payment_mismatched", id, details, attempt.opened_at, remedy)
    elif bounds.now - attempt.opened_at > bounds.open:
        details = f"{attempt.reference}, {payment.amount}: {payment.status.replace('_', ' ')}"
        given_up = f"It is given up from {attempt.gives_up_at:%Y-%m-%d %H:%M} UTC on."
        remedy = f"sweep() asks the gateway for it: has it run, and does the gateway answer? {given_up}"
        yield _finding("payment_open", id, details, attempt.opened_at, remedy)


def _submitted(stored: Stored, history: Sequence[Entry], bounds: _Bounds) -> Iterator[Finding]:
    """Service runs on these."""
    subscription = stored.subscription
    for debit in subscription.submitted:
        told = [entry for entry in history if entry.payment and entry.payment.reference == debit.reference]
        last = told[-1] if told else None
        ask_on = start_of_day(debit.ask_on, subscription.time_zone)
        if last is not None and last.payment is not None and last.payment.status == "mismatched":
            details = f"{debit.reference} took {last.payment.captured} for {debit.amount}"
            remedy = "Give it back at the gateway, and report_payment(reference, Declined('given_back'))."
            yield _finding("payment_mismatched", subscription.id, details, last.recorded_at, remedy)
        elif bounds.now - ask_on > bounds.open:
            details = f"{debit.reference}, {debit.amount}: service runs on it and it has not arrived"
            remedy = "sweep() asks the gateway for it: has it run, and what does the gateway say?"
            yield _finding("debit_open", subscription.id, details, ask_on, remedy)


def _refunds(stored: Stored, payments: Iterable[Booked], bounds: _Bounds) -> Iterator[Finding]:
    since = {payment.reference: payment.refunding_since for payment in payments}
    for due in stored.subscription.refunds:
        asked_at = since.get(due.reference) or stored.subscription.recorded_at
        details = f"{due.amount} of {due.reference} ({due.reason})"
        if due.failed is not None:
            remedy = "sweep() asks for it again: if it fails again, pay the customer in another way."
            yield _finding("refund_failed", stored.subscription.id, f"{details}: {due.failed}", asked_at, remedy)
        elif asked_at is None or bounds.now - asked_at > bounds.open:
            remedy = "sweep() asks for it again: has it run, and why does the gateway refuse?"
            yield _finding("refund_open", stored.subscription.id, details, asked_at, remedy)


def _money_left(stored: Stored) -> Iterator[Finding]:
    subscription = stored.subscription
    if subscription.state.final and subscription.credit is not None and subscription.credit.minor > 0:
        details = f"{subscription.credit} is the customer's, and {subscription.state} is final"
        remedy = "Nothing will use it up: pay it out, and keep a note of that."
        yield _finding("credit_left", subscription.id, details, subscription.since, remedy)
    held = [debt for debt in subscription.arrears if debt.held]
    if held:
        since = start_of_day(min(debt.since for debt in held), subscription.time_zone)
        details = f"{len(held)} debts fell due at once and nobody was asked for them"
        remedy = "Decide: pay_arrears, or forgive_arrears."
        yield _finding("debt_held", subscription.id, details, since, remedy)


def _overdue(lifecycle: Lifecycle, stored: Stored, bounds: _Bounds) -> Iterator[Finding]:
    """Open payments and refunds are due all the time, and found above."""
    subscription = stored.subscription
    if stored.attempt is not None or subscription.refunds:
        return
    due = lifecycle.due(subscription)
    if due is not None and bounds.now - due.at > bounds.due:
        details = f"{due.command.title} was to be done"
        remedy = "sweep() does it: has it run since then? If it has, its report's `failed` says what stops it."
        yield _finding("overdue", subscription.id, details, due.at, remedy)


def _parked(parked: Parked) -> Finding:
    details = f"version {parked.version}: {parked.error}"
    if parked.what == "entry":
        remedy = f"Mend the listener, then store.unpark({parked.subscription!r}, {parked.version})."
        return _finding("entry_parked", parked.subscription, details, None, remedy)
    if parked.what == "subscription":
        remedy = (
            f"Mend what stops it, then store.unpark({parked.subscription!r}, {parked.version}); sweep() does the rest."
        )
        return _finding("sweep_failing", parked.subscription, details, None, remedy)
    remedy = "Mend the mirror, and write to the subscription once more, or copy what is stored by hand."
    return _finding("mirror_parked", parked.subscription, details, None, remedy)


def _finding(what: What, subscription: str, details: str, since: datetime | None, remedy: str) -> Finding:
    return Finding(what=what, subscription=subscription, details=details, since=since, remedy=remedy)

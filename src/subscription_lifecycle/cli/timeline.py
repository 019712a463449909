"""A subscription's history as a page: one row for each thing that happened, made from the stored entries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import attrs
from rich.table import Table
from rich.text import Text

from subscription_lifecycle import (
    SYSTEM,
    Access,
    Actor,
    Command,
    Condition,
    Entry,
    Lifecycle,
    LifecycleError,
    Payment,
    Refused,
    Reminder,
    Renew,
    Subscription,
    Terms,
)
from subscription_lifecycle.machine.telling import ABOUT_MONEY, PURPOSES, SAID, is_followed_up, named
from subscription_lifecycle.model.calendar import local_day
from subscription_lifecycle.model.entry import fold

COLOURS = {Access.FULL: "green", Access.REDUCED: "yellow", Access.NONE: "red"}


@attrs.frozen
class Note:
    """What is not on record because nothing changed: a preview that was read, or a command that was refused."""

    after_version: int
    at: datetime
    by: Actor
    command: Command
    subscription: Subscription
    terms: Terms | None = None
    error: LifecycleError | None = None


@attrs.frozen
class Row:
    """One thing that happened, by whom, and where the subscription stood after it."""

    at: datetime
    by: Actor
    subscription: Subscription
    what: Text
    repeats: str = ""


def timeline(
    lifecycle: Lifecycle,
    entries: Sequence[Entry],
    notes: Iterable[Note] = (),
    reminders: Mapping[str, Sequence[Reminder]] | None = None,
) -> Table:
    """The page. `reminders` are what the outcome of an entry told, by the entry's id.

    Raises DefinitionError for a stored state that the lifecycle does not know.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=True, header_style="dim")
    for heading, least in (("date", 10), ("who", 5), ("state and access", 22), ("what happened", 34)):
        table.add_column(heading, min_width=least, overflow="fold")
    for row in _merged(_rows(lifecycle, entries, notes, reminders or {})):
        colour = COLOURS[row.subscription.state.access]
        state = Text(str(Condition(row.subscription.state, row.subscription.cause)), style=colour)
        state.append(f"\naccess: {row.subscription.state.access}", style="dim")
        day = local_day(row.at, row.subscription.time_zone).isoformat()
        table.add_row(day, "clock" if row.by == SYSTEM else row.by.id, state, row.what)
    return table


def _rows(
    lifecycle: Lifecycle, entries: Sequence[Entry], notes: Iterable[Note], reminders: Mapping[str, Sequence[Reminder]]
) -> Iterator[Row]:
    waiting = list(notes)
    for number, entry in enumerate(entries, 1):
        snapshot = fold(entries[:number])
        assert snapshot is not None
        snapshot = lifecycle.known(snapshot)
        if not is_followed_up(entry, entries[number:]):
            lines = [_headline(entry), *_lines(entry, snapshot)]
            lines += [Text(f"reminder: {reminder}", style="cyan") for reminder in reminders.get(entry.id, ())]
            repeats = str(entry.terms.charge) if _is_quiet_renewal(entry) and entry.terms else ""
            yield Row(entry.effective_at, entry.by, snapshot, Text("\n").join(lines), repeats)
        while waiting and waiting[0].after_version <= entry.version:
            note = waiting.pop(0)
            yield Row(note.at, note.by, note.subscription, Text("\n").join(_note(note)))


def _is_quiet_renewal(entry: Entry) -> bool:
    return entry.event == "applied" and isinstance(entry.command, Renew) and "state" not in entry.changes


def _merged(rows: Iterable[Row]) -> Iterator[Row]:
    """Renewals in a row, with nothing between them, become one."""
    waiting: list[Row] = []
    for row in rows:
        if waiting and row.repeats != waiting[0].repeats:
            yield _together(waiting)
            waiting = []
        if row.repeats:
            waiting.append(row)
        else:
            yield row
    if waiting:
        yield _together(waiting)


def _together(rows: Sequence[Row]) -> Row:
    if len(rows) == 1:
        return rows[0]
    last = rows[-1].subscription
    what = Text(f"renew, {len(rows)} times until {local_day(rows[-1].at, last.time_zone)}", style="bold")
    what.append(f"\n{rows[0].repeats} each time, next billing date {last.next_billing_date}", style="not bold")
    return attrs.evolve(rows[0], subscription=last, what=what)


# -- one entry


def _headline(entry: Entry) -> Text:
    said = SAID[entry.event]
    what = said if entry.event in ABOUT_MONEY else named(entry.command)
    text = Text(what, style="bold")
    if said and what != said:
        text.append(f" — {said}", style="red" if entry.event in ("declined", "abandoned") else "yellow")
    return text


def _lines(entry: Entry, after: Subscription) -> Iterator[Text]:
    if entry.payment is not None and entry.event not in ("settled", "refunded"):
        yield Text(_paid(entry, entry.payment))
    if entry.charge is not None and entry.charge.credit_used:
        yield Text(f"{entry.charge.credit_used} taken from credit")
    for line in entry.invoice_lines:
        yield Text(f"{line.amount} on the next invoice, for {_days(line.period.start, line.period.end)}")
    for period in entry.served_unpaid:
        yield Text(f"served unpaid: {_days(period.start, period.end)}")
    for debt in entry.forgiven:
        yield Text(f"forgiven: {debt}")
    yield from _changes(entry, after)
    moved = "next_billing_date" in entry.changes or ("state" in entry.changes and entry.by != SYSTEM)
    yield Text(_dates(entry, after), style="" if moved else "dim")


def _paid(entry: Entry, payment: Payment) -> str:
    lines = () if entry.charge is None else entry.charge.lines
    code = f" ({payment.code})" if payment.code else ""
    status = payment.status.replace("_", " ") + code
    if len(lines) == 1:
        return f"{payment.amount} by {payment.method} {PURPOSES[lines[0].purpose]} {_days(*lines[0].period)}: {status}"
    parts = (f"\n  {line.amount} {PURPOSES[line.purpose]} {_days(*line.period)}" for line in lines)
    return f"{payment.amount} by {payment.method}: {status}{''.join(parts)}"


def _days(start: object, end: object) -> str:
    return f"{start} to {end}"


def _changes(entry: Entry, after: Subscription) -> Iterator[Text]:
    if "refunds" in entry.changes and entry.event != "refunded":
        sent: set[object] = set(entry.changes["refunds"].before or ())
        for refund in after.refunds:
            if refund not in sent:
                yield Text(f"{refund.amount} goes back to the customer")
    if "credit" in entry.changes and after.credit:
        yield Text(f"credit of the customer: {after.credit}")
    if "arrears" in entry.changes and entry.changes["arrears"] != (None, ()):
        yield Text(f"owed: {after.owed}" if after.arrears else "nothing is owed any more")


def _dates(entry: Entry, after: Subscription) -> str:
    changed = entry.changes.get("next_billing_date")
    parts = [f"next billing date {after.next_billing_date}"]
    if changed is not None and changed.before is not None and not entry.command.creates:
        parts = [f"next billing date {changed.before} → {after.next_billing_date}"]
    elif changed is None and entry.by != SYSTEM and "state" in entry.changes:
        parts[0] += ", unchanged"
    if after.until is not None:
        parts.append(f"{after.state} until {after.until}")
    return "; ".join(parts)


# -- one note


def _note(note: Note) -> Iterator[Text]:
    text = Text(named(note.command), style="bold")
    if note.error is None:
        text.append(" — what would it do?", style="cyan")
        yield text
        if note.terms is not None:
            yield Text(str(note.terms))
        return
    text.append(" — refused", style="red")
    yield text
    if not isinstance(note.error, Refused):
        yield Text(str(note.error))
        return
    for refusal in note.error.refusals:
        yield Text(refusal.message)
        roles = ", ".join(str(role) for role in refusal.allowed_roles)
        who = f" Who may: {roles}." if roles else ""
        yield Text(f"→ {refusal.remedy}{who}", style="cyan")

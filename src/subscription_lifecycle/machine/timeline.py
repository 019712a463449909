"""What happens to one subscription: its entries, charges and access, as text, as Markdown and as a picture."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import attrs

from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.machine.picture import drawn
from subscription_lifecycle.machine.telling import (
    Moment,
    RefusedCommand,
    TimelineCharge,
    as_told,
    by_whom,
    charges_of,
    followed_up,
    named,
    payment_name,
    told,
)
from subscription_lifecycle.model import validation
from subscription_lifecycle.model.calendar import local_day
from subscription_lifecycle.model.entry import Entry
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.state import Access, Condition, State
from subscription_lifecycle.model.subscription import Subscription

if TYPE_CHECKING:
    from subscription_lifecycle.machine.lifecycle import Lifecycle

__all__ = ["Stretch", "Timeline", "TimelineTotals", "drawn_up", "led_to"]

T = TypeVar("T")


@attrs.frozen
class Stretch(Generic[T]):
    """From `start` up to, but not including, `end` (instants in UTC) this value held."""

    start: datetime
    end: datetime
    value: T


class TimelineTotals(NamedTuple):
    """Sums of one currency. `under_way` is submitted or awaiting; `declined` counts each try."""

    captured: Money
    invoiced: Money
    refunded: Money
    under_way: Money
    declined: Money


@attrs.frozen
class Timeline:
    """One subscription from `start` up to and including `until`, oldest first. `str` prints it as a table.

    `happened` are the entries with the snapshots they lead to, and the refused commands between them; `subscription`
    is the last snapshot (None: it was never created); `states` and `access` are stretches without gaps, merged.
    """

    start: datetime
    until: datetime
    subscription: Subscription | None
    happened: tuple[Moment | RefusedCommand, ...]
    states: tuple[Stretch[State], ...]
    access: tuple[Stretch[Access], ...]
    _first: Subscription | None = attrs.field(alias="first", repr=False)

    @classmethod
    def of_history(cls, lifecycle: Lifecycle, entries: Iterable[Entry], *, until: datetime) -> Timeline:
        """The timeline of a stored history, from its first entry.

        Raises InvalidValue (`entries`, `until`), and DefinitionError for a state that the lifecycle does not know.
        """
        moments: list[Moment | RefusedCommand] = []
        after: Subscription | None = None
        for entry in entries:
            after = led_to(lifecycle, after, entry)
            moments.append(Moment(entry, after, lifecycle.access(after, at=entry.recorded_at)))
        if after is None or not isinstance(moments[0], Moment):
            raise InvalidValue("entries", "there are none", "Pass a whole history.")
        start, end = moments[0].entry.recorded_at, validation.instant("until", until)
        if end <= start:
            raise InvalidValue("until", f"{end} is not after the first entry, {start}", "Pass a later instant.")
        return drawn_up(lifecycle, None, moments, start, end)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What would be on record."""
        return tuple(each.entry for each in self.happened if isinstance(each, Moment))

    @property
    def refused(self) -> tuple[RefusedCommand, ...]:
        """Commands that changed nothing, with their reasons."""
        return tuple(each for each in self.happened if isinstance(each, RefusedCommand))

    @property
    def charges(self) -> tuple[TimelineCharge, ...]:
        """Every charge once, with what came of it in the end."""
        return tuple(found for found in charges_of(self.entries).values() if found.outcome != "refunded")

    @property
    def refunds(self) -> tuple[TimelineCharge, ...]:
        """What went back."""
        return tuple(found for found in charges_of(self.entries).values() if found.outcome == "refunded")

    @property
    def totals(self) -> Mapping[str, TimelineTotals]:
        """Sums by currency."""
        sums: dict[str, dict[str, Money]] = {}
        for charge in (*self.charges, *self.refunds):
            zero = Money.zero(charge.amount.currency)
            found = sums.setdefault(zero.currency, dict.fromkeys(TimelineTotals._fields, zero))
            column = {"submitted": "under_way", "awaiting": "under_way"}.get(charge.outcome, charge.outcome)
            if column in found:
                found[column] += charge.amount
        return {currency: TimelineTotals(**found) for currency, found in sums.items()}

    @property
    def time_zone(self) -> str:
        """Whose days the table and the picture show."""
        known = self.subscription or self._first
        return "UTC" if known is None else known.time_zone

    @property
    def title(self) -> str:
        """Which subscription, and from when to when."""
        name = "no subscription" if self.subscription is None else self.subscription.id
        first, last = (local_day(at, self.time_zone) for at in (self.start, self.until))
        return f"{name}, {first} to {last} ({self.time_zone})"

    def __str__(self) -> str:
        lines = [self.title, "", *_columns(HEADINGS), *_columns(tuple("-" * width for width in WIDTHS))]
        for row in self._rows():
            lines += _columns(row)
        summary = (line for text in self._summary() for line in textwrap.wrap(text, 98, subsequent_indent="  "))
        return "\n".join([*lines, "", *summary])

    def to_markdown(self) -> str:
        """The same table as Markdown."""
        lines = [f"**{_cell(self.title)}**", "", _line(HEADINGS), _line("---" for _ in HEADINGS)]
        lines += [_line(_cell(text) for text in row) for row in self._rows()]
        return "\n".join([*lines, "", *(f"- {_cell(text)}" for text in self._summary())]) + "\n"

    def to_svg(self) -> str:
        """A picture: states over time, access under them, and what happened as marks. The same timeline, same text."""
        return drawn(self)

    def _rows(self) -> Iterator[tuple[str, ...]]:
        money, before, entries = charges_of(self.entries), self._first, self.entries
        followed = followed_up(entries)
        for each in self.happened:
            if isinstance(each, RefusedCommand):
                reasons = " ".join(refusal.message for refusal in each.refusals) or str(each.error)
                what = f"{named(each.command)}{by_whom(each.by)} — refused: {reasons}"
                yield str(local_day(each.at, self.time_zone)), what, "", "", ""
                continue
            entry, after = each.entry, each.after
            if entry.id in followed:
                continue
            day = local_day(entry.effective_at, after.time_zone)
            charge = money.get(payment_name(entry))
            paid = str(as_told(entry, charge)) if charge is not None else ""
            yield str(day), told(entry), _move(before, after), paid, str(after.next_billing_date)
            before = after

    def _summary(self) -> Iterator[str]:
        for stretch in self.access:
            first, end = (local_day(at, self.time_zone) for at in (stretch.start, stretch.end))
            yield f"access {stretch.value}: {first} to {end}"
        for totals in self.totals.values():
            sums = totals._asdict().items()
            parts = (f"{name.replace('_', ' ')} {sum}" for name, sum in sums if sum or name == "captured")
            yield f"money: {', '.join(parts)}"
        if self.subscription is not None and self.subscription.arrears:
            yield f"owed at the end: {self.subscription.owed}"


def led_to(lifecycle: Lifecycle, before: Subscription | None, entry: Entry) -> Subscription:
    """The snapshot that an entry leads to."""
    found: dict[str, Any] = {name: change.after for name, change in entry.changes.items()}
    found["version"] = entry.version
    return lifecycle.known(Subscription(**found) if before is None else before.changed(found))


def drawn_up(
    lifecycle: Lifecycle,
    first: Subscription | None,
    happened: Sequence[Moment | RefusedCommand],
    start: datetime,
    until: datetime,
) -> Timeline:
    """The timeline of what happened to `first`."""
    moments = [each for each in happened if isinstance(each, Moment)]
    states = [(each.entry.recorded_at, each.after.state) for each in moments]
    access = [(each.entry.recorded_at, each.access) for each in moments]
    if first is not None:
        first = lifecycle.known(first)
        states.insert(0, (start, first.state))
        access.insert(0, (start, lifecycle.access(first, at=start)))
    last = moments[-1].after if moments else first
    return Timeline(start, until, last, tuple(happened), _stretches(states, until), _stretches(access, until), first)


def _stretches(changes: Sequence[tuple[datetime, T]], until: datetime) -> tuple[Stretch[T], ...]:
    """Without gaps; equal neighbours are one, and what lasted no time is left out."""
    found: list[Stretch[T]] = []
    for (start, value), end in zip(changes, [*(at for at, _ in changes[1:]), until], strict=False):
        if start >= end:
            continue
        if found and found[-1].value == value:
            found[-1] = attrs.evolve(found[-1], end=end)
        else:
            found.append(Stretch(start, end, value))
    return tuple(found)


def _move(before: Subscription | None, after: Subscription) -> str:
    now = str(Condition(after.state, after.cause))
    was = "" if before is None else str(Condition(before.state, before.cause))
    return now if was in ("", now) else f"{was} → {now}"


# -- a table

HEADINGS = ("day", "what", "state", "money", "next billing")
WIDTHS = (10, 30, 20, 20, 12)


def _columns(cells: Sequence[str]) -> Iterator[str]:
    columns = [textwrap.wrap(cell, width) or [""] for cell, width in zip(cells, WIDTHS, strict=True)]
    for number in range(max(map(len, columns))):
        parts = (column[number] if number < len(column) else "" for column in columns)
        yield "  ".join(part.ljust(width) for part, width in zip(parts, WIDTHS, strict=True)).rstrip()


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")

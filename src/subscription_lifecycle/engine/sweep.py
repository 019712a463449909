"""The one line for cron: finish open payments, do what is due, deliver the outbox; many subscriptions in step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import attrs

from subscription_lifecycle.engine.batch import in_step
from subscription_lifecycle.engine.capturing import Result
from subscription_lifecycle.engine.effects import (
    CountFailure,
    CountStumbles,
    Defer,
    FindDue,
    FindUndelivered,
    Flow,
    ForgetStumbles,
    LeaseDue,
    MarkDelivered,
    Now,
    Park,
    Tell,
)
from subscription_lifecycle.engine.timed import advance
from subscription_lifecycle.errors import ConcurrentChange
from subscription_lifecycle.machine.decision import Applied, AwaitingPayment
from subscription_lifecycle.machine.lifecycle import Lifecycle
from subscription_lifecycle.model.entry import Entry

PAGE = 5_000
"""So many ids are asked for at a time; of entries, which are longer, a tenth."""
BATCH = 250
"""So many subscriptions are in step, and so many are leased at a time."""
MOST_DELIVERIES = 5
"""Sweeps in which an entry may fail before it is parked."""
MOST_STUMBLES = 5
"""Sweeps in a row in which a subscription may fail before it is parked."""
FIRST_PAUSE = timedelta(minutes=5)
"""How long a parked subscription waits at first; with each failure twice as long, up to LONGEST_PAUSE."""
LONGEST_PAUSE = timedelta(days=1)
PARKING = "(parking)"
"""The name in `failed` of an exception of the store that was to count failures."""
PROGRESS = "(progress)"
"""The name in `failed` of an exception of the `progress` callable."""


@attrs.frozen(kw_only=True)
class SweepProgress:
    """What a sweep has done so far, after each batch: counts, as in its report."""

    batches: int
    examined: int
    entries: int
    captured: int
    declined: int
    failed: int


@attrs.frozen
class SweepReport:
    """What a sweep did: how many subscriptions it looked at and entries it delivered, and ids that want attention.

    `held`: several charges fell due at once, and periods became debts that wait for an operator. `awaiting`: a payment
    is still open. `mismatched`: other money came than was asked for, and an operator decides. `declined`: a payment
    was. `failed`: the error, by id; the others went on. `parked`: failed in five sweeps in a row or more; they are
    tried again after a pause, which doubles from five minutes to a day, or after any command or `unpark`. What the
    `progress` callable raises is in `failed` as "(progress)". `captured` counts payments, `overtaken` those that
    somebody else did first.
    """

    examined: int = 0
    entries: int = 0
    delivered: int = 0
    held: tuple[str, ...] = ()
    awaiting: tuple[str, ...] = ()
    declined: tuple[str, ...] = ()
    failed: tuple[tuple[str, Exception], ...] = ()
    mismatched: tuple[str, ...] = ()
    parked: tuple[str, ...] = ()
    captured: int = 0
    overtaken: int = 0


@attrs.frozen
class Pace:
    """How a sweep goes about it: `bulk`, whether the store reads and writes many at a time; the rest as given to it."""

    bulk: bool = False
    lease: timedelta | None = None
    captures_at_once: int = 8
    progress: Callable[[SweepProgress], None] | None = None


def sweep(
    lifecycle: Lifecycle, limit: int | None, *, gateway: bool, deliver: bool, pace: Pace = Pace()
) -> Flow[SweepReport]:
    """Each due subscription once, the earliest first; one that fails is reported and does not stop the rest."""
    tally = _Tally()
    until = yield Now()
    waiting: Sequence[str] = ()
    while True:
        waiting = waiting or (yield from _next_page(until, limit, pace, tally.seen))
        if not waiting:
            break
        ids, waiting = waiting[:BATCH], waiting[BATCH:]
        tally.seen |= dict.fromkeys(ids)
        flows = {id: advance(lifecycle, id, gateway=gateway) for id in ids}
        outcomes = yield from in_step(flows, bulk=pace.bulk, at_once=pace.captures_at_once)
        tally.add(outcomes)
        yield from _park(outcomes, tally)
        tally.tell(pace.progress)
    delivered = 0
    if deliver:
        delivered, broken = yield from deliver_entries()
        tally.failed += broken
    return tally.report(delivered)


def _next_page(until: datetime, limit: int | None, pace: Pace, seen: Mapping[str, None]) -> Flow[Sequence[str]]:
    """Ids not seen yet, and none when there are no more or the limit is reached."""
    left = PAGE if limit is None else min(PAGE, limit - len(seen))
    if left <= 0:
        return ()
    if pace.lease is None:
        found = yield FindDue(until, len(seen) + left)
    else:
        # No more than one batch, so that others share; and as long as promised, however long this sweep has run.
        now = yield Now()
        found = yield LeaseDue(until, min(left, BATCH), now + pace.lease)
    return [id for id in found if id not in seen][:left]


def _park(outcomes: Mapping[str, Sequence[Result] | Exception], tally: _Tally) -> Flow[None]:
    """Who failed too often in a row is left alone for a while. Being overtaken counts: whoever writes ends the row."""
    errors = {id: f"{type(end).__name__}: {end}" for id, end in outcomes.items() if isinstance(end, Exception)}
    idle = [
        id
        for id, end in outcomes.items()
        if not isinstance(end, Exception) and not any(result.entries for result in end)
    ]
    try:
        if idle:
            yield ForgetStumbles(tuple(idle))
        counts: Mapping[str, int] = (yield CountStumbles(errors)) if errors else {}
        often = {id: count - MOST_STUMBLES for id, count in counts.items() if count >= MOST_STUMBLES}
        if often:
            now = yield Now()
            yield Defer({id: now + pause(times) for id, times in often.items()})
            tally.parked |= dict.fromkeys(often)
    except Exception as error:
        # They are only tried again sooner.
        tally.failed.append((PARKING, error))


def pause(times: int) -> timedelta:
    """How long a subscription is left alone that has been parked so many times before without a success between."""
    longer: timedelta = FIRST_PAUSE * 2 ** min(times, 20)
    return min(longer, LONGEST_PAUSE)


@attrs.define
class _Tally:
    seen: dict[str, None] = attrs.field(factory=dict)
    batches: int = 0
    entries: int = 0
    captured: int = 0
    overtaken: int = 0
    held: dict[str, None] = attrs.field(factory=dict)
    awaiting: dict[str, None] = attrs.field(factory=dict)
    mismatched: dict[str, None] = attrs.field(factory=dict)
    declined: dict[str, None] = attrs.field(factory=dict)
    parked: dict[str, None] = attrs.field(factory=dict)
    failed: list[tuple[str, Exception]] = attrs.field(factory=list)
    silenced: Exception | None = None

    def add(self, outcomes: Mapping[str, Sequence[Result] | Exception]) -> None:
        self.batches += 1
        for id, outcome in outcomes.items():
            if isinstance(outcome, ConcurrentChange):
                self.overtaken += 1
            elif isinstance(outcome, Exception):
                self.failed.append((id, outcome))
            else:
                for result in outcome:
                    self._sort(id, result)

    def _sort(self, id: str, result: Result) -> None:
        self.entries += len(result.entries)
        status = None if result.payment is None else result.payment.status
        if isinstance(result, AwaitingPayment):
            (self.mismatched if status == "mismatched" else self.awaiting)[id] = None
        elif isinstance(result, Applied):
            self.captured += status == "captured"
            if status == "declined":
                self.declined[id] = None
            if any(entry.event == "held" and entry.billed is not None for entry in result.entries):
                self.held[id] = None

    def tell(self, progress: Callable[[SweepProgress], None] | None) -> None:
        if progress is None:
            return
        told = SweepProgress(
            batches=self.batches,
            examined=len(self.seen),
            entries=self.entries,
            captured=self.captured,
            declined=len(self.declined),
            failed=len(self.failed),
        )
        try:
            progress(told)
        except Exception as error:
            # A stranger's code stops nothing.
            self.silenced = error

    def report(self, delivered: int) -> SweepReport:
        silenced = [] if self.silenced is None else [(PROGRESS, self.silenced)]
        return SweepReport(
            examined=len(self.seen),
            entries=self.entries,
            delivered=delivered,
            held=tuple(self.held),
            awaiting=tuple(self.awaiting),
            declined=tuple(self.declined),
            failed=tuple(dict.fromkeys([*self.failed, *silenced])),
            mismatched=tuple(self.mismatched),
            parked=tuple(self.parked),
            captured=self.captured,
            overtaken=self.overtaken,
        )


def deliver_entries() -> Flow[tuple[int, list[tuple[str, Exception]]]]:
    """Every undelivered entry to every listener; after a failure the rest of that subscription waits, in order.

    An entry that failed in so many sweeps is parked, where the store can: it is seen there, and blocks nothing else.
    """
    count, broken = 0, dict[str, Exception]()
    seen: set[str] = set()
    while True:
        undelivered = yield FindUndelivered(len(seen) + PAGE // 10)
        batch: list[Entry] = [entry for entry in undelivered if entry.id not in seen]
        if not batch:
            return count, list(broken.items())
        done: list[Entry] = []
        for entry in batch:
            seen.add(entry.id)
            if entry.subscription in broken:
                continue
            try:
                yield Tell(entry)
            except Exception as error:
                broken[entry.subscription] = error
                if (yield CountFailure(entry, f"{type(error).__name__}: {error}")) >= MOST_DELIVERIES:
                    yield Park(entry)
            else:
                done.append(entry)
        yield MarkDelivered(tuple(done))
        seen -= {entry.id for entry in done}
        count += len(done)

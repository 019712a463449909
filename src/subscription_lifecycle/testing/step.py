"""One thing that happened to one subscription, with everything a law may want to look at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Protocol, TypeAlias

import attrs

from subscription_lifecycle.engine.subscriptions import Subscriptions
from subscription_lifecycle.errors import UnknownSubscription
from subscription_lifecycle.machine.decision import Applied, AwaitingPayment, Decision
from subscription_lifecycle.machine.guard import Refusal
from subscription_lifecycle.machine.lifecycle import Action, Lifecycle
from subscription_lifecycle.model.actor import Actor
from subscription_lifecycle.model.calendar import local_day, start_of_day
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.entry import Entry
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.ports import Stored
from subscription_lifecycle.testing.fakes import Capture, Refund

Snapshots: TypeAlias = tuple[tuple[Entry, Subscription], ...]


def snapshots(lifecycle: Lifecycle, history: Iterable[Entry], before: Snapshots = ()) -> Snapshots:
    """The history with its snapshots, in the lifecycle's own states; what is in `before` is not made again."""
    found = list(before)
    for entry in history:
        if entry.version <= len(found):
            continue
        changed: Mapping[str, Any] = {name: change.after for name, change in entry.changes.items()}
        if not found:
            snapshot = Subscription(**changed, version=entry.version)
        else:
            snapshot = found[-1][1].changed({**changed, "version": entry.version})
        found.append((entry, lifecycle.known(snapshot)))
    return tuple(found)


class Ledger(Protocol):
    """What laws ask of a gateway: the money that moved, as FakeGateway tells it."""

    @property
    def captures(self) -> Sequence[Capture]: ...
    @property
    def refunds(self) -> Sequence[Refund]: ...


@attrs.frozen(kw_only=True)
class Step:
    """`before` and `after` are what the store held; `entries` is what the step added to `history`.

    `explained`, `previewed` and `offered` were asked just before the command was given; they are None where it was not
    a command, or where a payment was open or a fault was planted (then a step may end differently).
    """

    subs: Subscriptions
    gateway: Ledger
    id: str
    now: datetime
    what: str
    before: Stored
    after: Stored
    entries: tuple[Entry, ...]
    snapshots: Snapshots
    """Each entry of the history with the snapshot it led to."""
    moved: bool
    """Whether the gateway's ledger moved."""
    command: Command | None = None
    by: Actor | None = None
    result: Applied | AwaitingPayment | None = None
    error: BaseException | None = None
    explained: tuple[Refusal, ...] | None = None
    previewed: Decision | None = None
    offered: Action | None = None
    first: bool = True
    """Whether nothing had to come before the command: no open payment, no charge that was due."""
    customers_only: bool = False
    """Whether only the customer's people and the clock have acted so far."""

    @property
    def lifecycle(self) -> Lifecycle:
        return self.subs.lifecycle

    @property
    def subscription(self) -> Subscription:
        return self.after.subscription

    @property
    def history(self) -> tuple[Entry, ...]:
        return tuple(entry for entry, _ in self.snapshots)

    def spells(self) -> Iterator[tuple[Entry, Subscription, datetime, datetime]]:
        """Each snapshot with the instants from and until which it held."""
        found = self.snapshots
        for (entry, snapshot), following in zip(found, [*found[1:], None], strict=True):
            end = self.now if following is None else max(entry.effective_at, following[0].effective_at)
            yield entry, snapshot, entry.effective_at, end

    def local_days(self, snapshot: Subscription, start: datetime, end: datetime) -> Iterator[date]:
        """The local days that a stretch of time touches."""
        if start >= end:
            return
        day = local_day(start, snapshot.time_zone)
        while start_of_day(day, snapshot.time_zone) < end:
            yield day
            day += timedelta(days=1)

    def story(self) -> str:
        """What happened so far, one line an entry."""
        return "\n".join([self.what, *(f"  {entry.version}. {entry}" for entry in self.history)])


def whole_life(subs: Subscriptions, id: str, gateway: Ledger | None = None) -> Step:
    """Everything that ever happened to a subscription, as one step: any law can be asked about it at any time.

    `gateway` is whose ledger it is held against; without one, that of `subs`. Raises UnknownSubscription.
    """
    stored, history = subs.store.load(id, None), tuple(subs.store.history(id))
    if stored is None:
        raise UnknownSubscription(id)
    return Step(
        subs=subs,
        gateway=subs.gateway if gateway is None else gateway,
        id=id,
        now=subs.clock(),
        what="all of it",
        before=stored,
        after=stored,
        entries=history,
        snapshots=snapshots(subs.lifecycle, history),
        moved=False,
    )

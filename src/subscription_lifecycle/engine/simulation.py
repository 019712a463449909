"""A life told in advance: the engine's own flows, answered from memory, under a clock that goes from one due instant
to the next. What comes after what is written in the flows; here is only what a store, a gateway and a clock answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import attrs

from subscription_lifecycle.engine import queries
from subscription_lifecycle.engine.drivers import run
from subscription_lifecycle.engine.effects import (
    AskFacts,
    Capture,
    Effect,
    FindPayment,
    Flow,
    GiveBack,
    Load,
    LookUp,
    Now,
    ReadHistory,
    Save,
    VoidPayment,
)
from subscription_lifecycle.engine.flow import execute
from subscription_lifecycle.engine.reports import report
from subscription_lifecycle.engine.timed import advance
from subscription_lifecycle.errors import DefinitionError, InvalidValue, LifecycleError, PaymentDeclined
from subscription_lifecycle.machine.lifecycle import Lifecycle
from subscription_lifecycle.machine.planned import (
    Later,
    Payments,
    PlannedCommand,
    answered,
    every_payment_comes,
    in_order,
    no_facts,
)
from subscription_lifecycle.machine.telling import Moment, RefusedCommand
from subscription_lifecycle.machine.timeline import Timeline, drawn_up, led_to
from subscription_lifecycle.model import validation
from subscription_lifecycle.model.actor import SYSTEM, Actor
from subscription_lifecycle.model.calendar import start_of_day
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.payment import Captured, Declined, PaymentOutcome, Processing, Refunded
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.ports import Answer, Facts, Stored, Write

__all__ = ["simulate"]

MOST_ROUNDS = 100_000
"""More instants at which something is due than a daily plan has in two centuries."""
NEW = "simulated"
BEFORE = Captured(NEW, datetime.min.replace(tzinfo=UTC))


def simulate(
    lifecycle: Lifecycle,
    subscription: Subscription | None,
    *,
    until: datetime,
    commands: Iterable[PlannedCommand | tuple[datetime, Command, Actor]] = (),
    payments: Payments = every_payment_comes,
    facts: Facts = no_facts,
) -> Timeline:
    """What becomes of a subscription up to and including `until`. Pure: nothing is stored and no money moves.

    It starts where the snapshot was last written; with None, at the first command, which creates one. Whatever is due
    is done at its own instant, before a command of the same instant. A command that is refused changes nothing, is in
    the timeline with its reasons, and the simulation goes on. `payments` says of each charge to capture what the
    gateway answers: Captured or Declined; or Processing or ActionRequired, and then the payment is open until it is
    given up after the policy's days, or ends as Later says. A submitted debit that nobody ends stays under way.
    Refunds succeed at once. What only a store knows is left out: claims, and payments before the snapshot.

    Raises InvalidValue (`until`, `commands`, `payments`), and DefinitionError for a table that never comes to rest.
    """
    planned, end = in_order(commands), validation.instant("until", until)
    if subscription is None and not planned:
        raise InvalidValue("commands", "there is neither a subscription nor a command", "Plan a Start.")
    known = None if subscription is None else lifecycle.known(subscription)
    start = planned[0].at if known is None else _last_written(known)
    if end <= start:
        raise InvalidValue("until", f"{end} is not after the start, {start}", "Pass a later instant.")
    if planned and planned[0].at < start:
        raise InvalidValue(
            "commands", f"{planned[0].at} is before the subscription was last written, {start}", "Pass a later instant."
        )
    life = Run(lifecycle, payments, facts, start, None if known is None else Stored(known))
    life.go([item for item in planned if item.at <= end], end)
    return drawn_up(lifecycle, subscription, life.happened, start, end)


def _last_written(subscription: Subscription) -> datetime:
    return (
        subscription.recorded_at or subscription.since or start_of_day(subscription.term_start, subscription.time_zone)
    )


class _Wrong(BaseException):
    """What the `payments` callable raised. The flows take whatever a gateway raises for an answer that was lost."""

    def __init__(self, error: Exception) -> None:
        self.error = error


@attrs.define
class Run:
    """Where the simulation stands: what a clock, a store and a gateway would know."""

    lifecycle: Lifecycle
    payments: Payments
    facts: Facts
    now: datetime
    stored: Stored | None
    happened: list[Moment | RefusedCommand] = attrs.field(factory=list)
    answers: dict[str, Answer] = attrs.field(factory=dict)
    ledger: dict[str, PaymentOutcome] = attrs.field(factory=dict)
    ends: dict[str, Later] = attrs.field(factory=dict)
    due_at: datetime | None = None
    rounds: int = 0
    stuck_at: int | None = None

    def __attrs_post_init__(self) -> None:
        if self.stored is not None:
            self.ledger |= {debit.reference: Processing(NEW) for debit in self.stored.subscription.submitted}

    # -- time

    def go(self, planned: Sequence[PlannedCommand], end: datetime) -> None:
        self.sweep()
        for number, item in enumerate(planned):
            self.wait(item.at)
            self.now, key = item.at, f"planned {number}"
            error = self.drive(
                execute(self.lifecycle, self.id, item.command, by=item.by, key=key, agreed=None, gateway=True)
            )
            if error is not None:
                self.happened.append(RefusedCommand(self.now, item.command, item.by, error))
            self.sweep()
        self.wait(end)

    def wait(self, until: datetime) -> None:
        """Every instant up to then at which the clock has something to do."""
        while following := min((at for at in self.instants() if self.now < at <= until), default=None):
            self.now = following
            self.sweep()

    def instants(self) -> Iterator[datetime]:
        yield from (later.at for later in self.ends.values())
        if self.due_at is not None:
            yield self.due_at
        if self.stored is None:
            return
        if self.stored.attempt is not None:
            yield self.stored.attempt.gives_up_at
        elif (due := self.lifecycle.due(self.stored.subscription)) is not None:
            # A debit that nobody knows the end of, and a refund that waits for it, hide what is due behind them.
            yield due.at

    def sweep(self) -> None:
        """What the gateway reports at this instant, and what is due, until it comes to rest."""
        for reference in [name for name, later in self.ends.items() if later.at <= self.now]:
            outcome = self.ledger[reference] = self.ends.pop(reference).outcome
            self.by_clock(report(self.lifecycle, reference, outcome))
        while self.stored is not None:
            version = self.stored.subscription.version
            self.by_clock(advance(self.lifecycle, self.id, gateway=True))
            if self.stored.subscription.version == version:
                return
            self.rounds += 1
            if self.rounds > MOST_ROUNDS:
                name, state = self.lifecycle.name, self.stored.subscription.state
                raise DefinitionError((f"{name}: the due rows of {state} never come to rest.",))

    def by_clock(self, flow: Flow[Any]) -> None:
        """What fails is told once, as what the clock would do next, until something else has changed."""
        error = self.drive(flow)
        if error is None or self.stored is None or self.stuck_at == self.stored.subscription.version:
            return
        current = self.stored.subscription
        due = self.lifecycle.catch_up(current, self.now).due or self.lifecycle.due(current)
        if due is None:
            raise error
        self.stuck_at = current.version
        self.happened.append(RefusedCommand(self.now, due.command, SYSTEM, error))

    # -- what the flows ask for

    @property
    def id(self) -> str:
        return NEW if self.stored is None else self.stored.subscription.id

    def drive(self, flow: Flow[Any]) -> LifecycleError | None:
        """To its end; answers why it changed nothing. The last entry shows the access that the engine answers then."""
        count, refused = len(self.happened), None
        try:
            run(flow, self.perform)
        except _Wrong as wrong:
            raise wrong.error from None
        except DefinitionError:
            raise
        except LifecycleError as error:
            refused = None if isinstance(error, PaymentDeclined) else error
        for last in self.happened[count:][-1:]:
            assert isinstance(last, Moment)
            access = run(queries.access(self.lifecycle, self.id), self.perform)
            self.happened[-1] = attrs.evolve(last, access=access)
        return refused

    def perform(self, effect: Effect) -> Any:
        match effect:
            case Now():
                return self.now
            case AskFacts(subscription, command):
                return self.facts(subscription, command)
            case Load(_, key):
                known = None if key is None else self.answers.get(key)
                return None if self.stored is None else attrs.evolve(self.stored, answer=known)
            case ReadHistory():
                return [each.entry for each in self.happened if isinstance(each, Moment)]
            case FindPayment():
                return self.id
            case Save(write):
                return self.save(write)
            case Capture(request):
                return self.capture(request.reference)
            case LookUp(reference):
                return self.ledger.get(reference)
            case VoidPayment(reference):
                self.ends.pop(reference, None)
                self.ledger[reference] = Declined("voided")
                return True
            case GiveBack(reference):
                if not isinstance(self.ledger.get(reference, BEFORE), Captured):
                    raise LookupError("none of that money is here")
                return Refunded(NEW)
            case _:
                raise TypeError(f"{effect!r} is not asked of one subscription")

    def save(self, write: Write) -> None:
        after = None if self.stored is None else self.stored.subscription
        for entry in write.entries:
            after = led_to(self.lifecycle, after, entry)
            self.happened.append(Moment(entry, after, self.lifecycle.access_in(after, entry.recorded_at)))
        self.stored, self.due_at = Stored(write.subscription, write.attempt), write.due_at
        self.answers |= {answer.key: answer for answer in write.answers}

    def capture(self, reference: str) -> PaymentOutcome:
        assert self.stored is not None
        assert self.stored.attempt is not None
        attempt = self.stored.attempt
        try:
            answer = answered(self.payments(attempt.decision), attempt.payment.amount)
        except Exception as error:
            raise _Wrong(error) from None
        if isinstance(answer, Later) and answer.at > self.now:
            self.ends[reference] = answer
        if isinstance(answer, Later):
            answer = answer.meanwhile if answer.at > self.now else answer.outcome
        self.ledger[reference] = answer
        return answer

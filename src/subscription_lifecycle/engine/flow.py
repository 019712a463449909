"""One command, from the top: the order of everything, on one screen.

    Now → Load → (what must come first) → AskFacts → decide → save the intent → Capture → save the fact

A flow is a generator that yields effects and is sent their answers; drivers answer them. What follows a decision is in
`capturing`, what happens by itself in `timed`, what a gateway reports in `reports`.
"""

from __future__ import annotations

from datetime import datetime

from subscription_lifecycle.engine.capturing import Result, carry_out, conclude, repeated, resume, stop
from subscription_lifecycle.engine.effects import Flow, Load, Now
from subscription_lifecycle.engine.timed import MOST_CHARGES, caught_up, charge_due, write_due
from subscription_lifecycle.engine.writing import facts_for, loaded, not_before, reference_of
from subscription_lifecycle.errors import (
    AlreadyExists,
    PaymentDeclined,
    PaymentInProgress,
    Refused,
    UnknownSubscription,
)
from subscription_lifecycle.machine.decision import Decision
from subscription_lifecycle.machine.guard import Refusal
from subscription_lifecycle.machine.lifecycle import Lifecycle
from subscription_lifecycle.model.actor import Actor, Role
from subscription_lifecycle.model.charge import Terms
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.payment import Declined
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.ports import Stored

__all__ = ["execute"]

PREEMPTED = Declined("preempted", retryable=True)


def execute(
    lifecycle: Lifecycle, id: str, command: Command, *, by: Actor, key: str, agreed: Terms | None, gateway: bool
) -> Flow[Result]:
    """Answers what came of it; raises what the errors module says, and then nothing of it was written."""
    now = yield Now()
    stored: Stored | None = yield Load(id, key)
    if stored is not None and stored.answer is not None:
        return (yield from repeated(lifecycle, stored, stored.answer, command))
    if command.creates:
        if stored is not None:
            raise AlreadyExists(id)
        decision = yield from _decide(lifecycle, command.create(id, now), command, by, now)
    else:
        if stored is None:
            raise UnknownSubscription(id)
        decision = yield from _decide_when_ready(lifecycle, stored, command, by, key, now, gateway)
    _agree(decision, agreed)
    return (yield from carry_out(lifecycle, decision, key, decision.now, gateway))


def _decide(
    lifecycle: Lifecycle, subscription: Subscription, command: Command, by: Actor, now: datetime
) -> Flow[Decision]:
    known = None if command.creates else lifecycle.at(subscription, now)
    facts = yield from facts_for(subscription.id, known, command)
    return lifecycle.decide(subscription, command, by=by, at=now, facts=facts)


def _decide_when_ready(
    lifecycle: Lifecycle, stored: Stored, command: Command, by: Actor, key: str, now: datetime, gateway: bool
) -> Flow[Decision]:
    """An open payment is settled and a due charge made before the command is decided; a refusal comes before both."""
    id = stored.subscription.id
    for _ in range(MOST_CHARGES):
        subscription = stored.subscription
        at = not_before(now, subscription)
        caught = (yield from caught_up(lifecycle, subscription, at)) if stored.attempt is None else None
        asked = caught is not None and any(step.facts for step in caught.steps)
        if caught is not None and caught.charge is None and not asked:
            return (yield from _decide(lifecycle, subscription, command, by, at))
        met = caught.subscription if caught is not None and asked else subscription
        expected = yield from _expect(lifecycle, met, command, by, at)
        if caught is not None and caught.charge is None:
            # Only with what the host said are these rows due.
            yield from write_due(lifecycle, subscription.version, caught, at)
        elif caught is not None:
            yield from charge_due(lifecycle, subscription.version, caught, at, gateway)
        else:
            yield from _settle(lifecycle, stored, expected, by)
        stored = yield from loaded(id, key)
        if stored.subscription.version == subscription.version:
            break
    raise (
        PaymentInProgress(id, reference_of(id, key))
        if stored.attempt is None
        else PaymentInProgress(id, stored.attempt.reference)
    )


def _expect(
    lifecycle: Lifecycle, subscription: Subscription, command: Command, by: Actor, now: datetime
) -> Flow[Decision]:
    """What the command would do once what comes first has come: refused only if it is, paid or not."""
    try:
        return (yield from _decide(lifecycle, lifecycle.projected(subscription, now), command, by, now))
    except Refused as refused:
        try:
            return (yield from _decide(lifecycle, subscription, command, by, now))
        except Refused:
            raise refused from None


def _settle(lifecycle: Lifecycle, stored: Stored, expected: Decision, by: Actor) -> Flow[None]:
    """An open payment is looked up. One that stays open is in the way, unless a person's command pre-empts it."""
    attempt, id = stored.attempt, stored.subscription.id
    assert attempt is not None
    try:
        yield from resume(lifecycle, stored.subscription, attempt)
    except PaymentDeclined:
        return
    stored = yield from loaded(id, None)
    if stored.attempt is None:
        return
    if not expected.interrupts or Role.CLOCK in by.roles:
        raise PaymentInProgress(id, attempt.reference)
    # Whether it could be stopped may not be known: should the money come, it comes late and goes back.
    outcome = (yield from stop(attempt, PREEMPTED)) or PREEMPTED
    try:
        yield from conclude(lifecycle, stored.attempt, stored.subscription, (), outcome, "abandoned")
    except PaymentDeclined:
        return


def _agree(decision: Decision, agreed: Terms | None) -> None:
    if agreed is None or agreed == decision.terms:
        return
    details = {"agreed": str(agreed), "now": str(decision.terms)}
    raise Refused(
        (Refusal("terms_changed", f"The terms have changed: {decision.terms}.", "Show them again.", (), details),)
    )

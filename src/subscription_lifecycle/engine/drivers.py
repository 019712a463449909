"""Answering effects: the plain driver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import attrs

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
from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.machine.lifecycle import Lifecycle
from subscription_lifecycle.model import validation
from subscription_lifecycle.ports import Clock, Facts, PaymentGateway, Store, Stored, VoidingGateway

T = TypeVar("T")


def run(flow: Flow[T], perform: Callable[[Effect], Any]) -> T:
    """Drive a flow to its end. What an effect raises is raised inside the flow; what is no Exception stops everything."""
    try:
        effect = next(flow)
        while True:
            try:
                answer = perform(effect)
            except Exception as error:
                effect = flow.throw(error)
            else:
                effect = flow.send(answer)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        flow.close()


def performer(
    store: Store, gateway: PaymentGateway | None, clock: Clock, facts: Facts, lifecycle: Lifecycle
) -> Callable[[Effect], Any]:
    """What each effect means with these parts. What is loaded is given this lifecycle's own states and causes."""

    def money() -> PaymentGateway:
        if gateway is None:
            raise InvalidValue("gateway", "there is a payment and no gateway", "Pass one to Subscriptions.")
        return gateway

    def perform(effect: Effect) -> Any:
        match effect:
            case Now():
                return validation.instant("clock", clock())
            case Load(id, key):
                return _known(lifecycle, store.load(id, key))
            case AskFacts(subscription, command):
                return facts(subscription, command)
            case Save(write):
                return store.write(write)
            case Capture(request):
                return money().capture(request)
            case LookUp(reference):
                return money().find(reference)
            case VoidPayment(reference):
                return gateway.void(reference) if isinstance(gateway, VoidingGateway) else False
            case GiveBack(reference, amount):
                return money().refund(reference, amount)
            case FindPayment(reference):
                return store.find(reference)
            case ReadHistory(id):
                return store.history(id)

    return perform


def _known(lifecycle: Lifecycle, stored: Stored | None) -> Stored | None:
    """A store may know states and causes by name only; also those in the pinned decision are looked at later."""
    if stored is None:
        return None
    subscription, attempt = lifecycle.known(stored.subscription), stored.attempt
    if attempt is not None:
        pinned = attempt.decision
        before, after = lifecycle.known(pinned.before), lifecycle.known(pinned.after)
        declined = None if pinned.declined is None else lifecycle.known(pinned.declined)
        decision = attrs.evolve(pinned, before=before, after=after, declined=declined)
        attempt = attrs.evolve(attempt, decision=decision)
    return attrs.evolve(stored, subscription=subscription, attempt=attempt)

"""What a simulation is given: commands at their instants, and what the gateway will say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, TypeAlias

import attrs

from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.machine.decision import Decision
from subscription_lifecycle.model import validation
from subscription_lifecycle.model.actor import Actor
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.payment import ActionRequired, Captured, Declined, PaymentOutcome, Processing
from subscription_lifecycle.model.subscription import Subscription


@attrs.frozen
class PlannedCommand:
    """What somebody will ask, and when; a tuple of the three serves as well."""

    at: datetime = attrs.field(validator=validation.an_instant)
    command: Command = attrs.field(validator=validation.a(Command))
    by: Actor = attrs.field(validator=validation.a(Actor))


@attrs.frozen
class Later:
    """A payment that stays open and ends later: `meanwhile` is what the gateway says first, `outcome` what it says at
    `at`."""

    at: datetime = attrs.field(validator=validation.an_instant)
    outcome: Captured | Declined = attrs.field(validator=validation.a(Captured, Declined))
    meanwhile: Processing | ActionRequired = attrs.field(
        default=Processing("simulated"), validator=validation.a(Processing, ActionRequired)
    )


Payments: TypeAlias = Callable[[Decision], "PaymentOutcome | Later"]


def every_payment_comes(decision: Decision) -> PaymentOutcome:
    """Captured, at the instant at which it is asked for."""
    return Captured("simulated", decision.now)


def no_facts(subscription: Subscription | None, command: Command) -> Mapping[str, Any]:
    """Nothing that the snapshot does not know."""
    return {}


def in_order(items: Iterable[PlannedCommand | tuple[datetime, Command, Actor]]) -> list[PlannedCommand]:
    """The commands by their instants, in UTC; those of one instant as given."""
    return sorted(map(_planned, items), key=lambda item: item.at)


def _planned(item: PlannedCommand | tuple[datetime, Command, Actor]) -> PlannedCommand:
    if not isinstance(item, PlannedCommand):
        if not isinstance(item, tuple) or len(item) != 3:
            raise InvalidValue(
                "commands", f"{validation.brief(item)} is no planned command", "Pass (instant, command, actor)."
            )
        item = PlannedCommand(*item)
    return attrs.evolve(item, at=validation.instant("at", item.at))


def answered(answer: object, asked: Money) -> PaymentOutcome | Later:
    """What the `payments` callable said of a charge, where it is an answer to it."""
    if not isinstance(answer, (Captured, Declined, ActionRequired, Processing, Later)):
        raise InvalidValue(
            "payments",
            f"{validation.brief(answer)} is no answer to a charge",
            "Answer Captured, Declined, ActionRequired, Processing or Later.",
        )
    outcome = answer.outcome if isinstance(answer, Later) else answer
    if isinstance(outcome, Captured) and outcome.amount not in (None, asked):
        raise InvalidValue("payments", f"{outcome.amount} is not the {asked} that was asked for", "Leave it out.")
    return answer

"""What a simulation is given: commands at their instants, and what the gateway will say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeAlias

import attrs

from subscription_lifecycle.machine.decision import Decision
from subscription_lifecycle.model import validation
from subscription_lifecycle.model.actor import Actor
from subscription_lifecycle.model.command import Command
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
Facts: TypeAlias = Callable[[Subscription | None, Command], Mapping[str, Any]]


def every_payment_comes(decision: Decision) -> PaymentOutcome:
    """Captured, at the instant at which it is asked for."""
    return Captured("simulated", decision.now)


def no_facts(subscription: Subscription | None, command: Command) -> Mapping[str, Any]:
    """Nothing that the snapshot does not know."""
    return {}

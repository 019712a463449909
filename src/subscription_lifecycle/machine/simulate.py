"""A life told in advance: the due rows at their own instants and planned commands at theirs, on the pure core alone.

It is what the engine does under a sweep that is always in time, with the gateway's answers given by a callable.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import attrs

from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.machine.lifecycle import Lifecycle
from subscription_lifecycle.machine.planned import (
    Facts,
    Later,
    Payments,
    PlannedCommand,
    every_payment_comes,
    no_facts,
)
from subscription_lifecycle.machine.simulation import Run
from subscription_lifecycle.machine.timeline import Timeline, drawn_up
from subscription_lifecycle.model import validation
from subscription_lifecycle.model.actor import Actor
from subscription_lifecycle.model.calendar import start_of_day
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.subscription import Subscription

__all__ = ["Later", "PlannedCommand", "simulate"]


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
    planned = [_planned(item) for item in commands]
    planned.sort(key=lambda item: item.at)
    end = validation.instant("until", until)
    if subscription is None and not planned:
        raise InvalidValue("commands", "there is neither a subscription nor a command", "Plan a Start.")
    start = planned[0].at if subscription is None else _last_written(lifecycle.known(subscription))
    if end <= start:
        raise InvalidValue("until", f"{end} is not after the start, {start}", "Pass a later instant.")
    if planned and planned[0].at < start:
        raise InvalidValue(
            "commands", f"{planned[0].at} is before the subscription was last written, {start}", "Pass a later instant."
        )
    run = Run(lifecycle, payments, facts, start, None if subscription is None else lifecycle.known(subscription))
    run.go([item for item in planned if item.at <= end], end)
    return drawn_up(lifecycle, subscription, run.happened, start, end)


def _planned(item: PlannedCommand | tuple[datetime, Command, Actor]) -> PlannedCommand:
    if not isinstance(item, PlannedCommand):
        if not isinstance(item, tuple) or len(item) != 3:
            raise InvalidValue(
                "commands", f"{validation.brief(item)} is no planned command", "Pass (instant, command, actor)."
            )
        item = PlannedCommand(*item)
    return attrs.evolve(item, at=validation.instant("at", item.at))


def _last_written(subscription: Subscription) -> datetime:
    return (
        subscription.recorded_at or subscription.since or start_of_day(subscription.term_start, subscription.time_zone)
    )

"""One way into every condition of the standard lifecycle, by the name it is known under here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import attrs
from tests.domain.world import SUPPORT, TRIAL, A, M, World, day

from subscription_lifecycle import PROVIDER, STANDARD, Cancel, Delete, Disable, Lifecycle, Pause, Plan


def _playing(plan: Plan, until: str, *steps: Callable[[World], object]) -> Callable[[World], None]:
    def play(world: World) -> None:
        world.start(plan)
        for step in steps:
            step(world)
        world.at(until)

    return play


def _cancelled(world: World) -> None:
    world.at("2024-03-10")
    world.done(Cancel("now"))


def _blocked(world: World) -> None:
    world.at("2024-03-10")
    world.done(Disable(PROVIDER, "fraud"), by=SUPPORT)


def _off(world: World) -> None:
    world.at("2024-03-10")
    world.recurring_billing(on=False)


def _unpaid(world: World) -> None:
    world.unpaid("2024-03-01", "2024-03-31")


def _cancelled_unpaid(world: World) -> None:
    lifecycle = world.subs.lifecycle
    world.use(lifecycle.with_policies(attrs.evolve(lifecycle.policies["default"], when_retries_end="cancel")))
    _unpaid(world)


def _paused(world: World) -> None:
    world.at("2024-03-10")
    world.done(Pause())


def _past_due(world: World) -> None:
    world.at("2024-02-29")
    world.gateway.decline_next()


def _deleted(world: World) -> None:
    world.done(Delete(), by=SUPPORT)


def _on(when: str) -> Callable[[World], None]:
    return lambda world: world.at(when)


def _scheduled(world: World) -> None:
    world.start(M, start_on=day("2024-06-01"))


WAYS: Final[Mapping[str, Callable[[World], None]]] = {
    "scheduled": _scheduled,
    "trialing": _playing(TRIAL, "2024-01-15"),
    "active": _playing(M, "2024-03-10"),
    "past due": _playing(M, "2024-03-02", _past_due),
    "paused": _playing(M, "2024-03-20", _paused),
    "expired": _playing(M, "2024-04-20", _off),
    "disabled: lapsed": _playing(M, "2024-05-10", _off),
    "disabled: unpaid, date ahead": _playing(M, "2024-03-31", _unpaid),
    "disabled: unpaid, inside the term": _playing(A, "2024-04-10", _unpaid),
    "disabled: unpaid, term over": _playing(M, "2024-04-10", _unpaid),
    "disabled: blocked, date ahead": _playing(M, "2024-03-20", _blocked),
    "disabled: blocked, date passed": _playing(M, "2024-04-20", _blocked),
    "cancelled: date ahead": _playing(M, "2024-03-20", _cancelled),
    "cancelled: inside the term": _playing(A, "2024-05-20", _cancelled),
    "cancelled: term over": _playing(M, "2024-04-20", _cancelled),
    "cancelled: unpaid, date ahead": _playing(M, "2024-03-31", _cancelled_unpaid),
    "cancelled: unpaid, inside the term": _playing(A, "2024-04-10", _cancelled_unpaid),
    "cancelled: unpaid, term over": _playing(M, "2024-04-10", _cancelled_unpaid),
    "deleted": _playing(M, "2024-03-20", _on("2024-03-10"), _deleted),
    "deleted: paused": _playing(M, "2024-03-20", _paused, _deleted),
    "deleted: cancelled, unpaid": _playing(M, "2024-04-10", _cancelled_unpaid, _deleted),
    "deleted: lapsed": _playing(M, "2024-05-10", _off, _on("2024-05-02"), _deleted),
    "deleted: unpaid": _playing(M, "2024-04-10", _unpaid, _deleted),
    "deleted: blocked": _playing(M, "2024-04-10", _blocked, _deleted),
    "deleted: cancelled": _playing(M, "2024-04-10", _cancelled, _deleted),
}

SUPPORTS_ALONE: Final = ("disabled: blocked, date ahead", "disabled: blocked, date passed")
REACTIVABLE: Final = tuple(name for name in WAYS if name.startswith(("expired", "disabled", "cancelled")))
SELF_SERVICE: Final = tuple(name for name in REACTIVABLE if name not in SUPPORTS_ALONE)


def in_condition(name: str, lifecycle: Lifecycle = STANDARD) -> World:
    world = World("2024-01-01", lifecycle)
    WAYS[name](world)
    return world

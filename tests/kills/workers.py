"""Real processes that work, and are killed: forked by one that has imported everything and opened nothing.

    python -m tests.kills.workers live '{"url": …, "socket": …, "kills": 20, "seed": 1}'

prints one JSON object: what was done, and what was being done when the kill came.
"""

from __future__ import annotations

import functools
import json
import mmap
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy
from sqlalchemy.exc import DBAPIError
from tests.kills import acts
from tests.kills.acts import ACTS, Act, World, sweep
from tests.kills.audit import every
from tests.kills.gateway import Gateway
from tests.kills.lives import ALICE, METHODS, RESULTS, Life, Ticking, settled

from subscription_lifecycle import EXPIRED, AwaitingPayment, LifecycleError, PaymentInProgress, Subscriptions
from subscription_lifecycle.adapters.sqlalchemy import SQLStore, make_durable
from subscription_lifecycle.engine import effects
from subscription_lifecycle.engine.effects import Effect
from subscription_lifecycle.testing.fakes import FakeClock

EFFECTS = (
    "between effects",
    *(
        kind.__name__
        for kind in vars(effects).values()
        if isinstance(kind, type) and kind.__module__ == effects.__name__
    ),
)
NAMES = ("commands", "effects", "now in", *RESULTS, "unknown payment", "disconnected")
"""What each worker counts in memory that outlives it."""
LONGEST = 900
"""Seconds after which a process ends by itself, whoever has forgotten it."""
FIRST_DAY = datetime.fromisoformat("2024-01-01T00:00Z")


class Counters:
    """One row of whole numbers per worker, in memory that all share."""

    def __init__(self, rows: int) -> None:
        self._cells = memoryview(mmap.mmap(-1, rows * len(NAMES) * 8)).cast("q")

    def add(self, row: int, name: str, number: int = 1) -> None:
        self._cells[row * len(NAMES) + NAMES.index(name)] += number

    def set(self, row: int, name: str, number: int) -> None:
        self._cells[row * len(NAMES) + NAMES.index(name)] = number

    def all_began(self, rows: int) -> bool:
        """Whether each worker has begun a command."""
        cell = NAMES.index("commands")
        return all(self._cells[row * len(NAMES) + cell] for row in range(rows))

    def taken(self, row: int) -> dict[str, int]:
        found = {name: self._cells[row * len(NAMES) + cell] for cell, name in enumerate(NAMES)}
        for name in NAMES:
            self.set(row, name, 0)
        return found


def connected(url: str) -> SQLStore:
    """Tables were made before; each process has an engine of its own."""
    engine = sqlalchemy.create_engine(url)
    return SQLStore(make_durable(engine) if engine.dialect.name == "sqlite" else engine)


class Watched(Subscriptions):
    """Says which effect it is in."""

    entered: Callable[[int], None]

    def perform(self, effect: Effect) -> Any:
        self.entered(EFFECTS.index(type(effect).__name__))
        try:
            return super().perform(effect)
        finally:
            self.entered(0)


class Suicidal(Subscriptions):
    """Kills its own process before the n-th effect, or after it was performed."""

    fatal: int | None = None
    performed = False
    effects = 0

    def perform(self, effect: Effect) -> Any:
        number, self.effects = self.effects, self.effects + 1
        if number == self.fatal and not self.performed:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = super().perform(effect)
        if number == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer


def forked(act: Callable[[], None]) -> int:
    """The process id of a child that does this and nothing else."""
    pid = os.fork()
    if pid:
        return pid
    try:
        signal.alarm(LONGEST)
        act()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def ended(pid: int) -> bool:
    """Whether it was killed; that it failed is an error."""
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code not in (0, -signal.SIGKILL):
        raise SystemExit(f"a worker failed: {code}")
    return code != 0


def alive(pids: list[int]) -> None:
    for pid in pids:
        if os.waitpid(pid, os.WNOHANG) != (0, 0):
            raise SystemExit("a worker failed")


# -- killed at random moments


def live(
    url: str, socket: str, kills: int, seed: int, workers: int = 3, days: float = 1.5, most: float = 0.2, **_: Any
) -> dict[str, Any]:
    """Rounds of several workers, each killed at a random moment; then one that is left alone makes all quiet."""
    dice, counters, total, where = random.Random(seed), Counters(workers), Counter[str](), Counter[str]()
    now, died, rounds, gateway = FIRST_DAY, 0, 0, Gateway(socket)
    while died < kills:
        ids = [f"s{rounds * 2 + number}" for number in range(6)]
        begun: list[int] = []
        for row in range(workers):
            begun.append(forked(functools.partial(_live, url, socket, (seed, rounds, row), now, ids, counters)))
        while not counters.all_began(workers):
            alive(begun)
            time.sleep(0.0005)
        moments = sorted((dice.uniform(0, most), row) for row in range(workers))
        slept = 0.0
        for moment, row in moments:
            time.sleep(moment - slept)
            slept = moment
            os.kill(begun[row], signal.SIGKILL)
        for row, pid in enumerate(begun):
            killed = ended(pid)
            counted = counters.taken(row)
            if killed:
                died += 1
                where[EFFECTS[counted["now in"]]] += 1
            total.update({name: count for name, count in counted.items() if name != "now in"})
        gateway.drained()
        rounds += 1
        now += timedelta(days=dice.uniform(0, 2 * days))
    ended(forked(lambda: quiet(url, socket, now)))
    return {"kills": died, "rounds": rounds, "killed in": dict(where.most_common()), **total}


def _live(url: str, socket: str, seed: Any, now: datetime, ids: list[str], counters: Counters) -> None:
    row, clock = seed[2], Ticking(now)
    gateway = Gateway(socket, clock)
    subs = Watched(connected(url), gateway, clock=clock)

    def entered(effect: int) -> None:
        counters.set(row, "now in", effect)
        counters.add(row, "effects", 1 if effect else 0)

    subs.entered = entered
    life = Life(subs, gateway, clock, random.Random(repr(seed)), ids, lambda name: counters.add(row, name))
    while True:
        counters.add(row, "commands")
        try:
            life.step()
        except TimeoutError:
            # An answer of the gateway was lost where no flow waits for it.
            continue
        except (DBAPIError, *_driver_errors()) as error:
            if not _disconnected(error):
                raise
            counters.add(row, "disconnected")
            time.sleep(0.01)


def _driver_errors() -> tuple[type[Exception], ...]:
    import psycopg

    return (psycopg.OperationalError, psycopg.InterfaceError)


def _disconnected(error: Exception) -> bool:
    return "psycopg" in type(error).__module__ or "psycopg" in repr(getattr(error, "orig", ""))


def quiet(url: str, socket: str, now: datetime) -> None:
    """What nobody finished is finished, later than anything that was recorded."""
    store = connected(url)
    recorded = (found.recorded_at for found in every(store))
    clock = FakeClock(max(now, *filter(None, recorded)) + timedelta(minutes=1))
    gateway = Gateway(socket, clock)
    settled(Subscriptions(store, gateway, clock=clock), gateway, clock)


# -- killed before and after each effect


def exact(url: str, socket: str, names: list[str], **_: Any) -> dict[str, Any]:
    """Each act in a process of its own for every effect, killed there; then one that sweeps.

    Who was killed before an effect repeats the act; who was killed after it is never heard of again.
    """
    where = Counter[str]()
    for name in names:
        for performed in (False, True):
            effect, killed = 0, True
            while killed:
                id = f"{name} {effect} {'after' if performed else 'before'}"
                killed = ended(forked(functools.partial(_die, url, socket, ACTS[name], id, effect, performed)))
                ended(forked(functools.partial(_recover, url, socket, ACTS[name], id, not performed)))
                where[name] += killed
                effect += 1
    last = max(ACTS[name].instant for name in names)
    ended(forked(lambda: quiet(url, socket, last)))
    return {"kills": where.total(), "killed in": dict(where)}


def _die(url: str, socket: str, act: Act, id: str, effect: int, performed: bool) -> None:
    clock = Ticking(acts.FIRST_DAY)
    gateway = Gateway(socket, clock)
    subs = Suicidal(connected(url), gateway, clock=clock)
    world = World(id, subs, gateway, clock)
    # What an earlier process told the gateway, and never came to ask for, is forgotten.
    gateway.calm()
    act.before(world)
    clock.set(act.instant)
    act.then(world)
    subs.effects, subs.fatal, subs.performed = 0, effect, performed
    act.act(world)


def _recover(url: str, socket: str, act: Act, id: str, repeats: bool) -> None:
    clock = Ticking(act.instant + timedelta(minutes=1))
    gateway = Gateway(socket, clock)
    subs = Subscriptions(connected(url), gateway, clock=clock)
    subs.sweep()
    if repeats:
        act.act(World(id, subs, gateway, clock))
        found = subs.get(id)
        assert found.state == act.state, f"{id}: {found.state}"


# -- several at one instant


def race(url: str, socket: str, keys: list[str], **_: Any) -> list[dict[str, Any]]:
    """One process per key reactivates the same subscription, all at once; each repeats what it is told to repeat."""
    ended(forked(functools.partial(_die, url, socket, Act("2024-02-03T09:00Z", sweep, EXPIRED), "s", 10_000, False)))
    gate, opened = os.pipe()
    heard, say = os.pipe()

    def act(key: str) -> None:
        clock = Ticking("2024-02-03T09:00Z")
        subs = Subscriptions(connected(url), Gateway(socket, clock), clock=clock)
        subs.get("s")
        os.close(opened)
        os.read(gate, 1)
        os.write(say, (json.dumps(_came_back(subs, key)) + "\n").encode())

    children = [forked(functools.partial(act, key)) for key in keys]
    os.close(opened)
    for child in children:
        ended(child)
    os.close(say)
    with os.fdopen(heard) as answers:
        return [json.loads(line) for line in answers]


def _came_back(subs: Subscriptions, key: str) -> dict[str, Any]:
    """How it ended, and what was told before to whoever was told to repeat it."""
    told: list[str] = []
    while len(told) < 200:
        try:
            result = subs.reactivate("s", payment_method=METHODS[1], by=ALICE, idempotency_key=key)
        except LifecycleError as error:
            told.append(error.code)
            if error.repeat != "same_key" and not isinstance(error, PaymentInProgress):
                break
        else:
            if isinstance(result, AwaitingPayment):
                told.append(result.why)
                continue
            assert result.payment is not None
            answer = [result.subscription.version, str(result.entries[-1]), result.payment.reference]
            return {"told": [*told, "applied"], "answer": answer}
    return {"told": told}


# -- working while the database goes away


def busy(url: str, socket: str, seed: int, workers: int = 4, **_: Any) -> dict[str, Any]:
    """Says "working" when each worker has been at work; is told by a line to say it again, by the end to stop."""
    counters, ids = Counters(workers), [f"s{number}" for number in range(8)]
    begun = [
        forked(functools.partial(_live, url, socket, (seed, 0, row), FIRST_DAY, ids, counters))
        for row in range(workers)
    ]
    total = Counter[str]()
    while True:
        commands = [0] * workers
        while min(commands) < 10:
            time.sleep(0.01)
            alive(begun)
            for row in range(workers):
                counted = counters.taken(row)
                commands[row] += counted["commands"] - counted["disconnected"]
                total.update({name: count for name, count in counted.items() if name != "now in"})
        print("working", flush=True)
        if not sys.stdin.readline():
            break
    for pid in begun:
        os.kill(pid, signal.SIGKILL)
        ended(pid)
    Gateway(socket).drained()
    ended(forked(lambda: quiet(url, socket, FIRST_DAY + timedelta(days=1))))
    return {"kills": workers, **total}


MODES: dict[str, Callable[..., Any]] = {"live": live, "exact": exact, "race": race, "busy": busy}


def main(mode: str, options: str) -> None:
    """In a session of its own: when one process fails, none is left behind."""
    signal.alarm(LONGEST)
    told = json.loads(options)
    try:
        # The driver of the database is imported once, and not by each worker.
        connected(told["url"]).close()
        print(json.dumps(MODES[mode](**told)), flush=True)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])

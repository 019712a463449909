"""A state machine that lives random lives under any lifecycle, and asks every law after every step.

Random commands by random people (a hostile customer among them), a clock that jumps hours to years and to the very
instants that matter, payments that are declined, lost, or wait, refunds that wait, invoices that are paid or not,
sweeps in time, late and never, processes that die at any effect, keys that are used again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

import attrs
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from subscription_lifecycle.adapters.memory import MemoryStore
from subscription_lifecycle.errors import LifecycleError, Refused
from subscription_lifecycle.machine.lifecycle import Lifecycle
from subscription_lifecycle.model.actor import SYSTEM, Actor
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.payment_method import PaymentMethod
from subscription_lifecycle.ports import Store, Stored
from subscription_lifecycle.standard.commands import Cancel, Reactivate, Resume
from subscription_lifecycle.testing import laws as every
from subscription_lifecycle.testing import strategies
from subscription_lifecycle.testing.fakes import FakeClock, FakeGateway
from subscription_lifecycle.testing.faults import Died, MortalSubscriptions
from subscription_lifecycle.testing.law import Law
from subscription_lifecycle.testing.payments import ID, Payments
from subscription_lifecycle.testing.step import Snapshots, Step, snapshots

LONG = 120  # A history this long has seen enough: time stands still then.


class LifecycleMachine(Payments):
    """One subscription's random life. Made by `lifecycle_machine`."""

    laws: tuple[Law, ...]
    store_factory: staticmethod[[], Store]
    faults: bool

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.gateway = FakeGateway(self.clock)
        self.store = type(self).store_factory()
        self.subs = MortalSubscriptions(self.store, self.gateway, lifecycle=self.lifecycle, clock=self.clock)
        self.keys = 0
        self.last: tuple[Command, Actor, str] | None = None
        self.customers_only = True
        self.disputes: dict[str, bool] = {}
        self.broken = False
        self.snapshots: Snapshots = ()

    # The beginning

    @initialize(data=st.data(), at=strategies.instants, gentle=st.booleans())
    def begin(self, data: st.DataObject, at: Any, gentle: bool) -> None:
        self.clock.set(at)
        policy = data.draw(st.sampled_from(sorted(self.lifecycle.policies)), "policy")
        command = data.draw(strategies.starts(policy=policy), "start")
        if gentle or self.subs.explain(ID, command, by=strategies.ALICE):
            command = attrs.evolve(command, payment_method=PaymentMethod.card("tok_1", country="NL"))
        self.subs.execute(ID, command, by=strategies.ALICE, idempotency_key="start")
        self._check("start", self._stored())

    # What people do

    @rule(data=st.data(), by=strategies.people, wise=st.booleans())
    def command(self, data: st.DataObject, by: Actor, wise: bool) -> None:
        """Half the time one that is offered, else anything."""
        kinds = list(self.commands)
        if wise:
            offered = self.subs.actions(ID, by=by)
            kinds = [action.command for action in offered if action.availability == "available"] or kinds
            kinds = [kind for kind in kinds if kind in self.commands] or list(self.commands)
        command = data.draw(self.commands[data.draw(st.sampled_from(kinds), "kind")], "command")
        self.keys += 1
        self._give(command, by, f"key-{self.keys}")

    @rule(method=strategies.payment_methods, refund=st.sampled_from(("none", "prorated")), late=st.booleans())
    def cancel_and_come_back(self, method: Any, refund: Any, late: bool) -> None:
        """What a hostile customer tries: have the service, not the bill."""
        self.keys += 1
        self._give(Cancel("now", refund), strategies.ALICE, f"cancel-{self.keys}")
        self.clock.advance(hours=int(late))
        self._give(Reactivate(method), strategies.ALICE, f"back-{self.keys}")

    @rule(pause=strategies.pauses(), hours=st.sampled_from((None, 0, 5, 30, 700)), method=strategies.payment_methods)
    def pause_and_come_back(self, pause: Any, hours: int | None, method: Any) -> None:
        """Now or later, for a time or until it is enough, and perhaps back before."""
        self.keys += 1
        self._give(pause(self._stored().subscription, self.clock()), strategies.ALICE, f"pause-{self.keys}")
        if hours is not None:
            self.clock.advance(hours=hours)
            self._give(Resume(method), strategies.ALICE, f"resume-{self.keys}")

    @rule()
    def repeat(self) -> None:
        """The same key again: the same answer, one effect."""
        if self.last is None:
            return
        command, by, key = self.last
        before, moved = self._stored(), self._moved()
        known = self.store.load(ID, key)
        try:
            self.subs.execute(ID, command, by=by, idempotency_key=key)
        except LifecycleError as error:
            self._check(f"repeat {key}: {error}", before, moved=moved)
        else:
            # A refusal does not use a key up.
            answered = known is not None and known.answer is not None and before.attempt is None
            assert not answered or moved == self._moved(), f"repeating {key} moved money"
            self._check(f"repeat {key}", before, moved=moved)

    # What time does

    @rule(jump=st.sampled_from(strategies.JUMPS), sweep=st.booleans())
    def later(self, jump: timedelta, sweep: bool) -> None:
        if len(self.snapshots) < LONG:
            self.clock.set(self.clock() + jump)
        if sweep:
            self.sweep()

    @rule(before=st.booleans(), sweep=st.booleans())
    def to_the_next_instant(self, before: bool, sweep: bool) -> None:
        """The very instant that something is due, or the second before."""
        stored = self._stored()
        due = self.lifecycle.due(stored.subscription)
        if due is not None and self.clock() < due.at and len(self.snapshots) < LONG:
            self.clock.set(due.at - timedelta(seconds=1) if before else due.at)
        if sweep:
            self.sweep()

    @rule()
    def sweep(self) -> None:
        before, moved = self._stored(), self._moved()
        report = self.subs.sweep()
        for _, error in report.failed:
            raise error
        self._check("sweep", before, moved=moved)

    # What machines do

    @rule(data=st.data(), effect=st.integers(0, 8), performed=st.booleans())
    def die(self, data: st.DataObject, effect: int, performed: bool) -> None:
        """A command, or a sweep, cut off at some effect; then the same key again, or a sweep."""
        if not self.faults:
            return
        before, moved = self._stored(), self._moved()
        command = data.draw(st.none() | st.one_of(*self.commands.values()), "command")
        self.keys += 1
        self.subs.die_at(effect, performed=performed)
        try:
            if command is None:
                self.subs.sweep()
            else:
                self._acts(strategies.ALICE)
                self.last = (command, strategies.ALICE, f"key-{self.keys}")
                self.subs.execute(ID, command, by=strategies.ALICE, idempotency_key=f"key-{self.keys}")
        except (Died, LifecycleError):
            pass
        finally:
            self.subs.die_at(None)
        self._check(f"died at effect {effect}", before, moved=moved)

    # Looking

    def _give(self, command: Command, by: Actor, key: str) -> None:
        before, moved = self._stored(), self._moved()
        asked = self._ask(command, by) if before.attempt is None else {}
        self._acts(by)
        self.last = (command, by, key)
        result, error = None, None
        try:
            result = self.subs.execute(ID, command, by=by, idempotency_key=key)
        except LifecycleError as raised:
            error = raised
        caught = self.lifecycle.catch_up(before.subscription, self.clock())
        first = before.attempt is None and caught.charge is None
        found = dict(asked) if first else {}
        found |= {"command": command, "by": by, "result": result, "error": error, "first": first}
        self._check(f"{command} by {by}", before, moved=moved, **found)

    def _ask(self, command: Command, by: Actor) -> Mapping[str, Any]:
        explained = self.subs.explain(ID, command, by=by)
        offered = {action.command: action for action in self.subs.actions(ID, by=by)}
        try:
            previewed = None if explained else self.subs.preview(ID, command, by=by)
        except Refused:
            previewed = None
        return {"explained": explained, "previewed": previewed, "offered": offered.get(type(command))}

    def _acts(self, by: Actor) -> None:
        if by not in (strategies.ALICE, strategies.NOBODY, strategies.STRANGER, SYSTEM):
            self.customers_only = False

    def _stored(self) -> Stored:
        stored = self.store.load(ID, None)
        assert stored is not None
        # A store may know states by name only.
        return attrs.evolve(stored, subscription=self.lifecycle.known(stored.subscription))

    def _moved(self) -> tuple[int, int]:
        return len(self.gateway.captures), len(self.gateway.refunds)

    def _check(self, what: str, before: Stored, *, moved: tuple[int, int] | None = None, **found: Any) -> None:
        after, history = self._stored(), tuple(self.store.history(ID))
        self.snapshots = snapshots(self.lifecycle, history, self.snapshots)
        step = Step(
            subs=self.subs,
            gateway=self.gateway,
            id=ID,
            now=self.clock(),
            what=what,
            before=before,
            after=after,
            entries=tuple(entry for entry in history if entry.version > before.subscription.version),
            snapshots=self.snapshots,
            moved=moved is not None and moved != self._moved(),
            customers_only=self.customers_only,
            **found,
        )
        self.broken = True
        for check in self.laws:
            check(step)
        self.broken = False

    def teardown(self) -> None:
        """In the end, with every bank's word, time and sweeps enough, nothing stays open."""
        if self.broken or self.store.load(ID, None) is None:
            return
        self.gateway.forget()
        while self._open_payments():
            self.gateway_reports(paid=True, twice=False)
        for _ in range(3):
            # What came may be heard of in a sweep only.
            self.an_operator_gives_a_wrong_sum_back()
            self.clock.set(self.clock() + timedelta(days=40))
            self.sweep()
        stored = self._stored()
        assert not stored.subscription.refunds, "a refund was never made"
        assert stored.attempt is None, "a payment was never settled"


def lifecycle_machine(
    lifecycle: Lifecycle,
    *,
    commands: Mapping[type[Command], st.SearchStrategy[Any]] | None = None,
    laws: Iterable[Law] = every.ALL,
    store: Callable[[], Store] = MemoryStore,
    faults: bool = True,
) -> type[LifecycleMachine]:
    """A state machine for a lifecycle, ours or yours: `TestMine = lifecycle_machine(MINE).TestCase`.

    `commands` adds strategies for commands of your own; those that are not named are built from their types. `faults`
    lets processes die.
    """
    known = {**strategies.standard_commands(), **(commands or {})}
    mine = {
        kind: known[kind] if kind in known else st.builds(kind)
        for kind in lifecycle.commands
        if not kind.creates and _for_people(kind)
    }
    machine = type(
        f"{lifecycle.name.title()}Machine",
        (LifecycleMachine,),
        {
            "lifecycle": lifecycle,
            "laws": tuple(laws),
            "commands": mine,
            "store_factory": staticmethod(store),
            "faults": faults,
        },
    )
    machine.TestCase.settings = settings(  # type: ignore[attr-defined]
        deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], stateful_step_count=40
    )
    return machine


def _for_people(kind: type[Command]) -> bool:
    return kind.__name__ not in ("FailPayment", "SettlePayment", "CancelAsScheduled", "ReportInvoice", "Notify")

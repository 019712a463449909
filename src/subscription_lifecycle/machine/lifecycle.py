"""A lifecycle: rows and policies, verified when made, asked without side effects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal

import attrs

from subscription_lifecycle.errors import DefinitionError, InvalidValue, Refused
from subscription_lifecycle.machine import dispatch, due_charge, render
from subscription_lifecycle.machine.choosing import Answers, Choosing, not_possible
from subscription_lifecycle.machine.deciding import hold, take
from subscription_lifecycle.machine.decision import Decision
from subscription_lifecycle.machine.guard import Context, Refusal
from subscription_lifecycle.machine.transition import AccessRule, Transition, by_state, position
from subscription_lifecycle.model import validation
from subscription_lifecycle.model.actor import SYSTEM, Actor
from subscription_lifecycle.model.calendar import local_day
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.entry import Entry
from subscription_lifecycle.model.mapping import frozen_mapping
from subscription_lifecycle.model.policy import Policy
from subscription_lifecycle.model.state import Access, Condition, State
from subscription_lifecycle.model.subscription import Subscription

MOST_STEPS = 100_000
"""More due rows in one go than a daily plan has in two centuries: a table that never comes to rest."""

NO_FACTS: Mapping[Any, Any] = frozen_mapping({})

Asked = Mapping[tuple[str, datetime], Mapping[str, Any]]
"""What was asked of the host for due rows, by the row's id and the instant at which it is due."""


@attrs.frozen
class Due:
    """What the clock will do next, and the instant (UTC) at which it is due."""

    command: Command
    at: datetime
    row: Transition[Any] = attrs.field(repr=False, eq=False)


@attrs.frozen
class Action:
    """Whether one command is offered: to this actor, to support only, or not; every reason; and the deadline."""

    command: type[Command]
    availability: Literal["available", "support_only", "refused"]
    refusals: tuple[Refusal, ...] = ()
    until: date | None = None


@attrs.frozen
class CaughtUp:
    """A subscription with its due rows applied, and the one charge that is due and must be made, if there is one.

    `waits` are due rows that read facts nobody gave, each with the subscription of which they are to be asked.
    """

    subscription: Subscription
    steps: tuple[Decision, ...] = ()
    charge: Decision | None = None
    due: Due | None = None
    waits: tuple[tuple[Due, Subscription], ...] = ()


class Lifecycle(Choosing):
    """States, guarded transitions and policies as one value.

    Raises DefinitionError, naming every problem of the table at once. `name` and `version` are stored in each entry;
    `renamed` maps stored state names that are no longer used to the states they are now. `access` says what a snapshot
    gives access to on a local day, if not what its state says.
    """

    def __init__(
        self,
        rows: Iterable[Transition[Any]],
        *,
        policies: Policy | Mapping[str, Policy],
        name: str,
        version: int = 1,
        renamed: Mapping[str, State] | None = None,
        access: AccessRule = by_state,
    ) -> None:
        super().__init__(rows, policies, name, version, renamed or {}, access)
        self._timed = {
            name: tuple(
                row for row in self.rows if row.due is not None and any(source.name == name for source in row.source)
            )
            for name in self.states
        }

    # -- asking

    def decide(
        self,
        subscription: Subscription,
        command: Command,
        *,
        by: Actor,
        at: datetime,
        facts: Mapping[str, Any] = NO_FACTS,
        clock_waits: bool = False,
    ) -> Decision:
        """The answer to a command. Pure: nothing is stored, no money moves.

        The decision looks at the subscription as it is with every due row applied that moves no money; those rows are
        its `earlier` steps. With `clock_waits` none is applied: the clock waits while a payment is open. Raises Refused
        with every reason, NotPossible when no row leads on, InvalidValue for values that cannot be right.
        """
        caught, context = self._context(subscription, command, by, at, facts, clock_waits)
        refusals = self._refusals(context)
        if refusals:
            raise Refused(refusals)
        decision = take(self, context.row, context)
        return decision.changed({"earlier": caught.steps}) if caught.steps else decision

    def explain(
        self,
        subscription: Subscription,
        command: Command,
        *,
        by: Actor,
        at: datetime,
        facts: Mapping[str, Any] = NO_FACTS,
    ) -> tuple[Refusal, ...]:
        """Every reason why `decide` would refuse; empty when it would not."""
        try:
            self.decide(subscription, command, by=by, at=at, facts=facts)
        except Refused as refused:
            return refused.refusals
        return ()

    def actions(
        self, subscription: Subscription, *, by: Actor, at: datetime, facts: Mapping[str, Any] = NO_FACTS
    ) -> tuple[Action, ...]:
        """Every command of the table, and whether this actor may give it now (S10).

        Guards that read the command are left out: what is listed as available, some input makes succeed.
        """
        now = validation.instant("at", at)
        current = self.catch_up(subscription, now).subscription
        answers = self._answers(current, by, now, facts)
        return tuple(self._action(current, command, answers) for command in answers)

    def access(self, subscription: Subscription, *, at: datetime) -> Access:
        """What users may reach at that instant, also where the sweep is late.

        A renewal that is due counts as paid; a retry of what was declined before counts as declined again.
        """
        projected = self._projected(subscription, validation.instant("at", at), due_charge.as_before)
        return self.access_in(projected, at)

    def access_in(self, subscription: Subscription, at: datetime) -> Access:
        """What a snapshot gives access to at that instant, as it stands."""
        return self.access_rule(subscription, self.policy_of(subscription), local_day(at, subscription.time_zone))

    def at(self, subscription: Subscription, now: datetime) -> Subscription:
        """The subscription with every due row applied that moves no money, oldest first."""
        return self.catch_up(subscription, validation.instant("now", now)).subscription

    def projected(self, subscription: Subscription, now: datetime) -> Subscription:
        """As `at`, with a charge that is due taken as paid: what a sweep in time would most likely have left."""
        return self._projected(subscription, validation.instant("now", now), due_charge.as_paid)

    def foreseen(self, subscription: Subscription, now: datetime, until: datetime) -> Subscription:
        """As `projected` by now, and from then on as sweeps in time and charges that are paid will leave it."""
        now, until = validation.instant("now", now), validation.instant("until", until)
        subscription = self.projected(subscription, min(now, until))
        waits: list[Due] = []
        for _ in range(MOST_STEPS):
            due = self._next_due(self.known(subscription), by=until, but=waits)
            if due is None:
                return subscription
            before, subscription = subscription, self.projected(subscription, due.at)
            if subscription.version == before.version:
                waits.append(due)
        raise self._restless(subscription)

    def _projected(
        self, subscription: Subscription, now: datetime, charged: Callable[[Decision], Subscription]
    ) -> Subscription:
        charges: list[Decision] = []
        while len(charges) < MOST_STEPS:
            caught = self.catch_up(subscription, now)
            if caught.charge is None or caught.due is None:
                return caught.subscription
            if self._stands_still(charges, caught.due):
                break
            charges.append(caught.charge)
            subscription = charged(caught.charge)
        raise self._restless(subscription)

    def due(self, subscription: Subscription) -> Due | None:
        """What the clock does next, by itself: the earliest due row, ties in row order. None: nothing ever."""
        return self._next_due(self.known(subscription))

    def _next_due(self, subscription: Subscription, by: datetime | None = None, but: Sequence[Due] = ()) -> Due | None:
        """The earliest due row but these; rows that fall due later than `by` are not looked at closely."""
        policy, found = self.policy_of(subscription), None
        for row in self._timed[subscription.state.name]:
            assert row.due is not None
            instant = _in_the_state(row.due(subscription, policy), subscription)
            if instant is None or (by is not None and instant > by) or (found is not None and instant >= found[0]):
                continue
            if any(due.row is row and due.at == instant for due in but):
                continue
            today = local_day(instant, subscription.time_zone)
            if row.selects(row.case, subscription.cause, *position(subscription, today)):
                found = instant, row
        return None if found is None else Due(found[1].on.of_case(found[1].case), *found)

    def published(self, subscription: Subscription) -> str:
        """The label customers see for its state, in its policy's own words."""
        subscription = self.known(subscription)
        return self.policy_of(subscription).labels.get(subscription.state.name, subscription.state.published)

    # -- time

    def catch_up(self, subscription: Subscription, now: datetime, asked: Asked = NO_FACTS) -> CaughtUp:
        """Apply what is due and moves no money, oldest first, up to the first charge that must really be made.

        One charge that is due is left to be made. Where another falls due behind it, policy `catch_up` says whether
        it is made all the same ("each"), held so that only the last is made ("latest"), or both are held ("hold"). A
        retry is passed over where another charge follows before the state is left; where each charge is made, only
        where another retry follows before anything is billed. The last one before service ends is made.

        A row whose guards read facts is applied with those in `asked`, by its id and instant. Where they are missing,
        or its guards refuse, it stays due and stops no other row.
        """
        subscription = self.known(subscription)
        steps: list[Decision] = []
        waits: list[tuple[Due, Subscription]] = []
        passed: list[Due] = []
        holding = False
        while (due := self._next_due(subscription, by=now, but=passed)) is not None:
            if len(steps) > MOST_STEPS or self._stands_still(steps, due):
                raise self._restless(subscription)
            context = self._due_context(subscription, due, now, asked.get((due.row.id, due.at), NO_FACTS))
            reads = {fact for guard in due.row.guards for fact in guard.reads_facts}
            lacks = not reads <= context.facts.keys()
            if lacks:
                waits.append((due, subscription))
            if lacks or self._refusals(context):
                if not reads:
                    break
                passed.append(due)
                continue
            step = take(self, due.row, context)
            if step.collected == "capture":
                held = hold(due.row, step, context)
                if self._is_made(step, held, context, now, holding=holding):
                    return CaughtUp(subscription, tuple(steps), step, due, tuple(waits))
                holding = holding or step.owed_if_unpaid is not None
                step = held
            step = step.settled()
            steps.append(step)
            subscription = self.known(step.after)
        return CaughtUp(subscription, tuple(steps), waits=tuple(waits))

    def decide_due(
        self, subscription: Subscription, due: Due, now: datetime, facts: Mapping[str, Any] = NO_FACTS
    ) -> Decision:
        """The decision of one due row, by itself."""
        return take(self, due.row, self._due_context(subscription, due, now, facts))

    def decide_again(self, before: Subscription, entry: Entry, decided_at: datetime) -> Decision:
        """The decision that an entry records, made once more from its own command, facts, policy and time.

        `decided_at` is when it was decided: the entry's `recorded_at`, or its attempt's.
        """
        row = self.row(entry.row)
        today = local_day(entry.effective_at, before.time_zone)
        context = self._row_context(
            before, entry.command, entry.by, entry.effective_at, today, decided_at, entry.facts, row
        )
        decision = take(self, row, context)
        return hold(row, decision, context) if entry.event == "held" else decision

    def _stands_still(self, steps: list[Decision], due: Due) -> bool:
        """More rows have been due at one instant than there are states."""
        count = len(self.states) + 1
        return len(steps) >= count and steps[-count].at == due.at

    def _is_made(self, step: Decision, held: Decision, context: Context[Any], now: datetime, *, holding: bool) -> bool:
        """Whether a charge that is due is made, and not held or passed over."""
        each, latest = context.policy.catch_up == "each", context.policy.catch_up == "latest"
        if step.owed_if_unpaid is None:
            return not self._falls_due_behind(held, now, due_charge.a_retry if each else due_charge.a_charge)
        return each or ((latest or not holding) and not self._falls_due_behind(held, now, due_charge.a_bill))

    def _falls_due_behind(self, held: Decision, now: datetime, what: Callable[[Decision], bool | None]) -> bool:
        subscription = held.after
        for _ in range(MOST_STEPS):
            due = self._next_due(self.known(subscription), by=now)
            if due is None or (due.row.id == held.row and due.at == held.at):
                # It would be due again for ever, and is made.
                return False
            step = self.decide_due(subscription, due, now)
            found = what(step)
            if found is not None:
                return found
            subscription = step.after
        raise self._restless(subscription)

    # -- choosing a row

    def _context(
        self,
        subscription: Subscription,
        command: Command,
        by: Actor,
        at: datetime,
        facts: Mapping[str, Any],
        clock_waits: bool,
    ) -> tuple[CaughtUp, Context[Any]]:
        if not isinstance(command, Command):
            raise InvalidValue(
                "command", f"{validation.brief(command)} is not a command", "Pass an instance, as in Reactivate(...)."
            )
        if not isinstance(by, Actor):
            raise InvalidValue(
                "by",
                f"{validation.brief(by)} is not an Actor",
                "Pass who asks, as in Actor('alice', Role.BILLING_ADMIN).",
            )
        now = validation.instant("at", at)
        facts = frozen_mapping(validation.json_value("facts", dict(facts))) if facts else NO_FACTS
        if command.creates:
            caught = self._created(subscription)
        else:
            caught = CaughtUp(self.known(subscription)) if clock_waits else self.catch_up(subscription, now)
        current = caught.subscription
        today = local_day(now, current.time_zone)
        row = self._row(current, type(command), command.case, today)
        if row is None:
            raise not_possible(current, command, self._answers(current, by, now, facts))
        return caught, self._row_context(current, command, by, now, today, now, facts, row)

    def _created(self, subscription: Subscription) -> CaughtUp:
        """A snapshot that a command brings must be one that this table could have led to."""
        subscription = self.known(subscription)
        condition = Condition(subscription.state, subscription.cause)
        if condition not in self.conditions:
            possible = ", ".join(str(possible) for possible in self.conditions)
            raise InvalidValue("state", f"{condition} cannot occur in {self.name}", f"Use one of {possible}.")
        return CaughtUp(subscription)

    def _due_context(
        self, subscription: Subscription, due: Due, now: datetime, facts: Mapping[str, Any] = NO_FACTS
    ) -> Context[Any]:
        today = local_day(due.at, subscription.time_zone)
        return self._row_context(subscription, due.command, SYSTEM, due.at, today, now, facts, due.row)

    def _action(self, subscription: Subscription, command: type[Command], answers: Answers) -> Action:
        if not answers[command]:
            return Action(command, "refused", not_possible(subscription, command, answers).refusals)
        best = min(answers[command], key=len)
        if not best:
            return Action(command, "available", (), subscription.until)
        support = self.policy_of(subscription).support_roles
        by_support = all(refusal.allowed_roles and support.issuperset(refusal.allowed_roles) for refusal in best)
        return Action(command, "support_only" if by_support else "refused", best, subscription.until)

    # -- the table as something else

    def to_markdown(self) -> str:
        """The table, one row a line."""
        return render.markdown(self)

    def to_mermaid(self) -> str:
        """A Mermaid state diagram, drawn from the machine."""
        return render.mermaid(self.machine)

    def to_dot(self) -> str:
        """A Graphviz diagram, drawn from the machine."""
        return render.dot(self.machine)

    def to_transitions(self) -> dispatch.RowMachine:
        """A `transitions` machine of its own: models given to it do not touch this lifecycle."""
        return dispatch.build(self.rows, self.states.values(), self.interruptible)

    def _restless(self, subscription: Subscription) -> DefinitionError:
        return DefinitionError((f"{self.name}: the due rows of {subscription.state} never come to rest.",))


def _in_the_state(due: datetime | None, subscription: Subscription) -> datetime | None:
    """What falls due on the day that the state was entered, not before it was: a day begins at its first instant."""
    since, zone = subscription.since, subscription.time_zone
    if due is None or since is None or due >= since or local_day(due, zone) != local_day(since, zone):
        return due
    return since

"""Which row a command meets, and what its guards say."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from datetime import date, datetime
from typing import Any, TypeAlias

from subscription_lifecycle.errors import NotPossible
from subscription_lifecycle.machine import dispatch, verify
from subscription_lifecycle.machine.deciding import target_of
from subscription_lifecycle.machine.definition import Definition
from subscription_lifecycle.machine.guard import NO_COMMAND, BillingDates, Context, ReadsCommand, Refusal
from subscription_lifecycle.machine.transition import AccessRule, Transition, position, same, unchanged
from subscription_lifecycle.model.actor import Actor
from subscription_lifecycle.model.calendar import local_day
from subscription_lifecycle.model.command import Command, use
from subscription_lifecycle.model.policy import Policy
from subscription_lifecycle.model.state import Condition, State
from subscription_lifecycle.model.subscription import Subscription

Answers: TypeAlias = Mapping[type[Command], list[tuple[Refusal, ...]]]
"""For each command, the refusals of each row that it has here."""


class Choosing(Definition):
    """A verified definition and the table compiled from it. Not made by itself: see Lifecycle."""

    def __init__(
        self,
        rows: Iterable[Transition[Any]],
        policies: Policy | Mapping[str, Policy],
        name: str,
        version: int,
        renamed: Mapping[str, State],
        access: AccessRule,
    ) -> None:
        super().__init__(rows, policies, name, version, renamed, access)
        verify.verify(self)
        self.machine = dispatch.build(self.rows, self.states.values(), self.interruptible)
        table = dispatch.compile_table(self.machine)
        self._rows_on = {command: table.get(dispatch.trigger(command), {}) for command in self.commands}
        use(self, self.commands)

    def _row(
        self, subscription: Subscription, on: type[Command], case: Hashable, today: date
    ) -> Transition[Any] | None:
        rows = self._candidates(subscription, on)
        return dispatch.select(rows, case, subscription.cause, *position(subscription, today))

    def _candidates(self, subscription: Subscription, on: type[Command]) -> dispatch.Rows:
        found = self._rows_on.get(on)
        return () if found is None else found.get(subscription.state.name, ())

    def _row_context(
        self,
        subscription: Subscription,
        command: Command,
        by: Actor,
        at: datetime,
        today: date,
        now: datetime,
        facts: Mapping[str, Any],
        row: Transition[Any],
    ) -> Context[Any]:
        dates = BillingDates(subscription.schedule, subscription.next_billing_date)
        term = subscription.term_start, subscription.term_end
        policy = self.policy_of(subscription)
        target, _ = target_of(self, row, subscription)
        context = Context(subscription, command, by, at, today, now, policy, facts, row, target, dates, term)
        return context if row.billing_date is unchanged and row.commitment is same else context.to_be_asked()

    def _refusals(self, context: Context[Any], *, without_command: bool = False) -> tuple[Refusal, ...]:
        found: list[Refusal] = []
        if context.by.customer is not None and context.by.customer != context.subscription.customer:
            found.append(_another_customer(context))
        for guard in context.row.guards:
            if without_command and (
                guard.reads_command or any(fact not in context.facts for fact in guard.reads_facts)
            ):
                continue
            try:
                refusal = guard.refusal(context)
            except ReadsCommand:
                # It reads the command and does not say so: without one it has no opinion either.
                continue
            if refusal is not None:
                found.append(refusal)
        return tuple(found)

    def _answers(self, subscription: Subscription, by: Actor, now: datetime, facts: Mapping[str, Any]) -> Answers:
        """For each command and each of its rows here, what its guards say that do not read the command."""
        today = local_day(now, subscription.time_zone)
        return {
            command: [
                self._refusals(
                    self._row_context(subscription, NO_COMMAND, by, now, today, now, facts, row), without_command=True
                )
                for row in self._rows_at(subscription, command, today)
            ]
            for command in self.commands
            if not command.creates
        }

    def _rows_at(self, subscription: Subscription, command: type[Command], today: date) -> list[Transition[Any]]:
        where = position(subscription, today)
        rows = self._candidates(subscription, command)
        return [row for row in rows if row.selects(row.case, subscription.cause, *where)]


def not_possible(subscription: Subscription, command: Command | type[Command], answers: Answers) -> NotPossible:
    """No row leads on; the remedy names what this actor may do instead."""
    condition = Condition(subscription.state, subscription.cause)
    possible = tuple(other.title for other, refusals in answers.items() if () in refusals)
    remedy = f"Possible: {', '.join(possible)}." if possible else "Nothing is possible for you here."
    message = f"{command.title.capitalize()} is not possible while the subscription is {condition}."
    return NotPossible((Refusal("not_possible", message, remedy),), possible)


def _another_customer(context: Context[Any]) -> Refusal:
    roles = tuple(sorted(context.policy.support_roles))
    return Refusal(
        "another_customer",
        "The subscription belongs to another customer.",
        "Ask as an actor of that customer.",
        roles,
    )

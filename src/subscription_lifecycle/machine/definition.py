"""The rows and policies of a lifecycle, what can be read off them, and how one makes another of them."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from subscription_lifecycle.errors import DefinitionError, InvalidValue
from subscription_lifecycle.machine.deciding import causes_after
from subscription_lifecycle.machine.guard import Guard
from subscription_lifecycle.machine.transition import SAME_STATE, AccessRule, Transition
from subscription_lifecycle.machine.verify import check_shapes, remarks
from subscription_lifecycle.model import validation
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.entry import Change, Entry
from subscription_lifecycle.model.mapping import frozen_mapping
from subscription_lifecycle.model.policy import Policy
from subscription_lifecycle.model.state import Cause, Condition, State
from subscription_lifecycle.model.subscription import Subscription

if TYPE_CHECKING:
    from subscription_lifecycle.machine.lifecycle import Lifecycle


class Definition:
    """What a lifecycle is made of. Not made by itself: see Lifecycle."""

    def __init__(
        self,
        rows: Iterable[Transition[Any]],
        policies: Policy | Mapping[str, Policy],
        name: str,
        version: int,
        renamed: Mapping[str, State],
        access: AccessRule,
    ) -> None:
        self.rows: tuple[Transition[Any], ...] = tuple(rows)
        self.policies: Mapping[str, Policy] = frozen_mapping(
            {"default": policies} if isinstance(policies, Policy) else policies
        )
        check_shapes(self.rows, self.policies.values())
        self.name = validation.named("name", name)
        self.version = version
        self.renamed = frozen_mapping(renamed)
        self.access_rule = access
        found = self.rows
        self.commands: tuple[type[Command], ...] = tuple(dict.fromkeys(row.on for row in found))
        self.states: Mapping[str, State] = frozen_mapping(
            {state.name: state for row in found for state in _states_of(row)}
        )
        self.causes: Mapping[str, Cause] = frozen_mapping(
            {row.adds.name: row.adds for row in found if row.adds is not None}
        )
        self._state_of = {
            row.adds: row.target for row in found if row.adds is not None and isinstance(row.target, State)
        }
        self.interruptions = frozenset(self._state_of.values())
        self._by_id = {row.id: row for row in found}
        self.interruptible: tuple[State, ...] = self._interruptible(found)
        self._interrupted_by = self._first_interrupted(found)

    # -- reading

    @functools.cached_property
    def conditions(self) -> tuple[Condition, ...]:
        """Every (state, deciding cause) that can occur: what a host's own statuses must map to."""
        return tuple(dict.fromkeys(Condition(state, causes[0] if causes else None) for state, causes in self.reachable))

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is odd in the table and not wrong: states that cannot be reached, or left, though they are not final."""
        return tuple(remarks(self))

    @functools.cached_property
    def reachable(self) -> tuple[tuple[State, tuple[Cause, ...]], ...]:
        """Every state with every set of standing causes that the rows can lead to, guards aside."""
        starts = [state for row in self.rows if row.on.creates and row.target is not SAME_STATE for state in row.source]
        found: dict[tuple[State, tuple[Cause, ...]], None] = {(state, ()): None for state in starts}
        queue = list(found)
        while queue:
            state, causes = queue.pop(0)
            for row in self.rows:
                if state not in row.source or (row.cause and (not causes or causes[0] not in row.cause)):
                    continue
                for reached in self._reached(row, state, causes, causes_after(self, row, causes)):
                    if reached not in found:
                        found[reached] = None
                        queue.append(reached)
        order = list(self.states)
        return tuple(sorted(found, key=lambda pair: (order.index(pair[0].name), [cause.rank for cause in pair[1]])))

    def _reached(
        self, row: Transition[Any], state: State, before: tuple[Cause, ...], causes: tuple[Cause, ...]
    ) -> list[tuple[State, tuple[Cause, ...]]]:
        if row.target is SAME_STATE:
            targets = [state]
        elif (
            causes and row.target not in self.interruptions and not (isinstance(row.target, State) and row.target.final)
        ):
            targets = [self.state_of(causes[0])]
        elif isinstance(row.target, State):
            targets = [row.target]
        else:
            targets = [other for state in self.interruptible for other in _and_settled(state)]
        reached = [(target, causes) for target in targets]
        if row.declined is not None:
            reached.append((row.declined, before if row.declined == state else causes))
        return reached

    def row(self, id: str) -> Transition[Any]:
        """The row that an entry names. Raises DefinitionError when the table has no such row any more."""
        if id not in self._by_id:
            raise DefinitionError((f"{self.name} has no row {id!r}.",))
        return self._by_id[id]

    def policy_of(self, subscription: Subscription) -> Policy:
        """The policy that the subscription names. Raises DefinitionError when there is none of that name."""
        policy = self.policies.get(subscription.policy)
        if policy is None:
            raise DefinitionError(
                (f"{self.name} has no policy {subscription.policy!r}, which {subscription.id} names.",)
            )
        return policy

    def state_of(self, cause: Cause) -> State:
        """The state that a cause keeps a subscription in."""
        if cause not in self._state_of:
            raise DefinitionError((f"{self.name} has no row that adds the cause {cause}.",))
        return self._state_of[cause]

    def interrupted_by(self, cause: Cause | None) -> State:
        """Where to return when a snapshot does not say which state it left: the first that the cause interrupts."""
        if cause not in self._interrupted_by:
            raise DefinitionError((f"{self.name} cannot tell which state was left for {cause}.",))
        return self._interrupted_by[cause]

    def known(self, subscription: Subscription) -> Subscription:
        """The same subscription with this lifecycle's own states and causes.

        Raises DefinitionError that names a state or cause it does not have, until `renamed` says what it is now.
        """
        own = self.states.get(subscription.state.name) is subscription.state
        if own and not subscription.causes and subscription.interrupted is None:
            return subscription
        state = self._known_state(subscription.state)
        interrupted = None if subscription.interrupted is None else self._known_state(subscription.interrupted)
        causes = tuple(self._known_cause(cause) for cause in subscription.causes)
        if (
            state is subscription.state
            and interrupted is subscription.interrupted
            and all(map(_is, causes, subscription.causes))
        ):
            return subscription
        return subscription.changed({"state": state, "interrupted": interrupted, "causes": causes})

    def known_entry(self, entry: Entry) -> Entry:
        """The same entry with this lifecycle's own states and causes; names it has no more stay as they are."""
        changes = {name: Change(*map(self._own, change)) for name, change in entry.changes.items() if name in _NAMED}
        if not changes or all(
            change == entry.changes[name] and _same(change, entry.changes[name]) for name, change in changes.items()
        ):
            return entry
        return attrs.evolve(entry, changes={**entry.changes, **changes})

    def _own(self, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(self._own(item) for item in value)
        if isinstance(value, State):
            return self.states.get(value.name) or self.renamed.get(value.name) or value
        return self.causes.get(value.name, value) if isinstance(value, Cause) else value

    def _known_state(self, state: State) -> State:
        found = self.states.get(state.name) or self.renamed.get(state.name)
        if found is None:
            raise DefinitionError((f"{self.name} has no state {state.name!r}; say in `renamed` what it is now.",))
        return found

    def _known_cause(self, cause: Cause) -> Cause:
        found = self.causes.get(cause.name)
        if found is None:
            raise DefinitionError((f"{self.name} has no row that adds the cause {cause.name!r}.",))
        return found

    # -- making another

    def extend(self, *rows: Transition[Any], name: str | None = None, version: int | None = None) -> Lifecycle:
        """With these rows added at the end."""
        return self._with((*self.rows, *rows), name, version)

    def without(self, on: type[Command], source: State, **where: Any) -> Lifecycle:
        """Without the rows of a command from a state; `cause`, `term`, `date`, `case` narrow it down."""
        return self._with(self._rewritten(on, source, where, lambda row: None))

    def replace(
        self,
        on: type[Command],
        source: State,
        *,
        cause: Cause | None = None,
        term: str | None = None,
        date: str | None = None,
        case: Hashable = None,
        **changes: Any,
    ) -> Lifecycle:
        """With the rows of a command from a state changed, column by column: `charge=`, `billing_date=`, `guards=`, …

        `cause`, `term`, `date` and `case` say which of them. Rows that also start elsewhere keep their other sources.
        Raises DefinitionError when no row is meant.
        """
        where = {"cause": cause, "term": term, "date": date, "case": case}
        unknown = sorted(changes.keys() - {field.name for field in attrs.fields(Transition)})
        if unknown:
            raise InvalidValue(unknown[0], "is no column of a row", "Name one of Transition's parameters.")
        return self._with(self._rewritten(on, source, where, lambda row: attrs.evolve(row, **changes)))

    def guarded(self, on: type[Command], *guards: Guard[Any], source: State | None = None) -> Lifecycle:
        """With these guards added to every row of a command, or to those from one state."""
        sources = [source] if source is not None else [state for state in self.states.values() if self._has(on, state)]
        rows = self.rows
        for state in sources:
            rows = Definition._rewritten(
                self._like(rows), on, state, {}, lambda row: attrs.evolve(row, guards=(*row.guards, *guards))
            )
        return self._with(rows)

    def with_policies(self, policies: Policy | Mapping[str, Policy] | None = None, **named: Policy) -> Lifecycle:
        """With these policies added or replaced by name; one alone replaces the default."""
        given = {"default": policies} if isinstance(policies, Policy) else dict(policies or {})
        return type(self)(  # type: ignore[return-value]
            self.rows,
            policies={**self.policies, **given, **named},
            name=self.name,
            version=self.version,
            renamed=self.renamed,
            access=self.access_rule,
        )

    def _with(self, rows: Iterable[Transition[Any]], name: str | None = None, version: int | None = None) -> Lifecycle:
        return type(self)(  # type: ignore[return-value]
            rows,
            policies=self.policies,
            name=self.name if name is None else name,
            version=self.version if version is None else version,
            renamed=self.renamed,
            access=self.access_rule,
        )

    def _like(self, rows: Iterable[Transition[Any]]) -> Definition:
        return Definition(rows, self.policies, self.name, self.version, self.renamed, self.access_rule)

    def _has(self, on: type[Command], source: State) -> bool:
        return any(row.on is on and source in row.source for row in self.rows)

    def _rewritten(
        self, on: type[Command], source: State, where: Mapping[str, Any], change: Any
    ) -> tuple[Transition[Any], ...]:
        rows: list[Transition[Any]] = []
        found = False
        for row in self.rows:
            if row.on is not on or source not in row.source or not _narrowed(row, where):
                rows.append(row)
                continue
            found = True
            meant, rest = _split(row, source, where)
            rows += [*rest, *filter(None, [change(meant)])]
        if not found:
            raise DefinitionError((f"{self.name} has no row for {on.title} from {source} {dict(where)}.",))
        return tuple(rows)

    # -- reading the rows once

    def _first_interrupted(self, rows: Iterable[Transition[Any]]) -> dict[Cause | None, State]:
        found: dict[Cause | None, State] = {}
        for row in rows:
            for state in row.source if row.adds is not None else ():
                if state in self.interruptible:
                    found.setdefault(row.adds, state)
        return found

    def _interruptible(self, rows: tuple[Transition[Any], ...]) -> tuple[State, ...]:
        """The states that some cause interrupts: where a return can lead. Under a cause, nothing is left anew."""
        without_cause = {
            state for row in rows if row.adds is None for state in (row.target, row.declined) if state not in row.source
        }
        return tuple(
            state
            for state in self.states.values()
            if any(row.adds is not None and state in row.source for row in rows)
            and (state not in self.interruptions or state in without_cause)
        )


_NAMED = ("state", "interrupted", "causes")


def _same(one: Change, other: Change) -> bool:
    return all(map(_is, one, other))


def _is(one: object, other: object) -> bool:
    return one is other


def _and_settled(state: State) -> tuple[State, ...]:
    return (state,) if state.settled is None else (state, state.settled)


def _states_of(row: Transition[Any]) -> list[State]:
    found = [*row.source, row.target, row.declined]
    return [state for state in found if isinstance(state, State)]


def _narrowed(row: Transition[Any], where: Mapping[str, Any]) -> bool:
    cause = where.get("cause")
    return (cause is None or cause in row.cause) and all(
        where.get(column) is None or getattr(row, column) == where[column] for column in ("term", "date", "case")
    )


def _split(
    row: Transition[Any], source: State, where: Mapping[str, Any]
) -> tuple[Transition[Any], list[Transition[Any]]]:
    """The part of a row that starts where it is meant to, and the parts that stay as they were."""
    rest = []
    others = tuple(state for state in row.source if state != source)
    if others:
        rest.append(attrs.evolve(row, source=others))
    cause = where.get("cause")
    causes = tuple(other for other in row.cause if other != cause)
    if cause is not None and causes:
        rest.append(attrs.evolve(row, source=(source,), cause=causes))
        row = attrs.evolve(row, cause=(cause,))
    return attrs.evolve(row, source=(source,)), rest

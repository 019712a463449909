"""From a row and a context to a decision: one row at a time, and the due rows before it.

The order is always the same: target, billing dates, commitment, guards, charge, snapshot, deadline, effects. Rules of
ours are not here: only what a row's columns mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Literal

import attrs

from subscription_lifecycle.errors import DefinitionError
from subscription_lifecycle.machine.decision import Decision
from subscription_lifecycle.machine.guard import Context, asked, named
from subscription_lifecycle.machine.transition import INTERRUPTED_STATE, SAME_STATE, Transition, same, unchanged
from subscription_lifecycle.model.actor import SYSTEM
from subscription_lifecycle.model.calendar import local_day
from subscription_lifecycle.model.charge import NO_CHARGE, Charge, Debt, Reminder, Settlement, without
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.state import Cause, State
from subscription_lifecycle.model.subscription import Subscription

if TYPE_CHECKING:
    from subscription_lifecycle.machine.definition import Definition
    from subscription_lifecycle.machine.lifecycle import Lifecycle

_KEPT = frozenset(("id", "customer", "version", "recorded_at", "state", "causes", "since"))
"""What no effect may change."""
_FIELDS = frozenset(field.name for field in attrs.fields(Subscription)) - _KEPT


def causes_after(lifecycle: Definition, row: Transition[Any], causes: tuple[Cause, ...]) -> tuple[Cause, ...]:
    """The causes that stand when the row has been taken where these stood, the deciding one first."""
    lifts = row.lifts
    if not lifts and row.cause and _leads_out(lifecycle, row):
        lifts = causes[:1]
    left = tuple(cause for cause in causes if cause not in lifts) if lifts else causes
    if row.adds is None or row.adds in left:
        return left
    if not left:
        return (row.adds,)
    return tuple(sorted((*left, row.adds), key=lambda cause: (cause.rank, cause.name)))


def _leads_out(lifecycle: Definition, row: Transition[Any]) -> bool:
    if isinstance(row.target, State):
        return row.target not in lifecycle.interruptions and not row.target.final
    return row.target is INTERRUPTED_STATE


def target_of(
    lifecycle: Definition, row: Transition[Any], subscription: Subscription
) -> tuple[State, tuple[Cause, ...]]:
    """The state the row leads to from here, and the causes that stand then. Service returns when the last is lifted."""
    causes = causes_after(lifecycle, row, subscription.causes)
    if row.target is SAME_STATE:
        return subscription.state, causes
    if causes and _leads_out(lifecycle, row):
        return lifecycle.state_of(causes[0]), causes
    if isinstance(row.target, State):
        return row.target, causes
    return subscription.interrupted or lifecycle.interrupted_by(subscription.cause), causes


def take(lifecycle: Lifecycle, row: Transition[Any], context: Context[Any]) -> Decision:
    """The decision of one row. Its guards have been asked."""
    subscription = context.subscription
    target, causes = target_of(lifecycle, row, subscription)
    charge = context.charge
    settled = _settled_state(row, target, subscription, charge)
    if settled is not target:
        context = context.leading_to(settled)
    method = None if _is_not_asked(row, context) else context.payment_method
    activation = context.policy.activation(method.kind) if method else "captured"
    collected: Literal["nothing", "capture", "invoice"] = "nothing"
    if charge.lines and charge.due(subscription.currency):
        collected = "invoice" if activation == "at_once" else "capture"
    after = subscription.changed(_if_paid(row, context, causes, charge))
    after = _without_empty_windows(lifecycle, row, context, after)
    declined = None
    if row.declined is not None and collected == "capture":
        declined = subscription.changed(_if_declined(row, context, causes, charge, row.declined))
    return Decision(
        lifecycle=(lifecycle.name, lifecycle.version),
        row=row.id,
        command=context.command,
        by=context.by,
        at=context.at,
        now=context.now,
        before=subscription,
        after=after,
        declined=declined,
        charge=charge,
        collected=collected,
        submitted=activation == "submitted",
        ask_on=context.today + timedelta(days=context.policy.days_to_pay(method.kind))
        if method is not None and activation == "submitted"
        else None,
        method=method,
        settlements=_settlements(charge, context, invoiced=collected == "invoice"),
        facts=context.facts,
        billed=context.dates.billed,
        served_unpaid=context.dates.served_unpaid,
        claims=None if row.claims is None else asked("claim rule", row.claims, context),
        interrupts=row.interrupts,
        timed=row.due is not None,
        reminders=_reminders(row, context, after, charge),
    )


def _is_not_asked(row: Transition[Any], context: Context[Any]) -> bool:
    """By the clock: a method while a payment by it is disputed, unless policy says so."""
    method, policy = context.payment_method, context.policy
    if method is None or row.due is None or context.by != SYSTEM or policy.disputed_method == "ask":
        return False
    return method == context.subscription.disputed_method


def _settled_state(row: Transition[Any], target: State, subscription: Subscription, charge: Charge) -> State:
    if target.settled is None or row.target not in (INTERRUPTED_STATE, SAME_STATE):
        return target
    left = without(subscription.arrears, charge.settles + charge.forgives)
    return target if any(debt not in charge.holds for debt in left) else target.settled


def _moved(context: Context[Any]) -> dict[str, Any]:
    """What a row changes whether it is paid, held or declined: the dates and the version."""
    term_start, term_end = context.term
    return {
        "schedule": context.dates.schedule,
        "next_billing_date": context.dates.next_billing_date,
        "term_start": term_start,
        "term_end": term_end,
        "cycles": context.subscription.cycles + (context.dates.billed is not None),
        "version": context.subscription.version + 1,
    }


def _entered(row: Transition[Any], context: Context[Any], causes: tuple[Cause, ...]) -> dict[str, Any]:
    """State, causes, since when, and the deadline."""
    before = context.subscription
    moved = context.target != before.state
    changes: dict[str, Any] = {"state": context.target, "causes": causes}
    if not causes:
        changes["interrupted"] = None
    elif not before.causes:
        changes["interrupted"] = before.state
    if moved or causes != before.causes:
        changes["since"] = context.at
    if row.until is not None:
        changes["until"] = asked("deadline rule", row.until, context)
    elif moved:
        changes["until"] = None
    return changes


def _if_paid(row: Transition[Any], context: Context[Any], causes: tuple[Cause, ...], charge: Charge) -> dict[str, Any]:
    before = context.subscription
    changes = _moved(context) | _entered(row, context, causes)
    if before.arrears:
        kept = without(before.arrears, charge.settles + charge.forgives)
        changes["arrears"] = tuple(
            attrs.evolve(
                debt, period=context.dates.moved_along(before, debt.period), held=debt.held or debt in charge.holds
            )
            for debt in kept
        )
    if not changes.get("arrears"):
        changes |= {"attempted_on": None, "declined_method": None}
    if charge.lines or charge.settles or charge.forgives:
        changes["paid_through"] = _paid_through(before, charge, context.today, all_settled=not changes.get("arrears"))
    if before.settlements and not before.causes:
        # Of an interrupted period, what was not served may still go back.
        changes["settlements"] = tuple(paid for paid in before.settlements if paid.period.end > context.today)
    method = context.payment_method
    if method is not None and method == before.disputed_method and charge.lines and context.by != SYSTEM:
        # A person paid with it.
        changes["disputed_method"] = None
    if before.credit is not None or charge.credits is not None:
        zero = Money.zero(before.currency)
        credit = (before.credit or zero) + (charge.credits or zero) - (charge.credit_used or zero)
        changes["credit"] = credit or None
    return _together(before, changes, _effects(row, context))


def _effects(row: Transition[Any], context: Context[Any]) -> dict[str, Any]:
    """What the row's effects change."""
    changes: dict[str, Any] = {}
    by: dict[str, str] = {}
    for effect in row.effects:
        found, name = asked("effect", effect, context), named(effect)
        for field in found:
            if field not in _FIELDS:
                raise DefinitionError((f"{row.id}: the effect {name} changes {field}, which no effect may.",))
            if field in by:
                twice = f"the effects {by[field]} and {name} both change {field}, and only the last would count"
                raise DefinitionError((f"{row.id}: {twice}.",))
            column = _column_of(row, field)
            if column is not None:
                raise DefinitionError((f"{row.id}: the effect {name} changes {field}, which {column}= says.",))
            by[field] = name
        changes |= found
    return changes


def _column_of(row: Transition[Any], field: str) -> str | None:
    """The column of the row that says what the field becomes."""
    if field in ("schedule", "next_billing_date") and row.billing_date is not unchanged:
        return "billing_date"
    if field in ("term_start", "term_end") and row.commitment is not same:
        return "commitment"
    return "until" if field == "until" and row.until is not None else None


def _effects_if_owed(row: Transition[Any], context: Context[Any]) -> dict[str, Any]:
    """Those of a period that is billed and not paid: what was to follow from the payment does not."""
    return {name: value for name, value in _effects(row, context).items() if name not in _NOT_WITHOUT_MONEY}


def _together(before: Subscription, changes: Mapping[str, Any], effects: Mapping[str, Any]) -> dict[str, Any]:
    """What the row and its effects change. Credit that both give or use counts for both."""
    together = {**changes, **effects}
    if "credit" in changes and "credit" in effects:
        zero = Money.zero(before.currency)
        given = (effects["credit"] or zero) - (before.credit or zero)
        together["credit"] = max((changes["credit"] or zero) + given, zero) or None
    return together


def _paid_through(before: Subscription, charge: Charge, today: date, *, all_settled: bool) -> date:
    bought = [line.period.end for line in charge.lines if line.purpose != "arrears"]
    owed = [min(debt.period.end, today) if debt.buys == "nothing" else debt.period.end for debt in charge.settles]
    paid_until = [before.paid_through, *bought, *owed]
    if (charge.settles or charge.forgives) and all_settled:
        # Later periods may have been paid before the debt was made.
        paid_until += [paid.period.end for paid in before.settlements if paid.refunded_from is None]
    return max(paid_until)


def _if_declined(
    row: Transition[Any], context: Context[Any], causes: tuple[Cause, ...], charge: Charge, state: State
) -> dict[str, Any]:
    before = context.subscription
    context = context.leading_to(state)
    until = before.until if state == before.state else None
    if before.causes and state == before.state:
        # Service stays off: nothing was bought, and no date moves.
        return {"attempted_on": _asked_on(context), "version": before.version + 1}
    left = {} if state == before.state else {"causes": causes, "interrupted": before.interrupted if causes else None}
    changes = _moved(context) | {
        **left,
        **_credited(before, charge),
        "state": state,
        "since": before.since if state == before.state else context.at,
        "arrears": (*before.arrears, *_debts(charge, context.today, held=False)),
        "attempted_on": context.today if context.dates.billed is not None else _asked_on(context),
        "until": until if row.declined_until is None else asked("deadline rule", row.declined_until, context),
    }
    return changes if context.dates.billed is None else _together(before, changes, _effects_if_owed(row, context))


def _asked_on(context: Context[Any]) -> date:
    """Of a retry: where it makes good every day that was missed until now, none of them is asked for again."""
    asked = local_day(context.now, context.subscription.time_zone)
    return context.today if context.policy.catch_up == "each" else max(context.today, asked)


def _credited(before: Subscription, charge: Charge) -> dict[str, Any]:
    """What a charge gives stays given where nothing comes of it: its lines are owed in full."""
    if charge.credits is None:
        return {}
    return {"credit": (before.credit or Money.zero(before.currency)) + charge.credits or None}


def _debts(charge: Charge, since: date, *, held: bool) -> tuple[Debt, ...]:
    return tuple(Debt(line.period, line.amount, since, held) for line in charge.lines if line.purpose == "period")


def _settlements(charge: Charge, context: Context[Any], *, invoiced: bool) -> tuple[Settlement, ...]:
    """One per line whose period is not over: what a later cancellation may give back. Where service is interrupted, of
    one that is over too: what was not served of it may still go back."""
    found, credit, owed = [], charge.credit_used, iter(charge.settles)
    for line in charge.lines:
        part = None
        if credit:
            part = min(credit, line.amount)
            credit = credit - part
        debt = next(owed, None) if line.purpose == "arrears" else None
        if debt is not None and debt.buys == "nothing":
            continue
        period = context.dates.moved_along(context.subscription, line.period)
        if period.end > context.today or context.subscription.causes:
            again = line.purpose == "recharge" or (debt is not None and debt.buys == "again")
            paid = Settlement(period, line.amount, None, invoiced, part or None, again)
            lost = context.dates.lost if debt is not None else None
            if lost is None or period.end <= lost[0]:
                found.append(paid)
            elif lost[1] < period.end:
                found.append(paid.without(*lost, context.policy.rounding))
    return tuple(found)


def _without_empty_windows(
    lifecycle: Lifecycle, row: Transition[Any], context: Context[Any], after: Subscription
) -> Subscription:
    """A state whose deadline has come when it is entered is passed through in the same entry."""
    if row.until is None or after.until is None or after.until > context.today:
        return after
    due = lifecycle.due(after)
    if due is None or due.at > context.at or due.command.announces:
        return after
    following = lifecycle.decide_due(after, attrs.evolve(due, at=context.at), context.now)
    # What has an entry of its own to write is not passed through.
    told = following.collected != "nothing" or following.charge != NO_CHARGE or following.served_unpaid
    return after if told else following.after.changed({"version": after.version})


def _reminders(
    row: Transition[Any], context: Context[Any], after: Subscription, charge: Charge
) -> tuple[Reminder, ...]:
    if not row.reminders:
        return ()
    told = [rule(context, after, charge) for rule in row.reminders]
    return tuple([reminder for reminder in told if reminder is not None])


def hold(row: Transition[Any], decision: Decision, context: Context[Any]) -> Decision:
    """A charge that is not made because several fell due at once: its period becomes a debt that waits for an operator.

    A retry is passed over, also one that would bring service back with a new period.
    """
    context = context.leading_to(decision.after.state)
    before = decision.before
    changes: dict[str, Any] = {"attempted_on": context.today}
    if decision.owed_if_unpaid is not None:
        dates = {
            name: getattr(decision.after, name)
            for name in ("state", "since", "until", "causes", "interrupted", *_DATES)
        }
        debts = _debts(decision.charge, context.today, held=True)
        changes = dates | _credited(before, decision.charge) | {"arrears": (*before.arrears, *debts)}
        changes = _together(before, changes, _effects_if_owed(row, context))
    after = before.changed({**changes, "version": before.version + 1})
    nothing_collected = {"collected": "nothing", "settlements": (), "reminders": (), "declined": None}
    return decision.changed({**nothing_collected, "event": "held", "after": after, "billed": decision.owed_if_unpaid})


_DATES = ("schedule", "next_billing_date", "term_start", "term_end", "cycles")
_NOT_WITHOUT_MONEY = frozenset(
    (
        *(name for name in _DATES if name != "cycles"),
        *("state", "causes", "interrupted", "since", "until"),
        *("arrears", "attempted_on", "declined_method", "paid_through", "settlements"),
    )
)
"""What a decline and a hold say themselves, whatever an effect makes of it: state, dates, debts, what is paid for."""

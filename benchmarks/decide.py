"""How long a decision takes: `python benchmarks/decide.py [--quick]`. Pure functions; no store, no gateway.

Two ratios. In short rounds all sides take turns in one process, so that a slow minute hurts them alike; what counts is
the median of the rounds' own ratios:

1. A transition that moves no money, a provider's block (ACTIVE → DISABLED): `STANDARD.decide`, and the `transitions`
   library driven the ordinary way over the same frozen snapshots. Wanted: ours 4 times faster or more.
2. A reactivation with charge and dates (EXPIRED → ACTIVE): `STANDARD.decide`, and a function written by hand that does
   the same work. Wanted: ours 1.5 times slower at most.

What each side does. Ours applies what is due, selects the row, asks every guard, and answers a Decision: two whole
snapshots, charge, dates, deadline, reminders. `transitions` has one machine with our states and triggers; the guards
are its conditions, and an after-callback makes the next snapshot: by `attrs.evolve`, as one would, or by our own faster
copying. It gives no reasons, looks at no dates and leaves no record, so it does less. "One model" carries all
subscriptions in turn; with "a model each" it is added and removed again, as where rows are read and written back.
By hand: the one row spelt out, the same checks and refusals, the same `BillingSchedule`, the same Decision. Before
anything is timed, all sides are seen to answer the same.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import attrs
import transitions

from subscription_lifecycle import (
    ACTIVE,
    DISABLED,
    EXPIRED,
    MONTHLY,
    PROVIDER,
    STANDARD,
    Actor,
    BillingPeriod,
    BillingSchedule,
    Charge,
    Decision,
    Disable,
    Money,
    NotPossible,
    PaymentMethod,
    Plan,
    Policy,
    Reactivate,
    Refusal,
    Refused,
    Role,
    State,
    Subscription,
)
from subscription_lifecycle.machine.dispatch import trigger
from subscription_lifecycle.model.calendar import local_day, start_of_day
from subscription_lifecycle.model.charge import ChargeLine, Reminder, Settlement

ALICE = Actor("alice", Role.BILLING_ADMIN, customer="contoso")
SAM = Actor("sam", Role.SUPPORT)
CARD = PaymentMethod.card("tok_visa", country="NL")
BLOCKED_AT = datetime(2026, 3, 10, 9, tzinfo=UTC)
BACK_AT = datetime(2026, 4, 10, 9, tzinfo=UTC)
RUNNING = Subscription(
    id="s1",
    customer="contoso",
    plan=Plan("business", Money.of("20.00", "EUR"), MONTHLY),
    state=ACTIVE,
    schedule=BillingSchedule(date(2026, 1, 31), MONTHLY),
    next_billing_date=date(2026, 3, 31),
    paid_through=date(2026, 3, 31),
    term_start=date(2026, 2, 28),
    term_end=date(2026, 3, 31),
    payment_method=CARD,
    since=datetime(2026, 1, 31, tzinfo=UTC),
    recorded_at=datetime(2026, 2, 28, tzinfo=UTC),
    version=3,
)
ENDED = RUNNING.changed({"state": EXPIRED, "recurring_billing": False, "until": date(2026, 4, 30)})
POLICY = STANDARD.policies["default"]

Copy = Callable[[Subscription, Mapping[str, Any]], Subscription]


# -- `transitions`, the ordinary way


class Model:
    """What the machine moves; its snapshot is frozen."""

    state: str
    trigger: Callable[..., bool]

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription


def is_a_block(event: transitions.EventData) -> bool:
    return bool(event.kwargs["cause"] is PROVIDER)


def is_of_the_customer(event: transitions.EventData) -> bool:
    by, model = event.kwargs["by"], event.model
    return by.customer is None or by.customer == model.subscription.customer


def may_support(event: transitions.EventData) -> bool:
    return bool(event.kwargs["by"].roles & POLICY.support_roles)


def machine(copy: Copy) -> transitions.Machine:
    """Our states and triggers; the block has its guards, the others are never pulled here."""

    def blocked(event: transitions.EventData) -> None:
        before = event.model.subscription
        event.model.subscription = copy(
            before,
            {
                "state": STANDARD.states[event.transition.dest],
                "causes": tuple(sorted((*before.causes, PROVIDER), key=lambda cause: (cause.rank, cause.name))),
                "interrupted": before.interrupted if before.causes else before.state,
                "since": event.kwargs["at"],
                "until": None,
                "held_until": before.until,
                "version": before.version + 1,
            },
        )

    made = transitions.Machine(
        model=None, states=list(STANDARD.states), initial=None, auto_transitions=False, send_event=True
    )
    conditions = [is_a_block, is_of_the_customer, may_support]
    for row in STANDARD.rows:
        for source in row.source:
            if row.on is Disable and row.case is PROVIDER:
                made.add_transition("disable", source.name, DISABLED.name, conditions=conditions, after=blocked)
            elif row.on is not Disable:
                target = row.target.name if isinstance(row.target, State) else source.name
                made.add_transition(trigger(row.on), source.name, target)
    return made


def one_model(copy: Copy) -> Callable[[], Subscription]:
    shared, model = machine(copy), Model(RUNNING)
    shared.add_model(model, initial=ACTIVE.name)

    def block() -> Subscription:
        model.subscription, model.state = RUNNING, RUNNING.state.name
        model.disable(cause=PROVIDER, by=SAM, at=BLOCKED_AT)  # type: ignore[attr-defined]
        return model.subscription

    return block


def a_model_each(copy: Copy) -> Callable[[], Subscription]:
    shared = machine(copy)

    def block() -> Subscription:
        model = Model(RUNNING)
        shared.add_model(model, initial=RUNNING.state.name)
        model.disable(cause=PROVIDER, by=SAM, at=BLOCKED_AT)  # type: ignore[attr-defined]
        shared.remove_model(model)
        return model.subscription

    return block


def evolved(subscription: Subscription, changes: Mapping[str, Any]) -> Subscription:
    return attrs.evolve(subscription, **changes)


# -- by hand


def refusals_by_hand(
    subscription: Subscription, method: PaymentMethod | None, by: Actor, policy: Policy
) -> list[Refusal]:
    refusals: list[Refusal] = []
    support = tuple(sorted(policy.support_roles))
    if by.customer is not None and by.customer != subscription.customer:
        remedy = "Ask as an actor of that customer."
        refusals.append(Refusal("another_customer", "It belongs to another customer.", remedy, support))
    if not by.roles & (policy.billing_roles | policy.support_roles):
        allowed = tuple(sorted(policy.billing_roles | policy.support_roles))
        refusals.append(Refusal("role.billing", "Only an administrator may do this.", "Ask one of them.", allowed))
    if not policy.self_service and not by.roles & policy.support_roles:
        refusals.append(Refusal("role.self_service", "This is not self-service.", "Contact support.", support))
    if method is None:
        refusals.append(Refusal("payment_method.missing", "A payment method must be given.", "Choose one."))
        return refusals
    by_invoice = policy.activation(method.kind) == "at_once"
    if method.kind == "bank_account" and method.country in policy.no_bank_account_in:
        refusals.append(Refusal("payment_method.country", "Not from a bank account here.", "Choose a card."))
    if by_invoice and not policy.invoice:
        refusals.append(Refusal("payment_method.invoice", "Invoice is not offered.", "Choose a card."))
    if by_invoice and subscription.arrears and policy.arrears == "collect":
        details = {"owed": str(subscription.owed)}
        refusals.append(Refusal("arrears.by_invoice", "Debts are not invoiced.", "Pay them.", details=details))
    return refusals


def price_by_hand(before: Subscription, period: BillingPeriod, policy: Policy) -> Money:
    whole = before.schedule.period_containing(period.start).days
    price = before.price
    return price if period.days >= whole else price.prorated(period.days, whole, rounding=policy.rounding)


def charge_by_hand(
    before: Subscription, billed: BillingPeriod, served: tuple[BillingPeriod, ...], policy: Policy
) -> tuple[Charge, Money]:
    """The charge, and what is left to collect of it."""
    debts, owed = before.arrears, served if policy.served_unpaid == "owed" else ()
    collected = debts if policy.arrears == "collect" else ()
    lines = (
        *(ChargeLine("arrears", debt.amount, debt.period) for debt in collected),
        *(ChargeLine("period", price_by_hand(before, period, policy), period) for period in (*owed, billed)),
    )
    total = sum((line.amount for line in lines[1:]), lines[0].amount)
    used = None if before.credit is None else min(before.credit, total)
    charge = Charge(
        lines,
        settles=collected,
        forgives=debts if policy.arrears == "forgive" else (),
        holds=debts if policy.arrears == "keep" else (),
        credit_used=used if used else None,
    )
    return charge, total - used if used else total


def settlements_by_hand(charge: Charge, today: date, *, invoiced: bool) -> tuple[Settlement, ...]:
    found, credit = [], charge.credit_used
    for line in charge.lines:
        part = None
        if credit is not None:
            part = min(credit, line.amount)
            credit = credit - part
        if line.period.end > today:
            found.append(Settlement(line.period, line.amount, None, invoiced, part or None, False))
    return tuple(found)


def reminders_by_hand(before: Subscription, term_end: date, end: date, due: Money, at: datetime) -> list[Reminder]:
    reminders: list[Reminder] = []
    if not before.recurring_billing:
        told = f"Recurring billing is off: service ends on {term_end} unless it is switched on."
        reminders.append(Reminder("recurring_billing.off", told))
    left = start_of_day(end, before.time_zone) - at
    if due and left < timedelta(days=POLICY.few_days):
        reminders.append(Reminder("charge.few_days", f"This buys {left}: the next billing date is {end}."))
    return reminders


def reactivated_by_hand(before: Subscription, command: Reactivate, by: Actor, at: datetime) -> Decision:
    """EXPIRED → ACTIVE, as the table's row says it."""
    if at.tzinfo is None or before.state != EXPIRED:
        raise ValueError(at)
    at, policy = at.astimezone(UTC), STANDARD.policies[before.policy]
    if before.until is not None and start_of_day(before.until, before.time_zone) <= at:
        raise NotPossible(())
    today, method = local_day(at, before.time_zone), command.payment_method
    if refusals := refusals_by_hand(before, method, by, policy):
        raise Refused(tuple(refusals))
    assert method is not None
    schedule, old = before.schedule, before.next_billing_date
    end = schedule.next_date(after=max(old, today))
    start = max(old, schedule.period_containing(end - timedelta(days=1)).start)
    served: list[BillingPeriod] = []
    while old < start:
        following = schedule.next_date(after=old)
        served.append(BillingPeriod(old, following))
        old = following
    billed = BillingPeriod(start, end)
    charge, due = charge_by_hand(before, billed, tuple(served), policy)
    activation = policy.activation(method.kind)
    collected: Any = "nothing" if not due else "invoice" if activation == "at_once" else "capture"
    term_end = schedule.nth_after(start, before.plan.periods_per_term)
    cycles = before.plan.cycles
    if cycles is not None and before.cycles >= cycles:
        raise Refused((Refusal("cycles.none", "Every period was billed.", "Start another."),))
    days = policy.reactivation_days
    if days is not None and before.since and today > local_day(before.since, before.time_zone) + timedelta(days=days):
        raise Refused((Refusal("reactivate.too_late", "It is too late.", "Start another."),))
    if command.start_on is not None or (command.keep_or_refuse and today >= before.next_billing_date):
        raise Refused((Refusal("reactivate.not_new", "It cannot begin earlier.", "Leave it out."),))
    until = None if before.recurring_billing else term_end
    if until is not None and before.cancellation is not None:
        until = min(until, before.cancellation.on)
    gone = charge.settles + charge.forgives
    left = tuple(
        attrs.evolve(debt, held=True) if debt in charge.holds else debt for debt in before.arrears if debt not in gone
    )
    after = before.changed(
        {
            "state": ACTIVE,
            "causes": (),
            "interrupted": None,
            "since": at,
            "until": until,
            "next_billing_date": end,
            "term_start": start,
            "term_end": term_end,
            "paid_through": max(before.paid_through, end, *(debt.period.end for debt in charge.settles)),
            "payment_method": method,
            "arrears": left,
            "attempted_on": before.attempted_on if left else None,
            "declined_method": before.declined_method if left else None,
            "cycles": before.cycles + 1,
            "credit": (before.credit - charge.credit_used or None) if before.credit and charge.credit_used else None,
            "settlements": tuple(paid for paid in before.settlements if paid.period.end > today),
            "version": before.version + 1,
        }
    )
    return Decision(
        lifecycle=(STANDARD.name, STANDARD.version),
        row="reactivate: expired",
        command=command,
        by=by,
        at=at,
        now=at,
        before=before,
        after=after,
        charge=charge,
        collected=collected,
        submitted=activation == "submitted",
        method=method,
        settlements=settlements_by_hand(charge, today, invoiced=collected == "invoice"),
        billed=billed,
        served_unpaid=tuple(served),
        reminders=tuple(reminders_by_hand(before, term_end, end, due, at)),
    )


# -- in turns


def in_turns(sides: Mapping[str, Callable[[], Any]], *, rounds: int, loops: int) -> dict[str, list[float]]:
    """Microseconds a call, by round; in each round every side has its turn, another one first."""
    names = list(sides)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            side = sides[name]
            began = time.perf_counter()
            for _ in range(loops):
                side()
            taken[name].append((time.perf_counter() - began) / loops * 1e6)
    return taken


def ratio(of: list[float], to: list[float]) -> float:
    """The median of the rounds' own ratios."""
    return statistics.median(one / other for one, other in zip(of, to, strict=True))


def ours_blocks() -> Decision:
    return STANDARD.decide(RUNNING, Disable(), by=SAM, at=BLOCKED_AT)


def ours_reactivates() -> Decision:
    return STANDARD.decide(ENDED, Reactivate(CARD), by=ALICE, at=BACK_AT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few rounds: whether it runs, not how fast")
    size = {"rounds": 3, "loops": 5} if parser.parse_args().quick else {"rounds": 301, "loops": 20}

    copying: dict[str, Copy] = {"attrs.evolve": evolved, "our copying": Subscription.changed}
    ordinary = {f"one model, {name}": one_model(copy) for name, copy in copying.items()}
    ordinary |= {f"a model each, {name}": a_model_each(copy) for name, copy in copying.items()}
    for name, side in ordinary.items():
        assert side() == ours_blocks().after, name
    taken = in_turns({"ours": ours_blocks, **ordinary}, **size)
    print("A transition that moves no money: times faster than transitions (wanted: 4.0 or more)")
    print(f"  {statistics.median(taken['ours']):8.1f} µs         ours")
    for name in ordinary:
        print(f"  {statistics.median(taken[name]):8.1f} µs  {ratio(taken[name], taken['ours']):5.2f}  {name}")

    def by_hand() -> Decision:
        return reactivated_by_hand(ENDED, Reactivate(CARD), ALICE, BACK_AT)

    assert by_hand() == ours_reactivates()
    taken = in_turns({"ours": ours_reactivates, "by hand": by_hand}, **size)
    print("A reactivation with charge and date: of the time by hand (wanted: 1.5 or less)")
    print(f"  {statistics.median(taken['by hand']):8.1f} µs         by hand")
    print(f"  {statistics.median(taken['ours']):8.1f} µs  {ratio(taken['ours'], taken['by hand']):5.2f}  ours")


if __name__ == "__main__":
    main()

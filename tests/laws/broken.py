"""Ways to break the library: tables with a wrong row, and parts that do something else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import attrs
import pytest
from tests.laws.life import ALICE, CARD, SUPPORT, Life

from subscription_lifecycle import (
    ACTIVE,
    CANCELLED,
    DELETED,
    DISABLED,
    EXPIRED,
    LAPSED,
    PAST_DUE,
    PROVIDER,
    SAME_STATE,
    STANDARD,
    SYSTEM,
    BillingPeriod,
    Cancel,
    ChangePaymentMethod,
    Charge,
    Command,
    Context,
    Delete,
    Disable,
    Enable,
    Entry,
    Expire,
    Lifecycle,
    PayArrears,
    Policy,
    Reactivate,
    Refusal,
    Refused,
    Renew,
    RetryPayment,
    Role,
    SetRecurringBilling,
    Subscription,
    Subscriptions,
    Transition,
    guard,
)
from subscription_lifecycle.engine import capturing, flow, refunds, reports, timed
from subscription_lifecycle.engine.effects import Capture, Now
from subscription_lifecycle.engine.writing import reference_of
from subscription_lifecycle.machine import deciding, decision, verify
from subscription_lifecycle.machine.lifecycle import Action
from subscription_lifecycle.model.calendar import days_after, start_of_day
from subscription_lifecycle.model.charge import ChargeLine
from subscription_lifecycle.ports import Attempt, CaptureRequest
from subscription_lifecycle.standard import (
    BillingDates,
    arrears,
    choose_payment_method,
    due_dates,
    end_recurring_billing,
    first_billing_date,
    is_due,
    may_manage_billing,
    new_term,
    next_period,
    one_period,
    refund_as_asked,
    release_the_clock,
    restarted,
)

CLOCK = SYSTEM
AnyContext = Context[Any]
Patch = pytest.MonkeyPatch
DAY = timedelta(days=1)


@attrs.frozen
class Poke(Command):
    """Does next to nothing."""


# -- the record


def a_row_out_of_a_final_state(patch: Patch) -> Lifecycle:
    patch.setattr(verify, "verify", lambda definition: None)
    return STANDARD.extend(Transition(Reactivate, DELETED, ACTIVE, guards=[may_manage_billing]))


def entries_leave_out_a_field(patch: Patch) -> None:
    whole = decision.changes_between

    def some(before: Subscription | None, after: Subscription) -> dict[str, Any]:
        found = whole(before, after)
        return found if before is None else {name: change for name, change in found.items() if name != "paid_through"}

    patch.setattr(decision, "changes_between", some)


def a_decline_changes_the_method(patch: Patch) -> None:
    right = decision.onto

    def onto(base: Subscription, before: Subscription, after: Subscription) -> Subscription:
        found = right(base, before, after)
        return found.changed({"payment_method": None}) if after == before else found

    patch.setattr(decision, "onto", onto)


def a_refusal_is_written(patch: Patch) -> None:
    right = Subscriptions.execute

    def execute(self: Subscriptions, id: str, command: Command, *, by: Any, idempotency_key: str, **more: Any) -> Any:
        try:
            return right(self, id, command, by=by, idempotency_key=idempotency_key, **more)
        except Refused:
            right(self, id, SetRecurringBilling(False), by=SUPPORT, idempotency_key="by the way")
            raise

    patch.setattr(Subscriptions, "execute", execute)


def a_moody_price() -> Lifecycle:
    asked: list[None] = []

    def moody(context: AnyContext) -> Charge:
        asked.append(None)
        (line,) = one_period(context).lines
        return Charge((attrs.evolve(line, amount=line.amount * len(asked)),))

    return STANDARD.replace(Renew, ACTIVE, charge=moody)


def a_moody_deadline() -> Lifecycle:
    asked: list[None] = []

    def moody(context: AnyContext) -> date:
        asked.append(None)
        return context.today + timedelta(days=100 + len(asked))

    return STANDARD.replace(Renew, ACTIVE, until=moody)


def explain_forgets(patch: Patch) -> None:
    patch.setattr(Lifecycle, "explain", lambda *_, **__: ())


def a_preview_for_nothing(patch: Patch) -> None:
    right = Subscriptions.preview

    def preview(*args: Any, **kwargs: Any) -> Any:
        return attrs.evolve(right(*args, **kwargs), charge=Charge())

    patch.setattr(Subscriptions, "preview", preview)


def a_moody_guard() -> Lifecycle:
    asked: list[None] = []

    @guard("mood", "Not now.")
    def moody(context: AnyContext) -> bool:
        asked.append(None)
        return len(asked) % 2 == 1

    return STANDARD.guarded(SetRecurringBilling, moody)


def actions_offer_everything(patch: Patch) -> None:
    patch.setattr(Lifecycle, "_action", lambda self, subscription, command, *_: Action(command, "available"))


def actions_offer_nothing(patch: Patch) -> None:
    no = (Refusal("no", "No."),)
    patch.setattr(Lifecycle, "_action", lambda self, subscription, command, *_: Action(command, "refused", no))


# -- dates


def renewed_by(rule: Callable[[AnyContext], BillingDates]) -> Lifecycle:
    def to_the_next(context: AnyContext) -> tuple[date, date]:
        return context.subscription.next_billing_date, context.dates.next_billing_date

    return STANDARD.replace(Renew, ACTIVE, billing_date=rule, commitment=to_the_next)


def a_day_early(context: AnyContext) -> BillingDates:
    found = next_period(context)
    assert found.billed is not None
    return attrs.evolve(found, billed=BillingPeriod(found.billed.start - DAY, found.billed.end))


def a_period_late(context: AnyContext) -> BillingDates:
    found = next_period(context)
    end = found.schedule.next_date(after=found.next_billing_date)
    return BillingDates(found.schedule, end, BillingPeriod(found.next_billing_date, end))


def from_the_last_date(context: AnyContext) -> BillingDates:
    start = context.subscription.next_billing_date
    schedule = context.subscription.schedule.restarted(start)
    return BillingDates(schedule, end := schedule.next_date(after=start), BillingPeriod(start, end))


def thirty_days(context: AnyContext) -> BillingDates:
    start = context.subscription.next_billing_date
    end = start + timedelta(days=30)
    return BillingDates(context.subscription.schedule, end, BillingPeriod(start, end))


def without_a_bill(context: AnyContext) -> BillingDates:
    return attrs.evolve(next_period(context), billed=None)


# -- money


def captures_before_it_reserves(patch: Patch) -> None:
    right = capturing.carry_out

    def carry_out(lifecycle: Lifecycle, decided: Any, key: str, now: datetime, gateway: bool) -> Any:
        if decided.collected == "capture":
            before = decided.before
            reference, amount = reference_of(before.id, key), decided.terms.charge
            yield Capture(CaptureRequest(reference, amount, decided.method, before.customer, before.id, True, "eager"))
        return (yield from right(lifecycle, decided, key, now, gateway))

    for room in (flow, timed):
        patch.setattr(room, "carry_out", carry_out)


def another_reference_each_time(patch: Patch) -> None:
    right: Any = Attempt.request
    asked: list[None] = []

    def request(self: Attempt) -> CaptureRequest:
        asked.append(None)
        found: CaptureRequest = right.fget(self)
        return attrs.evolve(found, reference=f"{found.reference}-{len(asked)}")

    patch.setattr(Attempt, "request", property(request))


def refunded_twice() -> Lifecycle:
    def twice(context: Context[Cancel]) -> Any:
        changes = refund_as_asked(context)
        return {**changes, "refunds": changes["refunds"] * 2}

    return STANDARD.replace(Cancel, ACTIVE, case="now", effects=[twice, end_recurring_billing])


def refunds_are_only_confirmed(patch: Patch) -> None:
    patch.setattr(refunds, "GiveBack", lambda reference, amount: Now())


def charged_twice() -> Lifecycle:
    return STANDARD.replace(Renew, ACTIVE, charge=(one_period, one_period))


def has_credit(life: Life) -> None:
    """A block that took paid days, lifted too late."""
    life.start()
    life.later(9)
    life.give(Disable(), by=SUPPORT)
    life.later(31)
    life.give(Enable(), by=SUPPORT)
    life.sweep()
    life.later(31)


def credit_stays(patch: Patch) -> None:
    right = deciding._if_paid

    def if_paid(row: Any, context: AnyContext, causes: Any, charge: Charge) -> dict[str, Any]:
        return right(row, context, causes, attrs.evolve(charge, credit_used=None))

    patch.setattr(deciding, "_if_paid", if_paid)


def another_card_forgets_debts() -> Lifecycle:
    effects = [choose_payment_method, lambda context: {"arrears": ()}]
    return STANDARD.replace(ChangePaymentMethod, PAST_DUE, effects=effects)


def paid_for_nothing() -> Lifecycle:
    return STANDARD.replace(PayArrears, PAST_DUE, charge=lambda context: Charge(settles=context.subscription.arrears))


def declines_owe_nothing(patch: Patch) -> None:
    patch.setattr(deciding, "_debts", lambda charge, since, *, held: ())


# -- service


def expired_for_ever() -> Lifecycle:
    return STANDARD.replace(Expire, ACTIVE, until=None)


def stays_cancelled(life: Life) -> None:
    life.start()
    life.later(3)
    life.give(Cancel("now"))
    life.later(40)


def billed_while_cancelled() -> Lifecycle:
    row = Transition(
        Renew,
        CANCELLED,
        SAME_STATE,
        date="passed",
        guards=[is_due],
        due=first_billing_date,
        charge=one_period,
        declined=CANCELLED,
        billing_date=next_period,
    )
    return STANDARD.extend(row)


def back_for_free() -> Lifecycle:
    return STANDARD.replace(Reactivate, CANCELLED, date="ahead", charge=arrears)


def wants_all_back(life: Life) -> None:
    life.start()
    life.later(9)
    life.give(Cancel("now", "full"), Reactivate(CARD))


def refunds_without_question() -> Lifecycle:
    return STANDARD.replace(Cancel, ACTIVE, case="now", guards=[may_manage_billing])


def back_to_a_new_term() -> Lifecycle:
    return STANDARD.replace(
        Reactivate,
        CANCELLED,
        date="ahead",
        charge=(arrears, one_period),
        billing_date=restarted,
        commitment=new_term,
    )


def back_at_full_price() -> Lifecycle:
    def full(context: AnyContext) -> Charge:
        period = BillingPeriod(context.today, context.subscription.next_billing_date)
        return Charge((ChargeLine("recharge", context.subscription.price, period),))

    return STANDARD.replace(Reactivate, CANCELLED, date="ahead", charge=(arrears, full))


def blocks_take_paid_days() -> Lifecycle:
    effects = [release_the_clock, lambda context: {"paid_through": context.today}]
    return STANDARD.replace(Enable, DISABLED, cause=PROVIDER, date="ahead", effects=effects)


# -- time


def windows_from_the_sweep() -> Lifecycle:
    return STANDARD.replace(Expire, ACTIVE, until=lambda context: context.now.date() + timedelta(days=30))


def ends_quietly(life: Life) -> None:
    life.start(recurring_billing=False)
    life.later(70)


def dates_from_the_sweep() -> Lifecycle:
    return STANDARD.replace(Expire, ACTIVE, effects=[lambda context: {"paid_through": context.now.date()}])


def _the_day_before(subscription: Subscription, policy: Policy) -> datetime:
    return start_of_day(subscription.next_billing_date - DAY, subscription.time_zone)


def always_due() -> Lifecycle:
    return STANDARD.extend(Transition(Poke, ACTIVE, SAME_STATE, due=_the_day_before))


def often_due(patch: Patch) -> Lifecycle:
    """And nobody stops it."""
    patch.setattr(Lifecycle, "_stands_still", lambda *_: False)

    def due(subscription: Subscription, policy: Policy) -> datetime | None:
        return _the_day_before(subscription, policy) if subscription.quantity < 30 else None

    more = [lambda context: {"quantity": context.subscription.quantity + 1}]
    return STANDARD.extend(Transition(Poke, ACTIVE, SAME_STATE, due=due, effects=more))


def deadlines_shrink() -> Lifecycle:
    return STANDARD.replace(RetryPayment, PAST_DUE, declined_until=lambda context: context.today + DAY)


def windows_from_the_event() -> Lifecycle:
    def until(context: AnyContext) -> date:
        return days_after(context.at, context.policy.disabled_days, context.subscription.time_zone)

    return STANDARD.replace(Disable, EXPIRED, case=LAPSED, until=until)


def is_lapsed(life: Life) -> None:
    life.start(recurring_billing=False)
    for _ in range(17):
        life.later(10)


def deleted_early() -> Lifecycle:
    def due(subscription: Subscription, policy: Policy) -> datetime | None:
        until = subscription.until
        return None if until is None else start_of_day(until - 30 * DAY, subscription.time_zone)

    return STANDARD.replace(Delete, DISABLED, cause=LAPSED, due=due)


# -- people and clocks


def reactivation_renews() -> Lifecycle:
    effects = [choose_payment_method, lambda context: {"recurring_billing": True}]
    return STANDARD.replace(Reactivate, EXPIRED, effects=effects)


def anyone_enables() -> Lifecycle:
    return STANDARD.replace(Enable, DISABLED, cause=PROVIDER, date="ahead", guards=[may_manage_billing])


def support_may_not() -> Lifecycle:
    @guard("role.too_many", "Not with that role.")
    def not_support(context: AnyContext) -> bool:
        return Role.SUPPORT not in context.by.roles

    return STANDARD.guarded(SetRecurringBilling, not_support)


def anyone_switches() -> Lifecycle:
    return STANDARD.replace(SetRecurringBilling, ACTIVE, case="off", guards=())


def the_clock_switches() -> Lifecycle:
    return STANDARD.replace(SetRecurringBilling, ACTIVE, case="on", guards=())


def clocks_are_believed(patch: Patch) -> None:
    for room in (flow, timed, capturing, reports, refunds):
        patch.setattr(room, "not_before", lambda now, subscription: now)


def entries_hold_tomorrow(patch: Patch) -> None:
    right = decision.Decision._entry

    def tomorrow(*args: Any, **kwargs: Any) -> tuple[Subscription, Entry]:
        after, entry = right(*args, **kwargs)
        return after, attrs.evolve(entry, effective_at=entry.effective_at + DAY)

    patch.setattr(decision.Decision, "_entry", tomorrow)


def lives_far_away(life: Life) -> None:
    life.start(time_zone="America/Los_Angeles")
    life.later(40)
    life.give(SetRecurringBilling(False), by=ALICE)


def due_in_greenwich(patch: Patch) -> None:
    patch.setattr(due_dates, "_begins", lambda subscription, day: start_of_day(day, "UTC"))

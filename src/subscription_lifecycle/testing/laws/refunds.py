"""Laws of money that goes back: whole, where a rule says so, and the same way again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import date, timedelta

import attrs

from subscription_lifecycle.model.calendar import local_day
from subscription_lifecycle.model.charge import ChargeLine, Settlement, without
from subscription_lifecycle.model.command import Command, FailPayment
from subscription_lifecycle.model.entry import Entry
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.policy import Policy
from subscription_lifecycle.model.schedule import BillingPeriod
from subscription_lifecycle.model.state import Cause
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.standard.causes import PAUSE, PROVIDER
from subscription_lifecycle.standard.commands import (
    Cancel,
    CancelAsScheduled,
    Disable,
    Enable,
    Pause,
    PauseAsScheduled,
    Reactivate,
    Refund,
    ReportInvoice,
    Resume,
)
from subscription_lifecycle.testing.law import law
from subscription_lifecycle.testing.laws.money import credit_grown, minor, paid_elsewhere, refunds_asked
from subscription_lifecycle.testing.laws.pauses import Resumed, resumptions
from subscription_lifecycle.testing.step import Step


@attrs.frozen
class Paid:
    """What some days were paid with: the payment, if it was one, the part that was credit, and whether by invoice."""

    period: BillingPeriod
    amount: Money
    reference: str | None = None
    credit: Money | None = None
    invoiced: bool = False

    def part(self, start: date, end: date, policy: Policy) -> Money:
        """What its days from one until another are worth."""
        days = (min(end, self.period.end) - max(start, self.period.start)).days
        if days >= self.period.days:
            return self.amount
        return min(self.amount, self.amount.prorated(max(days, 0), self.period.days, rounding=policy.rounding))

    def without(self, start: date, end: date, policy: Policy) -> Paid:
        """What is left where some of its days became credit: those before them, and those behind."""
        lost = max(min(end, self.period.end) - max(start, self.period.start), timedelta())
        amount = self.amount - self.part(start, end, policy)
        period = BillingPeriod(self.period.start + lost, self.period.end)
        return attrs.evolve(self, period=period, amount=amount, credit=self.credit and min(self.credit, amount))


@attrs.frozen
class Unserved:
    """The days, from one until another, that an entry must give back; `whole`: with those before, of their periods."""

    start: date
    end: date = date.max
    whole: bool = False

    def of(self, paid: Paid) -> BillingPeriod:
        """Those that a period has."""
        start = paid.period.start if self.whole else max(self.start, paid.period.start)
        return BillingPeriod(start, min(self.end, paid.period.end))

    def worth(self, paid: Paid, policy: Policy) -> Money:
        if paid.period.end <= self.start or not paid.period.days:
            return Money.zero(paid.amount.currency)
        return paid.part(date.min if self.whole else self.start, self.end, policy)


@law("unserved days come back: what they were paid with is refunded, credited, or buys other days, as the rule says")
def unserved_days_come_back(step: Step) -> None:
    """The other side of `service_is_paid`: a lower bound, of the payments, credit and invoices in the history alone.

    A cancellation gives back the days to come as it was asked to, a pause whose days become credit the days that it
    took, a block that is lifted after the billing date the days since it began; coming back costs no more than a
    cancellation gave. A favour takes no more than itself. Not asked for is what the customer gave up (no refund, a new
    period instead of the old), and what was paid before the history begins. Who pays what is owed for days that went
    back pays for those before them.
    """
    paid: tuple[Paid, ...] = ()
    gone: list[BillingPeriod] = []
    since: dict[Cause, date] = {}
    back = Money.zero(step.subscription.currency)
    resumed = {found.entry.version: found for found in resumptions(step)}
    favours = {entry.command.reference for entry in step.history if isinstance(entry.command, Refund)}
    before: Subscription | None = None
    for entry, after in step.snapshots:
        found = resumed.get(entry.version)
        if before is not None:
            policy = step.lifecycle.policy_of(before)
            if isinstance(entry.command, Resume):
                # As if it had been paid before.
                paid += tuple(_paid_late(entry, after, gone))
            unserved = _unserved(entry, before, after, since, found, policy)
            if unserved is not None:
                gone += [unserved.of(each) for each in paid]
                given, due = _given_back(entry, before, after), [unserved.worth(each, policy) for each in paid]
                worth = sum(due, Money.zero(given.currency))
                # Each of them may have been rounded.
                assert given.minor + sum(map(bool, due)) >= worth.minor, (
                    f"{entry.id} gives {given} back for days that were paid with {worth}"
                )
            gone += _paid_for_no_more(entry, before, after, paid, favours)
            if _refund_of(entry, before) is not None:
                back = _given_back(entry, before, after)
            _costs_no_more(entry, back)
            paid = _still_paid(paid, entry, before, after, unserved, found, policy)
        if not isinstance(entry.command, Resume):
            paid += tuple(_paid_late(entry, after, gone))
        paid += tuple(_bought(entry, after, found))
        since = {cause: since.get(cause, local_day(entry.effective_at, after.time_zone)) for cause in after.causes}
        before = after


def _refund_of(entry: Entry, before: Subscription) -> str | None:
    """What a cancellation that takes place was asked to refund."""
    match entry.command:
        case Cancel(refund=refund) if "causes" in entry.changes:
            return refund
        case CancelAsScheduled() if before.cancellation is not None:
            return before.cancellation.refund
        case _:
            return None


def _unserved(
    entry: Entry,
    before: Subscription,
    after: Subscription,
    since: dict[Cause, date],
    resumed: Resumed | None,
    policy: Policy,
) -> Unserved | None:
    """Which days must be given back, if any."""
    refund, today = _refund_of(entry, before), local_day(entry.effective_at, after.time_zone)
    given_back = policy.pause_credit or policy.resume == "move"
    if refund is not None and refund != "none":
        first = since.get(PAUSE, today) if given_back else today
        return Unserved(first, whole=refund == "full")
    if resumed is not None:
        credited = resumed.days and resumed.rule != "move" and given_back
        return Unserved(resumed.begun, resumed.on if _goes_on(resumed) else date.max) if credited else None
    lifted = PROVIDER in before.causes and PROVIDER not in after.causes and not after.state.final
    return Unserved(since[PROVIDER]) if lifted and "next_billing_date" in entry.changes else None


def _goes_on(resumed: Resumed) -> bool:
    """Whether the period that was paid for goes on after the pause."""
    return resumed.on < resumed.old and not (resumed.rule == "restart" and "schedule" in resumed.entry.changes)


def _given_back(entry: Entry, before: Subscription, after: Subscription) -> Money:
    """As a refund or as credit, also where that credit is used up at once."""
    zero = Money.zero(after.currency)
    used = entry.charge.credit_used if entry.event == "applied" and entry.charge is not None else None
    refunds = Money(refunds_asked([entry]).total(), after.currency)
    return refunds + (after.credit or zero) + (used or zero) - (before.credit or zero)


def _paid_for_no_more(
    entry: Entry, before: Subscription, after: Subscription, paid: Iterable[Paid], favours: Collection[str]
) -> Iterator[BillingPeriod]:
    """What is owed for money that had gone back before it failed, all or a part, is not given back again: other money
    pays for those days, or none."""
    match entry.command:
        case FailPayment(reference=reference) if reference in favours or all(
            each.reference != reference for each in paid
        ):
            yield from (debt.period for debt in without(after.arrears, before.arrears))
        case _:
            pass


def _costs_no_more(entry: Entry, back: Money) -> None:
    if not isinstance(entry.command, Reactivate) or entry.event != "applied" or entry.charge is None:
        return
    again = sum((line.amount for line in entry.charge.lines if line.purpose == "recharge"), Money.zero(back.currency))
    assert again <= back, f"{entry.id} asks {again} for days that gave {back} back"


def _still_paid(
    paid: Iterable[Paid],
    entry: Entry,
    before: Subscription,
    after: Subscription,
    unserved: Unserved | None,
    resumed: Resumed | None,
    policy: Policy,
) -> tuple[Paid, ...]:
    """What stays paid for, and for which days."""
    match entry.command:
        case FailPayment(reference=reference) if entry.event == "failed":
            return tuple(_without(paid, lambda each: each.reference == reference))
        case Refund(reference=reference):
            return _less_a_favour(paid, reference, refunds_asked([entry]).total())
        case ReportInvoice(paid=False):
            owed = {debt.period for debt in without(after.arrears, before.arrears)}
            return tuple(_without(paid, lambda each: each.invoiced and each.period in owed))
        case _:
            pass
    if resumed is not None and resumed.days:
        if resumed.rule == "move":
            moved = (each for each in paid if each.period.end > resumed.begun)
            return tuple(attrs.evolve(each, period=resumed.along(each.period)) for each in moved)
        if not _goes_on(resumed):
            return ()
        running = (each for each in paid if each.period.end > resumed.on)
        return tuple(each.without(resumed.begun, resumed.on, policy) if unserved else each for each in running)
    return tuple(paid) if unserved is None else ()


def _less_a_favour(paid: Iterable[Paid], reference: str, gift: int) -> tuple[Paid, ...]:
    """What was a gift after all is paid for no more, the latest days first; never what credit paid."""
    left: list[Paid] = []
    for each in reversed(tuple(paid)):
        if each.reference == reference:
            part = min(gift, each.amount.minor - minor(each.credit))
            gift -= part
            each = attrs.evolve(each, amount=each.amount - Money(part, each.amount.currency))
        left.append(each)
    return tuple(reversed(left))


def _without(paid: Iterable[Paid], gone: Callable[[Paid], bool]) -> Iterator[Paid]:
    """Of what is gone, the part that credit paid stays."""
    for each in paid:
        if not gone(each):
            yield each
        elif each.credit:
            yield attrs.evolve(each, amount=each.credit, reference=None)


def _paid_late(entry: Entry, after: Subscription, gone: Iterable[BillingPeriod]) -> Iterator[Paid]:
    """The days that were owed and are paid for; of an invoice's debts, somebody says that they were paid elsewhere."""
    for debt in paid_elsewhere(entry):
        yield Paid(_before(debt.period, gone), debt.amount, invoiced=True)
    for line, paid in _lines(entry, after):
        if line.purpose == "arrears":
            yield attrs.evolve(paid, period=_before(line.period, gone))


def _bought(entry: Entry, after: Subscription, resumed: Resumed | None) -> Iterator[Paid]:
    """The days that an entry buys and pays for."""
    for line, paid in _lines(entry, after):
        if line.purpose != "arrears":
            yield paid if resumed is None else attrs.evolve(paid, period=resumed.along(line.period))


def _lines(entry: Entry, after: Subscription) -> Iterator[tuple[ChargeLine, Paid]]:
    if entry.event != "applied" or entry.charge is None:
        return
    reference = None if entry.payment is None else entry.payment.reference
    left = entry.charge.credit_used or Money.zero(after.currency)
    for line in entry.charge.lines:
        credit = min(left, line.amount)
        left = left - credit
        yield line, Paid(line.period, line.amount, reference, credit or None, bool(entry.invoice_lines))


def _before(period: BillingPeriod, gone: Iterable[BillingPeriod]) -> BillingPeriod:
    """Its days before those that went back."""
    starts = [days.start for days in gone if days.start < period.end and period.start < days.end]
    return BillingPeriod(period.start, max(period.start, min([period.end, *starts])))


_WAYS_BACK: Mapping[type[Command], tuple[type[Command], ...]] = {
    Cancel: (Reactivate,),
    Disable: (Reactivate, Enable),
    Pause: (Resume,),
    PauseAsScheduled: (Resume,),
}


@law(
    "cancel and reactivate, block and lift, or pause and resume within a day leave state, dates, debts and money as "
    "they were"
)
def there_and_back(step: Step) -> None:
    found = list(step.snapshots)
    for number, (entry, _) in enumerate(found):
        ways_back = _WAYS_BACK.get(type(entry.command))
        if not number or ways_back is None or "causes" not in entry.changes:
            continue
        before, rest = found[number - 1][1], [pair for pair in found[number + 1 :] if pair[0].event != "refunded"]
        back = [pair for pair in rest[:2] if pair[0].event == "applied" and isinstance(pair[0].command, ways_back)]
        if not back or (back[0] is not rest[0] and rest[0][0].event != "attempted"):
            continue
        _is_back(step, entry, before, *back[0])


def _is_back(step: Step, left: Entry, before: Subscription, entry: Entry, after: Subscription) -> None:
    same_day = local_day(left.effective_at, before.time_zone) == local_day(entry.effective_at, before.time_zone)
    if not same_day or local_day(left.effective_at, before.time_zone) >= before.next_billing_date or before.arrears:
        return
    for field in ("state", "schedule", "next_billing_date", "paid_through", "term_start", "term_end", "arrears"):
        assert getattr(after, field) == getattr(before, field), f"{entry.id}: {field} did not come back"
    # What went back as money may be paid with credit that there was.
    used = minor(entry.charge.credit_used) if entry.charge else 0
    credit = minor(after.credit) + used - credit_grown(left)
    assert credit == minor(before.credit), f"{entry.id}: credit did not come back"
    refunded = sum(minor(paid.refunded) for paid in _newly_refunded(left))
    charged = sum(line.amount.minor for line in entry.charge.lines) if entry.charge else 0
    # Days that were served and given back all the same are not charged again.
    whole = getattr(left.command, "refund", "none") == "full"
    assert refunded == charged or (whole and charged < refunded), (
        f"{entry.id}: {refunded} went back and {charged} was charged again"
    )


def _newly_refunded(entry: Entry) -> Iterable[Settlement]:
    before, after = entry.changes.get("settlements", ((), ()))
    known = (paid for paid in before or () if paid.refunded is not None)
    return without((paid for paid in after if paid.refunded is not None), known)

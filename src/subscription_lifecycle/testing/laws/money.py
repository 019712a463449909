"""Laws of money: nothing lost, nothing taken twice, nothing kept, nothing for free."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise

from subscription_lifecycle.errors import NotPossible
from subscription_lifecycle.model.actor import SYSTEM
from subscription_lifecycle.model.calendar import local_day
from subscription_lifecycle.model.charge import Charge, Debt, Settlement, without
from subscription_lifecycle.model.command import FailPayment, FailRefund, SettlePayment
from subscription_lifecycle.model.entry import Entry
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.payment import ChargebackReversed
from subscription_lifecycle.model.schedule import BillingPeriod
from subscription_lifecycle.model.state import Access
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.standard.causes import PAUSE
from subscription_lifecycle.standard.commands import (
    Cancel,
    Correct,
    Refund,
    ReportInvoice,
)
from subscription_lifecycle.testing.fakes import Capture
from subscription_lifecycle.testing.law import law
from subscription_lifecycle.testing.laws.pauses import Resumed, first_days, resumptions
from subscription_lifecycle.testing.step import Step


@law("for each period and purpose at most one capture succeeds; what was captured, refunded and credited adds up")
def money_adds_up(step: Step) -> None:
    if step.after.attempt is not None:
        return
    _captured_once(step)
    known = {entry.payment.reference: entry.payment for entry in step.history if entry.payment is not None}
    lost = taken_by_banks(step.history)
    # Where the gateway says it, as FakeGateway does.
    ledger: Mapping[str, object] = getattr(step.gateway, "ledger", {})
    taken = [capture for capture in step.gateway.captures if capture.subscription == step.id]
    assert len({capture.reference for capture in taken}) == len(taken), "a payment was captured twice"
    for capture in taken:
        payment = known.get(capture.reference)
        assert payment is not None, f"{capture.reference} was captured and nobody knows"
        assert payment.status != "captured" or lost[capture.reference] <= 0, f"{payment} was taken back by the bank"
        here = payment.status in ("captured", "submitted", "mismatched")
        assert here or lost[capture.reference] > 0, f"{payment} was captured as {capture.amount}"
        returned = isinstance(ledger.get(capture.reference), ChargebackReversed)
        assert not returned or lost[capture.reference] <= 0, f"{payment} was given back by the bank"
        assert (payment.captured or payment.amount) == capture.amount, f"{payment} was captured as {capture.amount}"
    given = [refund for refund in step.gateway.refunds if refund.reference in known]
    # A refund may have been made and its confirmation lost: it is on record still, and asked for again.
    made = {refund.reference for refund in given}
    promised = sum(refund.amount.minor for refund in step.subscription.refunds if refund.reference not in made)
    asked = refunds_asked(step.history)
    assert sum(refund.amount.minor for refund in given) + promised == asked.total(), "a refund was lost or doubled"
    _credit_is_explained(step)
    _nothing_is_kept(step, taken, lost)
    for refund in given:
        paid = known[refund.reference]
        assert refund.amount <= (paid.captured or paid.amount), f"{refund} gives back more than was taken"


def taken_by_banks(history: Iterable[Entry]) -> Counter[str]:
    """The chargebacks that were not undone, by payment. A dispute, and its end, are one however often they are told."""
    heard = {
        (entry.payment.reference, entry.payment.code, entry.payment.gateway_id)
        for entry in history
        if entry.payment is not None
    }
    lost = Counter[str]()
    for reference, code, _ in heard:
        lost[reference] += {"charged_back": 1, "chargeback_reversed": -1}.get(code or "", 0)
    return lost


def _captured_once(step: Step) -> None:
    seen: dict[tuple[str, BillingPeriod], str] = {}
    owed, paid = Counter[BillingPeriod](), Counter[BillingPeriod]()
    for entry in step.history:
        owed.update(_made(entry))
        if entry.event == "failed" and entry.payment is not None:
            seen = {line: reference for line, reference in seen.items() if reference != entry.payment.reference}
        if entry.event != "applied" or entry.charge is None:
            continue
        reference = entry.payment.reference if entry.payment is not None else entry.id
        bought = [(line.purpose, line.period) for line in entry.charge.lines if line.purpose != "arrears"]
        assert len(bought) == len(set(bought)), f"{entry.id} charges a period twice"
        for line in entry.charge.lines:
            if line.purpose == "arrears":
                # Two payments for a period, one of them refunded, may both be taken back: each is a debt, paid once.
                paid[line.period] += 1
                assert paid[line.period] <= owed[line.period], f"{entry.id} charges more debts than were made"
                continue
            if line.purpose == "recharge":
                continue
            other = seen.setdefault((line.purpose, line.period), reference)
            assert other == reference, f"{line.period} was charged twice for {line.purpose}: {other} and {reference}"


def _made(entry: Entry) -> Iterable[BillingPeriod]:
    """The period of each debt that the entry makes."""
    before, after = entry.changes.get("arrears", ((), ()))
    known = Counter((debt.period, debt.amount, debt.since) for debt in before or ())
    made = Counter((debt.period, debt.amount, debt.since) for debt in after) - known
    return (period for period, *_ in made.elements())


def refunds_asked(history: Iterable[Entry]) -> Counter[str]:
    """What was put on record to go back, in minor units by payment, less what a chargeback overtook."""
    asked = Counter[str]()
    for entry in history:
        if isinstance(entry.command, FailRefund):
            # The same refund, once more.
            continue
        before, after = entry.changes.get("refunds", ((), ()))
        for refund in after:
            asked[refund.reference] += 0 if refund in (before or ()) else refund.amount.minor
        asked.subtract(_spared(entry))
    return asked


def _spared(entry: Entry) -> Counter[str]:
    """What the customer's bank took back need not go back: in minor units by payment."""
    spared = Counter[str]()
    if isinstance(entry.command, FailPayment):
        before, after = entry.changes.get("refunds", ((), ()))
        for refund in before or ():
            spared[refund.reference] += 0 if refund in after else refund.amount.minor
    return spared


def used_by_lines(history: Iterable[Entry]) -> Counter[str]:
    """What went into lines, in minor units by payment, less what was owed again, or went to the customer, when the
    money failed."""
    used = Counter[str]()
    for entry in history:
        if entry.event == "failed" and isinstance(entry.command, FailPayment):
            reference = entry.command.reference
            made = sum(money.minor * count for (_, money), count in _debts_made(entry).items())
            # Money that came late may have been on its way back and in no line.
            used[reference] -= min(used[reference], made + _spared(entry)[reference])
        elif entry.payment is not None and entry.event == "applied" and entry.charge is not None:
            due = entry.charge.due(entry.payment.amount.currency).minor
            used[entry.payment.reference] += due + minor(entry.charge.received)
    return used


def _nothing_is_kept(step: Step, taken: Iterable[Capture], lost: Counter[str]) -> None:
    """What was taken and is in no line goes back, unless a bank has it or an operator must look at it first."""
    used, back = used_by_lines(step.history), refunds_asked(step.history)
    last = dict[str, Entry]()
    for entry in step.history:
        if entry.payment is None:
            continue
        reference = entry.payment.reference
        last[reference] = entry
        if isinstance(entry.command, SettlePayment):
            back[reference] += credit_grown(entry)
    for capture in taken:
        rest = capture.amount.minor - used[capture.reference]
        waits = lost[capture.reference] > 0 or last[capture.reference].event == "mismatched"
        assert waits or 0 <= rest <= back[capture.reference], f"{capture.reference}: {rest} minor units were kept"


def _credit_is_explained(step: Step) -> None:
    """What is captured is what was due; credit comes from charges and refunds, and goes into charges."""
    for entry in step.history[1:]:
        late = isinstance(entry.command, SettlePayment) and entry.event in ("applied", "late")
        if not late and (entry.event != "applied" or isinstance(entry.command, Correct | Refund)):
            continue
        charge, currency = entry.charge or Charge(), step.subscription.currency
        if isinstance(entry.command, SettlePayment):
            given = refunds_asked([entry]).total() + credit_grown(entry)
            assert minor(entry.command.amount) == minor(charge.received) + given, f"{entry.id}: late money was kept"
            continue
        if entry.payment is not None:
            assert entry.payment.amount == charge.due(currency), f"{entry.id}: {entry.payment} for {charge}"
        grown = credit_grown(entry)
        given = _given_back_by(entry) - refunds_asked([entry]).total() if entry.charge is None else 0
        assert grown == minor(charge.credits) - minor(charge.credit_used) + given, f"{entry.id}: credit from nowhere"


def credit_grown(entry: Entry) -> int:
    before, after = entry.changes.get("credit", (None, None))
    return minor(after) - minor(before)


def minor(money: Money | None) -> int:
    return 0 if money is None else money.minor


@law("debts do not evaporate: arrears shrink only by money or by an entry that forgives; what failed is owed again")
def debts_stay(step: Step) -> None:
    resumed = {found.entry.version: found for found in resumptions(step)}
    for entry, snapshot in step.snapshots:
        gone = _debts_gone(entry, resumed.get(entry.version))
        charge = entry.charge if entry.charge is not None and entry.event == "applied" else Charge()
        asked = Counter((line.period, line.amount) for line in charge.lines if line.purpose == "arrears")
        assert gone <= asked + _amounts([*charge.forgives, *paid_elsewhere(entry)]), f"{entry.id} lost a debt"
        if entry.billed is not None and entry.event != "applied":
            assert any(debt.period == entry.billed for debt in snapshot.arrears), f"{entry.billed} is owed by nobody"
    for (_, earlier), (entry, snapshot) in pairwise(step.snapshots):
        if entry.event == "failed" and entry.payment is not None:
            _is_owed_again(step, earlier, entry, snapshot)


def paid_elsewhere(entry: Entry) -> list[Debt]:
    """An unpaid invoice is paid outside of our payments; whoever reports it says so."""
    invoice = entry.command.invoice if isinstance(entry.command, ReportInvoice) and entry.command.paid else None
    before, after = entry.changes.get("arrears", ((), ()))
    return [debt for debt in without(before or (), after) if debt.invoice is not None and debt.invoice == invoice]


def _is_owed_again(step: Step, before: Subscription, entry: Entry, after: Subscription) -> None:
    """What failed money had paid for, less what was to go back of it, where the table has a row for it."""
    assert entry.payment is not None
    reference, amount = entry.payment.reference, entry.payment.amount
    going_back = sum(refund.amount.minor for refund in before.refunds if refund.reference == reference)
    assert not any(refund.reference == reference for refund in after.refunds), f"{entry.id} gives back what a bank took"
    paid = [
        other.charge.total(amount.currency).minor
        for other in step.history[: entry.version - 1]
        if other.event == "applied" and other.charge and other.payment and other.payment.reference == reference
    ]
    least = min(amount.minor - going_back, paid[-1] if paid else 0)
    owed = sum(money.minor * count for (_, money), count in _debts_made(entry).items())
    if owed < least:
        with suppress(NotPossible):
            step.lifecycle.decide(before, entry.command, by=SYSTEM, at=entry.recorded_at)
            raise AssertionError(f"{entry.id} makes {owed} minor units owed for the {least} that failed")


def _debts_gone(entry: Entry, resumed: Resumed | None) -> Counter[tuple[BillingPeriod, Money]]:
    """What is owed no more; not what is owed for the days that a pause moved it to."""
    before, after = entry.changes.get("arrears", ((), ()))
    gone, made = _amounts(before or ()) - _amounts(after), _debts_made(entry)
    if resumed is not None:
        for period, money in gone:
            gone[period, money] -= min(gone[period, money], made[resumed.along(period), money])
    return gone


def _debts_made(entry: Entry) -> Counter[tuple[BillingPeriod, Money]]:
    before, after = entry.changes.get("arrears", ((), ()))
    return _amounts(after) - _amounts(before or ())


def _amounts(debts: Iterable[Debt]) -> Counter[tuple[BillingPeriod, Money]]:
    return Counter((debt.period, debt.amount) for debt in debts)


@law("no arbitrage: customers get no more days than they pay for, owe, or policy gives them")
def service_is_paid(step: Step) -> None:
    if not step.customers_only or step.after.attempt is not None:
        return
    subscription = step.subscription
    prices = _prices(step)
    used = _days_used(step, prices)
    zero = Fraction(0)
    value = sum((prices[day] for day in used), zero)
    paid = sum(
        line.amount.minor
        for entry in step.history
        if entry.event == "applied" and entry.charge
        for line in entry.charge.lines
    )
    owed = subscription.owed.minor
    # What fails when all is over is on record, and nobody is left to owe it.
    failed = sum(
        entry.payment.amount.minor
        for entry, snapshot in step.snapshots
        if entry.event == "failed" and entry.payment and not snapshot.state.final
    )
    given = _given_back(step)
    grace = _given_days(step, prices) + _let_go(step, used, prices)
    # Each rounded price may differ by one unit from the exact part of a period, or of a day.
    slack = sum(1 for entry in step.history if entry.charge is not None or "settlements" in entry.changes)
    slack += len(used) if step.lifecycle.policy_of(subscription).rounding == "daily" else 0
    got = paid + owed - failed - given
    assert value <= got + grace + slack, (
        f"{len(used)} days worth {float(value):.0f} were had for {got} and a grace of {float(grace):.0f}"
    )


def _prices(step: Step) -> dict[date, Fraction]:
    """What one day of each billed period costs."""
    prices: dict[date, Fraction] = {}
    moved = {found.entry.version: found for found in resumptions(step)}
    for entry, snapshot in step.snapshots:
        period = entry.billed
        if entry.version in moved:
            prices |= moved[entry.version].prices(prices)
        if period is None:
            continue
        whole = snapshot.schedule.period_containing(period.start)
        price = Fraction(snapshot.price.minor, max(whole.days, period.days))
        prices |= {period.start + timedelta(days=count): price for count in range(period.days)}
    return prices


def _let_go(step: Step, used: Iterable[date], prices: dict[date, Fraction]) -> Fraction:
    """The days that were served of periods that policy forgave afterwards."""
    forgiven = [
        (debt.period.start, min(debt.period.end, local_day(entry.effective_at, snapshot.time_zone)))
        for entry, snapshot in step.snapshots
        for debt in entry.forgiven
    ]
    days = (day for day in used if any(start <= day < end for start, end in forgiven))
    return sum((prices[day] for day in days), Fraction(0))


def _days_used(step: Step, prices: dict[date, Fraction]) -> set[date]:
    return {
        day
        for _, snapshot, start, end in step.spells()
        if snapshot.state.access is Access.FULL
        for day in step.local_days(snapshot, start, end)
        if day < snapshot.next_billing_date and day in prices
    }


def _given_back(step: Step) -> int:
    """Refunds and credit that cancellations gave, and the credit for days that a pause took."""
    made = [entry for entry in step.history if entry.event in ("applied", "held", "declined")]
    credited = sum(minor(entry.charge.credits) for entry in made if entry.charge is not None)
    return credited + sum(_given_back_by(entry) for entry in made if entry.event != "declined")


def _given_back_by(entry: Entry) -> int:
    before, after = entry.changes.get("settlements", ((), ()))
    if PAUSE in (entry.changes.get("causes", ((), ()))[0] or ()):
        # The days moved, or some are gone: nothing goes back with them.
        after = [paid for paid in after if paid.refunded_from is not None]
    known = _refunded(before or ())
    return sum(refunded - known[paid] for paid, refunded in _refunded(after).items())


def _refunded(settlements: Iterable[Settlement]) -> Counter[tuple[BillingPeriod, str | None]]:
    found = Counter[tuple[BillingPeriod, str | None]]()
    for paid in settlements:
        found[paid.period, paid.reference] += minor(paid.refunded)
    return found


def _given_days(step: Step, prices: dict[date, Fraction]) -> Fraction:
    """The day of a cancellation is refunded, and that of a pause moves, although it was begun: once in a period."""
    days = [
        local_day(entry.effective_at, snapshot.time_zone)
        for entry, snapshot in step.snapshots
        if isinstance(entry.command, Cancel) and "settlements" in entry.changes
    ]
    days += first_days(step)
    full = sum(1 for entry in step.history if isinstance(entry.command, Cancel) and entry.command.refund == "full")
    policy = step.lifecycle.policy_of(step.subscription)
    most = max(prices.values(), default=Fraction(0))
    return sum((prices.get(day, Fraction(0)) for day in days), Fraction(0)) + full * policy.full_refund_days * most

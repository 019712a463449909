"""What a decision does to debts that are equal, to credit, and to what was learnt while its payment was open."""

from __future__ import annotations

from datetime import UTC, date, datetime

import attrs

from subscription_lifecycle import (
    ACTIVE,
    MONTHLY,
    PAST_DUE,
    STANDARD,
    SYSTEM,
    BillingPeriod,
    BillingSchedule,
    Debt,
    Money,
    PaymentMethod,
    Plan,
    Subscription,
)
from subscription_lifecycle.machine.decision import onto
from subscription_lifecycle.standard import SettlePayment

AT = datetime(2026, 2, 10, 12, tzinfo=UTC)
PERIOD = BillingPeriod(date(2026, 2, 1), date(2026, 3, 1))
DEBT = Debt(PERIOD, Money(2000, "EUR"), date(2026, 2, 1))


def owing(*debts: Debt, credit: int = 0) -> Subscription:
    return Subscription(
        id="sub_1",
        customer="contoso",
        plan=Plan("business", Money(2000, "EUR"), MONTHLY),
        state=PAST_DUE,
        schedule=BillingSchedule(date(2026, 2, 1), MONTHLY),
        next_billing_date=date(2026, 3, 1),
        paid_through=date(2026, 2, 1),
        term_start=date(2026, 2, 1),
        term_end=date(2026, 3, 1),
        since=datetime(2026, 2, 1, tzinfo=UTC),
        until=date(2026, 3, 3),
        payment_method=PaymentMethod.card("tok", country="NL"),
        arrears=debts,
        credit=Money(credit, "EUR") if credit else None,
        version=3,
    )


def test_of_two_equal_debts_one_is_paid_by_money_for_one() -> None:
    pays = SettlePayment("pay_1", Money(2000, "EUR"), restores=False)
    decision = STANDARD.decide(owing(DEBT, DEBT), pays, by=SYSTEM, at=AT)
    assert decision.after.arrears == (DEBT,)
    assert decision.after.state is PAST_DUE
    pays = SettlePayment("pay_1", Money(4000, "EUR"), restores=False)
    assert STANDARD.decide(owing(DEBT, DEBT), pays, by=SYSTEM, at=AT).after.arrears == ()


def test_credit_is_not_used_for_what_late_money_pays() -> None:
    pays = SettlePayment("pay_1", Money(2000, "EUR"))
    after = STANDARD.decide(owing(DEBT, credit=500), pays, by=SYSTEM, at=AT).after
    assert (after.arrears, after.credit) == ((), Money(500, "EUR"))


def test_a_debt_like_the_one_that_is_paid_and_made_meanwhile_stays() -> None:
    before = owing(DEBT)
    paid = before.changed({"arrears": ()})
    meanwhile = before.changed({"arrears": (DEBT, DEBT)})
    assert onto(meanwhile, before, paid).arrears == (DEBT,)


def test_a_deadline_given_meanwhile_is_not_shortened() -> None:
    before = attrs.evolve(owing(), state=ACTIVE, until=None)
    declined = before.changed({"state": PAST_DUE, "until": date(2026, 3, 1), "arrears": (DEBT,)})
    meanwhile = before.changed({"state": PAST_DUE, "until": date(2026, 3, 9)})
    assert onto(meanwhile, before, declined).until == date(2026, 3, 9)
    assert onto(before, before, declined).until == date(2026, 3, 1)


def test_a_state_is_not_left_while_a_debt_like_the_paid_one_was_made_meanwhile() -> None:
    before = owing(DEBT)
    paid = before.changed({"arrears": (), "state": ACTIVE, "until": None})
    meanwhile = before.changed({"arrears": (DEBT, DEBT)})
    assert onto(meanwhile, before, paid).state is PAST_DUE
    assert onto(before, before, paid).state is ACTIVE

"""Money and days as postings: what each verb does, told by figures that were worked out by hand."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import pytest

from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.model.account import steps
from subscription_lifecycle.model.account.account import NO_BOOKING, Account, AccountName, Booking, Posting
from subscription_lifecycle.model.account.check import check
from subscription_lifecycle.model.account.steps import Step, carried_out
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.schedule import BillingPeriod

MARCH = BillingPeriod(date(2024, 3, 1), date(2024, 4, 1))
JANUARY = BillingPeriod(date(2024, 1, 1), date(2024, 2, 1))


def euros(amount: str) -> Money:
    return Money.of(amount, "EUR")


def day(text: str) -> date:
    return date.fromisoformat(f"2024-{text}")


class Book:
    """An account and everything that was booked in it; each booking is checked as a write would be."""

    def __init__(self) -> None:
        self.account = Account("EUR")
        self.bookings: list[Booking] = []

    def on(self, when: str, *asked: Step) -> Booking:
        before = self.account
        self.account, booking = carried_out(before, asked, day(when))
        check(self.account, [booking])
        assert before.after(booking) == self.account
        self.bookings.append(booking)
        return booking

    def paid_month(self, period: BillingPeriod = JANUARY, payment: str = "p") -> Book:
        self.on(f"{period.start:%m-%d}", steps.sell("b", period, euros("20.00")), capture(payment, "20.00", "b"))
        return self


def capture(payment: str, amount: str, *bills: str) -> Step:
    return steps.capture(payment, euros(amount), *bills)


def taken_back(amount: str, dispute: str, payment: str = "p") -> Step:
    period = [JANUARY.start, JANUARY.end]
    bills = {"b": [2000, *period]}
    return Step("fail", {"payment": payment, "amount": euros(amount), "dispute": dispute, "bills": bills})


def given_back_by_bank(amount: str, dispute: str, payment: str = "p") -> Step:
    return Step("undo_dispute", {"payment": payment, "amount": euros(amount), "dispute": dispute})


def test_a_period_that_is_sold_is_owed_until_it_is_paid() -> None:
    book = Book()
    book.on("03-01", steps.sell("b", MARCH, euros("20.00")))
    [debt] = book.account.arrears
    assert (debt.period, debt.amount, debt.since) == (MARCH, euros("20.00"), MARCH.start)
    assert book.account.paid_through == MARCH.start
    book.on("03-05", capture("p", "20.00", "b"))
    assert book.account.arrears == ()
    assert book.account.paid_through == MARCH.end
    assert book.account.sources("b") == {"p": 2000}


def test_declined_then_cancelled_with_a_refund_then_reactivated() -> None:
    """A month of 20.00: four days are served and owed; 27 are waived; 26 of them are bought again."""
    book = Book()
    book.on("03-01", steps.sell("b2", MARCH, euros("20.00")))
    book.on("03-05", steps.give_back(day("03-05"), buyable=True))
    assert book.account.owed == euros("2.58")
    [back] = book.account.returned
    assert (back.start, back.end, back.sold) == (day("03-05"), day("04-01"), 1742)
    rest = BillingPeriod(day("03-06"), MARCH.end)
    book.on(
        "03-06",
        steps.forget_returned(),
        steps.sell("b3", rest, euros("16.77"), again=True),
        capture("p", "19.35", "b2", "b3"),
    )
    assert book.account.owed == euros("0.00")
    assert book.account.credit == euros("0.00")
    assert book.account.balance("gateway", "p") == euros("19.35")
    assert book.account.worth(MARCH.start) == euros("19.35")


def test_a_prorated_cancellation_gives_paid_days_back_to_their_payment() -> None:
    book = Book().paid_month()
    book.on("01-11", steps.give_back(day("01-11"), buyable=True))
    [due] = book.account.refunds
    assert (due.reference, due.amount) == ("p", euros("13.55"))
    book.on("01-11", steps.give_back(day("01-11"), buyable=True))
    assert book.account.balance("refund_due") == euros("13.55"), "days go back once"


def test_a_favour_takes_no_more_than_itself() -> None:
    """Day 11 of a month of 20.00: a favour of 2.00, then 21 days go back: between 11.55 and 13.55, as credit."""
    book = Book().paid_month()
    book.on("01-11", steps.favour("p", euros("2.00"), "sorry"))
    assert book.account.balance("refund_due") == euros("2.00")
    book.on("01-11", steps.give_back(day("01-11")))
    assert euros("11.55") <= book.account.credit <= euros("13.55")
    assert book.account.balance("refund_due") == euros("2.00"), "the gateway refunds a payment once"


def test_a_gateway_that_refunds_any_number_of_times_is_asked_again() -> None:
    book = Book()
    many = Step("capture", {"payment": "p", "amount": 2000, "bills": ["b"], "many": True})
    book.on("01-01", steps.sell("b", JANUARY, euros("20.00")), many)
    book.on("01-11", steps.favour("p", euros("2.00"), "sorry"))
    book.on("01-11", steps.give_back(day("01-11")))
    assert book.account.credit == euros("0.00")
    assert euros("13.55") <= book.account.balance("refund_due") <= euros("15.55")


def test_a_payment_is_reopened_only_out_of_what_was_closed() -> None:
    book = Book().paid_month()
    assert book.on("01-02", steps.reopen("q", euros("5.00"), euros("0.00"))) == NO_BOOKING


@pytest.mark.parametrize("order", ["taken first", "given back first"])
def test_the_order_of_a_dispute_and_of_days_that_go_back_does_not_matter(order: str) -> None:
    """Day 11 of 31: what a bank took of days that go back is owed no more, whichever is heard first."""
    book = Book().paid_month()
    both = [taken_back("20.00", "dp_1"), steps.give_back(day("01-11"))]
    for step in both if order == "taken first" else reversed(both):
        book.on("01-11", step)
    assert book.account.owed == euros("6.45")
    assert book.account.refunds == ()
    assert book.account.credit == euros("0.00")


def test_a_bank_that_takes_a_part_leaves_that_part_owed_and_its_undoing_pays_it() -> None:
    book = Book().paid_month()
    book.on("01-10", taken_back("5.00", "dp_1"))
    assert book.account.owed == euros("5.00")
    book.on("01-20", given_back_by_bank("5.00", "dp_1"))
    assert book.account.owed == euros("0.00")
    assert book.account.refunds == ()


def test_an_end_of_a_dispute_that_is_heard_first_changes_nothing_in_the_end() -> None:
    book = Book().paid_month()
    before = book.account
    book.on("01-10", given_back_by_bank("20.00", "dp_1"))
    book.on("01-11", taken_back("20.00", "dp_1"))
    assert (book.account.owed, book.account.credit, book.account.refunds) == (before.owed, before.credit, ())


def test_two_disputes_take_no_more_than_came() -> None:
    book = Book().paid_month()
    book.on("01-10", taken_back("15.00", "dp_1"))
    book.on("01-11", taken_back("15.00", "dp_2"))
    assert book.account.owed == euros("20.00")
    book.on("01-12", given_back_by_bank("15.00", "dp_1"))
    assert book.account.owed == euros("15.00")


def test_a_debit_that_fails_later_leaves_its_debt_as_old_as_it_was() -> None:
    book = Book()
    book.on("01-01", steps.sell("b", JANUARY, euros("20.00")))
    sent = Step("capture", {"payment": "p", "amount": 2000, "bills": ["b"], "transit": True, "ask_on": "2024-01-15"})
    book.on("01-08", sent)
    [debit] = book.account.submitted
    assert (debit.amount, debit.ask_on) == (euros("20.00"), day("01-15"))
    assert book.account.owed == euros("0.00")
    book.on("01-12", Step("fail", {"payment": "p", "amount": 2000}))
    [debt] = book.account.arrears
    assert debt.since == day("01-01")
    assert book.account.submitted == ()


def test_an_invoice_that_is_paid_twice_leaves_credit_and_correcting_it_takes_that_away() -> None:
    book = Book()
    book.on("01-01", steps.sell("b", JANUARY, euros("20.00")), steps.put_on_invoice("b"))
    assert book.account.owed == euros("0.00")
    line = {"b": (2000, *JANUARY)}
    book.on("01-15", steps.invoice_unpaid("R-1", line))
    [debt] = book.account.arrears
    assert debt.invoice == "R-1"
    book.on("01-16", capture("p", "20.00", "b"))
    book.on("01-17", steps.invoice_paid("R-1", {"b": euros("20.00")}))
    assert book.account.credit == euros("20.00")
    book.on("01-18", steps.invoice_unpaid("R-1", line, paid_before=True))
    assert (book.account.owed, book.account.credit) == (euros("0.00"), euros("0.00"))


def test_an_invoice_that_was_reported_paid_by_mistake_is_owed_again() -> None:
    book = Book()
    book.on("01-01", steps.sell("b", JANUARY, euros("20.00")), steps.put_on_invoice("b"))
    book.on("01-15", steps.invoice_paid("R-1", {"b": euros("20.00")}))
    book.on("01-20", steps.invoice_unpaid("R-1", {"b": (2000, *JANUARY)}, paid_before=True))
    assert book.account.owed == euros("20.00")
    book.on("01-25", steps.invoice_paid("R-1", {"b": euros("20.00")}))
    assert (book.account.owed, book.account.credit) == (euros("0.00"), euros("0.00"))


def test_a_pause_moves_days_and_no_money() -> None:
    book = Book().paid_month()
    booking = book.on("01-21", steps.shift(day("01-11"), 10))
    assert sum(abs(posting.amount.minor) for posting in booking.postings if posting.name.kind != "service") == 0
    assert book.account.paid_through == day("02-11")
    assert book.account.worth(day("01-21")) == euros("13.55")


def test_write_off_gives_up_what_was_served_and_lets_go_of_the_days_to_come() -> None:
    year = BillingPeriod(date(2024, 1, 1), date(2025, 1, 1))
    book = Book()
    book.on("01-01", steps.sell("b", year, euros("366.00")))
    book.on("01-05", steps.waive(day("01-05"), buyable=True), steps.forgive())
    assert book.account.owed == euros("0.00")
    assert book.account.balance("forgiven") == euros("4.00")
    [back] = book.account.returned
    assert (back.start, back.sold) == (day("01-05"), 36200)


def test_days_that_were_delivered_are_earned_and_their_payment_is_closed() -> None:
    book = Book().paid_month()
    book.on("02-01", steps.serve(day("02-01")))
    assert book.account.balance("earned") == euros("20.00")
    assert book.account.balance("cash") == euros("20.00")
    assert dict(book.account.lots) == {}
    assert book.account.paid_through == day("02-01")
    book.on("02-10", steps.reopen("p", euros("20.00"), euros("0.00")), taken_back("20.00", "dp_1"))
    [debt] = book.account.arrears
    assert (debt.period, debt.amount, debt.since) == (JANUARY, euros("20.00"), day("02-10"))


def test_another_currency_is_parked_and_goes_back_as_it_came() -> None:
    book = Book().paid_month()
    book.on("01-02", Step("park", {"payment": "q", "amount": 700, "currency": "USD"}))
    book.on("01-03", Step("unpark", {"payment": "q"}))
    [due] = book.account.refunds
    assert due.amount == Money(700, "USD")
    book.on("01-03", Step("confirm_refund", {"payment": "q", "amount": 700, "currency": "USD"}))
    assert book.account.refunds == ()
    assert "USD" not in {amount.currency for amount in book.account.trial_balance().values()}


def test_late_money_pays_the_oldest_as_far_as_it_goes() -> None:
    book = Book()
    book.on("01-01", steps.sell("b1", JANUARY, euros("20.00")))
    book.on("03-01", steps.sell("b2", MARCH, euros("20.00")))
    book.on("03-05", capture("p", "30.00"))
    [debt] = book.account.arrears
    assert (debt.period, debt.amount) == (MARCH, euros("10.00"))
    assert book.account.paid_through == MARCH.start


def test_money_that_pays_nothing_goes_back() -> None:
    book = Book().paid_month()
    book.on("01-05", capture("q", "20.00"))
    assert [(due.reference, due.amount) for due in book.account.refunds] == [("q", euros("20.00"))]


def test_a_debit_that_was_refunded_has_arrived() -> None:
    """A gateway gives back only what is here: a failure that is reported behind it takes nothing away."""
    book = Book()
    sent = Step("capture", {"payment": "p", "amount": 2000, "bills": ["b"], "transit": True})
    book.on("01-01", steps.sell("b", JANUARY, euros("20.00")), sent)
    book.on("01-02", steps.give_back(day("01-01")))
    book.on("01-03", Step("confirm_refund", {"payment": "p", "amount": 2000}))
    book.on("01-04", Step("fail", {"payment": "p", "amount": 2000}))
    assert (book.account.owed, book.account.credit) == (euros("0.00"), euros("0.00"))


def test_money_that_was_given_away_pays_for_no_days_when_a_bank_gives_it_back() -> None:
    """Captured, refunded as a favour, taken by the bank and given back: none of it is here."""
    book = Book().paid_month()
    book.on("01-02", steps.favour("p", euros("20.00"), "sorry"))
    book.on("01-03", steps.sell("b2", MARCH, euros("20.00")))
    book.on("01-03", Step("confirm_refund", {"payment": "p", "amount": 2000}))
    book.on("01-04", Step("fail", {"payment": "p", "amount": 2000, "dispute": "dp_1", "bills": {"b2": [2000]}}))
    assert book.account.owed == euros("40.00")
    book.on("01-05", given_back_by_bank("20.00", "dp_1"))
    assert book.account.owed == euros("20.00")
    assert book.account.refunds == ()


def test_what_a_bank_takes_when_nobody_is_left_to_owe_it_is_lost_and_comes_back_to_the_seller() -> None:
    book = Book().paid_month()
    book.on("01-10", taken_back("20.00", "dp_1"), Step("lose", {"payment": "p"}))
    assert book.account.owed == euros("0.00")
    assert book.account.balance("lost", "p") == euros("20.00")
    book.on("01-20", given_back_by_bank("20.00", "dp_1"))
    assert book.account.balance("lost") == euros("0.00")
    assert (book.account.refunds, book.account.credit) == ((), euros("0.00"))


def test_what_falls_due_later_is_owed_since_then() -> None:
    book = Book()
    book.on("01-01", steps.sell("b", JANUARY, euros("20.00")))
    book.on("01-20", steps.fall_due("b"))
    [debt] = book.account.arrears
    assert debt.since == day("01-20")


def test_what_is_on_hold_is_owed_and_says_so() -> None:
    book = Book()
    book.on("01-01", steps.sell("b", JANUARY, euros("20.00")), steps.put_on_hold("b"))
    [debt] = book.account.arrears
    assert debt.held
    book.on("01-05", capture("p", "20.00", "b"))
    assert book.account.arrears == ()


def test_no_more_credit_is_used_than_was_agreed() -> None:
    book = Book()
    book.on("01-01", steps.give_credit(euros("15.00")), steps.sell("b", JANUARY, euros("20.00")))
    book.on("01-01", steps.use_credit("b", most=euros("5.00")))
    assert (book.account.owed, book.account.credit) == (euros("15.00"), euros("10.00"))
    assert book.account.sources("b") == {"due": 1500, "credit": 500}


# -- what no write may break


def posted(*postings: tuple[str, int]) -> Booking:
    return Booking(tuple(Posting(name(account), Money(minor, "EUR")) for account, minor in postings))


def name(text: str) -> AccountName:
    return AccountName(*text.split("/"))


BROKEN: Iterable[tuple[str, Booking]] = (
    ("sum to", posted(("credit", -100))),
    ("wrong side", posted(("credit", 100), ("opening", -100))),
    ("gives back", posted(("refund_due/p", -2500), ("opening", 2500))),
    ("pays for service", posted(("gateway/p", -2000), ("cash", 2000))),
    ("less than that is owed", posted(("service/b/p", 2000), ("service/b/due", -2000))),
    ("are kept", posted(("earned", -2000), ("cash", 2000))),
    ("no lot", posted(("service/none/credit", -100), ("opening", 100))),
    ("no kind of account", posted(("pocket", 100), ("opening", -100))),
    ("is kept in EUR", Booking((Posting(name("credit"), Money(-1, "USD")), Posting(name("opening"), Money(1, "USD"))))),
)


@pytest.mark.parametrize(("told", "booking"), BROKEN, ids=[told for told, _ in BROKEN])
def test_a_booking_that_makes_or_keeps_money_is_refused(told: str, booking: Booking) -> None:
    account = Book().paid_month().account
    check(account)
    with pytest.raises(InvalidValue, match=told) as refused:
        check(account.after(booking), [booking])
    assert refused.value.field == "account"


def test_a_step_names_a_verb() -> None:
    with pytest.raises(InvalidValue, match="'steal' is no verb of the account"):
        Step("steal", {"amount": 1})


def test_a_balance_names_a_kind() -> None:
    with pytest.raises(InvalidValue, match="'pocket' is no kind of account"):
        Account("EUR").balance("pocket")

from __future__ import annotations

import copy
import operator
import pickle
from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import iso4217
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.model import validation
from subscription_lifecycle.model.currencies import EXPONENTS, WITHDRAWN
from subscription_lifecycle.model.money import LARGEST_MINOR, Money

minors = st.integers(-(10**14), 10**14)
currencies = st.sampled_from(sorted(EXPONENTS))
sums = st.builds(Money, minors, currencies)


def refused(field: str, call: Callable[[], object]) -> InvalidValue:
    with pytest.raises(InvalidValue) as caught:
        call()
    assert caught.value.field == field
    return caught.value


class TestConstruction:
    @pytest.mark.parametrize("minor", [20.0, "2000", Decimal(2000), True, None, 10**18 + 1, -(10**18) - 1])
    def test_minor_is_a_whole_number_of_sane_size(self, minor: Any) -> None:
        refused("minor", lambda: Money(minor, "EUR"))

    @pytest.mark.parametrize("minor", [LARGEST_MINOR, -LARGEST_MINOR, 0])
    def test_the_largest_sums_fit(self, minor: int) -> None:
        assert Money(minor, "EUR").minor == minor

    @pytest.mark.parametrize("currency", ["eur", "EURO", "XXX", "XAU", "€", "", None, 978, ["EUR"]])
    def test_unknown_currencies(self, currency: Any) -> None:
        refused("currency", lambda: Money(1, currency))
        refused("currency", lambda: Money.of(1, currency))

    @pytest.mark.parametrize(
        ("amount", "currency", "minor"),
        [
            ("20.00", "EUR", 2000),
            ("20", "EUR", 2000),
            ("-0.05", "EUR", -5),
            (20, "EUR", 2000),
            (20, "JPY", 20),
            ("1.234", "KWD", 1234),
            ("0.0001", "CLF", 1),
            (Decimal("20.000"), "EUR", 2000),
            (Decimal("2E+3"), "EUR", 200_000),
            (Decimal("-0.00"), "EUR", 0),
            (Decimal("0E+999999"), "EUR", 0),
            ("10000000000000000.00", "EUR", 10**18),
        ],
        ids=repr,
    )
    def test_of(self, amount: Decimal | int | str, currency: str, minor: int) -> None:
        assert Money.of(amount, currency) == Money(minor, currency)

    @pytest.mark.parametrize(
        "amount",
        [
            *(20.0, float("nan"), True, None, Fraction(1, 2), b"20"),
            *("", " 20", "20 ", "20,00", "1_000", "1e3", "٢٠", "NaN", "inf", "+20", ".5", "5.", "0x10", "20\n"),
            *(Decimal("NaN"), Decimal("Infinity"), Decimal("-sNaN"), Decimal("1E+999999"), Decimal("1E-999999")),
            *("0.001", "20.000", Decimal("0.001"), Decimal("-1.999"), "9" * 40, "1" * 5_000),
        ],
        ids=validation.brief,
    )
    def test_of_refuses(self, amount: Any) -> None:
        assert len(str(refused("amount", lambda: Money.of(amount, "EUR")))) < 300

    def test_of_refuses_what_is_too_large(self) -> None:
        refused("minor", lambda: Money.of(10**17, "EUR"))
        refused("minor", lambda: Money.of("10000000000000000.01", "EUR"))

    def test_yen_have_no_decimals(self) -> None:
        refused("amount", lambda: Money.of("20.00", "JPY"))
        assert Money.of(Decimal("20.00"), "JPY") == Money(20, "JPY")

    def test_frozen_hashable_copied_and_pickled(self) -> None:
        money = Money(2000, "EUR")
        with pytest.raises(AttributeError):
            money.minor = 1  # type: ignore[misc]
        assert {money: 1}[Money(2000, "EUR")] == 1
        assert pickle.loads(pickle.dumps(money)) == copy.deepcopy(money) == money
        assert not hasattr(money, "__dict__")


class TestText:
    @pytest.mark.parametrize(
        ("money", "text"),
        [
            (Money(2000, "EUR"), "20.00 EUR"),
            (Money(-5, "EUR"), "-0.05 EUR"),
            (Money(2000, "JPY"), "2000 JPY"),
            (Money(1, "CLF"), "0.0001 CLF"),
            (Money(0, "KWD"), "0.000 KWD"),
            (Money(10**18, "EUR"), "10000000000000000.00 EUR"),
        ],
    )
    def test_str(self, money: Money, text: str) -> None:
        assert str(money) == text

    @given(sums)
    def test_of_reads_what_amount_writes(self, money: Money) -> None:
        assert Money.of(money.amount, money.currency) == money
        assert Money.of(str(money.amount), money.currency) == money

    def test_the_callers_decimal_context_rounds_nothing(self) -> None:
        with localcontext() as context:
            context.prec = 3
            assert str(Money(123_456, "EUR").amount) == "1234.56"
            assert Money.of(Decimal("1234.56"), "EUR") == Money(123_456, "EUR")


class TestArithmetic:
    @given(minors, minors, currencies)
    def test_sums(self, one: int, other: int, currency: str) -> None:
        assert Money(one, currency) + Money(other, currency) == Money(one + other, currency)
        assert Money(one, currency) - Money(other, currency) == Money(one - other, currency)
        assert -Money(one, currency) == Money(-one, currency)

    @given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
    def test_times(self, minor: int, times: int) -> None:
        assert Money(minor, "EUR") * times == times * Money(minor, "EUR") == Money(minor * times, "EUR")

    def test_zero_is_false(self) -> None:
        assert not Money.zero("EUR")
        assert Money(-1, "EUR")
        assert sum([Money(1, "EUR"), Money(2, "EUR")], Money.zero("EUR")) == Money(3, "EUR")

    @given(minors, minors)
    def test_order(self, one: int, other: int) -> None:
        first, second = Money(one, "EUR"), Money(other, "EUR")
        assert (first < second, first <= second, first > second, first >= second, first == second) == (
            *(one < other, one <= other, one > other, one >= other, one == other),
        )

    def test_results_too_large(self) -> None:
        refused("minor", lambda: Money(LARGEST_MINOR, "EUR") + Money(1, "EUR"))
        refused("minor", lambda: Money(-LARGEST_MINOR, "EUR") - Money(1, "EUR"))
        refused("minor", lambda: Money(LARGEST_MINOR, "EUR") * 2)

    @pytest.mark.parametrize("mix", [operator.add, operator.sub, operator.lt, operator.le, operator.gt, operator.ge])
    def test_currencies_do_not_mix_nor_do_types(self, mix: Callable[[Any, Any], object]) -> None:
        error = refused("currency", lambda: mix(Money(1, "EUR"), Money(1, "USD")))
        assert "EUR and USD" in str(error)
        for stranger in (1, 0, 1.0, "1.00 EUR", None, Decimal(1)):
            with pytest.raises(TypeError):
                mix(Money(1, "EUR"), stranger)
            with pytest.raises(TypeError):
                mix(stranger, Money(1, "EUR"))

    def test_equality_is_never_an_error(self) -> None:
        assert Money(0, "EUR") != Money(0, "USD")
        one: Any = 1
        assert Money(1, "EUR") != one

    @pytest.mark.parametrize("times", [1.5, 2.0, True, Decimal(2), "2", Money(2, "EUR")])
    def test_times_takes_whole_numbers_only(self, times: Any) -> None:
        with pytest.raises(TypeError):
            Money(1, "EUR") * times
        with pytest.raises(TypeError):
            times * Money(1, "EUR")


class TestSplit:
    @given(minors, currencies, st.integers(1, 200))
    def test_no_unit_is_lost(self, minor: int, currency: str, n: int) -> None:
        parts = Money(minor, currency).split(n)
        sizes = [abs(part.minor) for part in parts]
        assert len(parts) == n
        assert sum(parts, Money.zero(currency)) == Money(minor, currency)
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[0] - sizes[-1] <= 1
        assert Money(-minor, currency).split(n) == tuple(-part for part in parts)

    def test_larger_parts_first(self) -> None:
        assert [part.minor for part in Money(2000, "EUR").split(3)] == [667, 667, 666]
        assert [part.minor for part in Money(-2, "EUR").split(3)] == [-1, -1, 0]
        assert Money(LARGEST_MINOR, "EUR").split(1) == (Money(LARGEST_MINOR, "EUR"),)

    @pytest.mark.parametrize("n", [0, -1, 1.0, True, None, 10**9])
    def test_bad_numbers_of_parts(self, n: Any) -> None:
        refused("n", lambda: Money(1, "EUR").split(n))


class TestProration:
    @pytest.mark.parametrize(
        ("price", "days", "of", "rounding", "share"),
        [
            # Microsoft Partner Center, annual licences at 48.00: the daily price of 0.13 is rounded first.
            ("48.00", 19, 365, "daily", "2.47"),
            ("48.00", 346 * 2, 365, "daily", "89.96"),
            ("48.00", 318, 365, "daily", "41.34"),
            ("-48.00", 318, 365, "daily", "-41.34"),
            ("48.00", 19, 365, "last", "2.50"),
            ("48.00", 346 * 2, 365, "last", "91.00"),
            # The same price file, 211.20: rounded last.
            ("211.20", 1, 365, "last", "0.58"),
            ("211.20", 27, 365, "last", "15.62"),
            ("211.20", 337, 365, "last", "195.00"),
            # Monthly licences at 4.00 in a month of 31 days.
            ("4.00", 19, 31, "last", "2.45"),
            ("4.00", 12, 31, "last", "1.55"),
            # Half a cent goes away from zero.
            ("0.01", 1, 2, "last", "0.01"),
            ("-0.01", 1, 2, "last", "-0.01"),
            ("0.03", 1, 2, "last", "0.02"),
            ("0.01", 49, 100, "last", "0.00"),
            ("20.00", 12, 31, "last", "7.74"),
            ("365.00", 266, 365, "last", "266.00"),
        ],
    )
    def test_published(self, price: str, days: int, of: int, rounding: Any, share: str) -> None:
        assert Money.of(price, "USD").prorated(days, of, rounding=rounding) == Money.of(share, "USD")

    @given(sums, st.integers(0, 4000), st.integers(1, 4000))
    def test_last_is_within_half_a_unit(self, money: Money, days: int, of: int) -> None:
        share = money.prorated(days, of)
        exact = Fraction(money.minor * days, of)
        assert abs(share.minor - exact) <= Fraction(1, 2)
        assert (-money).prorated(days, of) == -share
        if abs(share.minor - exact) == Fraction(1, 2):
            assert abs(share.minor) > abs(exact)

    @given(sums, st.integers(0, 366), st.integers(1, 366))
    def test_daily_is_whole_daily_prices(self, money: Money, days: int, of: int) -> None:
        assert money.prorated(days, of, rounding="daily") == money.prorated(1, of) * days

    @given(sums, st.integers(1, 366))
    def test_all_days_are_the_whole_and_no_day_is_nothing(self, money: Money, of: int) -> None:
        assert money.prorated(of, of) == money
        assert money.prorated(0, of) == Money.zero(money.currency)

    @given(sums, st.integers(1, 366), st.data())
    def test_two_shares_miss_the_whole_by_one_unit_at_most(self, money: Money, of: int, data: st.DataObject) -> None:
        used = data.draw(st.integers(0, of))
        difference = money.prorated(used, of) + money.prorated(of - used, of) - money
        assert abs(difference.minor) <= 1

    @pytest.mark.parametrize(
        ("field", "days", "of", "rounding"),
        [
            *(("days", days, 31, "last") for days in (-1, 1.0, True, None, 10**9)),
            *(("of", 1, of, "last") for of in (0, -1, 31.0, None)),
            *(("rounding", 1, 31, rounding) for rounding in ("up", None, ["last"])),
        ],
    )
    def test_bad_input(self, field: str, days: Any, of: Any, rounding: Any) -> None:
        refused(field, lambda: Money(1, "EUR").prorated(days, of, rounding=rounding))


class TestConvert:
    @pytest.mark.parametrize(
        "other",
        [
            SimpleNamespace(amount=Decimal("20.00"), currency="EUR"),
            SimpleNamespace(amount="20.00", currency="EUR"),
            SimpleNamespace(amount=20, currency=SimpleNamespace(code="EUR")),
            SimpleNamespace(amount=Decimal(20), currency=iso4217.Currency("EUR")),
            Money(2000, "EUR"),
        ],
    )
    def test_whatever_has_amount_and_currency(self, other: object) -> None:
        assert Money.convert(other) == Money(2000, "EUR")

    def test_refuses(self) -> None:
        refused("amount", lambda: Money.convert(20))
        refused("amount", lambda: Money.convert(SimpleNamespace(amount=20.0, currency="EUR")))
        refused("amount", lambda: Money.convert(SimpleNamespace(amount=Decimal("0.001"), currency="EUR")))
        refused("currency", lambda: Money.convert(SimpleNamespace(amount=1, currency=None)))

    @given(sums)
    def test_a_money_is_itself(self, money: Money) -> None:
        assert Money.convert(money) == money


class TestCurrencies:
    NO_MINOR_UNIT = frozenset("XAG XAU XBA XBB XBC XBD XDR XPD XPT XSU XTS XUA XXX".split())  # noqa: SIM905
    """Metals, units of account, tests: nothing is priced in them."""

    def test_the_published_table(self) -> None:
        theirs = {currency.code: currency.exponent for currency in iso4217.Currency}
        ours = dict(EXPONENTS)
        assert {code for code, decimals in theirs.items() if decimals is None} == self.NO_MINOR_UNIT
        assert {code: decimals for code, decimals in theirs.items() if decimals is not None} == {
            code: decimals for code, decimals in ours.items() if code not in WITHDRAWN
        }

    def test_withdrawn_codes_stay_readable(self) -> None:
        assert not WITHDRAWN & {currency.code for currency in iso4217.Currency}
        assert str(Money(2000, "HRK")) == "20.00 HRK"

    def test_data_cannot_be_changed(self) -> None:
        with pytest.raises(TypeError):
            EXPONENTS["EUR"] = 3  # type: ignore[index]

    @given(sums, sums)
    def test_every_two_currencies_stay_apart(self, one: Money, other: Money) -> None:
        assume(one.currency != other.currency)
        assert one != other
        refused("currency", lambda: one + other)

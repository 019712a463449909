"""Money: a whole number of minor units of one currency."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final, Literal

import attrs

from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.model import validation
from subscription_lifecycle.model.currencies import exponent

__all__ = ["LARGEST_MINOR", "Money", "Rounding"]

Rounding = Literal["last", "daily"]

LARGEST_MINOR: Final = 10**18
"""Larger sums are mistakes, and would not fit the 64-bit columns and fields of databases and gateways."""

_MOST_PARTS: Final = 100_000
_MOST_DAYS: Final = 10_000_000


def _size(_: object, attribute: attrs.Attribute[int], value: object) -> None:
    if type(value) is not int and not validation.is_a(value, int):
        raise InvalidValue(
            attribute.name, f"{validation.brief(value)} is not an int", "Pass whole minor units, or use Money.of."
        )
    assert isinstance(value, int)
    if abs(value) > LARGEST_MINOR:
        raise InvalidValue(attribute.name, "it is larger than 10**18 minor units", "Check the unit and the amount.")


def _currency(_: object, __: attrs.Attribute[str], value: object) -> None:
    exponent(value)


@attrs.frozen
class Money:
    """An exact sum: `Money(2000, "EUR")` is 20 euros, `Money(2000, "JPY")` 2000 yen. It may be negative or zero.

    `minor` counts the currency's smallest unit in ISO 4217, at most 10**18 either way. Floats are refused everywhere.
    Sums of different currencies are never equal; adding or ordering them raises InvalidValue (`currency`). A bool of
    it says whether it is anything but zero.
    """

    minor: int = attrs.field(validator=_size)
    currency: str = attrs.field(validator=_currency)

    @classmethod
    def of(cls, amount: Decimal | int | str, currency: str) -> Money:
        """From major units, exactly: `Money.of("20.00", "EUR")`.

        Raises InvalidValue (`amount`) when it is no plain number or has a part smaller than the minor unit. Text may
        not show more decimals than the currency has, even zeros: "20.000" is twenty to some and 20 000 to others.
        """
        decimals = exponent(currency)
        return cls(_exact(amount, decimals), currency)

    @classmethod
    def zero(cls, currency: str) -> Money:
        return cls(0, currency)

    @classmethod
    def convert(cls, other: Any) -> Money:
        """From any library's money: an object with `amount` and `currency`, the latter a code or an object with one.

        Raises InvalidValue when it has neither, or for whatever `Money.of` refuses.
        """
        if not hasattr(other, "amount") or not hasattr(other, "currency"):
            raise InvalidValue(
                "amount", f"{validation.brief(other)} has no amount and currency", "Pass a Money, or use Money.of."
            )
        currency = other.currency
        return cls.of(other.amount, getattr(currency, "code", currency))

    @property
    def amount(self) -> Decimal:
        """In major units, with the currency's decimals: `Decimal("20.00")`."""
        # Built from text: arithmetic on Decimals obeys the caller's decimal context and may round.
        return Decimal(f"{self.minor}E-{exponent(self.currency)}")

    def split(self, n: int) -> tuple[Money, ...]:
        """`n` parts that add up to the whole and differ by one minor unit at most, those larger in size first."""
        validation.whole("n", n, 1, _MOST_PARTS)
        sign = -1 if self.minor < 0 else 1
        each, rest = divmod(abs(self.minor), n)
        smaller = Money(sign * each, self.currency)
        larger = Money(sign * (each + 1), self.currency) if rest else smaller
        return (larger,) * rest + (smaller,) * (n - rest)

    def prorated(self, days: int, of: int, *, rounding: Rounding = "last") -> Money:
        """The share that `days` days have in a price for `of` days; halves are rounded away from zero.

        "last" rounds once, at the end. "daily" rounds the price of one day first and multiplies it, so that `of` days
        need not add up to the whole. Both are in use, even on one published price file (Microsoft Partner Center,
        annual licence proration). Raises InvalidValue (`days`, `of`, `rounding`).
        """
        validation.whole("days", days, 0, _MOST_DAYS)
        validation.whole("of", of, 1, _MOST_DAYS)
        if rounding == "last":
            return Money(_half_up(self.minor * days, of), self.currency)
        if rounding == "daily":
            return Money(_half_up(self.minor, of) * days, self.currency)
        raise InvalidValue(
            "rounding", f"{validation.brief(rounding)} is neither 'last' nor 'daily'", "Choose one of them."
        )

    def __add__(self, other: Money) -> Money:
        if not validation.is_a(other, Money):
            return NotImplemented
        return Money(self.minor + self._same_currency(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        if not validation.is_a(other, Money):
            return NotImplemented
        return Money(self.minor - self._same_currency(other), self.currency)

    def __mul__(self, times: int) -> Money:
        if not validation.is_a(times, int):
            return NotImplemented
        return Money(self.minor * times, self.currency)

    __rmul__ = __mul__

    def __neg__(self) -> Money:
        return Money(-self.minor, self.currency)

    def __lt__(self, other: Money) -> bool:
        if not validation.is_a(other, Money):
            return NotImplemented
        return self.minor < self._same_currency(other)

    def __le__(self, other: Money) -> bool:
        if not validation.is_a(other, Money):
            return NotImplemented
        return self.minor <= self._same_currency(other)

    def __gt__(self, other: Money) -> bool:
        if not validation.is_a(other, Money):
            return NotImplemented
        return self.minor > self._same_currency(other)

    def __ge__(self, other: Money) -> bool:
        if not validation.is_a(other, Money):
            return NotImplemented
        return self.minor >= self._same_currency(other)

    def __bool__(self) -> bool:
        return self.minor != 0

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"

    def _same_currency(self, other: Money) -> int:
        if other.currency != self.currency:
            raise InvalidValue(
                "currency",
                f"{self.currency} and {other.currency} do not mix",
                "Convert one of them first, at a rate of your choice.",
            )
        return other.minor


def _half_up(numerator: int, denominator: int) -> int:
    size = (2 * abs(numerator) + denominator) // (2 * denominator)
    return size if numerator >= 0 else -size


_NUMBER: Final = re.compile(r"-?[0-9]{1,30}(?:\.([0-9]{1,30}))?")


def _exact(amount: object, decimals: int) -> int:
    if isinstance(amount, int) and not isinstance(amount, bool):
        return amount * _power_of_ten(decimals)
    if isinstance(amount, str):
        number = _NUMBER.fullmatch(amount)
        if number is None:
            raise InvalidValue("amount", f"{validation.brief(amount)} is not a plain number", 'Pass text like "20.00".')
        if len(number[1] or "") > decimals:
            raise _too_many_decimals(amount, decimals)
        amount = Decimal(amount)
    if not isinstance(amount, Decimal) or not amount.is_finite():
        raise InvalidValue("amount", f"{validation.brief(amount)} is not a finite Decimal, int or str", "Pass one.")
    return _shifted(amount, decimals)


def _shifted(amount: Decimal, decimals: int) -> int:
    sign, digits, exponent_of_ten = amount.as_tuple()
    assert isinstance(exponent_of_ten, int)
    shift = exponent_of_ten + decimals
    if not any(digits):
        return 0
    if len(digits) + shift > 20:
        raise InvalidValue("amount", "it is larger than 10**18 minor units", "Check the unit and the amount.")
    kept, lost = (digits, ()) if shift >= 0 else (digits[:shift], digits[shift:])
    if any(lost):
        raise _too_many_decimals(amount, decimals)
    size = int("".join(map(str, kept)) or "0") * _power_of_ten(max(shift, 0))
    return -size if sign else size


def _power_of_ten(exponent_of_ten: int) -> int:
    return int(10**exponent_of_ten)


def _too_many_decimals(amount: object, decimals: int) -> InvalidValue:
    return InvalidValue(
        "amount", f"{validation.brief(amount)} has more than {decimals} decimals", "Round it first, by a rule of yours."
    )

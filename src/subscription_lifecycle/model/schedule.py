"""When billing periods begin: dates that never drift, and periods that tile the calendar."""

from __future__ import annotations

import calendar
from datetime import date
from typing import Final, Literal, NamedTuple, TypeAlias

import attrs

from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.model import validation

__all__ = ["DAILY", "MONTHLY", "QUARTERLY", "WEEKLY", "YEARLY", "BillingPeriod", "BillingSchedule", "Period"]

Unit: TypeAlias = Literal["day", "week", "month", "year"]
Align: TypeAlias = Literal["anniversary", "calendar"]
MonthEnd: TypeAlias = Literal["clamp", "sticky"]

_LONGEST: Final = 1200
_MOST_DATES: Final = 100_000
_FARTHEST: Final = 4_000_000
_MONTHS_IN: Final = {"month": 1, "year": 12}
_DAYS_IN: Final = {"day": 1, "week": 7}


@attrs.frozen
class Period:
    """An amount of calendar: `Period(3, "month")`. How many days that is depends on where it starts.

    `count` is 1 to 1200. Twelve months and one year are different values that step alike.
    """

    count: int = attrs.field(validator=validation.between(1, _LONGEST))
    unit: Unit = attrs.field(validator=validation.one_of("day", "week", "month", "year"))

    @property
    def steps(self) -> tuple[Literal["day", "month"], int]:
        """The same in days or in months: equal for two periods that step alike."""
        if self.unit in _DAYS_IN:
            return "day", self.count * _DAYS_IN[self.unit]
        return "month", self.count * _MONTHS_IN[self.unit]

    def __str__(self) -> str:
        return f"{self.count} {self.unit}" if self.count == 1 else f"{self.count} {self.unit}s"


DAILY: Final = Period(1, "day")
WEEKLY: Final = Period(1, "week")
MONTHLY: Final = Period(1, "month")
QUARTERLY: Final = Period(3, "month")
YEARLY: Final = Period(1, "year")


class BillingPeriod(NamedTuple):
    """Local days from `start` up to, but not including, `end`."""

    start: date
    end: date

    @property
    def days(self) -> int:
        return (self.end - self.start).days

    def __str__(self) -> str:
        return f"[{self.start}, {self.end})"


_CALENDAR_COUNTS: Final = {"day": (1,), "week": (1,), "month": (1, 2, 3, 4, 6, 12), "year": (1,)}

# A Monday and a first of January: every natural boundary is a whole number of periods away from it.
_CALENDAR_ORIGIN: Final = date(1, 1, 1)


@attrs.frozen
class BillingSchedule:
    """Local days without end in either direction, on each of which a billing period begins.

    "anniversary": the days are `anchor` plus any whole number of `every`, each computed from the anchor, so that no
    short month moves later days: 31 January, 29 February, 31 March. `month_end` says what a short month does: "clamp"
    takes its last day; "sticky" does too, and when the anchor is the last day of its month every date is.
    "calendar": the days are natural boundaries, whatever the anchor: each day, Mondays, the first of each one, two,
    three, four, six or twelve months counted from January, 1 January. Another `every` raises InvalidValue (`every`).

    Which instant a day begins at is the time zone's affair, see `calendar.start_of_day`. Methods raise InvalidValue
    for what is no plain date, and where an answer would leave the years 1 to 9999.
    """

    anchor: date = attrs.field(validator=validation.a_day)
    every: Period = attrs.field(validator=validation.a(Period))
    align: Align = attrs.field(default="anniversary", validator=validation.one_of("anniversary", "calendar"))
    month_end: MonthEnd = attrs.field(default="clamp", validator=validation.one_of("clamp", "sticky"))

    def __attrs_post_init__(self) -> None:
        counts = _CALENDAR_COUNTS[self.every.unit]
        if self.align == "calendar" and self.every.count not in counts:
            raise InvalidValue(
                "every",
                f"the calendar has no natural boundary every {self.every}",
                f"Align to the anniversary, or count {', '.join(map(str, counts))} {self.every.unit}.",
            )

    def period_containing(self, day: date) -> BillingPeriod:
        """The one period that the day lies in; a schedule date is the first day of its own."""
        index = self._index(validation.day("day", day))
        return BillingPeriod(self._date(index, "day"), self._date(index + 1, "day"))

    def next_date(self, after: date) -> date:
        """The first schedule date later than `after`."""
        return self._date(self._index(validation.day("after", after)) + 1, "after")

    def nth_after(self, day: date, n: int) -> date:
        """The `n`-th schedule date later than `day`; the first is `next_date`. `n` is at least 1."""
        validation.whole("n", n, 1, _FARTHEST)
        return self._date(self._index(validation.day("day", day)) + n, "day")

    def dates(self, start: date, count: int) -> tuple[date, ...]:
        """`count` schedule dates in a row, the first of them on or after `start`."""
        validation.whole("count", count, 0, _MOST_DATES)
        first = self._index(validation.day("start", start))
        if not self.is_date(start):
            first += 1
        return tuple(self._date(index, "start") for index in range(first, first + count))

    def is_date(self, day: date) -> bool:
        """Whether a period begins on that day."""
        validation.day("day", day)
        origin, step = self._origin, self._months
        if step:
            months = _month_number(day) - _month_number(origin)
            return months % step == 0 and day.day == self._day_of(day.year, day.month)
        return (day - origin).days % self._days == 0

    def restarted(self, on: date) -> BillingSchedule:
        """The same rules counted from another day."""
        return BillingSchedule(on, self.every, self.align, self.month_end)

    @property
    def _origin(self) -> date:
        return self.anchor if self.align == "anniversary" else _CALENDAR_ORIGIN

    @property
    def _months(self) -> int:
        return self.every.count * _MONTHS_IN.get(self.every.unit, 0)

    @property
    def _days(self) -> int:
        return self.every.count * _DAYS_IN[self.every.unit]

    def _index(self, day: date) -> int:
        """The greatest whole number of steps from the origin that does not lead past the day."""
        origin, step = self._origin, self._months
        if not step:
            return (day - origin).days // self._days
        index, rest = divmod(_month_number(day) - _month_number(origin), step)
        return index if rest or day.day >= self._day_of(day.year, day.month) else index - 1

    def _date(self, index: int, field: str) -> date:
        origin, step = self._origin, self._months
        try:
            if not step:
                return date.fromordinal(origin.toordinal() + index * self._days)
            year, month = divmod(_month_number(origin) + index * step, 12)
            return date(year, month + 1, self._day_of(year, month + 1))
        except (ValueError, OverflowError):
            raise InvalidValue(
                field, "the schedule leaves the years 1 to 9999 there", "Pass an earlier or later day."
            ) from None

    def _day_of(self, year: int, month: int) -> int:
        """The day of that month on which a period would begin."""
        origin = self._origin
        if origin.day < 28:
            return origin.day
        last = calendar.monthrange(year, month)[1]
        if self.month_end == "sticky" and origin.day == calendar.monthrange(origin.year, origin.month)[1]:
            return last
        return min(origin.day, last)


def _month_number(day: date) -> int:
    return day.year * 12 + day.month - 1

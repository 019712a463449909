"""What was bought."""

from __future__ import annotations

from typing import Any

import attrs

from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.model import validation
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.schedule import Period


def _price(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    validation.a(Money)(_, attribute, value)
    if value.minor < 0:
        raise InvalidValue("price", f"{value} is negative", "Pass a price of zero or more.")


def _term(plan: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    validation.a(Period)(plan, attribute, value)
    if not _whole(value, plan.billing):
        raise InvalidValue(
            "term", f"{value} is not a whole number of billing periods of {plan.billing}", "Pass a multiple of them."
        )


@attrs.frozen
class Plan:
    """A price per billing period and unit, paid in advance. `term` is the commitment; by default one billing period.

    `cycles` is how many periods are billed at all; None: until somebody ends it.

    Raises InvalidValue for a negative price, and for a term that is not a whole number of billing periods.
    """

    id: str = attrs.field(validator=validation.name)
    price: Money = attrs.field(validator=_price)
    billing: Period = attrs.field(validator=validation.a(Period))
    term: Period | None = attrs.field(default=None, validator=validation.optional(_term))
    trial: Period | None = attrs.field(default=None, validator=validation.optional(validation.a(Period)))
    cycles: int | None = attrs.field(default=None, validator=validation.optional(validation.between(1, 36_500)))

    @property
    def periods_per_term(self) -> int:
        return 1 if self.term is None else self.term.steps[1] // self.billing.steps[1]


def _whole(term: Period, billing: Period) -> bool:
    (kind, count), (other, part) = term.steps, billing.steps
    return kind == other and count % part == 0

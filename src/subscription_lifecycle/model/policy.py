"""The numbers and lists that differ by seller, country and era."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import attrs

from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.model import validation
from subscription_lifecycle.model.actor import Role
from subscription_lifecycle.model.mapping import frozen_mapping

Activation = Literal["captured", "submitted", "at_once"]

CatchUp = Literal["hold"]
HOLD: CatchUp = "hold"

_days = validation.between(0, 36_500)


def _role_set(roles: Role | Iterable[Role]) -> frozenset[Role]:
    return frozenset((roles,)) if isinstance(roles, Role) else frozenset(roles)


def _country_set(countries: Iterable[str]) -> frozenset[str]:
    return frozenset(countries)


def _texts(value: Mapping[str, str]) -> Mapping[str, str]:
    return frozen_mapping(value)


def _moments(value: Mapping[str, Activation]) -> Mapping[str, Activation]:
    return frozen_mapping(value)


def _counts(value: Mapping[str, int]) -> Mapping[str, int]:
    return frozen_mapping(value)


def _countries(_: Any, attribute: attrs.Attribute[Any], value: frozenset[str]) -> None:
    for country in value:
        validation.country(_, attribute, country)


def _activations(_: Any, attribute: attrs.Attribute[Any], value: Mapping[str, str]) -> None:
    for kind, moment in value.items():
        if moment not in ("captured", "submitted", "at_once"):
            raise InvalidValue(attribute.name, f"{moment!r} for {kind!r}", 'Use "captured", "submitted" or "at_once".')


def _day_counts(_: Any, attribute: attrs.Attribute[Any], value: Mapping[str, int]) -> None:
    for count in value.values():
        _days(_, attribute, count)


def _rising(_: Any, attribute: attrs.Attribute[Any], value: tuple[int, ...]) -> None:
    if (
        not isinstance(value, tuple)
        or any(not validation.is_a(day, int) or day < 1 for day in value)
        or list(value) != sorted(set(value))
    ):
        raise InvalidValue(
            attribute.name, f"{validation.brief(value)} are not rising days from 1", "Pass a tuple such as (7, 14)."
        )


@attrs.frozen(kw_only=True)
class Policy:
    """Windows in days, who may do what, how money is asked for, and what is said of debts.

    Every default is the founding article's or, where the article is silent, the documentation around it; the choices
    that neither states are the ones the standard table marks as assumed. A window of zero days skips its state.
    """

    expired_days: int = attrs.field(default=30, validator=_days)
    disabled_days: int = attrs.field(default=90, validator=_days)
    cancelled_days: int = attrs.field(default=90, validator=_days)
    retry_days: int = attrs.field(default=30, validator=_days)
    """How long a declined renewal is retried, counted from the oldest debt."""
    retry_after: tuple[int, ...] = attrs.field(default=(7, 14, 21, 28), validator=_rising)
    """The days of the retries, counted from the oldest debt."""
    catch_up: CatchUp = attrs.field(default=HOLD, validator=validation.one_of("hold"))  # pyright: ignore[reportAssignmentType]
    """When more than one charge is due at once: hold them as debts and report them."""

    billing_roles: frozenset[Role] = attrs.field(
        default=frozenset((Role.GLOBAL_ADMIN, Role.BILLING_ADMIN)), converter=_role_set
    )
    support_roles: frozenset[Role] = attrs.field(default=frozenset((Role.SUPPORT, Role.PROVIDER)), converter=_role_set)
    self_service: bool = attrs.field(default=True, validator=validation.a(bool))
    """False: only support reactivates (S11, S17)."""

    arrears: Literal["collect", "keep", "forgive"] = attrs.field(
        default="collect", validator=validation.one_of("collect", "keep", "forgive")
    )
    """What a reactivation does with what is owed."""
    chargeback: Literal["owed", "disable"] = attrs.field(default="owed", validator=validation.one_of("owed", "disable"))
    """What a chargeback leads to: a debt that is collected like others, or the end of service for non-payment too."""
    served_unpaid: Literal["free", "owed"] = attrs.field(default="free", validator=validation.one_of("free", "owed"))
    """Periods that had access in EXPIRED and were never billed."""
    rounding: Literal["last", "daily"] = attrs.field(default="last", validator=validation.one_of("last", "daily"))
    """A price by days: rounded once at the end, or the daily price first."""
    full_refund_days: int = attrs.field(default=0, validator=_days)
    """Until how many days into a billed period a customer may ask for all of it back; support always may."""
    few_days: int = attrs.field(default=7, validator=_days)
    """A charge that buys fewer days than this is warned of."""

    activates_on: Mapping[str, Activation] = attrs.field(
        factory=lambda: frozen_mapping({"bank_account": "submitted", "invoice": "at_once"}),
        converter=_moments,
        validator=_activations,
        hash=False,
    )
    """Per kind of payment method: when service starts. Kinds not named: when the money is captured (S20, S22, S23)."""
    payment_days: Mapping[str, int] = attrs.field(
        factory=lambda: frozen_mapping({"bank_account": 14}),
        converter=_counts,
        validator=_day_counts,
        hash=False,
    )
    """Per kind: after how many days an unfinished payment is given up. Kinds not named: one day."""
    invoice: bool = attrs.field(default=True, validator=validation.a(bool))
    """Whether paying by invoice is offered."""
    no_bank_account_in: frozenset[str] = attrs.field(default=frozenset(), converter=_country_set, validator=_countries)
    """Countries where bank accounts are refused (S25)."""

    labels: Mapping[str, str] = attrs.field(factory=dict, converter=_texts, hash=False)
    """By state name: what customers see instead of the state's own label. Never changes a result (S1, S14)."""
    assumed: str | None = attrs.field(default=None, validator=validation.optional(validation.a(str)))
    """What in this policy no document states."""

    def activation(self, kind: str) -> Activation:
        return self.activates_on.get(kind, "captured")

    def days_to_pay(self, kind: str) -> int:
        return self.payment_days.get(kind, 1)

"""The numbers and lists that differ by seller, country and era."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, Literal

import attrs

from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.model import validation
from subscription_lifecycle.model.actor import Role
from subscription_lifecycle.model.mapping import frozen_mapping
from subscription_lifecycle.model.state import Access

Activation = Literal["captured", "submitted", "at_once"]

CatchUp = Literal["each", "latest", "hold"]
FinalAction = Literal["disable", "cancel", "keep"]
ResumeRule = Literal["move", "keep", "restart"]

_days = validation.between(0, 36_500)


def _role_set(roles: Role | Iterable[Role]) -> frozenset[Role]:
    return frozenset((roles,)) if isinstance(roles, Role) else frozenset(roles)


def _country_set(countries: Iterable[str]) -> frozenset[str]:
    return frozenset(countries)


def _texts(value: Mapping[str, str]) -> Mapping[str, str]:
    return frozen_mapping(value)


def _resume_rule(value: Literal["move", "keep", "restart", "advance"]) -> ResumeRule:
    """Without "advance", which made what was left of a period free."""
    if value != "advance":
        return value
    warnings.warn('Policy(resume="advance") means "keep", and goes with the next version.', DeprecationWarning, 3)
    return "keep"


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


@attrs.frozen
class DunningStep:
    """One rung of the ladder: so many days after the oldest debt fell due, this is announced and access is this.

    `name` is the caller's own ("first reminder", "service is suspended"). Access never grows on the way down.
    """

    days: int = attrs.field(validator=_days)
    name: str = attrs.field(validator=validation.name)
    access: Access = attrs.field(default=Access.FULL, validator=validation.a(Access))


NOTICES = ("renewal", "trial_end", "expiry", "deletion", "card_expiry")


def _ladder(_: Any, attribute: attrs.Attribute[Any], value: tuple[DunningStep, ...]) -> None:
    validation.tuple_of(DunningStep)(_, attribute, value)
    for upper, lower in pairwise(value):
        if upper.days >= lower.days or upper.access.width < lower.access.width:
            raise InvalidValue(
                attribute.name, f"{lower.name!r} does not follow {upper.name!r}", "Let days rise and access fall."
            )


def _notices(_: Any, attribute: attrs.Attribute[Any], value: Mapping[str, int]) -> None:
    _day_counts(_, attribute, value)
    for kind in value:
        if kind not in NOTICES:
            raise InvalidValue(attribute.name, f"{kind!r} is no notice", f"Use {', '.join(NOTICES)}.")


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
    """The days of the retries, counted from the oldest debt. Those after `retry_days` are made while service is off."""
    after_hard_decline: Literal["stop", "retry"] = attrs.field(
        default="stop", validator=validation.one_of("stop", "retry")
    )
    """Whether the clock asks a method again that was declined for good; with "stop", only another, from the next of its
    days on."""
    dunning: tuple[DunningStep, ...] = attrs.field(default=(), validator=_ladder)
    """The ladder of effects while something is owed, timed from the oldest debt and not from the last run."""
    when_retries_end: FinalAction = attrs.field(
        default="disable", validator=validation.one_of("disable", "cancel", "keep")
    )
    """Disabled for non-payment; cancelled for it, with the cause DUNNING; or past due until it is paid, or until the
    term ends with recurring billing off."""
    recovery: Literal["keep", "restart"] = attrs.field(default="keep", validator=validation.one_of("keep", "restart"))
    """The billing date when what is owed is paid after service went off: it stays (S27), or a new period begins and
    the periods without service are let go of. In grace it always stays."""
    catch_up: CatchUp = attrs.field(default="hold", validator=validation.one_of("each", "latest", "hold"))
    """When more than one charge is due at once: make each, oldest first; make the latest and hold the rest; or hold
    them all. What is held is a debt that waits for somebody to collect it, and is reported."""

    resume: ResumeRule = attrs.field(
        default="move", converter=_resume_rule, validator=validation.one_of("move", "keep", "restart")
    )
    """What a pause does to the dates: they move by its days, and the term's with them; they stay, and what is left of
    a period that began meanwhile is charged; or a new period is bought."""
    pause_days: int = attrs.field(default=90, validator=validation.between(1, 36_500))
    """How long a pause lasts at most; service resumes by itself then."""
    pause_credit: bool = attrs.field(default=False, validator=validation.a(bool))
    """Whether paid days that a pause takes become credit, where the dates do not move by them."""

    trial_extension_days: int = attrs.field(default=30, validator=_days)
    """How long a trial is extended, once."""
    trial_extension_within: int = attrs.field(default=15, validator=_days)
    """In how many last days of a trial it can be extended."""
    notice_days: int = attrs.field(default=0, validator=_days)
    """How many days before paid service ends a customer must say so; support need not."""
    reactivation_days: int | None = attrs.field(default=None, validator=validation.optional(_days))
    """For how many days after service ended it can be reactivated, if not until it is deleted. Support may later."""
    notices: Mapping[str, int] = attrs.field(factory=dict, converter=_counts, validator=_notices, hash=False)
    """By kind ("renewal", "trial_end", "expiry", "deletion", "card_expiry"): how many days before it is announced."""

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
    disputed_method: Literal["skip", "ask"] = attrs.field(default="skip", validator=validation.one_of("skip", "ask"))
    """Whether the clock asks a method while a dispute of a payment by it is open or lost. With "skip" it does not until
    the dispute is undone, or a person pays with it or chooses it again; a renewal counts as declined."""
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

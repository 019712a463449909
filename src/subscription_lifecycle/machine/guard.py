"""What a rule may look at, and how it says no."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import attrs

from subscription_lifecycle.errors import DefinitionError, InvalidValue
from subscription_lifecycle.model.actor import Actor, Role
from subscription_lifecycle.model.charge import NO_CHARGE, Charge
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.mapping import frozen_mapping
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.payment_method import PaymentMethod
from subscription_lifecycle.model.policy import Policy
from subscription_lifecycle.model.schedule import BillingPeriod, BillingSchedule
from subscription_lifecycle.model.state import State
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.model.validation import brief

if TYPE_CHECKING:
    from subscription_lifecycle.machine.transition import Transition

C_co = TypeVar("C_co", bound=Command, covariant=True)
C_contra = TypeVar("C_contra", bound=Command, contravariant=True)


@attrs.frozen
class BillingDates:
    """What a billing-date rule answers: where billing stands afterwards, and which periods that bills or lets pass."""

    schedule: BillingSchedule
    next_billing_date: date
    billed: BillingPeriod | None = None
    served_unpaid: tuple[BillingPeriod, ...] = ()
    moved: timedelta = timedelta()
    """By how much the running period moved with the date, if one ran."""
    lost: tuple[date, date] | None = None
    """From which day until which what is paid late pays for no days that may go back: they are credit already, or
    were given up."""

    def moved_along(self, before: Subscription, period: BillingPeriod) -> BillingPeriod:
        """Where a period is now; one that was over before stays."""
        if period.end < before.next_billing_date:
            return period
        return BillingPeriod(period.start + self.moved, period.end + self.moved)


class ReadsCommand(AttributeError):
    """A guard looked into a command that is not there yet."""


class NoCommand(Command, stored=False):
    """Stands where `actions` has no command: looking into it says so."""

    def __getattr__(self, name: str) -> Any:
        raise ReadsCommand(name)


NO_COMMAND: Final = NoCommand()


@attrs.frozen(slots=False)  # Several are made per decision, and without slots in half the time.
class Context(Generic[C_co]):
    """Everything a rule may read. Rules are pure: the same context gives the same answer, for ever.

    `at` is the instant the command takes effect, `today` its local day; `now` is when it is recorded, later than `at`
    only for rows the clock takes late. `target` is the state entered, `dates` what the row's billing-date rule says,
    `term` what its commitment rule says after it, `charge` what its charge rules ask for after both. Guards see them as
    every later rule does; each is asked once, when somebody looks at it first. A rule sees what is asked before it; of
    what is asked later, how the subscription stands, and no charge.
    """

    subscription: Subscription
    command: C_co
    by: Actor
    at: datetime
    today: date
    now: datetime
    policy: Policy
    facts: Mapping[str, Any]
    row: Transition[Any]
    target: State
    dates: BillingDates
    term: tuple[date, date]

    if TYPE_CHECKING:

        @property
        def charge(self) -> Charge:
            """What the row's charge rules ask for together, less the credit that there is."""
            raise NotImplementedError

    else:

        def __getattr__(self, name: str) -> Any:
            """What the row's own rules were not asked yet."""
            if name not in ("dates", "term", "charge"):
                raise AttributeError(f"a context has no {name}")
            term = self.subscription.term_start, self.subscription.term_end
            match name:
                case "dates":
                    found = asked("billing date rule", self.row.billing_date, self._before(dates=_of(self), term=term))
                case "term":
                    found = asked("commitment rule", self.row.commitment, self._before(dates=self.dates, term=term))
                case _:
                    found = self._charge(self._before(dates=self.dates, term=self.term))
            self.__dict__[name] = found
            return found

    def _charge(self, before: Context[C_co]) -> Charge:
        subscription = self.subscription
        found = NO_CHARGE
        for rule in self.row.charge:
            found = found + asked("charge rule", rule, before)
        if not found.lines or (subscription.credit is None and found.credits is None):
            return found
        zero, due = Money.zero(subscription.currency), found.due(subscription.currency)
        used = min(subscription.credit or zero, due)
        # What a charge gives pays for what it buys; what was owed is paid as it would have been before.
        bought = sum((line.amount for line in found.lines if line.purpose != "arrears"), zero)
        used = used + min(found.credits or zero, bought, due - used)
        return attrs.evolve(found, credit_used=used) if used.minor > 0 else found

    def _before(self, **asked_before: Any) -> Context[C_co]:
        context: Context[C_co] = object.__new__(Context)
        context.__dict__.update(self.__dict__, charge=NO_CHARGE, **asked_before)
        return context

    def to_be_asked(self) -> Context[C_co]:
        """The same, with what the row's own rules say of dates and commitment in place of how they stand."""
        context = self._before()
        for name in ("charge", "dates", "term"):
            context.__dict__.pop(name, None)
        return context

    def leading_to(
        self, target: State, dates: BillingDates | None = None, term: tuple[date, date] | None = None
    ) -> Context[C_co]:
        """The same command on its way to another state, where billing or the commitment stands elsewhere."""
        # Asked up to three times a decision; nothing here is checked, so that a copied dict is the whole of it.
        context: Context[C_co] = object.__new__(Context)
        fields = context.__dict__
        fields.update(self.__dict__)
        fields["target"] = target
        if dates is not None:
            fields["dates"] = dates
        if term is not None:
            fields["term"] = term
        return context

    @property
    def payment_method(self) -> PaymentMethod | None:
        """The one the command brings, else the one on file."""
        brought: PaymentMethod | None = getattr(self.command, "payment_method", None)
        return brought or self.subscription.payment_method


def _of(context: Context[Any]) -> BillingDates:
    return BillingDates(context.subscription.schedule, context.subscription.next_billing_date)


def named(rule: Callable[..., Any]) -> str:
    """What a rule is called where it is told of."""
    return str(getattr(rule, "__name__", None) or repr(rule))


A = TypeVar("A")


def asked(what: str, rule: Callable[[Context[Any]], A], context: Context[Any]) -> A:
    """What a rule of the row answers. What it raises names rule and row; a failed assertion is a wrong table."""
    try:
        return rule(context)
    except Exception as error:
        told = f"{context.row.id}: the {what} {named(rule)} cannot answer"
        if isinstance(error, AssertionError):
            raise DefinitionError((f"{told}: {error or 'an assertion of it failed'}.",)) from error
        if not isinstance(error, ReadsCommand):
            error.add_note(told)
        raise


def _details(details: Mapping[str, Any]) -> Mapping[str, Any]:
    return frozen_mapping(details)


@attrs.frozen
class Refusal:
    """One guard's no: a stable code, a sentence, what helps, and which roles could."""

    code: str
    message: str
    remedy: str = ""
    allowed_roles: tuple[Role, ...] = ()
    details: Mapping[str, Any] = attrs.field(factory=dict, converter=_details, hash=False)

    def as_dict(self) -> dict[str, Any]:
        roles = [role.name for role in self.allowed_roles]
        details = {key: str(value) for key, value in self.details.items()}
        return {
            "code": self.code,
            "message": self.message,
            "remedy": self.remedy,
            "allowed_roles": roles,
            "details": details,
        }

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


def _nobody(_: Policy) -> Iterable[Role]:
    return ()


def _nothing(_: Context[Any]) -> Mapping[str, Any]:
    return {}


def _is_no_answer_yet(answer: object) -> bool:
    if inspect.iscoroutine(answer):
        # It was never asked, and is not to be warned of.
        answer.close()
        return True
    return inspect.isawaitable(answer) or inspect.isgenerator(answer) or inspect.isasyncgen(answer)


@attrs.frozen
class Guard(Generic[C_contra]):
    """A pure predicate with a code and a sentence. It refuses; it never acts."""

    code: str
    message: str
    check: Callable[[Context[C_contra]], bool] = attrs.field(repr=False)
    remedy: str = ""
    reads_command: bool = False
    reads_facts: tuple[str, ...] = ()
    allowed_roles: Callable[[Policy], Iterable[Role]] = attrs.field(default=_nobody, repr=False)
    details: Callable[[Context[C_contra]], Mapping[str, Any]] = attrs.field(default=_nothing, repr=False)

    @property
    def __name__(self) -> str:
        return self.code

    def __call__(self, context: Context[C_contra]) -> bool:
        return self.check(context)

    def refusal(self, context: Context[C_contra]) -> Refusal | None:
        """None when the guard lets the command pass. Raises InvalidValue (`facts`) when a fact it reads is missing."""
        missing = [fact for fact in self.reads_facts if fact not in context.facts] if self.reads_facts else ()
        if missing:
            raise InvalidValue(
                "facts",
                f"{', '.join(missing)} is missing, which {self.code} reads",
                "Let the facts callable answer it.",
            )
        answer = self.check(context)
        if answer is not True and answer is not False and _is_no_answer_yet(answer):
            raise DefinitionError((f"guard {self.code} answers {brief(answer)}, which is true whatever it would say.",))
        if answer:
            return None
        roles = tuple(sorted(self.allowed_roles(context.policy)))
        details = self.details(context)
        remedy = self.remedy.format_map(details) if details else self.remedy
        return Refusal(self.code, self.message, remedy, roles, details)


def guard(
    code: str,
    message: str,
    *,
    remedy: str = "",
    reads_command: bool = False,
    reads_facts: Iterable[str] = (),
    allowed_roles: Callable[[Policy], Iterable[Role]] = _nobody,
    details: Callable[[Context[Any]], Mapping[str, Any]] = _nothing,
) -> Callable[[Callable[[Context[C_contra]], bool]], Guard[C_contra]]:
    """Make a guard of a predicate that is true when the command may pass.

    `remedy` may name `details` in braces.

    Say `reads_command` when it looks into the command (then `actions`, which has none, skips it), and `reads_facts`
    when it looks up facts. `allowed_roles` names, for a policy, who would pass: only for guards about who asks.
    """

    def decorate(check: Callable[[Context[C_contra]], bool]) -> Guard[C_contra]:
        return Guard(code, message, check, remedy, reads_command, tuple(reads_facts), allowed_roles, details)

    return decorate

"""The life of a paid subscription as an explicit state machine.

States, guarded transitions (above all: reactivate from expired, disabled and cancelled), hooks for payment capture, and
rules for billing dates. Start with `Subscriptions` and `STANDARD`; extend with `Transition`, `Command` and `guard`.
Other doors: `standard`, `policies`, `ports`, `documents`, `adapters.<library>`, `testing`.
"""

from subscription_lifecycle.adapters.memory import MemoryStore
from subscription_lifecycle.engine.differing import Difference
from subscription_lifecycle.engine.health import Finding, Health
from subscription_lifecycle.engine.reconciliation import Reconciliation, Totals
from subscription_lifecycle.engine.simulation import simulate
from subscription_lifecycle.engine.subscriptions import AsyncSubscriptions, Subscriptions
from subscription_lifecycle.engine.sweep import SweepProgress, SweepReport
from subscription_lifecycle.errors import (
    AlreadyExists,
    ConcurrentChange,
    DefinitionError,
    IdempotencyKeyReused,
    Interrupted,
    InvalidValue,
    LifecycleError,
    NotPossible,
    PaymentDeclined,
    PaymentInProgress,
    Refused,
    UnknownPayment,
    UnknownSubscription,
)
from subscription_lifecycle.machine.decision import Applied, AwaitingPayment, Decision
from subscription_lifecycle.machine.guard import Context, Guard, Refusal, guard
from subscription_lifecycle.machine.lifecycle import Action, Due, Lifecycle
from subscription_lifecycle.machine.planned import Later, PlannedCommand
from subscription_lifecycle.machine.telling import Moment, RefusedCommand, TimelineCharge
from subscription_lifecycle.machine.timeline import Stretch, Timeline, TimelineTotals
from subscription_lifecycle.machine.transition import INTERRUPTED_STATE, SAME_STATE, Transition
from subscription_lifecycle.model.actor import SYSTEM, Actor, Role
from subscription_lifecycle.model.charge import Charge, Debt, InvoiceLine, Reminder, Terms
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.entry import Entry
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.payment import Payment
from subscription_lifecycle.model.payment_method import PaymentMethod
from subscription_lifecycle.model.plan import Plan
from subscription_lifecycle.model.policy import DunningStep, Policy
from subscription_lifecycle.model.schedule import (
    DAILY,
    MONTHLY,
    QUARTERLY,
    WEEKLY,
    YEARLY,
    BillingPeriod,
    BillingSchedule,
    Period,
)
from subscription_lifecycle.model.state import Access, Cause, Condition, State
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.standard import causes, states
from subscription_lifecycle.standard.causes import CUSTOMER, DUNNING, LAPSED, NON_PAYMENT, PAUSE, PROVIDER
from subscription_lifecycle.standard.commands import (
    Adopt,
    Cancel,
    ChangePaymentMethod,
    ConvertTrial,
    Correct,
    Delete,
    Disable,
    Enable,
    Expire,
    ExtendTrial,
    ForgiveArrears,
    Notify,
    Pause,
    PayArrears,
    Reactivate,
    Refund,
    Renew,
    ReportInvoice,
    Resume,
    RetryPayment,
    SetRecurringBilling,
    Start,
    WriteOff,
)
from subscription_lifecycle.standard.states import (
    ACTIVE,
    CANCELLED,
    DELETED,
    DISABLED,
    EXPIRED,
    PAST_DUE,
    PAUSED,
    SCHEDULED,
    TRIALING,
)
from subscription_lifecycle.standard.table import STANDARD

__all__ = [
    "ACTIVE",
    "CANCELLED",
    "CUSTOMER",
    "DAILY",
    "DELETED",
    "DISABLED",
    "DUNNING",
    "EXPIRED",
    "INTERRUPTED_STATE",
    "LAPSED",
    "MONTHLY",
    "NON_PAYMENT",
    "PAST_DUE",
    "PAUSE",
    "PAUSED",
    "PROVIDER",
    "QUARTERLY",
    "SAME_STATE",
    "SCHEDULED",
    "STANDARD",
    "SYSTEM",
    "TRIALING",
    "WEEKLY",
    "YEARLY",
    "Access",
    "Action",
    "Actor",
    "Adopt",
    "AlreadyExists",
    "Applied",
    "AsyncSubscriptions",
    "AwaitingPayment",
    "BillingPeriod",
    "BillingSchedule",
    "Cancel",
    "Cause",
    "ChangePaymentMethod",
    "Charge",
    "Command",
    "ConcurrentChange",
    "Condition",
    "Context",
    "ConvertTrial",
    "Correct",
    "Debt",
    "Decision",
    "DefinitionError",
    "Delete",
    "Difference",
    "Disable",
    "Due",
    "DunningStep",
    "Enable",
    "Entry",
    "Expire",
    "ExtendTrial",
    "Finding",
    "ForgiveArrears",
    "Guard",
    "Health",
    "IdempotencyKeyReused",
    "Interrupted",
    "InvalidValue",
    "InvoiceLine",
    "Later",
    "Lifecycle",
    "LifecycleError",
    "MemoryStore",
    "Moment",
    "Money",
    "NotPossible",
    "Notify",
    "Pause",
    "PayArrears",
    "Payment",
    "PaymentDeclined",
    "PaymentInProgress",
    "PaymentMethod",
    "Period",
    "Plan",
    "PlannedCommand",
    "Policy",
    "Reactivate",
    "Reconciliation",
    "Refund",
    "Refusal",
    "Refused",
    "RefusedCommand",
    "Reminder",
    "Renew",
    "ReportInvoice",
    "Resume",
    "RetryPayment",
    "Role",
    "SetRecurringBilling",
    "Start",
    "State",
    "Stretch",
    "Subscription",
    "Subscriptions",
    "SweepProgress",
    "SweepReport",
    "Terms",
    "Timeline",
    "TimelineCharge",
    "TimelineTotals",
    "Totals",
    "Transition",
    "UnknownPayment",
    "UnknownSubscription",
    "WriteOff",
    "causes",
    "guard",
    "simulate",
    "states",
]

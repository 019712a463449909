"""The life of a paid subscription as an explicit state machine.

States, guarded transitions (above all: reactivate from expired, disabled and cancelled), hooks for payment capture, and
rules for billing dates. Start with `Subscriptions` and `STANDARD`; extend with `Transition`, `Command` and `guard`.
Other doors: `standard`, `policies`, `ports`, `documents`, `adapters.<library>`, `testing`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

# Each name is imported from its home when it is first asked for: who needs `Money`, or the tables for a migration, does
# not wait for the engine. Type checkers read `__init__.pyi`; a test holds the two together.
_HOMES: Final = {
    "adapters.memory": "MemoryStore",
    "engine.differing": "Difference",
    "engine.health": "Finding Health",
    "engine.reconciliation": "Reconciliation Totals",
    "engine.simulation": "simulate",
    "engine.subscriptions": "AsyncSubscriptions Subscriptions",
    "engine.sweep": "SweepProgress SweepReport",
    "errors": (
        "AlreadyExists ConcurrentChange DefinitionError IdempotencyKeyReused Interrupted InvalidValue "
        "LifecycleError NotPossible PaymentDeclined PaymentInProgress Refused UnknownPayment UnknownSubscription"
    ),
    "machine.decision": "Applied AwaitingPayment Decision",
    "machine.guard": "Context Guard Refusal guard",
    "machine.lifecycle": "Action Due Lifecycle",
    "machine.planned": "Later PlannedCommand",
    "machine.telling": "Moment RefusedCommand TimelineCharge",
    "machine.timeline": "Stretch Timeline TimelineTotals",
    "machine.transition": "INTERRUPTED_STATE SAME_STATE Transition",
    "model.actor": "SYSTEM Actor Role",
    "model.charge": "Charge Debt InvoiceLine Reminder Terms",
    "model.command": "Command",
    "model.entry": "Entry",
    "model.money": "Money",
    "model.payment": "Payment",
    "model.payment_method": "PaymentMethod",
    "model.plan": "Plan",
    "model.policy": "DunningStep Policy",
    "model.schedule": "DAILY MONTHLY QUARTERLY WEEKLY YEARLY BillingPeriod BillingSchedule Period",
    "model.state": "Access Cause Condition State",
    "model.subscription": "Subscription",
    "standard": "causes states",
    "standard.causes": "CUSTOMER DUNNING LAPSED NON_PAYMENT PAUSE PROVIDER",
    "standard.commands": (
        "Adopt Cancel ChangePaymentMethod ConvertTrial Correct Delete Disable Enable Expire ExtendTrial "
        "ForgiveArrears Notify Pause PayArrears Reactivate Refund Renew ReportInvoice Resume RetryPayment "
        "SetRecurringBilling Start WriteOff"
    ),
    "standard.states": "ACTIVE CANCELLED DELETED DISABLED EXPIRED PAST_DUE PAUSED SCHEDULED TRIALING",
    "standard.table": "STANDARD",
}
_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names.split()}
_ROOMS: Final = (
    "adapters", "documents", "engine", "errors", "machine", "model", "policies", "ports", "standard", "testing",
)  # fmt: skip

__all__ = sorted(_HOME_OF)  # noqa: PLE0605  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"{__name__}.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ROOMS})

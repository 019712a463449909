"""The one place that reads the machine's clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.subscription import Subscription


def utc_now() -> datetime:
    """The present instant, in UTC."""
    return datetime.now(UTC)


def no_facts(subscription: Subscription | None, command: Command) -> Mapping[str, Any]:
    """A host without facts."""
    return {}

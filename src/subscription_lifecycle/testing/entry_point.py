"""What Hypothesis calls when it is imported: every public value gets a strategy, also by type."""

from __future__ import annotations

from importlib import import_module


def register() -> None:
    """`st.from_type(Subscription)` and the like work wherever this package is installed."""
    # Where that module is what imports Hypothesis, it is not ready yet: it registers its types itself, at its end.
    import_module("subscription_lifecycle.testing.strategies")

"""What Hypothesis calls when it is imported: every public value gets a strategy, also by type."""

from __future__ import annotations


def register() -> None:
    """`st.from_type(Subscription)` and the like work wherever this package is installed."""
    from hypothesis import strategies as st

    from subscription_lifecycle.testing import strategies

    for kind, strategy in strategies.by_type().items():
        st.register_type_strategy(kind, strategy)

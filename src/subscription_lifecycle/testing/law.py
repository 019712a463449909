"""A sentence that must hold after every step, and how to write one."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from subscription_lifecycle.testing.step import Step


@attrs.frozen
class Law:
    """A sentence and its check."""

    sentence: str
    check: Callable[[Step], None] = attrs.field(repr=False)

    def __call__(self, step: Step) -> None:
        try:
            self.check(step)
        except AssertionError as error:
            error.add_note(f"The law: {self.sentence}.")
            error.add_note(step.story())
            raise


def law(sentence: str) -> Callable[[Callable[[Step], None]], Law]:
    """Make a law of a check."""
    return lambda check: Law(sentence, check)

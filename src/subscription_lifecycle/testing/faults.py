"""Planted faults: a process that dies before or after an effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from subscription_lifecycle.engine.effects import Effect
from subscription_lifecycle.engine.subscriptions import Subscriptions


class Died(BaseException):
    """The process ended here. Nothing may catch it."""


class MortalSubscriptions(Subscriptions):
    """Subscriptions that die at a chosen effect: `die_at(n)` before the n-th from now, or after it was performed."""

    effects: int = 0
    _fatal: int | None = None
    _performed: bool = False

    def die_at(self, effect: int | None, *, performed: bool = False) -> None:
        """None: live on."""
        self.effects, self._fatal, self._performed = 0, effect, performed

    def perform(self, effect: Effect) -> Any:
        number, self.effects = self.effects, self.effects + 1
        if number == self._fatal and not self._performed:
            raise Died(effect)
        answer = super().perform(effect)
        if number == self._fatal:
            raise Died(effect)
        return answer


def crash_at_every_effect(
    make: Callable[[], MortalSubscriptions], act: Callable[[Subscriptions], Any], check: Callable[[Subscriptions], None]
) -> int:
    """Run `act` in worlds dying before and after each effect; each recovers by a sweep; `check` each. How many died."""
    died = 0
    for performed in (False, True):
        effect = 0
        while True:
            subs = make()
            subs.die_at(effect, performed=performed)
            try:
                act(subs)
            except Died:
                died += 1
            else:
                break
            finally:
                subs.die_at(None)
            subs.sweep()
            check(subs)
            effect += 1
    return died

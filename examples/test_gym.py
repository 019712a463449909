"""The proof of `gym.py`: random members, clocks, declines and crashes; every law of the library, and one of its own."""

from itertools import pairwise

from examples.gym import CARD, FROZEN, GYM, MIA, PLAN, Freeze, Thaw, main
from hypothesis import strategies as st

from subscription_lifecycle import ACTIVE, Access, Actor, MemoryStore, Money, Subscriptions
from subscription_lifecycle.testing import FakeClock, FakeGateway, Step, law, laws, lifecycle_machine


@law("a frozen membership is never charged")
def never_charged_while_frozen(step: Step) -> None:
    for (_, before), (entry, _) in pairwise(step.snapshots):
        assert before.state != FROZEN or entry.event != "attempted", entry


FREEZE = st.builds(Freeze, days=st.integers(0, 100))

TestGym = lifecycle_machine(GYM, commands={Freeze: FREEZE}, laws=(*laws.ALL, never_charged_while_frozen)).TestCase


def test_the_example_runs() -> None:
    main()


def test_a_membership_thaws_by_hand_and_the_date_stays() -> None:
    clock = FakeClock("2026-03-01T09:00Z")
    subs = Subscriptions(MemoryStore(), FakeGateway(), lifecycle=GYM, clock=clock)
    subs.start("m1", customer="mia", plan=PLAN, payment_method=CARD, by=MIA, idempotency_key="1")
    frozen = subs.execute("m1", Freeze(days=30), by=MIA, idempotency_key="2").subscription
    assert (frozen.state, subs.access("m1")) == (FROZEN, Access.NONE)
    assert [no.code for no in subs.explain("m1", Thaw(), by=Actor("nora", customer="mia"))] == ["role.billing_or_due"]
    clock.advance(days=10)
    thawed = subs.execute("m1", Thaw(), by=MIA, idempotency_key="3").subscription
    assert (thawed.state, thawed.credit) == (ACTIVE, Money.of("10.00", "EUR"))
    assert thawed.next_billing_date == frozen.next_billing_date

"""The proof of `what_if.py`: what the simulation says is what happens."""

from pathlib import Path
from xml.etree import ElementTree as ET

from examples.what_if import BOB, CARD, IN_MARCH, PLAN, bobs_subscription, if_he_cancels, if_his_card_dies, main

from subscription_lifecycle import DELETED, DISABLED, Access, Cancel, MemoryStore, Subscriptions
from subscription_lifecycle.testing import FakeClock, FakeGateway


def test_the_example_runs(tmp_path: Path) -> None:
    main(str(tmp_path / "year.svg"))
    assert ET.parse(tmp_path / "year.svg").getroot().tag.endswith("svg")


def test_one_more_charge_and_then_service_ends_step_by_step() -> None:
    timeline = if_he_cancels(bobs_subscription())
    assert [str(charge.at.date()) for charge in timeline.charges] == ["2026-02-27"], "midnight in Amsterdam"
    assert [(stretch.value, str(stretch.end.date())) for stretch in timeline.access] == [
        (Access.FULL, "2026-04-29"), (Access.REDUCED, "2026-07-28"), (Access.NONE, "2027-01-31"),
    ]  # fmt: skip
    assert timeline.subscription is not None
    assert timeline.subscription.state == DELETED


def test_a_dead_card_disables_in_june() -> None:
    timeline = if_his_card_dies(bobs_subscription())
    assert [charge.outcome for charge in timeline.charges][:4] == ["captured"] * 3 + ["declined"]
    [disabled] = [stretch for stretch in timeline.states if stretch.value == DISABLED]
    assert str(disabled.start.date()) == "2026-06-29"
    assert timeline.totals["EUR"].captured == PLAN.price * 3


def test_it_is_what_happens() -> None:
    clock = FakeClock("2026-01-31T09:00Z")
    subs = Subscriptions(MemoryStore(), FakeGateway(clock), clock=clock)
    subs.start("sub_1", customer="contoso", plan=PLAN, payment_method=CARD, time_zone="Europe/Amsterdam",
               by=BOB, idempotency_key="start")  # fmt: skip
    expected = if_he_cancels(subs.get("sub_1"))
    for day in range(366):
        clock.set(f"{clock().date()}T23:30Z")
        subs.sweep()
        if clock().date() == IN_MARCH.date():
            subs.execute("sub_1", Cancel("term_end"), by=BOB, idempotency_key=f"cancel-{day}")
        clock.advance(days=1)
    recorded = subs.history("sub_1")[-len(expected.entries) :]
    assert [(entry.event, entry.row) for entry in recorded] == [(e.event, e.row) for e in expected.entries]

"""A life told in advance: what is due at its own instant, what is planned at its own, and what the gateway will say."""

from __future__ import annotations

import calendar
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import attrs
import pytest
from typer.testing import CliRunner

from subscription_lifecycle import (
    ACTIVE,
    CANCELLED,
    DAILY,
    DELETED,
    DISABLED,
    EXPIRED,
    MONTHLY,
    PAST_DUE,
    SAME_STATE,
    STANDARD,
    Access,
    Actor,
    Adopt,
    Cancel,
    ChangePaymentMethod,
    Command,
    Context,
    Decision,
    DefinitionError,
    Disable,
    InvalidValue,
    Later,
    Lifecycle,
    Money,
    PaymentInProgress,
    PaymentMethod,
    Plan,
    PlannedCommand,
    Reactivate,
    Renew,
    Role,
    SetRecurringBilling,
    Start,
    Subscription,
    Subscriptions,
    Timeline,
    Transition,
    guard,
    simulate,
)
from subscription_lifecycle.adapters.sqlalchemy import SQLStore
from subscription_lifecycle.cli import app
from subscription_lifecycle.engine import simulation
from subscription_lifecycle.machine.telling import SAID
from subscription_lifecycle.model.calendar import start_of_day
from subscription_lifecycle.model.entry import Event, fold
from subscription_lifecycle.model.payment import ActionRequired, Captured, Declined, PaymentOutcome, Processing
from subscription_lifecycle.standard import next_period, one_period
from subscription_lifecycle.testing import FakeClock, FakeGateway

ALICE = Actor("alice", Role.BILLING_ADMIN, customer="contoso")
NORA = Actor("nora", customer="contoso")
SAM = Actor("sam", Role.SUPPORT)
CARD = PaymentMethod.card("tok", country="NL")
BANK = PaymentMethod.bank_account("tok", country="NL")
PLAN = Plan("basic", Money(2_000, "EUR"), MONTHLY)


def at(day: str, time: str = "09:00") -> datetime:
    return datetime.fromisoformat(f"{day}T{time}+00:00")


def start(method: PaymentMethod = CARD, plan: Plan = PLAN, zone: str = "UTC", **more: Any) -> Start:
    return Start(customer="contoso", plan=plan, payment_method=method, time_zone=zone, **more)


BEGINS, ENDS = at("2026-01-31"), at("2027-01-31")


def begun(method: PaymentMethod = CARD, **more: Any) -> Subscription:
    found = simulate(STANDARD, None, until=at("2026-02-01"), commands=[(BEGINS, start(method, **more), ALICE)])
    assert found.subscription is not None
    return found.subscription


def days(timeline: Timeline) -> list[str]:
    return [str(charge.at.date()) for charge in timeline.charges]


# -- commands and the clock


def test_renewals_come_on_their_days_and_the_end_is_included() -> None:
    timeline = simulate(STANDARD, begun(), until=at("2026-06-30", "00:00"))
    assert days(timeline) == ["2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31", "2026-06-30"]
    assert timeline.totals["EUR"].captured == Money(10_000, "EUR")
    before = simulate(STANDARD, begun(), until=at("2026-06-29", "23:59"))
    assert days(before) == days(timeline)[:-1]


def test_what_if_he_cancels_in_march() -> None:
    commands = [(at("2026-03-10"), Cancel("term_end"), ALICE)]
    timeline = simulate(STANDARD, begun(), until=ENDS, commands=commands)
    assert days(timeline) == ["2026-02-28"]
    assert [stretch.value for stretch in timeline.states] == [ACTIVE, EXPIRED, DISABLED, DELETED]
    assert [stretch.value for stretch in timeline.access] == [Access.FULL, Access.REDUCED, Access.NONE]
    assert timeline.refused == ()


def test_the_entries_fold_to_the_end() -> None:
    commands = [PlannedCommand(BEGINS, start(), ALICE), PlannedCommand(at("2026-03-10"), Cancel("now"), ALICE)]
    timeline = simulate(STANDARD, None, until=ENDS, commands=commands)
    assert fold(timeline.entries) == timeline.subscription
    assert [entry.version for entry in timeline.entries] == list(range(1, len(timeline.entries) + 1))


def test_commands_may_come_in_any_order_and_those_after_the_end_do_not_count() -> None:
    commands = [
        (at("2026-04-10"), Reactivate(CARD), ALICE), (at("2026-03-10"), Cancel("now"), ALICE),
        (at("2028-01-01"), Cancel("now"), ALICE),
    ]  # fmt: skip
    timeline = simulate(STANDARD, begun(), until=at("2026-04-11"), commands=commands)
    assert [stretch.value for stretch in timeline.states] == [ACTIVE, CANCELLED, ACTIVE]


def test_at_one_instant_the_clock_is_first() -> None:
    commands = [(at("2026-02-28", "00:00"), Cancel("now", refund="full"), SAM)]
    timeline = simulate(STANDARD, begun(), until=at("2026-03-01"), commands=commands)
    assert days(timeline) == ["2026-02-28"]
    assert [refund.amount for refund in timeline.refunds] == [Money(2_000, "EUR")]


def test_a_refused_command_changes_nothing_and_the_rest_goes_on() -> None:
    plain = simulate(STANDARD, begun(), until=ENDS)
    commands = [
        (at("2026-03-10"), Cancel("now"), NORA),
        (at("2026-03-11"), Renew(), ALICE),
        (at("2026-03-12"), start(), ALICE),
        (at("2026-03-13"), Reactivate(), ALICE),
    ]
    timeline = simulate(STANDARD, begun(), until=ENDS, commands=commands)
    assert timeline.entries == plain.entries
    assert timeline.subscription == plain.subscription
    assert [[no.code for no in each.refusals] for each in timeline.refused] == [
        ["role.billing"], ["not_possible"], [], ["not_possible"],
    ]  # fmt: skip
    assert [each.error.code for each in timeline.refused][2] == "already_exists"
    assert "refused: Only an administrator" in " ".join(str(timeline).split())


def test_a_beginning_that_is_refused_leaves_nothing() -> None:
    commands = [(BEGINS, start(), NORA), (at("2026-02-01"), Cancel("now"), ALICE)]
    timeline = simulate(STANDARD, None, until=ENDS, commands=commands)
    assert (timeline.subscription, timeline.entries, timeline.access) == (None, (), ())
    assert [each.error.code for each in timeline.refused] == ["refused", "unknown_subscription"]
    assert "no subscription" in str(timeline)
    ET.fromstring(timeline.to_svg())


def test_facts_are_asked_and_kept() -> None:
    asked: list[type[Command]] = []

    def facts(subscription: Subscription | None, command: Command) -> dict[str, Any]:
        asked.append(type(command))
        return {"seats": 1 if subscription is None else subscription.version}

    commands = [(BEGINS, start(), ALICE), (at("2026-03-10"), Cancel("now"), ALICE)]
    timeline = simulate(STANDARD, None, until=at("2026-03-11"), commands=commands, facts=facts)
    assert asked == [Start, Renew, Cancel]
    assert [entry.facts["seats"] for entry in timeline.entries if entry.event == "applied"] == [1, 2, 4]


def test_an_adopted_one_keeps_its_name() -> None:
    adopted = attrs.evolve(begun(), version=0, recorded_at=None, settlements=())
    timeline = simulate(STANDARD, None, until=ENDS, commands=[(at("2026-02-02"), Adopt(adopted), SAM)])
    assert days(timeline)[0] == "2026-02-28"


# -- what the gateway will say


def says(*outcomes: PaymentOutcome | Later | Callable[[Decision], PaymentOutcome | Later]) -> Any:
    """These in turn; then everything is captured."""
    told = list(outcomes)

    def payments(decision: Decision) -> PaymentOutcome | Later:
        found = told.pop(0) if told else Captured("ch", decision.now)
        return found(decision) if callable(found) else found

    return payments


PROCESSING = Processing("ch")


def after(hours: int, outcome: Captured | Declined, meanwhile: Any = PROCESSING) -> Any:
    return lambda decision: Later(decision.now + timedelta(hours=hours), outcome, meanwhile)


COMES, FAILS = Captured("ch", at("2026-03-01")), Declined("returned", retryable=False)
SOFT = Declined("insufficient_funds", retryable=True)


def test_a_decline_is_retried_and_paid() -> None:
    timeline = simulate(STANDARD, begun(), until=at("2026-03-20"), payments=says(Declined("insufficient_funds")))
    assert [(charge.outcome, charge.code) for charge in timeline.charges] == [
        ("declined", "insufficient_funds"), ("captured", None),
    ]  # fmt: skip
    assert [stretch.value for stretch in timeline.states] == [ACTIVE, PAST_DUE, ACTIVE]
    assert days(timeline) == ["2026-02-28", "2026-03-07"]


def test_a_first_payment_that_is_declined_leaves_it_deleted() -> None:
    commands = [(BEGINS, start(), ALICE)]
    timeline = simulate(STANDARD, None, until=ENDS, commands=commands, payments=says(Declined("no")))
    assert timeline.subscription is not None
    assert timeline.subscription.state == DELETED


def test_an_open_payment_is_given_up_after_the_days_of_the_policy() -> None:
    timeline = simulate(STANDARD, begun(), until=at("2026-03-02"), payments=says(ActionRequired("ch")))
    assert [entry.event for entry in timeline.entries] == ["attempted", "awaiting", "abandoned"]
    assert timeline.entries[-1].recorded_at == at("2026-03-01", "00:00")
    assert [charge.outcome for charge in timeline.charges] == ["abandoned"]
    still = simulate(STANDARD, begun(), until=at("2026-02-28", "10:00"), payments=says(ActionRequired("ch")))
    assert [charge.outcome for charge in still.charges] == ["awaiting"]
    assert "20.00 EUR awaiting" in str(still)


def test_an_open_payment_ends_as_it_is_said() -> None:
    for outcome, event in ((COMES, "applied"), (FAILS, "declined")):
        timeline = simulate(STANDARD, begun(), until=at("2026-03-02"), payments=says(after(5, outcome)))
        assert [entry.event for entry in timeline.entries] == ["attempted", "awaiting", event]
        assert timeline.entries[-1].recorded_at == at("2026-02-28", "05:00")
        late = simulate(STANDARD, begun(), until=at("2026-03-02"), payments=says(after(25, outcome)))
        assert late.entries[-1].event == "abandoned"
        at_once = simulate(STANDARD, begun(), until=at("2026-03-02"), payments=says(after(0, outcome)))
        assert [entry.event for entry in at_once.entries] == ["attempted", event]


def test_an_open_payment_holds_what_is_due_and_what_is_asked_but_not_who_ends_it() -> None:
    commands = [
        (at("2026-02-28", "01:00"), SetRecurringBilling(True), ALICE),
        (at("2026-02-28", "02:00"), ChangePaymentMethod(CARD), ALICE),
    ]
    timeline = simulate(STANDARD, begun(), until=at("2026-02-28", "03:00"), commands=commands,
                        payments=says(Processing("ch"), COMES))  # fmt: skip
    [refused] = timeline.refused
    assert isinstance(refused.error, PaymentInProgress)
    assert refused.refusals == ()
    assert [(entry.event, type(entry.command)) for entry in timeline.entries] == [
        ("attempted", Renew), ("awaiting", Renew), ("abandoned", Renew), ("applied", ChangePaymentMethod),
    ]  # fmt: skip


def test_a_debit_under_way_arrives_or_is_owed() -> None:
    arrived = simulate(STANDARD, begun(BANK), until=at("2026-03-10"), payments=says(after(72, COMES)))
    assert [entry.event for entry in arrived.entries] == ["attempted", "applied", "settled"]
    assert [charge.outcome for charge in arrived.charges] == ["captured"]
    failed = simulate(STANDARD, begun(BANK), until=at("2026-03-05"), payments=says(after(72, FAILS)))
    assert [stretch.value for stretch in failed.states] == [ACTIVE, PAST_DUE]
    assert [(charge.outcome, charge.code) for charge in failed.charges] == [("declined", "returned")]
    assert "owed at the end: 20.00 EUR" in str(failed)
    open_still = simulate(STANDARD, begun(BANK), until=at("2026-03-05"), payments=says(Processing("ch")))
    assert open_still.totals["EUR"].under_way == Money(2_000, "EUR")


def test_a_refund_waits_for_a_debit_that_was_under_way_before() -> None:
    before = simulate(STANDARD, begun(BANK), until=at("2026-03-01"), payments=says(Processing("ch"))).subscription
    assert before is not None
    [debit] = before.submitted
    timeline = simulate(STANDARD, before, until=ENDS, commands=[(at("2026-03-02"), Cancel("now", "full"), SAM)])
    assert timeline.subscription is not None
    assert [due.reference for due in timeline.subscription.refunds] == [debit.reference]
    assert timeline.refunds == ()


def test_what_the_clock_cannot_do_is_told_once_and_waits() -> None:
    def facts(subscription: Subscription | None, command: Command) -> dict[str, Any]:
        if isinstance(command, Renew):
            raise InvalidValue("usage", "is not counted yet", "Wait.")
        return {}

    commands = [(at("2026-03-01"), Cancel("now"), NORA), (at("2026-03-02"), Cancel("now"), NORA)]
    timeline = simulate(STANDARD, begun(), until=ENDS, commands=commands, facts=facts)
    assert [(type(each.command), each.error.code) for each in timeline.refused] == [
        (Renew, "invalid_value"), (Cancel, "refused"), (Cancel, "refused"),
    ]  # fmt: skip
    assert timeline.entries == ()


def test_an_invoice_and_credit_are_charges_too() -> None:
    invoiced = simulate(STANDARD, begun(PaymentMethod.invoice(country="NL")), until=at("2026-03-01"))
    assert [(charge.outcome, charge.amount) for charge in invoiced.charges] == [("invoiced", Money(2_000, "EUR"))]
    credit = attrs.evolve(begun(), credit=Money(3_000, "EUR"))
    paid = simulate(STANDARD, credit, until=at("2026-04-01"))
    assert [(charge.outcome, charge.amount) for charge in paid.charges] == [
        ("credit", Money(0, "EUR")), ("captured", Money(1_000, "EUR")),
    ]  # fmt: skip
    assert paid.charges[0].purpose == "for 2026-02-28 to 2026-03-31"


def test_without_a_payment_method_nothing_is_asked() -> None:
    timeline = simulate(STANDARD, attrs.evolve(begun(), payment_method=None), until=at("2026-03-01"))
    assert [charge.outcome for charge in timeline.charges] == ["unpaid"]
    assert [stretch.value for stretch in timeline.states] == [ACTIVE, PAST_DUE]


# -- bad input, and tables without rest


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("until", {"until": datetime(2027, 1, 1)}),
        ("until", {"until": BEGINS}),
        ("until", {"until": "2027-01-01"}),
        ("commands", {"commands": [(at("2025-01-01"), Cancel("now"), ALICE)]}),
        ("commands", {"commands": [Cancel("now")]}),
        ("at", {"commands": [(datetime(2026, 5, 1), Cancel("now"), ALICE)]}),
        ("command", {"commands": [(at("2026-05-01"), "cancel", ALICE)]}),
        ("by", {"commands": [(at("2026-05-01"), Cancel("now"), "alice")]}),
        ("payments", {"payments": lambda decision: None}),
        ("payments", {"payments": lambda decision: Captured("ch", decision.now, Money(1, "EUR"))}),
    ],
)
def test_bad_input_names_its_field(field: str, given: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue) as raised:
        simulate(STANDARD, begun(), **{"until": ENDS, **given})
    assert raised.value.field == field


def test_something_must_begin() -> None:
    with pytest.raises(InvalidValue) as raised:
        simulate(STANDARD, None, until=ENDS)
    assert raised.value.field == "commands"


@attrs.frozen
class Nag(Command):
    """Something the clock does."""


def nagging(due: Callable[[Subscription], datetime | None], **more: Any) -> Lifecycle:
    return STANDARD.extend(
        Transition(Nag, ACTIVE, more.pop("target", SAME_STATE), due=lambda s, policy: due(s), **more)
    )


def test_a_table_that_never_comes_to_rest_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation, "MOST_ROUNDS", 500)
    first = at("2026-02-10")
    charged: dict[str, Any] = {"charge": one_period, "declined": PAST_DUE}
    tables = [
        nagging(lambda s: first),
        nagging(lambda s: first, **charged),
        nagging(lambda s: None if s.arrears else first, target=ACTIVE, billing_date=next_period, **charged),
        nagging(lambda s: first + timedelta(seconds=s.version)),
    ]
    for table in tables:
        with pytest.raises(DefinitionError, match="never come to rest"):
            simulate(table, begun(), until=ENDS)
        assert days(simulate(table, begun(), until=at("2026-02-09"))) == []


def test_a_charge_that_never_moves_its_day_has_no_projection() -> None:
    more: dict[str, Any] = {"charge": one_period, "billing_date": next_period, "declined": PAST_DUE}
    table = nagging(lambda s: at("2026-02-10"), target=ACTIVE, **more)
    for ask in (table.projected, lambda s, now: table.access(s, at=now)):
        with pytest.raises(DefinitionError, match="never come to rest"):
            ask(begun(), at("2026-02-11"))


def test_a_table_that_is_wrong_refuses_nothing() -> None:
    wrong = STANDARD.extend(Transition(Nag, ACTIVE, SAME_STATE, effects=[lambda context: {"nonsense": 1}]))
    with pytest.raises(DefinitionError, match="nonsense"):
        simulate(wrong, begun(), until=ENDS, commands=[(at("2026-02-10"), Nag(), ALICE)])


def test_a_due_row_that_is_refused_waits_and_blocks_nothing_else() -> None:
    def never(context: Context[Any]) -> bool:
        return False

    table = nagging(lambda s: at("2026-02-10"), guards=[guard("never", "Never.")(never)])
    commands = [(at("2026-02-20"), Cancel("now"), ALICE)]
    timeline = simulate(table, begun(), until=at("2026-02-21"), commands=commands)
    assert [type(entry.command) for entry in timeline.entries] == [Cancel]


# -- a century


ZONES = ("Europe/Amsterdam", "America/New_York", "America/Sao_Paulo", "Africa/Cairo", "Asia/Beirut")


@pytest.mark.slow
@pytest.mark.parametrize("zone", ZONES)
def test_a_hundred_years_of_month_ends(zone: str) -> None:
    begins = datetime(1990, 1, 31, 12, tzinfo=UTC)
    timeline = simulate(STANDARD, None, until=datetime(2090, 1, 31, 12, tzinfo=UTC),
                        commands=[(begins, start(zone=zone), ALICE)])  # fmt: skip
    renewals = [entry for entry in timeline.entries if entry.event == "applied"]
    assert len(renewals) == 1_201
    periods = [entry.billed for entry in renewals if entry.billed is not None]
    assert len(periods) == 1_201
    assert all(one.end == two.start for one, two in pairwise(periods))
    for period in periods:
        assert period.start.day == min(31, calendar.monthrange(period.start.year, period.start.month)[1])
    for entry, period in list(zip(renewals, periods, strict=True))[1:]:
        assert entry.effective_at == entry.recorded_at == start_of_day(period.start, zone)
    assert timeline.subscription is not None
    assert timeline.subscription.schedule.anchor == date(1990, 1, 31)
    assert [stretch.value for stretch in timeline.access] == [Access.FULL]


@pytest.mark.slow
def test_ten_years_of_days_where_midnight_is_sometimes_missing() -> None:
    zone = "America/Sao_Paulo"
    daily = Plan("daily", Money(100, "EUR"), DAILY)
    timeline = simulate(STANDARD, None, until=at("2018-01-31", "12:00"),
                        commands=[(at("2008-01-31", "12:00"), start(plan=daily, zone=zone), ALICE)])  # fmt: skip
    begins = [charge.at.astimezone(ZoneInfo(zone)) for charge in timeline.charges[1:]]
    assert [instant.date() for instant in begins] == [date(2008, 2, 1) + timedelta(days=n) for n in range(3_653)]
    assert {instant.hour for instant in begins} == {0, 1}
    assert timeline.totals["EUR"].captured == Money(100, "EUR") * 3_654


# -- the page and the picture


def a_full_life(name: str = "basic") -> Timeline:
    commands = [
        (BEGINS, start(plan=attrs.evolve(PLAN, id=name), zone="Europe/Amsterdam"), ALICE),
        (at("2026-05-10"), Disable(reason="a <b> | c"), SAM),
        (at("2026-05-11"), Reactivate(CARD), NORA),
        (at("2026-05-12"), Reactivate(CARD), SAM),
        (at("2026-06-10"), Cancel("now", refund="prorated"), ALICE),
    ]
    return simulate(STANDARD, None, until=ENDS, commands=commands, payments=says(COMES, SOFT, after(5, COMES)))


def test_the_page_is_narrow_and_whole() -> None:
    page = str(a_full_life())
    assert max(map(len, page.splitlines())) <= 100
    lines = [" ".join(line.split()) for line in page.splitlines()]
    assert lines[0] == "simulated, 2026-01-31 to 2027-01-31 (Europe/Amsterdam)"
    assert "2026-01-31 start, by card (alice) ACTIVE 20.00 EUR captured 2026-02-28" in lines
    assert any("declined" in line for line in lines)
    assert "access reduced: 2026-05-10 to 2026-05-12" in lines
    assert lines[-1] == "money: captured 100.00 EUR, refunded 13.33 EUR, declined 20.00 EUR"


def test_a_line_of_markdown_stays_a_line() -> None:
    page = a_full_life().to_markdown()
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {6}
    assert "a &lt;b> \\| c" in page


def test_stretches_tile_the_timeline() -> None:
    timeline = a_full_life()
    for stretches in (timeline.states, timeline.access):
        assert (stretches[0].start, stretches[-1].end) == (timeline.start, timeline.until)
        for one, two in pairwise(stretches):
            assert one.end == two.start
            assert one.value != two.value


SVG = "{http://www.w3.org/2000/svg}"


def test_the_picture_is_drawn_to_scale_and_always_the_same() -> None:
    timeline = a_full_life()
    assert timeline.to_svg() == a_full_life().to_svg()
    picture = ET.fromstring(timeline.to_svg())
    for kind, stretches in (("state", timeline.states), ("access", timeline.access)):
        bars = [bar for bar in picture.iter(f"{SVG}rect") if bar.get("class") == kind]
        widths = [float(bar.get("width", "")) for bar in bars]
        assert len(bars) == len(stretches)
        assert sum(widths) == pytest.approx(928, abs=1)
        spans = [(each.end - each.start) / (timeline.until - timeline.start) * 928 for each in stretches]
        assert widths == pytest.approx(spans, abs=0.11)
    ticks = [tick for tick in picture.iter(f"{SVG}path") if tick.get("class") == "tick"]
    assert len(ticks) == 12, "a month each"
    titles = [title.text or "" for title in picture.iter(f"{SVG}title")]
    assert sum("captured" in title for title in titles) == len([c for c in timeline.charges if c.outcome == "captured"])
    assert any("a <b> | c" in title for title in titles), "escaped, and whole"
    assert any("refused" in title for title in titles)


@pytest.mark.parametrize("years", [1, 3, 20, 100, 900])
def test_the_ticks_of_a_long_life_stay_few(years: int) -> None:
    commands = [(at("2026-03-10"), Cancel("now"), ALICE)]
    until = datetime(2026 + years, 1, 31, 9, tzinfo=UTC)
    picture = ET.fromstring(simulate(STANDARD, begun(), until=until, commands=commands).to_svg())
    assert 9 <= len([tick for tick in picture.iter(f"{SVG}path") if tick.get("class") == "tick"]) <= 151
    assert len([label for label in picture.iter(f"{SVG}text") if label.get("y") == "150"]) <= 15


def test_every_event_has_its_words() -> None:
    assert set(SAID) == set(get_args(Event))


def test_a_stored_history_is_told_alike(tmp_path: Path) -> None:
    commands = [(BEGINS, start(), ALICE), (at("2026-03-10"), Cancel("now", refund="prorated"), ALICE)]
    expected = simulate(STANDARD, None, until=at("2026-03-11"), commands=commands)
    clock, store = FakeClock(BEGINS), SQLStore(f"sqlite:///{tmp_path / 'store.sqlite'}")
    subs = Subscriptions(store, FakeGateway(clock), clock=clock)
    subs.execute("simulated", start(), by=ALICE, idempotency_key="start")
    clock.set("2026-02-28T00:00Z")
    subs.sweep()
    clock.set(at("2026-03-10"))
    subs.execute("simulated", Cancel("now", refund="prorated"), by=ALICE, idempotency_key="cancel")
    told = Timeline.of_history(STANDARD, subs.history("simulated"), until=at("2026-03-11"))
    store.close()
    assert str(told) == str(expected)
    assert told.to_svg() == expected.to_svg()
    assert (told.charges, told.totals, told.access) == (expected.charges, expected.totals, expected.access)
    command = ["timeline", str(tmp_path / "store.sqlite"), "simulated", "--svg", str(tmp_path / "picture.svg")]
    assert CliRunner().invoke(app, command).exit_code == 0
    assert (tmp_path / "picture.svg").read_text("utf-8") == expected.to_svg()


def test_a_history_needs_entries_and_an_end_after_them() -> None:
    entries = simulate(STANDARD, None, until=ENDS, commands=[(BEGINS, start(), ALICE)]).entries
    for field, given, until in (("entries", (), ENDS), ("until", entries, BEGINS)):
        with pytest.raises(InvalidValue) as raised:
            Timeline.of_history(STANDARD, given, until=until)
        assert raised.value.field == field

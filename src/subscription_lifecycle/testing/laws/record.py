"""Laws of the record: what is stored is true, complete, and was allowed."""

from __future__ import annotations

import attrs

from subscription_lifecycle.errors import PaymentDeclined, Refused
from subscription_lifecycle.machine.decision import Applied, onto
from subscription_lifecycle.model.actor import SYSTEM, Role
from subscription_lifecycle.model.calendar import local_day
from subscription_lifecycle.model.command import FailPayment, SettlePayment
from subscription_lifecycle.model.entry import Entry, fold
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.standard.causes import PROVIDER
from subscription_lifecycle.standard.commands import Reactivate
from subscription_lifecycle.testing.law import law
from subscription_lifecycle.testing.step import Step

LEFT_ALONE = ("state", "causes", "next_billing_date", "paid_through", "arrears", "payment_method", "schedule", "credit")


@law("no row leaves a final state; entries about money may follow")
def final_is_final(step: Step) -> None:
    ended = False
    for entry, snapshot in step.snapshots:
        assert not ended or "state" not in entry.changes, f"{entry.id} leaves a final state"
        ended = snapshot.state.final


@law("a refusal changes nothing, a decline only what its row says; entries fold to the snapshot and can be replayed")
def history_is_the_truth(step: Step) -> None:
    if isinstance(step.error, Refused) and step.first:
        assert step.before == step.after, "a refusal changed what is stored"
        assert not step.entries, "a refusal left entries"
        assert not step.moved, "a refusal moved money"
    if isinstance(step.error, PaymentDeclined) and not step.subscription.state.final:
        for field in LEFT_ALONE:
            caught_up = _after_due_rows(step)
            assert getattr(step.subscription, field) == getattr(caught_up, field), f"a decline changed {field}"
        assert [entry.event for entry in step.entries[-2:]] == ["attempted", "declined"], "a decline is two entries"
    assert [entry.version for entry in step.history] == list(range(1, len(step.history) + 1)), "a version is missing"
    folded = fold(step.history)
    assert folded == step.subscription, "the entries do not fold to the snapshot"
    _replay(step)


def _after_due_rows(step: Step) -> Subscription:
    found = [snapshot for entry, snapshot in step.snapshots if entry.version <= step.entries[-2].version]
    return found[-1]


def _replay(step: Step) -> None:
    """Every entry that a row made is made again, from what it says itself."""
    new = {entry.version for entry in step.entries}
    decided = None
    before: Subscription | None = None
    asked: Subscription | None = None
    for entry, snapshot in step.snapshots:
        if entry.event == "attempted":
            decided, asked = entry, snapshot
        if entry.version in new and entry.event in ("applied", "held", "declined") and before is not None:
            attempted = decided is not None and decided.key == entry.key and decided.row == entry.row
            at = decided.recorded_at if attempted and decided is not None else entry.recorded_at
            # Decided when the payment was asked for; other money may have been heard of since.
            start = asked if attempted and asked is not None else before
            again = step.lifecycle.decide_again(step.lifecycle.known(start), entry, at)
            for_good = entry.payment is not None and not entry.payment.retryable
            expected = again.if_declined(retryable=not for_good) if entry.event == "declined" else again.after
            _same(entry, snapshot, onto(before, again.before, expected))
            assert entry.terms == again.terms, f"{entry.id} cannot be replayed: {entry.terms}, is now {again.terms}"
        before = snapshot


def _same(entry: Entry, snapshot: Subscription, again: Subscription) -> None:
    for field in attrs.fields(Subscription):
        if field.name in ("version", "recorded_at", "settlements", "submitted", "disputed_method"):
            continue
        found, expected = getattr(snapshot, field.name), getattr(again, field.name)
        assert found == expected, f"{entry.id} cannot be replayed: {field.name} was {found}, is now {expected}"


@law("what is refused no input makes succeed; preview, explain and outcome agree")
def answers_agree(step: Step) -> None:
    if step.explained is None or step.command is None:
        return
    refused = isinstance(step.error, Refused)
    codes = {refusal.code for refusal in step.explained}
    assert refused == bool(codes), f"explained {codes or 'nothing'}, but the outcome was {step.error or step.result!r}"
    if isinstance(step.error, Refused):
        assert {refusal.code for refusal in step.error.refusals} == codes, "explain and outcome name other reasons"
    if step.offered is not None and step.offered.availability != "available":
        assert refused, f"{step.command.title} was offered as {step.offered.availability} and succeeded"
    if step.offered is not None and step.offered.availability == "available" and refused:
        assert _input_may_help(step, codes), f"{step.command.title} was offered, and no input helps against {codes}"
    if step.previewed is not None and isinstance(step.result, Applied) and step.entries:
        last = [entry for entry in step.entries if entry.command == step.command and entry.by == step.by]
        if last and last[-1].event == "applied":
            assert last[-1].terms == step.previewed.terms, "the outcome has other terms than the preview"


def _input_may_help(step: Step, codes: set[str]) -> bool:
    """Whether some row of the command refuses for nothing but what guards read in the command or in facts."""
    state = step.lifecycle.projected(step.before.subscription, step.now).state
    rows = (row for row in step.lifecycle.rows if isinstance(step.command, row.on) and state in row.source)
    final = ({guard.code for guard in row.guards if not (guard.reads_command or guard.reads_facts)} for row in rows)
    return "another_customer" not in codes and any(not codes & guards for guards in final)


@law(
    "reactivation never flips recurring billing; no customer lifts the provider's block; more roles never mean more "
    "refusals; without a role nothing changes, and the clock acts through due rows and reported payments alone"
)
def roles_are_respected(step: Step) -> None:
    for entry in step.history:
        policy = step.lifecycle.policies.get(entry.policy)
        support = policy.support_roles if policy is not None else frozenset[Role]()
        if isinstance(entry.command, Reactivate):
            assert "recurring_billing" not in entry.changes, f"{entry.id} flipped recurring billing"
        before, after = entry.changes.get("causes", ((), ()))
        lifted = PROVIDER in (before or ()) and PROVIDER not in after
        assert not lifted or entry.by.roles & support, f"{entry.id}: {entry.by} lifted the provider's block"
        assert entry.by.roles, f"{entry.id}: {entry.by} has no role"
        if entry.by == SYSTEM and entry.event in ("attempted", "applied", "held", "declined"):
            by_itself = step.lifecycle.row(entry.row).due is not None
            reported = isinstance(entry.command, FailPayment | SettlePayment)
            assert by_itself or reported, f"{entry.id}: the clock did what is not due by itself"
    _more_roles_help(step)


def _more_roles_help(step: Step) -> None:
    if step.explained is None or step.command is None or step.by is None or step.command.creates:
        return
    subscription = step.lifecycle.projected(step.before.subscription, step.now)
    facts = step.command.facts(step.history) if step.command.reads_history else {}
    few = step.lifecycle.explain(subscription, step.command, by=step.by, at=step.now, facts=facts)
    more = attrs.evolve(step.by, roles=step.by.roles | {Role.GLOBAL_ADMIN, Role.SUPPORT})
    many = step.lifecycle.explain(subscription, step.command, by=more, at=step.now, facts=facts)
    assert {refusal.code for refusal in many} <= {refusal.code for refusal in few}, "more roles met more refusals"


@law("what is recorded is never undone by a clock: times rise, the present is what is stored, payments go by our names")
def time_is_honest(step: Step) -> None:
    written = [entry.recorded_at for entry in step.history]
    assert written == sorted(written), "recorded_at goes back"
    subscription = step.lifecycle.known(step.subscription)
    # Where the clock went back, now is when it was last written.
    now = max(step.now, written[-1])
    assert now != step.now or step.subs.as_of(step.id, now) == step.subs.get(step.id), "as_of(now) is not what is"
    # Nothing is due before its state was entered, which is an instant and no date.
    dated = subscription.changed({"since": None})
    here, there = step.lifecycle.due(dated), step.lifecycle.due(dated.changed({"time_zone": "Asia/Kolkata"}))
    assert (here is None) == (there is None), "a zone moved a date"
    if here is not None and there is not None:
        assert local_day(here.at, subscription.time_zone) == local_day(there.at, "Asia/Kolkata"), "a zone moved a date"
    for capture in step.gateway.captures:
        if capture.subscription == step.id:
            assert step.subs.store.find(capture.reference) == step.id, f"{capture.reference} is not found by our name"

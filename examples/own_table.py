"""Inside: a host that has a table of subscriptions keeps it, and the library lives there. Run it: `python
examples/own_table.py`.

The host's `subscriptions` gets four columns more (`version`, `due_at`, `snapshot`, `attempt`) and three small tables
beside it; `OwnStore` is all the code. Its words stay: `status`, `plan` and `renews_on` are written in the same
transaction as the snapshot, and from then on by nothing else. SQLite or PostgreSQL. Its proof is `test_own_table.py`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    Date,
    DateTime,
    Engine,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    and_,
    create_engine,
    exists,
    false,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.exc import IntegrityError

from subscription_lifecycle import (
    ACTIVE,
    CANCELLED,
    DELETED,
    DISABLED,
    EXPIRED,
    MONTHLY,
    PAST_DUE,
    PAUSED,
    SCHEDULED,
    TRIALING,
    Actor,
    BillingSchedule,
    ConcurrentChange,
    Entry,
    Money,
    PaymentMethod,
    Plan,
    Role,
    State,
    Subscription,
    Subscriptions,
)
from subscription_lifecycle.documents import decode, encode
from subscription_lifecycle.ports import Answer, Attempt, ClaimTaken, Stored, Write
from subscription_lifecycle.testing import FakeClock, FakeGateway

# -- the host's own table, and what is added to it

metadata = MetaData()
subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("customer", String(64), nullable=False),
    Column("status", String(20), nullable=False),
    Column("plan", String(40), nullable=False),
    Column("renews_on", Date),
    Column("sales_contact", String(80)),  # nothing to the library: never touched
    # Added. Version 0 is a row that was not brought in yet.
    Column("version", Integer, nullable=False, server_default="0"),
    Column("due_at", DateTime(timezone=True), index=True),
    Column("snapshot", JSON),
    Column("attempt", JSON(none_as_null=True)),
)
delivered = Column("delivered", Boolean, nullable=False, default=False)
entries = Table(
    "subscription_entries",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("subscription", ForeignKey(subscriptions.c.id), nullable=False),
    Column("version", Integer, nullable=False),
    Column("write_id", String, nullable=False),
    Column("payment", String, index=True),
    delivered,
    Column("document", JSON, nullable=False),
    UniqueConstraint("subscription", "version"),
    Index("subscription_entries_write", "subscription", "write_id"),
    Index("outbox", "number", sqlite_where=delivered == false(), postgresql_where=delivered == false()),
)
keys = Table(
    "subscription_keys",
    metadata,
    Column("subscription", ForeignKey(subscriptions.c.id), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("document", JSON, nullable=False),
)
claims = Table(
    "subscription_claims",
    metadata,
    Column("claim", String, primary_key=True),
    Column("subscription", ForeignKey(subscriptions.c.id), nullable=False),
)

STATUSES: Mapping[State, str] = {
    SCHEDULED: "signed",
    TRIALING: "live",
    ACTIVE: "live",
    PAST_DUE: "overdue",
    PAUSED: "on hold",
    EXPIRED: "lapsed",
    DISABLED: "suspended",
    CANCELLED: "cancelled",
    DELETED: "closed",
}
"""The host's own words. `STANDARD.conditions` lists what must have one."""


# -- the store


class OwnStore:
    """`ports.Store` on the tables above."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def load(self, id: str, key: str | None, /) -> Stored | None:
        row, answered = subscriptions.c, and_(keys.c.subscription == id, keys.c.key == key)
        query = select(row.snapshot, row.attempt, keys.c.document).outerjoin_from(subscriptions, keys, answered)
        with self.engine.connect() as connection:
            found = connection.execute(query.where(row.id == id, row.version > 0)).one_or_none()
        if found is None:
            return None
        snapshot, attempt, answer = found
        return Stored(
            decode(Subscription, snapshot),
            None if attempt is None else decode(Attempt, attempt),
            None if answer is None else decode(Answer, answer),
        )

    def write(self, write: Write, /) -> None:
        id = write.subscription.id
        try:
            with self.engine.begin() as connection:
                if self._is_first(connection, write):
                    self._record(connection, write)
                elif not self._is_written(connection, write):
                    raise ConcurrentChange(id)
        except IntegrityError as error:
            # Of several writers at once another was first: with this very write, with a claim, or with this version.
            with self.engine.connect() as connection:
                if self._is_written(connection, write):
                    return
                holders = select(claims.c.claim).where(claims.c.claim.in_(write.claims), claims.c.subscription != id)
                taken = connection.scalar(holders)
            raise (ClaimTaken(taken) if taken else ConcurrentChange(id)) from error

    def _is_first(self, connection: Connection, write: Write) -> bool:
        """Compare and set. It comes first in the transaction: of several writers one goes on, the others wait."""
        mine, row = subscriptions.c.id == write.subscription.id, _row(write)
        advance = update(subscriptions).where(mine, subscriptions.c.version == write.expected)
        if connection.execute(advance.values(row)).rowcount == 1:
            return True
        if write.expected > 0 or connection.scalar(select(exists().where(mine))):
            return False
        connection.execute(insert(subscriptions).values(row))
        return True

    def _is_written(self, connection: Connection, write: Write) -> bool:
        of = entries.c
        written = exists().where(of.subscription == write.subscription.id, of.write_id == write.id)
        return bool(connection.scalar(select(written)))

    def _record(self, connection: Connection, write: Write) -> None:
        id = write.subscription.id
        for entry in write.entries:
            payment = None if entry.payment is None else entry.payment.reference
            fact = {"subscription": id, "version": entry.version, "write_id": write.id, "payment": payment}
            connection.execute(insert(entries).values(fact | {"document": encode(entry)}))
        for answer in write.answers:
            same = and_(keys.c.subscription == id, keys.c.key == answer.key)
            document = encode(answer)
            if connection.execute(update(keys).where(same).values(document=document)).rowcount == 0:
                connection.execute(insert(keys).values(subscription=id, key=answer.key, document=document))
        held = set(connection.scalars(select(claims.c.claim).where(claims.c.subscription == id)))
        for claim in set(write.claims) - held:
            connection.execute(insert(claims).values(claim=claim, subscription=id))

    def find(self, reference: str, /) -> str | None:
        with self.engine.connect() as connection:
            found: str | None = connection.scalar(
                select(entries.c.subscription).where(entries.c.payment == reference).limit(1)
            )
        return found

    def due(self, until: datetime, limit: int, /) -> Sequence[str]:
        row = subscriptions.c
        query = select(row.id).where(row.due_at <= until.astimezone(UTC)).order_by(row.due_at, row.id).limit(limit)
        with self.engine.connect() as connection:
            return connection.scalars(query).all()

    def history(self, id: str, /) -> Sequence[Entry]:
        query = select(entries.c.document).where(entries.c.subscription == id).order_by(entries.c.version)
        with self.engine.connect() as connection:
            return [decode(Entry, document) for document in connection.scalars(query)]

    def undelivered(self, limit: int, /) -> Sequence[Entry]:
        waiting = entries.c.delivered == false()
        query = select(entries.c.document).where(waiting).order_by(entries.c.number).limit(limit)
        with self.engine.connect() as connection:
            return [decode(Entry, document) for document in connection.scalars(query)]

    def delivered(self, told: Sequence[Entry], /) -> None:
        which = tuple_(entries.c.subscription, entries.c.version).in_([(of.subscription, of.version) for of in told])
        with self.engine.begin() as connection:
            connection.execute(update(entries).where(which).values(delivered=True))


def _row(write: Write) -> dict[str, Any]:
    """The host's columns and the library's, made together: they cannot differ."""
    now = write.subscription
    return {
        "id": now.id,
        "customer": now.customer,
        "status": STATUSES[now.state],
        "plan": now.plan.id,
        "renews_on": now.next_billing_date if now.recurring_billing and not now.state.final else None,
        "version": now.version,
        "due_at": write.due_at,
        "snapshot": encode(now),
        "attempt": None if write.attempt is None else encode(write.attempt),
    }


# -- a row of last year comes in alive

PLAN = Plan("business", Money.of("20.00", "EUR"), MONTHLY)
ALICE = Actor("alice", Role.BILLING_ADMIN, customer="contoso")
SUPPORT = Actor("sam", Role.SUPPORT)


def brought_in(row: Any) -> Subscription:
    """What the host's columns say, in the library's words. Here only those that lapsed."""
    schedule = BillingSchedule(row.renews_on, MONTHLY)
    start = schedule.dates(row.renews_on - timedelta(days=31), 1)[0]
    assert row.status == "lapsed"
    return Subscription(
        id=row.id,
        customer=row.customer,
        plan=PLAN,
        state=EXPIRED,
        schedule=schedule,
        next_billing_date=row.renews_on,
        paid_through=row.renews_on,
        term_start=start,
        term_end=row.renews_on,
        recurring_billing=False,
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{folder}/host.sqlite")
        metadata.create_all(engine)
        old = {"id": "s1", "customer": "contoso", "status": "lapsed", "plan": "business", "sales_contact": "Mia"}
        with engine.begin() as connection:
            connection.execute(insert(subscriptions).values(old | {"renews_on": date(2026, 2, 28)}))
            row = connection.execute(select(subscriptions)).one()

        clock, gateway = FakeClock("2026-03-10T09:00Z"), FakeGateway()
        subs = Subscriptions(OwnStore(engine), gateway, clock=clock)
        subs.adopt(brought_in(row), by=SUPPORT, idempotency_key="import-s1")
        card = PaymentMethod.card("tok_visa", country="NL")
        subs.reactivate("s1", payment_method=card, by=ALICE, idempotency_key="click-1")
        subs.set_recurring_billing("s1", on=True, by=ALICE, idempotency_key="click-2")
        subs.sweep()

        with engine.connect() as connection:
            row = connection.execute(select(subscriptions)).one()
        print(row.status, row.renews_on, row.sales_contact)
        assert (row.status, row.renews_on, row.sales_contact) == ("live", date(2026, 3, 28), "Mia")
        assert [capture.amount for capture in gateway.captures] == [PLAN.price]
        engine.dispose()


def test_the_example_runs() -> None:
    main()


if __name__ == "__main__":
    main()

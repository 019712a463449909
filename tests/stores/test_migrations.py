"""Our migrations make what `add_tables` says, have a version table of their own, and leave a host's tables alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from subscription_lifecycle import InvalidValue
from subscription_lifecycle.adapters.sqlalchemy import SQLStore, add_tables, migrate, migrations, overlook
from subscription_lifecycle.adapters.sqlalchemy.postgresql import postgresql_engine
from subscription_lifecycle.testing.lives import live

OURS = {
    "lifecycle_subscriptions",
    "lifecycle_entries",
    "lifecycle_keys",
    "lifecycle_claims",
    "lifecycle_invoice_lines",
    "lifecycle_parked",
    "lifecycle_failures",
    "lifecycle_payment_names",
    "lifecycle_alembic_version",
}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    on_file = request.param == "sqlite"
    engine = sa.create_engine(
        f"sqlite:///{tmp_path / 'host.sqlite'}"
        if on_file
        else request.getfixturevalue("postgresql_url").replace("postgresql:", "postgresql+psycopg:")
    )
    yield engine
    engine.dispose()


def made(engine: sa.Engine, schema: str | None = None) -> dict[str, Any]:
    """Every table, with its columns, key and indexes, as the database has them."""
    inspector = sa.inspect(engine)
    found: dict[str, Any] = {}
    for table in inspector.get_table_names(schema):
        found[table] = {
            column["name"]: (str(column["type"]), column["nullable"], column["default"])
            for column in inspector.get_columns(table, schema)
        }
        key = inspector.get_pk_constraint(table, schema)
        found[table] |= {key["name"]: key["constrained_columns"]}
        for index in inspector.get_indexes(table, schema):
            conditions = sorted((name, str(value)) for name, value in index.get("dialect_options", {}).items())
            found[table] |= {index["name"]: (index["column_names"], index["unique"], conditions)}
    return found


def test_the_migrations_make_what_the_tables_say(engine: sa.Engine) -> None:
    metadata = sa.MetaData()
    add_tables(metadata)
    metadata.create_all(engine)
    expected = made(engine)
    assert set(expected) == OURS
    metadata.drop_all(engine)
    migrate(engine)
    assert made(engine) == expected


def test_names_are_kept_by_their_bytes(postgresql_url: str) -> None:
    """Whatever language a database speaks; and what is not looked for needs no order."""
    engine = postgresql_engine(sa.make_url(postgresql_url))
    migrate(engine)
    with engine.connect() as connection:
        found = connection.exec_driver_sql(
            "SELECT table_name, column_name, collation_name FROM information_schema.columns"
            " WHERE table_name LIKE 'lifecycle%%' AND data_type IN ('text', 'character varying')"
        ).all()
    engine.dispose()
    other = {f"{table}.{column}" for table, column, collation in found if collation != "C"}
    assert {name.removeprefix("lifecycle_") for name in other} == {
        "subscriptions.document", "subscriptions.attempt", "entries.document", "keys.document",
        "invoice_lines.document", "parked.error", "failures.error", "payment_names.gateway_id",
        "alembic_version.version_num", "subscriptions.error",
    }  # fmt: skip


def test_what_is_looked_for_is_indexed(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'host.sqlite'}")
    migrate(engine)
    queries = {
        "SELECT id FROM lifecycle_subscriptions WHERE due_at <= 1 ORDER BY due_at, id": "lifecycle_subscriptions_due",
        "SELECT subscription FROM lifecycle_entries WHERE reference = 'a'": "lifecycle_entries_reference",
        "SELECT subscription FROM lifecycle_entries WHERE reference IS NOT NULL AND recorded_at >= 1": (
            "lifecycle_entries_payments"
        ),
        "SELECT document FROM lifecycle_entries WHERE delivered = 0 ORDER BY recorded_at, subscription, version": (
            "lifecycle_entries_outbox"
        ),
        "SELECT 1 FROM lifecycle_entries WHERE subscription = 'a' AND write_id = 'b'": "lifecycle_entries_write",
        "SELECT id FROM lifecycle_invoice_lines WHERE customer = 'a' AND invoice IS NULL": (
            "lifecycle_invoice_lines_open"
        ),
        "SELECT id FROM lifecycle_subscriptions WHERE customer = 'a' AND id > 'b' ORDER BY id": (
            "lifecycle_subscriptions_customer"
        ),
    }
    with engine.connect() as connection:
        for query, index in queries.items():
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}").all()
            assert len(plan) == 1, plan
            assert f"{index} " in plan[0][3] + " ", plan
    engine.dispose()


def test_migrating_again_changes_nothing(engine: sa.Engine) -> None:
    migrate(engine)
    before = made(engine)
    migrate(engine)
    assert made(engine) == before


def test_the_head_is_the_last_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [migrations.HEAD]
    assert [script.revision for script in scripts.walk_revisions()][-1] == "first_format"


def test_tables_of_a_later_version_are_refused(engine: sa.Engine) -> None:
    migrate(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE lifecycle_alembic_version SET version_num = 'from_the_future'")
    with pytest.raises(InvalidValue, match="from_the_future"):
        migrate(engine)
    with pytest.raises(InvalidValue, match="Upgrade"):
        SQLStore(engine).migrate()


# -- beside a host's own migrations


ENV = """
from alembic import context
attributes = context.config.attributes
context.configure(
    connection=attributes["connection"],
    target_metadata=attributes["metadata"],
    include_object=attributes.get("include_object"),
)
with context.begin_transaction():
    context.run_migrations()
"""

TEMPLATE = '''"""${message}"""
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
from alembic import op
import sqlalchemy as sa
def upgrade():
    ${upgrades if upgrades else "pass"}
'''


class Host:
    """An application with a table, an Alembic environment and a version table of its own."""

    def __init__(self, folder: Path, engine: sa.Engine, **attributes: Any) -> None:
        (folder / "versions").mkdir(parents=True)
        (folder / "env.py").write_text(ENV)
        (folder / "script.py.mako").write_text(TEMPLATE)
        self.engine = engine
        self.metadata = sa.MetaData()
        sa.Table("customers", self.metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text))
        self.config = Config()
        self.config.set_main_option("script_location", str(folder))
        self.config.attributes.update(metadata=self.metadata, **attributes)

    def autogenerate(self) -> list[str]:
        """What the host's next migration would do."""
        with self.engine.begin() as connection:
            self.config.attributes["connection"] = connection
            script = command.revision(self.config, "host", autogenerate=True)
        assert script is not None
        assert not isinstance(script, list)
        lines = Path(script.path).read_text().partition("def upgrade():")[2].splitlines()
        return [line.strip() for line in lines if line.strip() and "###" not in line and line.strip() != "pass"]

    def upgrade(self) -> None:
        with self.engine.begin() as connection:
            self.config.attributes["connection"] = connection
            command.upgrade(self.config, "head")


def test_a_host_that_adds_our_tables_sees_an_empty_diff(engine: sa.Engine, tmp_path: Path) -> None:
    host = Host(tmp_path / "host", engine)
    assert any("customers" in line for line in host.autogenerate())
    host.upgrade()
    migrate(engine)
    add_tables(host.metadata)
    assert host.autogenerate() == []
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), host.metadata) == []


def test_a_host_that_does_not_know_our_tables_would_drop_them(engine: sa.Engine, tmp_path: Path) -> None:
    """Why one of the two is needed."""
    host = Host(tmp_path / "host", engine)
    host.autogenerate()
    host.upgrade()
    migrate(engine)
    assert {f"op.drop_table('{name}')" for name in OURS} <= set(host.autogenerate())


def test_a_host_that_overlooks_our_tables_sees_an_empty_diff(engine: sa.Engine, tmp_path: Path) -> None:
    host = Host(tmp_path / "host", engine, include_object=overlook)
    assert any("customers" in line for line in host.autogenerate())
    host.upgrade()
    migrate(engine)
    assert host.autogenerate() == []


def test_the_host_still_sees_its_own_changes(engine: sa.Engine, tmp_path: Path) -> None:
    host = Host(tmp_path / "host", engine, include_object=overlook)
    host.autogenerate()
    host.upgrade()
    migrate(engine)
    sa.Table("orders", host.metadata, sa.Column("id", sa.Integer, primary_key=True))
    host.metadata.tables["customers"].append_column(sa.Column("since", sa.Date))
    script = "\n".join(host.autogenerate())
    assert "orders" in script
    assert "since" in script
    assert "lifecycle" not in script


def test_a_host_may_make_our_tables_with_its_own_migrations(engine: sa.Engine, tmp_path: Path) -> None:
    host = Host(tmp_path / "host", engine)
    add_tables(host.metadata)
    host.autogenerate()
    host.upgrade()
    store = SQLStore(engine)
    assert store.load("nobody", None) is None
    assert host.autogenerate() == []
    # Made by the host, brought up to date by the host.
    before = made(engine)
    store.migrate()
    assert made(engine) == before
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM lifecycle_alembic_version").scalar() == 0


def test_tables_that_a_host_made_and_forgot_are_refused(engine: sa.Engine) -> None:
    metadata = sa.MetaData()
    add_tables(metadata)
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE lifecycle_subscriptions DROP COLUMN leased_until")
        connection.exec_driver_sql("DROP TABLE lifecycle_payment_names")
    before = made(engine)
    with pytest.raises(InvalidValue, match=r"lack lifecycle_subscriptions\.leased_until, lifecycle_payment_names"):
        migrate(engine)
    assert made(engine) == before


def test_a_schema_may_have_any_name(postgresql_url: str) -> None:
    engine, schema = postgresql_engine(sa.make_url(postgresql_url)), 'Billing "live"'
    with engine.begin() as connection:
        connection.execute(sa.schema.CreateSchema(schema))
    for _ in range(2):
        migrate(engine, schema)
    assert made(engine) == {}
    assert set(made(engine, schema)) == OURS
    store = SQLStore(engine, schema)
    live(store)
    assert store.search(None, None, None, 1_000)
    assert made(engine) == {}
    engine.dispose()


def test_many_migrate_one_database_at_once(postgresql_url: str) -> None:
    errors: list[Exception] = []
    barrier = threading.Barrier(4)

    def open_it() -> None:
        barrier.wait()
        try:
            SQLStore(postgresql_url).close()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_the_first_format_is_brought_up_to_date(engine: sa.Engine) -> None:
    """From every revision there was."""
    migrate(engine)
    expected = made(engine)
    metadata = sa.MetaData()
    add_tables(metadata)
    metadata.drop_all(engine)
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with engine.begin() as connection:
        config.attributes.update(connection=connection, schema=None)
        command.upgrade(config, "first_format")
    assert "lifecycle_failures" not in made(engine)
    migrate(engine)
    assert made(engine) == expected


def test_each_has_a_version_table_of_its_own(engine: sa.Engine, tmp_path: Path) -> None:
    host = Host(tmp_path / "host", engine)
    host.autogenerate()
    host.upgrade()
    migrate(engine)
    with engine.connect() as connection:
        [theirs] = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars()
        [ours] = connection.exec_driver_sql("SELECT version_num FROM lifecycle_alembic_version").scalars()
    assert ours == migrations.HEAD
    assert theirs != ours
    host.upgrade()


def test_adding_our_tables_twice_gives_the_same() -> None:
    metadata = sa.MetaData()
    assert add_tables(metadata) == add_tables(metadata)
    assert add_tables(metadata, schema="billing").entries.schema == "billing"
    assert set(metadata.tables) == OURS | {f"billing.{name}" for name in OURS}

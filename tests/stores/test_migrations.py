"""Our migrations make what `add_tables` says, have a version table of their own, and leave a host's tables alone."""

from __future__ import annotations

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

OURS = {
    "lifecycle_subscriptions",
    "lifecycle_entries",
    "lifecycle_keys",
    "lifecycle_claims",
    "lifecycle_invoice_lines",
    "lifecycle_parked",
    "lifecycle_alembic_version",
}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'host.sqlite'}")
    yield engine
    engine.dispose()


def made(engine: sa.Engine) -> dict[str, str]:
    """Every table and index, by name, in SQLite's own words."""
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").all()
    return {name: " ".join(sql.split()) for name, sql in found}


def test_the_migrations_make_what_the_tables_say(engine: sa.Engine, tmp_path: Path) -> None:
    migrate(engine)
    other = sa.create_engine(f"sqlite:///{tmp_path / 'other.sqlite'}")
    metadata = sa.MetaData()
    add_tables(metadata)
    metadata.create_all(other)
    assert made(engine) == made(other)
    assert set(sa.inspect(engine).get_table_names()) == OURS
    other.dispose()


def test_what_is_looked_for_is_indexed(engine: sa.Engine) -> None:
    migrate(engine)
    queries = {
        "SELECT id FROM lifecycle_subscriptions WHERE due_at <= 1 ORDER BY due_at, id": "lifecycle_subscriptions_due",
        "SELECT subscription FROM lifecycle_entries WHERE reference = 'a'": "lifecycle_entries_reference",
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


def test_each_has_a_version_table_of_its_own(engine: sa.Engine, tmp_path: Path) -> None:
    host = Host(tmp_path / "host", engine)
    host.autogenerate()
    host.upgrade()
    migrate(engine)
    with engine.connect() as connection:
        [theirs] = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars()
        [ours] = connection.exec_driver_sql("SELECT version_num FROM lifecycle_alembic_version").scalars()
    assert ours == "first_format"
    assert theirs != ours
    host.upgrade()


def test_adding_our_tables_twice_gives_the_same() -> None:
    metadata = sa.MetaData()
    assert add_tables(metadata) == add_tables(metadata)
    assert add_tables(metadata, schema="billing").entries.schema == "billing"
    assert set(metadata.tables) == OURS | {f"billing.{name}" for name in OURS}

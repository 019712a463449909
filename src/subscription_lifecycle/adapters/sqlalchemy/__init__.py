"""Subscriptions in a SQL database: SQLite, or PostgreSQL through psycopg 3.

`SQLStore("sqlite:///subscriptions.db")` or `SQLStore("postgresql://…")` is usable at once. Beside tables of your own,
give it your Engine, call `migrate(engine)` where you run your migrations, and let your autogenerate know our tables
(`add_tables(metadata)`) or overlook them (`include_object=overlook`).
"""

from subscription_lifecycle.adapters.sqlalchemy.migrations import migrate
from subscription_lifecycle.adapters.sqlalchemy.mirror import Mirror
from subscription_lifecycle.adapters.sqlalchemy.sqlite import make_durable
from subscription_lifecycle.adapters.sqlalchemy.store import SQLStore
from subscription_lifecycle.adapters.sqlalchemy.tables import Tables, add_tables, overlook
from subscription_lifecycle.ports import Parked

__all__ = ["Mirror", "Parked", "SQLStore", "Tables", "add_tables", "make_durable", "migrate", "overlook"]

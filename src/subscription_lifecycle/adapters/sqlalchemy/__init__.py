"""Subscriptions in a SQL database: SQLite now, built to run on PostgreSQL as well.

`SQLStore("sqlite:///subscriptions.db")` is usable at once. Beside tables of your own, give it your Engine, call
`migrate(engine)` where you run your migrations, and let your autogenerate know our tables (`add_tables(metadata)`) or
overlook them (`include_object=overlook`).
"""

from subscription_lifecycle.adapters.sqlalchemy.migrations import migrate
from subscription_lifecycle.adapters.sqlalchemy.sqlite import make_durable
from subscription_lifecycle.adapters.sqlalchemy.store import Mirror, Parked, SQLStore
from subscription_lifecycle.adapters.sqlalchemy.tables import Tables, add_tables, overlook

__all__ = ["Mirror", "Parked", "SQLStore", "Tables", "add_tables", "make_durable", "migrate", "overlook"]

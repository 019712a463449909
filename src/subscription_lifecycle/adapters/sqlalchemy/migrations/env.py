"""Run by Alembic, on the connection that `migrate` opened: one transaction for all revisions."""

from alembic import context

from subscription_lifecycle.adapters.sqlalchemy.tables import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    version_table_schema=context.config.attributes["schema"],
)
with context.begin_transaction():
    context.run_migrations()

"""Run by Alembic: applies the steps on the connection that `talkspurt.store.schema` hands over."""

from alembic import context

from talkspurt.store.schema import VERSION_TABLE
from talkspurt.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()

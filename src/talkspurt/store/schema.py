"""Brings the database's schema up to date when the server starts."""

from typing import Final

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, text

from talkspurt.errors import StoreError
from talkspurt.store.database import Database

VERSION_TABLE: Final = "talkspurt_schema"
"""Not Alembic's default name: a user's own Alembic may live in the same database."""

_ADVISORY_LOCK: Final = 7_236_551_810
"""Any number, the same in every process: PostgreSQL lets one of them migrate at a time."""


async def migrate(database: Database) -> None:
    """Apply the steps that are missing, all or none, one process at a time.

    Raises `StoreError`, also when the database was made by a newer version than this one.
    """
    async with database.write() as connection:
        await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
    config = Config()
    config.set_main_option("script_location", "talkspurt.store:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StoreError(
            f"the database's schema is not one this version knows ({error}); it was probably made by a newer "
            "talkspurt: upgrade, or point store.url at another database"
        ) from error

"""The tables of holdfast in a PostgreSQL database: schema ``holdfast``, a public interface.

Every change to it is one more migration, run in one transaction; a newer schema is refused.
Several daemons share the tables: each row begins with the name of its daemon.  Tables and columns
are called as in SQLite.  Times are integer microseconds since 1970 UTC; the ``*_readable`` views
show them as text.  Texts are COLLATE "C": they are compared as SQLite compares them.
"""

from __future__ import annotations

from typing import Final

from psycopg import errors

from holdfast.errors import SchemaError, StorageError
from holdfast.storage.ports import NoDatabaseError
from holdfast.storage.postgresql import (
    schema_checkpoints,
    schema_events,
    schema_queues,
    schema_sessions,
    schema_state,
    schema_streams,
    schema_subscribers,
    schema_text,
)
from holdfast.storage.postgresql.connection import Connection

__all__ = ["MIGRATIONS", "SCHEMA", "VERSION", "check_version", "migrate"]

SCHEMA: Final = "holdfast"

# One line for each concern, after those that it refers to.
_CONCERNS: Final = (
    schema_events.TABLES,
    schema_state.TABLES,
    schema_queues.TABLES,
    schema_streams.TABLES,
    schema_subscribers.TABLES,
    schema_sessions.TABLES,
    schema_checkpoints.TABLES,
)  # fmt: skip

# Step n leads from version n to n + 1.
MIGRATIONS: Final = ("".join(_CONCERNS), schema_text.TABLES)
VERSION: Final = len(MIGRATIONS)

# Two daemons that start at one instant make the tables once: a number of our own to lock.
_LOCK: Final = 0x686F6C64


def check_version(connection: Connection, where: str) -> int:
    """The version of the tables, which holdfast knows.

    Raises NoDatabaseError when there are none yet, SchemaError when they are not ours or newer.
    """
    if connection.value("SELECT to_regclass('holdfast.schema_version')") is None:
        sql = "SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace('holdfast')"
        if connection.value(sql):
            raise SchemaError(
                f"{where}: schema holdfast holds tables of another program; give holdfast a "
                "database of its own"
            )
        raise NoDatabaseError(f"{where}: no tables yet; they appear when the writer starts")
    version: int = connection.value("SELECT version FROM holdfast.schema_version")
    if version > VERSION:
        raise SchemaError(
            f"{where}: schema version {version}, but this holdfast knows up to {VERSION}; start it "
            "with the newer holdfast that wrote it"
        )
    return version


def migrate(connection: Connection, where: str) -> None:
    """Bring the tables to VERSION.  Raises SchemaError, StorageError, psycopg.Error."""
    try:
        if check_version(connection, where) == VERSION:
            return
    except NoDatabaseError:
        pass
    try:
        with connection.transaction():
            connection.run("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            try:
                version = check_version(connection, where)
            except NoDatabaseError:
                version = 0
                connection.run("CREATE SCHEMA IF NOT EXISTS holdfast")
                connection.run("CREATE TABLE holdfast.schema_version (version integer NOT NULL)")
                connection.run("INSERT INTO holdfast.schema_version VALUES (0)")
            connection.run("SET LOCAL search_path = holdfast")
            for step in MIGRATIONS[version:]:
                connection.run(step)
            connection.run(f"UPDATE holdfast.schema_version SET version = {VERSION}")
    except errors.InsufficientPrivilege as error:
        raise StorageError(
            f"{where}: {connection.info.user} may not make schema holdfast: GRANT CREATE ON "
            f"DATABASE {connection.info.dbname} TO {connection.info.user}, or CREATE SCHEMA "
            f"holdfast AUTHORIZATION {connection.info.user}"
        ) from error

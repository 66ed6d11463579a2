"""Whether a database could be a daemon's: looked at, not touched."""

from __future__ import annotations

from typing import Final

import psycopg

from holdfast.errors import AlreadyRunningError, HoldfastError, StorageError
from holdfast.storage.ports import Durability, NoDatabaseError
from holdfast.storage.postgresql.connection import Connection, connect, named, storage_error
from holdfast.storage.postgresql.schema import check_version
from holdfast.storage.postgresql.session import require_fsync

__all__ = ["check", "is_used", "probe"]

_WRITER: Final = """
SELECT d.home FROM holdfast.daemons AS d
JOIN pg_stat_activity AS a ON a.pid = d.pid AND a.backend_start::text = d.started
WHERE d.daemon = %s AND d.home <> %s
"""


_OURS: Final = """
SELECT count(*) FROM holdfast.daemons AS d
JOIN pg_stat_activity AS a ON a.pid = d.pid AND a.backend_start::text = d.started
WHERE d.daemon = %s AND d.home = %s
"""


def is_used(dsn: str, *, daemon: str, home: str) -> bool:
    """Whether it is the database that this daemon's writer has open at this moment.

    Its session is there: no copy of it, and no server that takes over from it, has that.
    Raises HoldfastError.
    """
    where = named(dsn)
    connection = connect(dsn, application=f"holdfast {daemon} checking")
    try:
        check_version(connection, where)
        return bool(connection.value(_OURS, (daemon, home)))
    except NoDatabaseError:
        return False
    except psycopg.Error as error:
        raise storage_error(error, where) from error
    finally:
        connection.close()


def probe(dsn: str, daemon: str, *, home: str = "") -> str | None:
    """What is wrong with it, and what to do, in one sentence; None for nothing."""
    try:
        check(dsn, daemon=daemon, home=home)
    except HoldfastError as error:
        return str(error)
    return None


def check(dsn: str, *, daemon: str, home: str, durability: Durability = "committed") -> None:
    """Raise ConfigError, UnreachableError, SchemaError, StorageError, AlreadyRunningError."""
    where = named(dsn)
    connection = connect(dsn, application=f"holdfast {daemon} checking")
    try:
        if durability == "disk":
            require_fsync(connection, where)
        _check(connection, where, daemon, home)
    except psycopg.Error as error:
        raise storage_error(error, where) from error
    finally:
        connection.close()


def _check(connection: Connection, where: str, daemon: str, home: str) -> None:
    if connection.value("SHOW transaction_read_only") == "on":
        raise StorageError(
            f"{where}: read-only: a standby, or default_transaction_read_only is on; give "
            "[storage] dsn a server that can be written to"
        )
    try:
        check_version(connection, where)
    except NoDatabaseError:
        _require_right_to_make(connection, where)
        return
    for (other,) in connection.rows(_WRITER, (daemon, home)):
        raise AlreadyRunningError(
            f"{where}: the data of daemon {daemon!r} is being written from {other}: give one of "
            "the two another [daemon] name, or stop that one"
        )


def _require_right_to_make(connection: Connection, where: str) -> None:
    sql = """
    SELECT CASE WHEN to_regnamespace('holdfast') IS NULL
        THEN has_database_privilege(current_database(), 'CREATE')
        ELSE has_schema_privilege('holdfast', 'CREATE') END
    """
    if not connection.value(sql):
        user, database = connection.info.user, connection.info.dbname
        raise StorageError(
            f"{where}: {user} may not make schema holdfast: GRANT CREATE ON DATABASE {database} TO "
            f"{user}, or CREATE SCHEMA holdfast AUTHORIZATION {user}"
        )

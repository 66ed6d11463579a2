"""The log of what changes while a migration copies, in PostgreSQL; ``sqlite_capture`` is its twin.

The tables are those of other daemons too: everything here bears the mark of one daemon, is about
its rows, and is dropped in the end.  To add a trigger waits for whoever is writing to the table,
so each is a transaction of its own: two tables at once could be a deadlock with another daemon.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from psycopg import sql

from holdfast.storage.migrating.catalog import EVENTS, TABLES, Table
from holdfast.storage.migrating.labels import CAPTURE
from holdfast.storage.migrating.sqlite_rows import listed
from holdfast.storage.postgresql.connection import Connection
from holdfast.storage.postgresql.text import escaped

__all__ = ["begin_steps", "captured", "end_steps", "length", "log_of"]

# Whoever waits for a lock holds up those behind it.
_PATIENCE: Final = "SET LOCAL lock_timeout = 2000;"  # milliseconds
_FUNCTION: Final = """
CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $capture$
BEGIN
    IF TG_OP = 'DELETE' OR TG_NARGS = 1 THEN
        INSERT INTO holdfast.{log} (tab, key) VALUES ('{table}', json_build_array({old})::text);
    ELSE
        INSERT INTO holdfast.{log} (tab, key) VALUES ('{table}', json_build_array({new})::text);
    END IF;
    RETURN NULL;
END $capture$;
CREATE TRIGGER {name}_changed AFTER {changed} ON {table} FOR EACH ROW
    WHEN (NEW.daemon = {daemon}) EXECUTE FUNCTION {name}();
CREATE TRIGGER {name}_gone AFTER DELETE ON {table} FOR EACH ROW
    WHEN (OLD.daemon = {daemon}) EXECUTE FUNCTION {name}();
CREATE TRIGGER {name}_moved AFTER UPDATE OF {key} ON {table} FOR EACH ROW
    WHEN (OLD.daemon = {daemon}) EXECUTE FUNCTION {name}('old');
"""


def log_of(daemon: str) -> str:
    """The table that is the log."""
    return f"swap_log_{sha256(daemon.encode()).hexdigest()[:16]}"


def captured(connection: Connection, daemon: str) -> str | None:
    """The swap that there is a log for, all of it."""
    found: str | None = connection.value(
        "SELECT value FROM meta WHERE daemon = %s AND name = %s", (daemon, CAPTURE)
    )
    return found


def length(connection: Connection, daemon: str) -> tuple[str, int]:
    """The swap, and how many rows were put into its log; "" and 0 where there is none."""
    if (swap := captured(connection, daemon)) is None:
        return "", 0
    return swap, int(connection.value(f"SELECT coalesce(max(n), 0) FROM {log_of(daemon)}"))


def begin_steps(daemon: str, swap: str) -> list[str]:
    """Statements, each of them for a transaction of its own; the last says that it is on."""
    log = log_of(daemon)
    made = (
        f"CREATE TABLE {log} (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
        " tab text NOT NULL, key text NOT NULL)"
    )
    noted = (
        "INSERT INTO meta (daemon, name, value)"
        f" VALUES ({_literal(daemon)}, '{CAPTURE}', {_literal(swap)})"
    )
    return [made, *(_step(table, daemon, log) for table in TABLES), noted]


def end_steps(daemon: str) -> list[str]:
    """Likewise; whatever there is of it."""
    log = log_of(daemon)
    noted = f"DELETE FROM meta WHERE daemon = {_literal(daemon)} AND name = '{CAPTURE}'"
    return [
        *(f"{_PATIENCE} DROP FUNCTION IF EXISTS {log}_{table.name} CASCADE" for table in TABLES),
        f"{_PATIENCE} DROP TABLE IF EXISTS {log}; {noted}",
    ]


def _step(table: Table, daemon: str, log: str) -> str:
    return _PATIENCE + _FUNCTION.format(
        name=f"{log}_{table.name}",
        log=log,
        table=table.name,
        daemon=_literal(daemon),
        key=listed(table.key),
        old=", ".join(f'OLD."{column}"' for column in table.key),
        new=", ".join(f'NEW."{column}"' for column in table.key),
        changed="UPDATE" if table is EVENTS else "INSERT OR UPDATE",
    )


def _literal(text: str) -> str:
    return sql.Literal(escaped(text)).as_string(None)

"""The log of what changes while a migration copies, kept by the writer in the same transaction.

Triggers put the key of each changed row into ``swap_log``; events that are added have a number to
follow them by, and are not in it.  It goes on when the writer is started again.  All of it is
additional: ended, it leaves the tables as they were.  Works within the caller's transaction.
"""

from __future__ import annotations

from typing import Final, cast

import apsw

from holdfast.storage.migrating.catalog import EVENTS, TABLES, Table
from holdfast.storage.migrating.labels import CAPTURE
from holdfast.storage.migrating.sqlite_rows import listed

__all__ = ["SWAP_LOG", "begin_capture", "captured", "end_capture", "length"]

SWAP_LOG: Final = "swap_log"  # and how each of its triggers begins
_LOG: Final = """
CREATE TABLE swap_log (n INTEGER PRIMARY KEY, tab TEXT NOT NULL, key TEXT NOT NULL) STRICT
"""


def captured(connection: apsw.Connection) -> str | None:
    """The swap that there is a log for."""
    sql = f"SELECT value FROM meta WHERE name = '{CAPTURE}'"
    return cast("str | None", connection.execute(sql).get)


def length(connection: apsw.Connection) -> tuple[str, int]:
    """The swap, and how many rows were put into its log; "" and 0 where there is none."""
    if (swap := captured(connection)) is None:
        return "", 0
    rows = connection.execute("SELECT coalesce(max(n), 0) FROM swap_log").get
    return swap, cast(int, rows)


def begin_capture(connection: apsw.Connection, swap: str) -> None:
    """For that swap; one for another is ended."""
    if captured(connection) == swap:
        return
    end_capture(connection)
    connection.execute(_LOG)
    for table in TABLES:
        for statement in _triggers(table):
            connection.execute(statement)
    connection.execute("INSERT INTO meta (name, value) VALUES (?, ?)", (CAPTURE, swap))


def end_capture(connection: apsw.Connection) -> None:
    """Whatever there is of it."""
    sql = "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND name LIKE 'swap\\_log\\_%'"
    for (name,) in connection.execute(sql + " ESCAPE '\\'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute("DROP TABLE IF EXISTS swap_log")
    connection.execute("DELETE FROM meta WHERE name = ?", (CAPTURE,))


def _triggers(table: Table) -> list[str]:
    """A key that changes is that of two rows: the old one is logged as well."""
    logging = {"deleted": ("DELETE", "old"), "changed": ("UPDATE", "new")}
    if table is not EVENTS:
        logging["added"] = ("INSERT", "new")
    logging["moved"] = (f"UPDATE OF {listed(table.key)}", "old")

    def key(row: str) -> str:
        return ", ".join(f'{row}."{column}"' for column in table.key)

    return [
        f"CREATE TRIGGER swap_log_{table.name}_{word} AFTER {what} ON {table.name} BEGIN"
        f" INSERT INTO swap_log (tab, key) VALUES ('{table.name}',"
        f" json_array({key(row)})); END"
        for word, (what, row) in logging.items()
    ]

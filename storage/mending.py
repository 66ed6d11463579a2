"""A database that was put together from what could be read, made to agree with itself.

What stands on something that is lost goes, or gets it back where it says enough itself; counts are
made anew.  Works within the caller's transaction, on a connection without foreign keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Protocol, cast

import apsw

from holdfast.errors import HoldfastError
from holdfast.storage.parts import size_of
from holdfast.storage.sqlite_checkpoints import decode_pieces
from holdfast.storage.sqlite_parts import names_in
from holdfast.storage.state_values import comparable, parsed_object
from holdfast.storage.verifying_contents import is_part, is_payload

__all__ = ["Removed", "mend"]

# An event that is gone from both ends of the file leaves no trace but its number; one with a
# number so far beyond the others does not count.
_FAR: Final = 10_000_000
# What can be put back from what refers to it.
_PUT_BACK: Final = (
    "INSERT OR IGNORE INTO entity_types (name) SELECT DISTINCT type FROM entities",
    "INSERT OR IGNORE INTO streams (name, version)"
    " SELECT stream, max(version) FROM stream_events GROUP BY stream",
    "UPDATE streams SET version = max(version, (SELECT coalesce(max(version), 1)"
    " FROM stream_events WHERE stream = name))",
)
# Whose row is of no use without another one: by table, which.
_ORPHANS: Final = (
    ("stream_events", "seq NOT IN (SELECT seq FROM events)"),
    ("properties", "entity NOT IN (SELECT number FROM entities)"),
    ("relationships", "from_id NOT IN (SELECT id FROM entities)"),
    ("relationships", "to_id NOT IN (SELECT id FROM entities)"),
    ("queue_items", "queue NOT IN (SELECT number FROM queues)"),
    ("session_items", "session NOT IN (SELECT id FROM sessions)"),
    ("checkpoint_parts", "id NOT IN (SELECT id FROM checkpoint_data)"),
    ("checkpoint_data", "id NOT IN (SELECT id FROM checkpoint_parts)"),
)
_SUMS: Final = (
    "UPDATE queues SET length = (SELECT count(*) FROM queue_items WHERE queue = queues.number)",
    "UPDATE senders SET mark = max(mark, coalesce((SELECT max(last) FROM dropped AS d WHERE"
    " d.sender = senders.sender AND d.incarnation = senders.incarnation"
    " AND d.stream = senders.stream), 0))",
    "DELETE FROM results WHERE number > coalesce((SELECT mark FROM senders AS s WHERE"
    " s.sender = results.sender AND s.incarnation = results.incarnation"
    " AND s.stream = results.stream), number)",
    # A number that is given again would be taken for a repeat of the item that has it.
    "UPDATE sessions SET (items, item_bytes) ="
    " (SELECT max(sessions.items, coalesce(max(number), 0)), coalesce(sum(octet_length(data)), 0)"
    " FROM session_items WHERE session = sessions.id)",
    "UPDATE sessions SET holders = '{}' WHERE json_type(holders) <> 'object'"
    " OR EXISTS (SELECT 1 FROM json_each(holders) AS held WHERE held.type <> 'integer')",
    "DELETE FROM session_totals",
    "INSERT INTO session_totals (id, count, bytes) SELECT 1, count(*),"
    " coalesce(sum(octet_length(data) + item_bytes), 0) FROM sessions",
)


_Payload = tuple[int, str, int, str, bytes]
_Part = tuple[int, bytes, int, int, bytes]


class Removed(Protocol):
    """Counts the rows of one table that had to go."""

    saved: int
    removed: int


def mend(connection: apsw.Connection, tables: Mapping[str, Removed], *, seen: int) -> int:
    """Make it agree; ``seen`` is a number that events had at least.  The last number there is."""
    execute = connection.execute
    _drop(connection, tables, "payloads", _damaged_payloads(connection))
    _drop(connection, tables, "checkpoint_parts", _damaged_parts(connection))
    for table, where in _ORPHANS:
        execute(f"DELETE FROM {table} WHERE {where}")
        _note(tables, table, connection.changes())
    for sql in _PUT_BACK:
        execute(sql)
    _index_properties(connection)
    _drop_checkpoints(connection, tables)
    for sql in _SUMS:
        execute(sql)
    return _number(connection, seen)


def _damaged_payloads(connection: apsw.Connection) -> list[int]:
    rows = connection.execute("SELECT rowid, ref, bytes, codec, body FROM payloads")
    return [
        rowid
        for rowid, ref, size, codec, body in cast("Iterable[_Payload]", rows)
        if not is_payload(ref, size, codec, body)
    ]


def _damaged_parts(connection: apsw.Connection) -> list[int]:
    rows = connection.execute(
        "SELECT p.rowid, hash, size, codec, data FROM checkpoint_parts AS p"
        " JOIN checkpoint_data USING (id)"
    )
    return [
        rowid
        for rowid, name, size, codec, data in cast("Iterable[_Part]", rows)
        if not is_part(name, size, codec, data)
    ]


def _drop(
    connection: apsw.Connection, tables: Mapping[str, Removed], table: str, rowids: list[int]
) -> None:
    connection.executemany(f"DELETE FROM {table} WHERE rowid = ?", [(rowid,) for rowid in rowids])
    _note(tables, table, len(rowids))


def _note(tables: Mapping[str, Removed], table: str, count: int) -> None:
    if count and table in tables:
        tables[table].saved -= count
        tables[table].removed += count


def _index_properties(connection: apsw.Connection) -> None:
    """What can be looked for is made anew from the entities, which are the truth."""
    execute = connection.execute
    execute("DELETE FROM properties")
    for row in execute("SELECT number, type, properties FROM entities").fetchall():
        number, type, text = cast("tuple[int, str, str]", row)
        try:
            values = parsed_object(text, "properties")
        except HoldfastError:
            execute("DELETE FROM entities WHERE number = ?", (number,))
            continue
        connection.executemany(
            "INSERT INTO properties (entity, name, type, kind, key, rest)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            [(number, name, type, *comparable(value)) for name, value in values.items()],
        )


def _drop_checkpoints(connection: apsw.Connection, tables: Mapping[str, Removed]) -> None:
    """Those that are not whole go, and what is left of the others is counted."""
    execute = connection.execute
    sql = "SELECT hash, size FROM checkpoint_parts JOIN checkpoint_data USING (id)"
    there = dict(cast("Iterable[tuple[bytes, int]]", execute(sql)))
    named: dict[bytes, int] = {}
    sql = "SELECT rowid, octet_length(state), pieces, size FROM checkpoints"
    for row in execute(sql).fetchall():
        rowid, text, encoded, size = cast("tuple[int, int, str | None, int]", row)
        try:
            pieces = decode_pieces(encoded)
            is_whole = size_of(text, pieces, there) == size
        except (ValueError, KeyError):  # it cannot be read; a part of it is lost
            is_whole = False
        if is_whole:
            for name in names_in(pieces):
                named[name] = named.get(name, 0) + 1
        else:
            _drop(connection, tables, "checkpoints", [rowid])
    execute("UPDATE checkpoint_parts SET refs = 0 WHERE refs <> 0")
    connection.executemany(
        "UPDATE checkpoint_parts SET refs = ? WHERE hash = ?",
        [(refs, name) for name, refs in named.items()],
    )
    execute(
        "DELETE FROM checkpoint_pins WHERE NOT EXISTS (SELECT 1 FROM checkpoints AS c"
        " WHERE c.agent = checkpoint_pins.agent AND c.id = checkpoint_pins.id)"
    )
    _note(tables, "checkpoint_pins", connection.changes())


def _number(connection: apsw.Connection, seen: int) -> int:
    """No number is used again, and what is missing among them is known to be lost."""
    execute = connection.execute
    newest = cast(int, execute("SELECT coalesce(max(seq), 0) FROM events").get)
    known = max(newest, seen)
    for sql in (
        "SELECT value FROM meta WHERE name = 'deleted_seq'",
        "SELECT value FROM meta WHERE name = 'synced_seq'",
        "SELECT coalesce(max(acked), 0) FROM subscribers",
    ):
        value = execute(sql).get
        if isinstance(value, int) and known < value <= max(newest, seen) + _FAR:
            known = value
    execute("UPDATE subscribers SET acked = ? WHERE acked > ?", (known, known))
    events = cast(int, execute("SELECT count(*) FROM events").get)
    deleted = cast(int, execute("SELECT coalesce(sum(count), 0) FROM deleted").get)
    if known - events < deleted:  # what retention has noted is damaged, or more than is missing
        execute("DELETE FROM deleted")
        deleted = 0
    payloads = execute(
        "SELECT count(*) FROM events AS e WHERE payload IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM payloads WHERE ref = e.payload)"
    ).get
    synced = execute("SELECT value FROM meta WHERE name = 'synced_seq'").get
    for name, value in (
        ("deleted_seq", known if newest < known else 0),
        ("synced_seq", min(synced, known) if isinstance(synced, int) else 0),
        ("lost_events", known - events - deleted),
        ("lost_payloads", payloads),
    ):
        execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (name, value))
    return known

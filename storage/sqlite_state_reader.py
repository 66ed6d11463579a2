"""Relational state, reading side: single entities, what they were, relationships and queues."""

from __future__ import annotations

from typing import Final, cast

from holdfast.storage.sqlite_entity_query import EntityQuerying
from holdfast.storage.sqlite_reading import check_limit
from holdfast.storage.sqlite_state_rows import ENTITY
from holdfast.storage.sqlite_traversal import Traversing
from holdfast.storage.state_questions import (
    Edge,
    Ends,
    EntityRow,
    EntityType,
    HistoryRow,
    QueueItem,
    QueueRow,
)

__all__ = ["StateReading"]

_GET: Final = f"SELECT {ENTITY} FROM entities AS e WHERE e.id = ?"
# What was, what is, and that it is no more: one after the other, newest first.
_HISTORY: Final = """
SELECT version, type, created_us, since_us, until_us, properties FROM (
    SELECT version, type, created_us, since_us, until_us, properties
        FROM entity_history WHERE id = ?1
    UNION ALL SELECT version, type, created_us, updated_us, NULL, properties
        FROM entities WHERE id = ?1
    UNION ALL SELECT version, '', deleted_us, deleted_us, NULL, NULL
        FROM entity_tombstones WHERE id = ?1)
WHERE version < ?2 ORDER BY version DESC LIMIT ?3
"""
_AT_VERSION: Final = f"""
SELECT {ENTITY} FROM entities AS e WHERE e.id = ?1 AND e.version = ?2
UNION ALL SELECT id, type, version, created_us, since_us, properties
    FROM entity_history WHERE id = ?1 AND version = ?2
"""
_AT_TIME: Final = f"""
SELECT {ENTITY} FROM entities AS e WHERE e.id = ?1 AND e.updated_us <= ?2
UNION ALL SELECT * FROM (
    SELECT id, type, version, created_us, since_us, properties FROM entity_history
    WHERE id = ?1 AND since_us <= ?2 AND until_us > ?2 ORDER BY since_us DESC, version DESC LIMIT 1)
LIMIT 1
"""
_EDGE: Final = "from_id, relation_type, to_id, version, created_us, updated_us, metadata"
_KEYS: Final = ("from_id", "relation_type", "to_id")
MOST_VERSION: Final = 2**62


class StateReading(EntityQuerying, Traversing):
    """Implements ``holdfast.storage.reader_ports.StateReader``."""

    def entity(self, id: str) -> EntityRow | None:
        """As it is."""
        rows = self._read(_GET, (id,))
        return cast(EntityRow, rows[0]) if rows else None

    def entity_at_version(self, id: str, version: int) -> EntityRow | None:
        """As it was, if that is kept."""
        rows = self._read(_AT_VERSION, (id, version))
        return cast(EntityRow, rows[0]) if rows else None

    def entity_at_time(self, id: str, time_us: int) -> EntityRow | None:
        """As it was at that moment, if that is kept."""
        rows = self._read(_AT_TIME, (id, time_us))
        return cast(EntityRow, rows[0]) if rows else None

    def history(
        self, id: str, limit: int, max_bytes: int, before: int | None = None
    ) -> tuple[list[HistoryRow], bool]:
        """What is kept of it, the newest version first, below ``before``; whether there is more."""
        check_limit(limit)
        values = (id, MOST_VERSION if before is None else before, limit)
        rows, more = self._read_until(_HISTORY, values, max_bytes, column=5)
        return cast("list[HistoryRow]", rows), more or len(rows) == limit

    def entity_types(self, limit: int) -> list[EntityType]:
        """By name."""
        check_limit(limit)
        sql = "SELECT name, history, keep FROM entity_types ORDER BY name LIMIT ?"
        rows = cast("list[tuple[str, int, int | None]]", self._read(sql, (limit,)))
        return [(name, bool(history), keep) for name, history, keep in rows]

    def relationships(
        self,
        which: Ends,
        limit: int,
        max_bytes: int,
        after: tuple[str, str, str] | None = None,
    ) -> tuple[list[Edge], bool]:
        """Those with the given start, type and end, in the order of whichever are not given;
        whether there may be more."""
        check_limit(limit)
        given = [(key, value) for key, value in zip(_KEYS, which, strict=True) if value is not None]
        order = [key for key, value in zip(_KEYS, which, strict=True) if value is None]
        conditions = [f"{key} = ?" for key, _ in given]
        values: list[str | int] = [value for _, value in given]
        if after is not None and order:
            place = dict(zip(_KEYS, after, strict=True))
            conditions.append(f"({', '.join(order)}) > ({', '.join('?' * len(order))})")
            values += [place[key] for key in order]
        where = " AND ".join(conditions) or "true"
        by = ", ".join(order) or "from_id"
        sql = f"SELECT {_EDGE} FROM relationships WHERE {where} ORDER BY {by} LIMIT ?"
        rows, more = self._read_until(sql, (*values, limit), max_bytes, column=6)
        return cast("list[Edge]", rows), more or len(rows) == limit

    def count_relationships(self, which: Ends) -> int:
        """How many there are of those."""
        sql, values = _counted(which)
        return self._number(f"SELECT count(*) {sql}", values)

    def count_relationships_by_type(self, which: Ends, limit: int) -> list[tuple[str, int]]:
        """How many of each type there are of those, most first."""
        check_limit(limit)
        sql, values = _counted(which)
        sql = (
            f"SELECT relation_type, count(*) {sql} GROUP BY relation_type"
            " ORDER BY 2 DESC, 1 LIMIT ?"
        )
        return cast("list[tuple[str, int]]", self._read(sql, (*values, limit)))

    def queue_size(self, namespace: str, key: str, now_us: int) -> int:
        """How many items are in it whose time is not over."""
        sql = """
            SELECT q.length - (SELECT count(*) FROM queue_items AS i
                               WHERE i.queue = q.number AND i.expires_us <= ?)
            FROM queues AS q WHERE q.namespace = ? AND q.key = ?
        """
        rows = self._read(sql, (now_us, namespace, key))
        return cast(int, rows[0][0]) if rows else 0

    def queue_items(
        self, namespace: str, key: str, now_us: int, limit: int, max_bytes: int, after: int = 0
    ) -> tuple[list[QueueItem], bool]:
        """From the front, those whose time is not over, after the item of that id; whether there
        may be more."""
        check_limit(limit)
        sql = """
            SELECT i.number, i.pushed_us, i.expires_us, i.value FROM queue_items AS i
            WHERE i.queue = (SELECT number FROM queues WHERE namespace = ? AND key = ?)
              AND i.number > ? AND (i.expires_us IS NULL OR i.expires_us > ?)
            ORDER BY i.number LIMIT ?
        """
        values = (namespace, key, after, now_us, limit)
        rows, more = self._read_until(sql, values, max_bytes, column=3)
        return cast("list[QueueItem]", rows), more or len(rows) == limit

    def queues(
        self, namespace: str | None, limit: int, after: tuple[str, str] | None = None
    ) -> list[QueueRow]:
        """Those there are, of one namespace or of all, in order; expired items are in them until
        they are removed."""
        check_limit(limit)
        sql = "SELECT namespace, key, length FROM queues WHERE (namespace, key) > (?, ?)"
        values: list[str | int] = list(after or (namespace or "", ""))
        if namespace is not None:
            sql += " AND namespace = ?"
            values.append(namespace)
        rows = self._read(f"{sql} ORDER BY namespace, key LIMIT ?", (*values, limit))
        return cast("list[QueueRow]", rows)


def _counted(which: Ends) -> tuple[str, tuple[str, ...]]:
    pairs = zip(_KEYS, which, strict=True)
    given = [(key, value) for key, value in pairs if value is not None]
    where = " AND ".join(f"{key} = ?" for key, _ in given) or "true"
    return f"FROM relationships WHERE {where}", tuple(value for _, value in given)

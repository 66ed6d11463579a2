"""Relational state, reading side: single entities, what they were, relationships and queues."""

from __future__ import annotations

from typing import Final, cast

from holdfast.storage.postgresql.entity_query import EntityQuerying
from holdfast.storage.postgresql.reading import check_limit
from holdfast.storage.postgresql.state_rows import ENTITY
from holdfast.storage.postgresql.traversal import Traversing
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

_GET: Final = f"SELECT {ENTITY} FROM entities WHERE daemon = %s AND id = %s"
_VERSION: Final = "version, type, created_us, since_us, until_us, properties"
# What was, what is, and that it is no more: one after the other, newest first.
_HISTORY: Final = f"""
SELECT * FROM (
    SELECT {_VERSION} FROM entity_history WHERE daemon = %(daemon)s AND id = %(id)s
    UNION ALL SELECT version, type, created_us, updated_us, NULL, properties
        FROM entities WHERE daemon = %(daemon)s AND id = %(id)s
    UNION ALL SELECT version, '', deleted_us, deleted_us, NULL, NULL
        FROM entity_tombstones WHERE daemon = %(daemon)s AND id = %(id)s) AS v
WHERE version < %(before)s ORDER BY version DESC LIMIT %(limit)s
"""
_AT_VERSION: Final = f"""
SELECT {ENTITY} FROM entities
WHERE daemon = %(daemon)s AND id = %(id)s AND version = %(version)s
UNION ALL SELECT id, type, version, created_us, since_us, properties
FROM entity_history WHERE daemon = %(daemon)s AND id = %(id)s AND version = %(version)s
"""
# The entity as it is has the greater version, where both are of that moment.
_AT_TIME: Final = f"""
SELECT {ENTITY} FROM entities
WHERE daemon = %(daemon)s AND id = %(id)s AND updated_us <= %(time_us)s
UNION ALL SELECT * FROM (
    SELECT id, type, version, created_us, since_us, properties FROM entity_history
    WHERE daemon = %(daemon)s AND id = %(id)s AND since_us <= %(time_us)s
      AND until_us > %(time_us)s
    ORDER BY since_us DESC, version DESC LIMIT 1) AS h
ORDER BY version DESC LIMIT 1
"""
_EDGE: Final = "from_id, relation_type, to_id, version, created_us, updated_us, metadata"
_KEYS: Final = ("from_id", "relation_type", "to_id")
_SIZE: Final = """
SELECT q.length - (SELECT count(*) FROM queue_items AS i
                   WHERE i.daemon = q.daemon AND i.queue = q.number AND i.expires_us <= %s)
FROM queues AS q WHERE q.daemon = %s AND q.namespace = %s AND q.key = %s
"""
_ITEM: Final = "number, pushed_us, expires_us, value"
_ITEMS: Final = f"""
SELECT {_ITEM} FROM queue_items
WHERE daemon = %(daemon)s AND queue = (
    SELECT number FROM queues
    WHERE daemon = %(daemon)s AND namespace = %(namespace)s AND key = %(key)s)
  AND number > %(after)s AND (expires_us IS NULL OR expires_us > %(now_us)s)
ORDER BY number LIMIT %(limit)s
"""
MOST_VERSION: Final = 2**62


class StateReading(EntityQuerying, Traversing):
    """Implements ``holdfast.storage.reader_ports.StateReader``."""

    def entity(self, id: str) -> EntityRow | None:
        """As it is."""
        rows = self._read(_GET, (self._daemon, id))
        return cast(EntityRow, rows[0]) if rows else None

    def entity_at_version(self, id: str, version: int) -> EntityRow | None:
        """As it was, if that is kept."""
        rows = self._read(_AT_VERSION, {"daemon": self._daemon, "id": id, "version": version})
        return cast(EntityRow, rows[0]) if rows else None

    def entity_at_time(self, id: str, time_us: int) -> EntityRow | None:
        """As it was at that moment, if that is kept."""
        rows = self._read(_AT_TIME, {"daemon": self._daemon, "id": id, "time_us": time_us})
        return cast(EntityRow, rows[0]) if rows else None

    def history(
        self, id: str, limit: int, max_bytes: int, before: int | None = None
    ) -> tuple[list[HistoryRow], bool]:
        """What is kept of it, the newest version first, below ``before``; whether there is more."""
        check_limit(limit)
        before = MOST_VERSION if before is None else before
        values = {"daemon": self._daemon, "id": id, "before": before, "limit": limit}
        rows, more = self._read_until(_VERSION, _HISTORY, values, max_bytes, text="properties")
        return rows, more or len(rows) == limit

    def entity_types(self, limit: int) -> list[EntityType]:
        """By name."""
        check_limit(limit)
        columns = "name, history, keep"
        sql = f"SELECT {columns} FROM entity_types WHERE daemon = %s ORDER BY name LIMIT %s"
        rows = self._read(sql, (self._daemon, limit))
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
        where, values = self._ends(which)
        order = [key for key, value in zip(_KEYS, which, strict=True) if value is None]
        by = ", ".join(order) or "from_id"
        if after is not None and order:
            place = dict(zip(_KEYS, after, strict=True))
            marks = ", ".join(f"%(after_{key})s" for key in order)
            where += f" AND ({by}) > ({marks})"
            values |= {f"after_{key}": place[key] for key in order}
        sql = f"SELECT {_EDGE} FROM relationships WHERE {where} ORDER BY {by} LIMIT %(limit)s"
        values["limit"] = limit
        rows, more = self._read_until(_EDGE, sql, values, max_bytes, text="metadata")
        return rows, more or len(rows) == limit

    def count_relationships(self, which: Ends) -> int:
        """How many there are of those."""
        where, values = self._ends(which)
        return self._number(f"SELECT count(*) FROM relationships WHERE {where}", values)

    def count_relationships_by_type(self, which: Ends, limit: int) -> list[tuple[str, int]]:
        """How many of each type there are of those, most first."""
        check_limit(limit)
        where, values = self._ends(which)
        sql = (
            f"SELECT relation_type, count(*) FROM relationships WHERE {where}"
            " GROUP BY relation_type ORDER BY 2 DESC, 1 LIMIT %(limit)s"
        )
        return self._read(sql, {**values, "limit": limit})

    def queue_size(self, namespace: str, key: str, now_us: int) -> int:
        """How many items are in it whose time is not over."""
        rows = self._read(_SIZE, (now_us, self._daemon, namespace, key))
        return cast(int, rows[0][0]) if rows else 0

    def queue_items(
        self, namespace: str, key: str, now_us: int, limit: int, max_bytes: int, after: int = 0
    ) -> tuple[list[QueueItem], bool]:
        """From the front, those whose time is not over, after the item of that id; whether there
        may be more."""
        check_limit(limit)
        values = {"daemon": self._daemon, "namespace": namespace, "key": key, "after": after}
        values |= {"now_us": now_us, "limit": limit}
        rows, more = self._read_until(_ITEM, _ITEMS, values, max_bytes, text="value")
        return rows, more or len(rows) == limit

    def queues(
        self, namespace: str | None, limit: int, after: tuple[str, str] | None = None
    ) -> list[QueueRow]:
        """Those there are, of one namespace or of all, in order; expired items are in them until
        they are removed."""
        check_limit(limit)
        where = "daemon = %s AND (namespace, key) > (%s, %s)"
        values: list[str | int] = [self._daemon, *(after or (namespace or "", ""))]
        if namespace is not None:
            where += " AND namespace = %s"
            values.append(namespace)
        sql = f"SELECT namespace, key, length FROM queues WHERE {where}"
        return self._read(f"{sql} ORDER BY namespace, key LIMIT %s", (*values, limit))

    def _ends(self, which: Ends) -> tuple[str, dict[str, object]]:
        """The condition that they have the given start, type and end."""
        given = {key: value for key, value in zip(_KEYS, which, strict=True) if value is not None}
        where = " AND ".join(f"{key} = %({key})s" for key in ("daemon", *given))
        return where, {"daemon": self._daemon, **given}

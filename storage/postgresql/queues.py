"""The tables of queues, writing side.  Works within the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast

from holdfast.storage.postgresql.connection import Connection
from holdfast.storage.state_queues import MAX_POPPED_BYTES, Item, Over

__all__ = ["QueueTables"]

_ITEM: Final = ("number", "pushed_us", "expires_us", "value")
_ADD: Final = """
WITH q AS (
    INSERT INTO queues AS q (daemon, number, namespace, key, length)
    VALUES (%(daemon)s, %(number)s, %(namespace)s, %(key)s, 1)
    ON CONFLICT (daemon, namespace, key) DO UPDATE SET length = q.length + 1
    RETURNING number, length
), item AS (
    INSERT INTO queue_items (daemon, number, queue, pushed_us, expires_us, value)
    SELECT %(daemon)s, %(number)s, q.number, %(pushed_us)s, %(expires_us)s::bigint, %(value)s FROM q
)
SELECT length FROM q
"""
_OVER: Final = """
SELECT q.number, q.namespace, q.key, i.number
FROM queue_items AS i JOIN queues AS q ON q.daemon = i.daemon AND q.number = i.queue
WHERE i.daemon = %s AND i.expires_us <= %s ORDER BY i.expires_us, i.number LIMIT %s
"""
# No more than an answer holds, and the one that does not fit any more.
_FRONT: Final = """
SELECT number, value FROM (
    SELECT number, value, sum(octet_length(value)) OVER (
        ORDER BY number ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM (SELECT number, value FROM queue_items
          WHERE daemon = %s AND queue = %s AND (expires_us IS NULL OR expires_us > %s)
          ORDER BY number LIMIT %s) AS first) AS counted
WHERE before IS NULL OR before <= %s ORDER BY number
"""
_REMOVE: Final = """
WITH gone AS (
    DELETE FROM queue_items WHERE daemon = %(daemon)s AND number = ANY(%(items)s::bigint[])
)
"""
_SHORTEN: Final = f"""
{_REMOVE}
UPDATE queues SET length = %(remaining)s WHERE daemon = %(daemon)s AND number = %(queue)s
"""
_EMPTY: Final = f"""
{_REMOVE}
DELETE FROM queues WHERE daemon = %(daemon)s AND number = %(queue)s
"""
_DELETE: Final = """
WITH gone AS (
    DELETE FROM queues WHERE daemon = %(daemon)s AND namespace = %(namespace)s AND key = %(key)s
    RETURNING number, length
), items AS (
    DELETE FROM queue_items AS i USING gone
    WHERE i.daemon = %(daemon)s AND i.queue = gone.number
)
SELECT length FROM gone
"""
_NEXT: Final = """
SELECT min(expires_us) FROM queue_items WHERE daemon = %s AND expires_us IS NOT NULL
"""


class QueueTables:
    """Implements ``holdfast.storage.state_queues.QueueRows``."""

    def __init__(self, connection: Connection, daemon: str) -> None:
        self._connection = connection
        self._daemon = daemon

    def add(self, namespace: str, key: str, item: Item) -> int:
        """At the end of a queue, in a new one of the item's number where there is none; its length
        then."""
        of_queue = {"daemon": self._daemon, "namespace": namespace, "key": key}
        values = dict(zip(_ITEM, item, strict=True))
        return cast(int, self._connection.value(_ADD, {**of_queue, **values}))

    def find(self, namespace: str, key: str) -> tuple[int, int] | None:
        """Number and length; None where there is no such queue."""
        sql = "SELECT number, length FROM queues WHERE daemon = %s AND namespace = %s AND key = %s"
        rows = self._connection.rows(sql, (self._daemon, namespace, key))
        return cast("tuple[int, int]", rows[0]) if rows else None

    def front(self, queue: int, now_us: int, count: int) -> Iterable[tuple[int, str]]:
        """The first items whose time is not over, as many as fit in one answer and one more."""
        values = (self._daemon, queue, now_us, count, MAX_POPPED_BYTES)
        return self._connection.rows(_FRONT, values)

    def remove(self, queue: int, items: list[int], remaining: int) -> None:
        """Those items; with the last one the queue."""
        values = {"daemon": self._daemon, "queue": queue, "items": items, "remaining": remaining}
        self._connection.run(_SHORTEN if remaining else _EMPTY, values)

    def delete(self, namespace: str, key: str) -> int | None:
        """A queue with all its items; its length, None where there is no such queue."""
        values = {"daemon": self._daemon, "namespace": namespace, "key": key}
        rows = self._connection.rows(_DELETE, values)
        return cast(int, rows[0][0]) if rows else None

    def length(self, queue: int) -> int:
        """Of one that is there."""
        sql = "SELECT length FROM queues WHERE daemon = %s AND number = %s"
        return cast(int, self._connection.value(sql, (self._daemon, queue)))

    def over(self, now_us: int, limit: int) -> list[Over]:
        """Items whose time is over, over for longest first."""
        return self._connection.rows(_OVER, (self._daemon, now_us, limit))

    def next_expiry_us(self) -> int | None:
        """When the next item expires."""
        return cast("int | None", self._connection.value(_NEXT, (self._daemon,)))

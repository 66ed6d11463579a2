"""The tables of queues, writing side.  Works within the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast

import apsw

from holdfast.storage.state_queues import Item, Over

__all__ = ["QueueTables"]

_LENGTHEN: Final = """
INSERT INTO queues (number, namespace, key, length) VALUES (?, ?, ?, 1)
ON CONFLICT (namespace, key) DO UPDATE SET length = length + 1
RETURNING number, length
"""
_ITEM: Final = """
INSERT INTO queue_items (queue, number, pushed_us, expires_us, value) VALUES (?, ?, ?, ?, ?)
"""
_OVER: Final = """
SELECT q.number, q.namespace, q.key, i.number
FROM queue_items AS i JOIN queues AS q ON q.number = i.queue
WHERE i.expires_us <= ? ORDER BY i.expires_us, i.number LIMIT ?
"""
_FRONT: Final = """
SELECT number, value FROM queue_items
WHERE queue = ? AND (expires_us IS NULL OR expires_us > ?) ORDER BY number LIMIT ?
"""
_NEXT: Final = "SELECT min(expires_us) FROM queue_items WHERE expires_us IS NOT NULL"


class QueueTables:
    """Implements ``holdfast.storage.state_queues.QueueRows``."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def add(self, namespace: str, key: str, item: Item) -> int:
        """At the end of a queue, in a new one of the item's number where there is none; its length
        then."""
        execute = self._connection.execute
        row = execute(_LENGTHEN, (item[0], namespace, key)).fetchone()
        queue, length = cast("tuple[int, int]", row)
        execute(_ITEM, (queue, *item))
        return length

    def find(self, namespace: str, key: str) -> tuple[int, int] | None:
        """Number and length; None where there is no such queue."""
        row = self._connection.execute(
            "SELECT number, length FROM queues WHERE namespace = ? AND key = ?", (namespace, key)
        ).fetchone()
        return cast("tuple[int, int] | None", row)

    def front(self, queue: int, now_us: int, count: int) -> Iterable[tuple[int, str]]:
        """The first items whose time is not over, read one by one."""
        rows = self._connection.execute(_FRONT, (queue, now_us, count))
        return cast("Iterable[tuple[int, str]]", rows)

    def remove(self, queue: int, items: list[int], remaining: int) -> None:
        """Those items; with the last one the queue."""
        self._connection.executemany(
            "DELETE FROM queue_items WHERE number = ?", [(id,) for id in items]
        )
        execute = self._connection.execute
        if remaining:
            execute("UPDATE queues SET length = ? WHERE number = ?", (remaining, queue))
        else:
            execute("DELETE FROM queues WHERE number = ?", (queue,))

    def delete(self, namespace: str, key: str) -> int | None:
        """A queue with all its items; its length, None where there is no such queue."""
        length: int | None = self._connection.execute(
            "DELETE FROM queues WHERE namespace = ? AND key = ? RETURNING length", (namespace, key)
        ).get
        return length

    def length(self, queue: int) -> int:
        """Of one that is there."""
        length: int = self._connection.execute(
            "SELECT length FROM queues WHERE number = ?", (queue,)
        ).get
        return length

    def over(self, now_us: int, limit: int) -> list[Over]:
        """Items whose time is over, over for longest first."""
        return cast("list[Over]", self._connection.execute(_OVER, (now_us, limit)).fetchall())

    def next_expiry_us(self) -> int | None:
        """When the next item expires."""
        time_us: int | None = self._connection.execute(_NEXT).get
        return time_us

"""The tables of queues, writing side.  Works within the caller's transaction.

An item whose time is over is never given out, whether it is removed yet or not.
"""

from __future__ import annotations

from typing import Final, cast

import apsw

from holdfast.errors import InvalidInputError
from holdfast.storage.state_events import StateEvents, json_text
from holdfast.storage.state_records import (
    MAX_TTL,
    MAX_VALUE_BYTES,
    DeleteQueue,
    ExpireItems,
    ItemsExpired,
    Pop,
    Popped,
    Push,
    Pushed,
    QueueDeleted,
    check_name,
)
from holdfast.storage.state_values import parsed, text_of

__all__ = ["QueueTables"]

MAX_POPPED_BYTES: Final = 4 * 1024 * 1024  # in one answer; half the bound on a frame
MAX_POPPED: Final = 10_000
MAX_EXPIRED: Final = 1_000  # items removed at once, so that nobody waits for it
_TOLD: Final = 100  # ids of items named in one event

_PUSH: Final = """
INSERT INTO queues (number, namespace, key, length) VALUES (?, ?, ?, 1)
ON CONFLICT (namespace, key) DO UPDATE SET length = length + 1
RETURNING number, length
"""
_ITEM: Final = """
INSERT INTO queue_items (number, queue, pushed_us, expires_us, value) VALUES (?, ?, ?, ?, ?)
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
    """Queues come with their first item and go with their last."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def push(self, change: Push, told: StateEvents) -> Pushed:
        """Raises InvalidInputError."""
        namespace, key = _checked(change)
        if change.ttl is not None and not 0 < change.ttl <= MAX_TTL:
            raise InvalidInputError(f"ttl = {change.ttl}: expected seconds > 0, at most 100 years")
        text = text_of(parsed(change.value, "value"))
        if len(text.encode()) > MAX_VALUE_BYTES:
            raise InvalidInputError(
                f"value: {len(text):,} characters as JSON; at most {MAX_VALUE_BYTES:,} bytes"
            )
        self._expire(told)
        now_us = told.now_us
        expires_us = None if change.ttl is None else now_us + max(1, round(change.ttl * 1e6))
        execute, id = self._connection.execute, told.next_seq
        queue, size = cast("tuple[int, int]", execute(_PUSH, (id, namespace, key)).fetchone())
        execute(_ITEM, (id, queue, now_us, expires_us, text))
        told.tell(
            "state:queue:pushed",
            namespace,
            {
                "namespace": namespace,
                "key": key,
                "id": id,
                "value": json_text(text),
                "expires_us": expires_us,
                "size": size,
            },
        )
        return Pushed(id, size)

    def pop(self, change: Pop, told: StateEvents) -> Popped:
        """Raises InvalidInputError."""
        namespace, key = _checked(change)
        if not 0 < change.count <= MAX_POPPED:
            raise InvalidInputError(f"count = {change.count}: expected 1 to {MAX_POPPED:,}")
        self._expire(told)
        found = self._find(namespace, key)
        if found is None:
            return Popped([], 0)
        queue, length = found
        ids, values = self._front(queue, told.now_us, change.count)
        if not ids:
            return Popped([], 0)
        remaining = length - len(ids)
        self._remove(queue, ids, remaining)
        told.tell(
            "state:queue:popped",
            namespace,
            {"namespace": namespace, "key": key, "ids": ids, "remaining": remaining},
        )
        return Popped(values, remaining)

    def delete(self, change: DeleteQueue, told: StateEvents) -> QueueDeleted:
        """Raises InvalidInputError."""
        namespace, key = _checked(change)
        self._expire(told)
        count = self._connection.execute(
            "DELETE FROM queues WHERE namespace = ? AND key = ? RETURNING length", (namespace, key)
        ).get
        if count is None:
            return QueueDeleted(0)
        told.tell(
            "state:queue:deleted", namespace, {"namespace": namespace, "key": key, "count": count}
        )
        return QueueDeleted(count)

    def expire(self, change: ExpireItems, told: StateEvents) -> ItemsExpired:
        """Raises InvalidInputError."""
        if not 0 < change.limit <= MAX_EXPIRED:
            raise InvalidInputError(f"limit = {change.limit}: expected 1 to {MAX_EXPIRED:,}")
        count = self._expire(told, change.limit)
        return ItemsExpired(count, self.next_expiry_us())

    def next_expiry_us(self) -> int | None:
        """When the next item expires."""
        time_us: int | None = self._connection.execute(_NEXT).get
        return time_us

    def _find(self, namespace: str, key: str) -> tuple[int, int] | None:
        row = self._connection.execute(
            "SELECT number, length FROM queues WHERE namespace = ? AND key = ?", (namespace, key)
        ).fetchone()
        return cast("tuple[int, int] | None", row)

    def _front(self, queue: int, now_us: int, count: int) -> tuple[list[int], list[str]]:
        """As many as fit in one answer, at least one."""
        ids: list[int] = []
        values: list[str] = []
        size = 0
        rows = self._connection.execute(_FRONT, (queue, now_us, count))
        for id, value in rows:
            size += len(cast(str, value).encode())
            if ids and size > MAX_POPPED_BYTES:
                break
            ids.append(cast(int, id))
            values.append(cast(str, value))
        return ids, values

    def _remove(self, queue: int, ids: list[int], remaining: int) -> None:
        self._connection.executemany(
            "DELETE FROM queue_items WHERE number = ?", [(id,) for id in ids]
        )
        execute = self._connection.execute
        if remaining:
            execute("UPDATE queues SET length = ? WHERE number = ?", (remaining, queue))
        else:
            execute("DELETE FROM queues WHERE number = ?", (queue,))

    def _expire(self, told: StateEvents, limit: int = MAX_EXPIRED) -> int:
        """Some whose time is over, over for longest first; how many."""
        rows = self._connection.execute(_OVER, (told.now_us, limit)).fetchall()
        by_queue: dict[tuple[int, str, str], list[int]] = {}
        for number, namespace, key, id in cast("list[tuple[int, str, str, int]]", rows):
            by_queue.setdefault((number, namespace, key), []).append(id)
        for (number, namespace, key), ids in by_queue.items():
            length: int = self._connection.execute(
                "SELECT length FROM queues WHERE number = ?", (number,)
            ).get
            self._remove(number, ids, length - len(ids))
            for at in range(0, len(ids), _TOLD):
                some = ids[at : at + _TOLD]
                told.tell(
                    "state:queue:expired",
                    namespace,
                    {"namespace": namespace, "key": key, "ids": some, "count": len(some)},
                )
        return len(rows)


def _checked(change: Push | Pop | DeleteQueue) -> tuple[str, str]:
    check_name(change.namespace, "namespace")
    check_name(change.key, "key")
    return change.namespace, change.key

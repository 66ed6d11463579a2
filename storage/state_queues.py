"""What changes of queues do, whatever keeps them.  Works within the caller's transaction.

An item whose time is over is never given out, whether it is removed yet or not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

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

__all__ = ["MAX_POPPED_BYTES", "Item", "Over", "QueueRows", "Queues"]

MAX_POPPED_BYTES: Final = 4 * 1024 * 1024  # in one answer; half the bound on a frame
MAX_POPPED: Final = 10_000
MAX_EXPIRED: Final = 1_000  # items removed at once, so that nobody waits for it
_TOLD: Final = 100  # ids of items named in one event

# number, pushed_us, expires_us, value.
Item = tuple[int, int, int | None, str]
# The queue's number, namespace and key, and the item's number.
Over = tuple[int, str, str, int]


class QueueRows(Protocol):
    """The tables of queues and their items."""

    def add(self, namespace: str, key: str, item: Item) -> int:
        """At the end of a queue, in a new one of the item's number where there is none; its length
        then."""

    def find(self, namespace: str, key: str) -> tuple[int, int] | None:
        """Number and length; None where there is no such queue."""

    def front(self, queue: int, now_us: int, count: int) -> Iterable[tuple[int, str]]:
        """The first items whose time is not over: number and value.

        At least as many as have ``MAX_POPPED_BYTES`` together, and one; read on while you iterate.
        """

    def remove(self, queue: int, items: list[int], remaining: int) -> None:
        """Those items; with the last one the queue."""

    def delete(self, namespace: str, key: str) -> int | None:
        """A queue with all its items; its length, None where there is no such queue."""

    def length(self, queue: int) -> int:
        """Of one that is there."""

    def over(self, now_us: int, limit: int) -> list[Over]:
        """Items whose time is over, over for longest first."""

    def next_expiry_us(self) -> int | None:
        """When the next item expires."""


class Queues:
    """Queues come with their first item and go with their last."""

    def __init__(self, rows: QueueRows) -> None:
        self._rows = rows

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
        id = told.next_seq
        size = self._rows.add(namespace, key, (id, now_us, expires_us, text))
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
        found = self._rows.find(namespace, key)
        if found is None:
            return Popped([], 0)
        queue, length = found
        ids, values = self._front(queue, told.now_us, change.count)
        if not ids:
            return Popped([], 0)
        remaining = length - len(ids)
        self._rows.remove(queue, ids, remaining)
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
        count = self._rows.delete(namespace, key)
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
        return ItemsExpired(count, self._rows.next_expiry_us())

    def _front(self, queue: int, now_us: int, count: int) -> tuple[list[int], list[str]]:
        """As many as fit in one answer, at least one."""
        ids: list[int] = []
        values: list[str] = []
        size = 0
        for id, value in self._rows.front(queue, now_us, count):
            size += len(value.encode())
            if ids and size > MAX_POPPED_BYTES:
                break
            ids.append(id)
            values.append(value)
        return ids, values

    def _expire(self, told: StateEvents, limit: int = MAX_EXPIRED) -> int:
        """Some whose time is over, over for longest first; how many."""
        rows = self._rows.over(told.now_us, limit)
        by_queue: dict[tuple[int, str, str], list[int]] = {}
        for number, namespace, key, id in rows:
            by_queue.setdefault((number, namespace, key), []).append(id)
        for (number, namespace, key), ids in by_queue.items():
            self._rows.remove(number, ids, self._rows.length(number) - len(ids))
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

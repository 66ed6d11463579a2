"""The table of named subscribers, writing side.  Works within the caller's transaction."""

from __future__ import annotations

from typing import Final, cast

import apsw
from msgspec.structs import astuple

from holdfast.clock import Clock
from holdfast.storage.sqlite_events import EventTable
from holdfast.storage.subscriber_keeping import SubscriberKeeping
from holdfast.storage.subscriber_records import Subscriber

__all__ = ["SubscriberTable"]

_FOUND: Final = "SELECT acked, generation, filter FROM subscribers WHERE name = ?"
_INSERT: Final = """
INSERT INTO subscribers (name, acked, filter, generation, owner, created_us, updated_us)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_TAKE_OVER: Final = """
UPDATE subscribers SET filter = ?, generation = generation + 1, owner = ?, updated_us = ?
WHERE name = ?
"""


class SubscriberTable(SubscriberKeeping):
    """Who has which name, and how far each is."""

    def __init__(self, connection: apsw.Connection, *, events: EventTable, clock: Clock) -> None:
        super().__init__(events=events, clock=clock)
        self._connection = connection

    def _found(self, name: str) -> tuple[int, int, str] | None:
        row = self._connection.execute(_FOUND, (name,)).fetchone()
        return cast("tuple[int, int, str] | None", row)

    def _make(self, subscriber: Subscriber) -> None:
        self._connection.execute(_INSERT, astuple(subscriber))

    def _take_over(self, name: str, filter: str, owner: str, now_us: int) -> None:
        self._connection.execute(_TAKE_OVER, (filter, owner, now_us, name))

    def _move(self, name: str, acked: int, now_us: int) -> None:
        sql = "UPDATE subscribers SET acked = ?, updated_us = ? WHERE name = ?"
        self._connection.execute(sql, (acked, now_us, name))

    def _remove(self, name: str) -> bool:
        self._connection.execute("DELETE FROM subscribers WHERE name = ?", (name,))
        return self._connection.changes() > 0

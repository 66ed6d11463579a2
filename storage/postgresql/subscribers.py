"""The table of named subscribers, writing side.  Works within the caller's transaction."""

from __future__ import annotations

from typing import Final, cast

from msgspec.structs import astuple

from holdfast.clock import Clock
from holdfast.storage.postgresql.connection import Connection
from holdfast.storage.postgresql.events import EventTable
from holdfast.storage.subscriber_keeping import SubscriberKeeping
from holdfast.storage.subscriber_records import Subscriber

__all__ = ["SubscriberTable"]

_FOUND: Final = "SELECT acked, generation, filter FROM subscribers WHERE daemon = %s AND name = %s"
_INSERT: Final = """
INSERT INTO subscribers (daemon, name, acked, filter, generation, owner, created_us, updated_us)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""
_TAKE_OVER: Final = """
UPDATE subscribers SET filter = %s, generation = generation + 1, owner = %s, updated_us = %s
WHERE daemon = %s AND name = %s
"""
_MOVE: Final = "UPDATE subscribers SET acked = %s, updated_us = %s WHERE daemon = %s AND name = %s"


class SubscriberTable(SubscriberKeeping):
    """Who has which name, and how far each is."""

    def __init__(
        self, connection: Connection, daemon: str, *, events: EventTable, clock: Clock
    ) -> None:
        super().__init__(events=events, clock=clock)
        self._connection = connection
        self._daemon = daemon

    def _found(self, name: str) -> tuple[int, int, str] | None:
        rows = self._connection.rows(_FOUND, (self._daemon, name))
        return cast("tuple[int, int, str]", rows[0]) if rows else None

    def _make(self, subscriber: Subscriber) -> None:
        self._connection.run(_INSERT, (self._daemon, *astuple(subscriber)))

    def _take_over(self, name: str, filter: str, owner: str, now_us: int) -> None:
        self._connection.run(_TAKE_OVER, (filter, owner, now_us, self._daemon, name))

    def _move(self, name: str, acked: int, now_us: int) -> None:
        self._connection.run(_MOVE, (acked, now_us, self._daemon, name))

    def _remove(self, name: str) -> bool:
        sql = "DELETE FROM subscribers WHERE daemon = %s AND name = %s"
        return self._connection.did(sql, (self._daemon, name))

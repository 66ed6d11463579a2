"""The table of named subscribers, writing side.  Works within the caller's transaction."""

from __future__ import annotations

from typing import Final, cast

import apsw

from holdfast.clock import Clock
from holdfast.errors import Conflict, InvalidInputError
from holdfast.storage.sqlite_events import EventTable
from holdfast.storage.subscriber_records import (
    AcknowledgeEvents,
    EventsAcknowledged,
    RemoveSubscriber,
    StoreSubscriber,
    SubscriberRemoved,
    SubscriberStored,
)

__all__ = ["SubscriberTable"]

_INSERT: Final = """
INSERT INTO subscribers (name, acked, filter, generation, owner, created_us, updated_us)
VALUES (?, ?, ?, 1, ?, ?, ?)
"""
_TAKE_OVER: Final = """
UPDATE subscribers SET filter = ?, generation = generation + 1, owner = ?, updated_us = ?
WHERE name = ?
"""


class SubscriberTable:
    """Who has which name, and how far each is."""

    def __init__(self, connection: apsw.Connection, *, events: EventTable, clock: Clock) -> None:
        self._connection = connection
        self._events = events
        self._clock = clock

    def store(self, command: StoreSubscriber) -> SubscriberStored:
        """Raises InvalidInputError, apsw.Error."""
        name, now = command.name, self._clock.time_us()
        row = self._connection.execute(
            "SELECT acked, generation, filter FROM subscribers WHERE name = ?", (name,)
        ).fetchone()
        if row is None:
            newest = self._events.last_seq
            acked = newest if command.start is None else command.start
            if not 0 <= acked <= newest:
                raise InvalidInputError(f"start = {acked}: the newest event is number {newest}")
            self._connection.execute(
                _INSERT, (name, acked, command.filter, command.owner, now, now)
            )
            return SubscriberStored(acked, 1)
        acked, generation, filter = cast("tuple[int, int, str]", row)
        if filter != command.filter and not command.change_filter:
            raise InvalidInputError(
                f"subscriber {name!r} exists with the filter {filter}, not {command.filter}: "
                "unsubscribe it, choose another name, or say change_filter=True"
            )
        self._connection.execute(_TAKE_OVER, (command.filter, command.owner, now, name))
        return SubscriberStored(acked, generation + 1)

    def acknowledge(self, command: AcknowledgeEvents) -> EventsAcknowledged:
        """Raises InvalidInputError, Conflict, apsw.Error."""
        name, seq = command.name, command.seq
        row = self._connection.execute(
            "SELECT acked, generation FROM subscribers WHERE name = ?", (name,)
        ).fetchone()
        acked, generation = cast("tuple[int, int | None]", row or (0, None))
        if generation != command.generation:
            what = f"subscriber {name!r}, which " + (
                "was removed" if generation is None else "another consumer has taken over"
            )
            raise Conflict(what, expected=command.generation, current=generation)
        if seq > self._events.last_seq:
            raise InvalidInputError(
                f"seq = {seq}: the newest event is number {self._events.last_seq}"
            )
        if seq > acked:
            self._connection.execute(
                "UPDATE subscribers SET acked = ?, updated_us = ? WHERE name = ?",
                (seq, self._clock.time_us(), name),
            )
        return EventsAcknowledged(max(seq, acked))

    def remove(self, command: RemoveSubscriber) -> SubscriberRemoved:
        """Raises apsw.Error."""
        self._connection.execute("DELETE FROM subscribers WHERE name = ?", (command.name,))
        return SubscriberRemoved(self._connection.changes() > 0)

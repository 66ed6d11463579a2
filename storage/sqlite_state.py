"""Relational state in SQLite, writing side.  Works within the caller's transaction."""

from __future__ import annotations

import apsw

from holdfast.clock import Clock
from holdfast.storage.sqlite_entities import EntityTables
from holdfast.storage.sqlite_events import EventTable
from holdfast.storage.sqlite_histories import HistoryTables
from holdfast.storage.sqlite_queues import QueueTables
from holdfast.storage.sqlite_relationships import RelationshipTable
from holdfast.storage.state_changing import StateChanging

__all__ = ["StateTables"]


class StateTables(StateChanging):
    """Raises apsw.Error beside what its changes are refused with."""

    def __init__(self, connection: apsw.Connection, *, events: EventTable, clock: Clock) -> None:
        super().__init__(
            entities=EntityTables(connection),
            histories=HistoryTables(connection),
            relationships=RelationshipTable(connection),
            queues=QueueTables(connection),
            events=events,
            clock=clock,
        )

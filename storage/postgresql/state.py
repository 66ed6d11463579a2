"""Relational state in PostgreSQL, writing side.  Works within the caller's transaction."""

from __future__ import annotations

from holdfast.clock import Clock
from holdfast.storage.postgresql.connection import Connection
from holdfast.storage.postgresql.entities import EntityTables
from holdfast.storage.postgresql.events import EventTable
from holdfast.storage.postgresql.histories import HistoryTables
from holdfast.storage.postgresql.queues import QueueTables
from holdfast.storage.postgresql.relationships import RelationshipTable
from holdfast.storage.state_changing import StateChanging

__all__ = ["StateTables"]


class StateTables(StateChanging):
    """Raises psycopg.Error beside what its changes are refused with."""

    def __init__(
        self, connection: Connection, daemon: str, *, events: EventTable, clock: Clock
    ) -> None:
        super().__init__(
            entities=EntityTables(connection, daemon),
            histories=HistoryTables(connection, daemon),
            relationships=RelationshipTable(connection, daemon),
            queues=QueueTables(connection, daemon),
            events=events,
            clock=clock,
        )

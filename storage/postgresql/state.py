"""Relational state in PostgreSQL, writing side.  Works within the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from holdfast.clock import Clock
from holdfast.storage.commands import Command
from holdfast.storage.postgresql.connection import Connection
from holdfast.storage.postgresql.entities import EntityTables
from holdfast.storage.postgresql.events import EventTable
from holdfast.storage.postgresql.histories import HistoryTables
from holdfast.storage.postgresql.queues import QueueTables
from holdfast.storage.postgresql.relationships import RelationshipTable
from holdfast.storage.state_changing import StateChanging
from holdfast.storage.state_records import (
    ChangeState,
    CreateEntity,
    DefineType,
    DeleteEntity,
    UpdateEntity,
)

__all__ = ["StateTables"]

EXPECTED: Final = 1_000  # entities at once; the others are asked for one by one


class StateTables(StateChanging):
    """Raises psycopg.Error beside what its changes are refused with."""

    def __init__(
        self, connection: Connection, daemon: str, *, events: EventTable, clock: Clock
    ) -> None:
        self._tables = EntityTables(connection, daemon)
        super().__init__(
            entities=self._tables,
            histories=HistoryTables(connection, daemon),
            relationships=RelationshipTable(connection, daemon),
            queues=QueueTables(connection, daemon),
            events=events,
            clock=clock,
        )

    def expect(self, commands: Sequence[Command]) -> None:
        """Find what these are going to ask for, in one answer of the server instead of many.

        Before the first of a transaction; of no commands it forgets what an earlier one had.
        """
        ids: dict[str, None] = {}
        for command in commands:
            if not isinstance(command, ChangeState):
                continue
            for change in command.changes:
                if isinstance(change, DefineType):  # what is found tells of the type, too
                    self._tables.expect([])
                    return
                if isinstance(change, CreateEntity | UpdateEntity | DeleteEntity):
                    ids[change.id] = None
        self._tables.expect([*ids][:EXPECTED])

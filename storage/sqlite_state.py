"""Relational state, writing side: a list of changes as one, and the events that tell of it.

Works within the caller's transaction, in a savepoint of the caller's.
"""

from __future__ import annotations

from typing import assert_never

import apsw

from holdfast.clock import Clock
from holdfast.errors import Conflict, HoldfastError, InvalidInputError, NotFoundError
from holdfast.storage.sqlite_connection import REFUSALS, refused
from holdfast.storage.sqlite_entities import EntityTables
from holdfast.storage.sqlite_events import EventTable
from holdfast.storage.sqlite_histories import Histories
from holdfast.storage.sqlite_queues import QueueTables
from holdfast.storage.sqlite_relationships import RelationshipTable
from holdfast.storage.state_events import StateEvents
from holdfast.storage.state_records import (
    MAX_CHANGES,
    Change,
    ChangeOutcome,
    ChangeState,
    CreateEntity,
    DefineType,
    DeleteEntity,
    DeleteQueue,
    ExpireItems,
    Pop,
    Push,
    Relate,
    StateChanged,
    Unrelate,
    UpdateEntity,
)

__all__ = ["StateTables"]


class StateTables:
    """Entities, relationships and queues.  ``clock`` dates what is changed."""

    def __init__(self, connection: apsw.Connection, *, events: EventTable, clock: Clock) -> None:
        self._events = events
        self._clock = clock
        self._entities = EntityTables(connection)
        self._histories = Histories(connection)
        self._relationships = RelationshipTable(connection)
        self._queues = QueueTables(connection)

    def change(self, command: ChangeState) -> StateChanged:
        """Raises InvalidInputError, Conflict, NotFoundError, apsw.Error; the caller undoes what was
        done by then."""
        changes = command.changes
        if not 0 < len(changes) <= MAX_CHANGES:
            raise InvalidInputError(f"changes: {len(changes):,}; expected 1 to {MAX_CHANGES:,}")
        told = StateEvents(self._clock.time_us(), first_seq=self._events.last_seq + 1)
        outcomes: list[ChangeOutcome] = []
        for index, change in enumerate(changes):
            try:
                outcomes.append(self._make(change, told))
            except (HoldfastError, RecursionError, *REFUSALS) as error:
                if isinstance(error, apsw.Error):  # whose transaction may be gone
                    raise
                where = f"changes[{index}]: " if len(changes) > 1 else ""
                raise _placed(error, where) from error
        stored = self._events.append(told.events)
        if stored.refused:
            index, reason = stored.refused[0]
            raise InvalidInputError(f"events[{index}]: {reason}")
        # What was changed bears the numbers of these events.
        assert stored.count == len(told.events)
        return StateChanged(stored.first_seq, stored.count, outcomes)

    def _make(self, change: Change, told: StateEvents) -> ChangeOutcome:  # one each
        match change:
            case CreateEntity():
                return self._entities.create(change, told)
            case UpdateEntity():
                return self._entities.update(change, told)
            case DeleteEntity():
                return self._entities.delete(change, told)
            case Relate():
                return self._relationships.relate(change, told)
            case Unrelate():
                return self._relationships.unrelate(change, told)
            case Push():
                return self._queues.push(change, told)
            case Pop():
                return self._queues.pop(change, told)
            case DeleteQueue():
                return self._queues.delete(change, told)
            case DefineType():
                return self._histories.define(change)
            case ExpireItems():
                return self._queues.expire(change, told)
            case _:
                assert_never(change)


def _placed(error: Exception, where: str) -> Exception:
    """The error, saying which of several changes it is about."""
    if isinstance(error, Conflict):
        return Conflict(where + error.what, expected=error.expected, current=error.current)
    if isinstance(error, NotFoundError):
        return NotFoundError(where + str(error))
    if isinstance(error, InvalidInputError):
        return InvalidInputError(where + str(error))
    if isinstance(error, RecursionError):
        return InvalidInputError(f"{where}a value that is nested too deep")
    return refused(error, where or "change")

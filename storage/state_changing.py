"""A list of changes of relational state as one, and the events that tell of it.

The same on every backend: what they stand on is the backend's.  Works within the caller's
transaction, in a savepoint of the caller's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, assert_never

from holdfast.clock import Clock
from holdfast.errors import Conflict, HoldfastError, InvalidInputError, NotFoundError
from holdfast.storage.event_records import Stored
from holdfast.storage.records import RawEvent
from holdfast.storage.state_entities import Entities, EntityRows
from holdfast.storage.state_events import StateEvents
from holdfast.storage.state_histories import Histories, HistoryRows
from holdfast.storage.state_queues import QueueRows, Queues
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
from holdfast.storage.state_relationships import RelationshipRows, Relationships

__all__ = ["StateChanging"]


class Sequencer(Protocol):
    """What stores events and gives them their numbers."""

    last_seq: int

    def append(self, events: Sequence[RawEvent]) -> Stored:
        """In order; a refused one costs that one only."""


class StateChanging:
    """Entities, relationships and queues.  ``clock`` dates what is changed.

    What a backend raises because of the rows passes through.
    """

    def __init__(
        self,
        *,
        entities: EntityRows,
        histories: HistoryRows,
        relationships: RelationshipRows,
        queues: QueueRows,
        events: Sequencer,
        clock: Clock,
    ) -> None:
        self._events = events
        self._clock = clock
        self._histories = Histories(histories)
        self._entities = Entities(entities, self._histories)
        self._relationships = Relationships(relationships)
        self._queues = Queues(queues)

    def change(self, command: ChangeState) -> StateChanged:
        """Raises InvalidInputError, Conflict, NotFoundError; the caller undoes what was done by
        then."""
        changes = command.changes
        if not 0 < len(changes) <= MAX_CHANGES:
            raise InvalidInputError(f"changes: {len(changes):,}; expected 1 to {MAX_CHANGES:,}")
        told = StateEvents(self._clock.time_us(), first_seq=self._events.last_seq + 1)
        outcomes: list[ChangeOutcome] = []
        for index, change in enumerate(changes):
            try:
                outcomes.append(self._make(change, told))
            except (HoldfastError, RecursionError, TypeError, ValueError, OverflowError) as error:
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
    return InvalidInputError(f"{where or 'change'}: {error}")

"""What becomes of one command: the delivery of events, and who carries out everything else.

Works within the caller's transaction, on any backend; keeps nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from holdfast.clock import Clock
from holdfast.errors import (
    Conflict,
    ExpiredError,
    GapError,
    HoldfastError,
    InvalidInputError,
    NotFoundError,
    StorageError,
)
from holdfast.storage.commands import Command, Outcome
from holdfast.storage.event_records import Stored
from holdfast.storage.marks import MOST, Marks
from holdfast.storage.once import OnceOnly
from holdfast.storage.records import (
    Appended,
    AppendEvents,
    DeadLetter,
    DeleteDeadLetter,
    Discarded,
    Event,
    Kept,
    Origin,
    RawEvent,
    SkipEvents,
    StoreDeadLetter,
)

__all__ = ["Deliveries", "EventTable", "LossTable", "apply_singly"]


class EventTable(Protocol):
    """The table of events, writing side."""

    @property
    def last_seq(self) -> int:
        """The newest number given."""

    def append(self, events: Sequence[RawEvent] | Sequence[Event]) -> Stored:
        """Store in order; a repeated key or a refused event costs that event only."""


class LossTable(Protocol):
    """The tables of what was not delivered, writing side."""

    def note(self, now_us: int, origin: Origin, first: int, count: int, reason: str) -> None:
        """The ``count`` numbers of the origin's sender from ``first`` on will not come."""

    def note_refused(
        self, now_us: int, origin: Origin | None, first: int, refused: Iterable[tuple[int, str]]
    ) -> None:
        """A row for each event that the table refused; the indexes count from ``first``."""

    def keep(self, letter: DeadLetter) -> Kept:
        """Store it under a new id, or find the one that it has."""

    def discard(self, id: int) -> Discarded:
        """Delete it."""


class Deliveries:
    """The tables of one database, one transaction after the other."""

    def __init__(
        self,
        *,
        marks: Marks,
        once: OnceOnly,
        events: EventTable,
        losses: LossTable,
        clock: Clock,
    ) -> None:
        self._marks = marks
        self._once = once
        self._events = events
        self._losses = losses
        self._clock = clock

    def run(self, command: Command) -> Outcome | HoldfastError:
        """What becomes of it; the backend's error when the transaction is in doubt."""
        try:
            match command:
                case AppendEvents():
                    return self._append(command)
                case SkipEvents():
                    return self._skip(command)
                case StoreDeadLetter(letter=letter):
                    return self._once.attempt(command, lambda: self._losses.keep(letter))
                case DeleteDeadLetter(id=id):
                    return self._once.attempt(command, lambda: self._losses.discard(id))
                case _:
                    return self._once.run(command)
        except (InvalidInputError, Conflict, NotFoundError, ExpiredError, GapError) as error:
            return error

    def _append(self, command: AppendEvents) -> Appended:
        origin, events = command.origin, command.events
        now = self._clock.time_us()
        if origin is None:
            stored = self._events.append(events)
            self._losses.note_refused(now, None, 0, stored.refused)
            again, refused = stored.repeated, stored.refused
            figures = (0, len(again), stored.first_seq, stored.count, 0)
            return Appended(*figures, again, refused, len(refused), stored.payloads)
        state = self._marks.state(origin)
        skipped = min(state.number - origin.first + 1, len(events))
        stored = self._events.append(events[skipped:] if skipped else events)
        self._losses.note_refused(now, origin, origin.first + skipped, stored.refused)
        state.number = max(state.number, origin.first + len(events) - 1)
        state.duplicates += len(stored.repeated)
        state.dropped += len(stored.refused)
        self._marks.move(origin, state)
        return Appended(
            state.number,
            state.duplicates,
            stored.first_seq,
            stored.count,
            skipped,
            [(index + skipped, seq) for index, seq in stored.repeated],
            [(index + skipped, reason) for index, reason in stored.refused],
            state.dropped,
            [(index + skipped, ref) for index, ref in stored.payloads],
        )

    def _skip(self, command: SkipEvents) -> Appended:
        """The mark moves and the row that says why appears in one COMMIT.

        What is at or below the mark is committed, or was noted before: it is no loss.
        """
        origin, count = command.origin, command.count
        if not 0 < count <= MOST:
            raise InvalidInputError(f"a tombstone for {count} events: expected 1 to {MOST}")
        state, last = self._marks.state(origin), origin.first + count - 1
        lost = max(0, last - max(state.number, origin.first - 1))
        if lost:
            now = self._clock.time_us()
            self._losses.note(now, origin, last - lost + 1, lost, command.reason)
            state.number = last
            state.dropped += lost
        self._marks.move(origin, state)
        first_seq = self._events.last_seq + 1
        return Appended(
            state.number, state.duplicates, first_seq, 0, count - lost, dropped=state.dropped
        )


def apply_singly(
    commands: Sequence[Command],
    apply: Callable[[Sequence[Command]], list[Outcome | HoldfastError]],
) -> list[Outcome | HoldfastError]:
    """A group was taken back: store what can be stored, tell what cannot apart.

    What a sender numbered after a command that was not stored fails with it, or the sender would
    hear of a gap that is none of its making.
    """
    outcomes: list[Outcome | HoldfastError] = []
    failed: dict[tuple[str, str, str], HoldfastError] = {}
    for command in commands:
        origin = command.origin
        stream = (origin.sender, origin.incarnation, origin.stream) if origin else None
        if stream in failed:
            outcomes.append(failed[stream])
            continue
        (outcome,) = apply([command])
        outcomes.append(outcome)
        if stream is not None and isinstance(outcome, StorageError):
            failed[stream] = outcome
    return outcomes

"""Who has which name, and how far each subscriber is, whatever database keeps it: the rules.

A backend derives from it and says how rows are read and written, within the caller's transaction.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from holdfast.clock import Clock
from holdfast.errors import Conflict, InvalidInputError
from holdfast.storage.subscriber_records import (
    AcknowledgeEvents,
    EventsAcknowledged,
    RemoveSubscriber,
    StoreSubscriber,
    Subscriber,
    SubscriberRemoved,
    SubscriberStored,
)

__all__ = ["SubscriberKeeping"]


class _Events(Protocol):
    """The table of events."""

    last_seq: int  # the number of the newest one


class SubscriberKeeping(ABC):
    """Every method raises InvalidInputError or the database's own error."""

    def __init__(self, *, events: _Events, clock: Clock) -> None:
        self._events = events
        self._clock = clock

    def store(self, command: StoreSubscriber) -> SubscriberStored:
        """A consumer takes the name over, which is made if there is none."""
        name, now = command.name, self._clock.time_us()
        row = self._found(name)
        if row is None:
            newest = self._events.last_seq
            acked = newest if command.start is None else command.start
            if not 0 <= acked <= newest:
                raise InvalidInputError(f"start = {acked}: the newest event is number {newest}")
            self._make(Subscriber(name, acked, command.filter, 1, command.owner, now, now))
            return SubscriberStored(acked, 1)
        acked, generation, filter = row
        if filter != command.filter and not command.change_filter:
            raise InvalidInputError(
                f"subscriber {name!r} exists with the filter {filter}, not {command.filter}: "
                "unsubscribe it, choose another name, or say change_filter=True"
            )
        self._take_over(name, command.filter, command.owner, now)
        return SubscriberStored(acked, generation + 1)

    def acknowledge(self, command: AcknowledgeEvents) -> EventsAcknowledged:
        """Raises Conflict, too."""
        name, seq = command.name, command.seq
        acked, generation, _ = self._found(name) or (0, None, "")
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
            self._move(name, seq, self._clock.time_us())
        return EventsAcknowledged(max(seq, acked))

    def remove(self, command: RemoveSubscriber) -> SubscriberRemoved:
        """Its name and its position."""
        return SubscriberRemoved(self._remove(command.name))

    @abstractmethod
    def _found(self, name: str) -> tuple[int, int, str] | None:
        """``acked``, ``generation`` and ``filter``."""

    @abstractmethod
    def _make(self, subscriber: Subscriber) -> None:
        """A new row."""

    @abstractmethod
    def _take_over(self, name: str, filter: str, owner: str, now_us: int) -> None:
        """The next generation."""

    @abstractmethod
    def _move(self, name: str, acked: int, now_us: int) -> None:
        """Further."""

    @abstractmethod
    def _remove(self, name: str) -> bool:
        """Whether there was one."""

"""Compare-and-append, whatever database keeps the streams: the rules.

A backend derives from it and says how rows are read and written, within the caller's transaction.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

from holdfast.errors import Conflict, InvalidInputError
from holdfast.storage.event_records import Stored
from holdfast.storage.records import RawEvent
from holdfast.storage.stream_records import AppendStream, StreamAppended

__all__ = ["StreamKeeping"]


class _Events(Protocol):
    """The table of events."""

    def append(self, events: Sequence[RawEvent]) -> Stored:
        """Store in order; a repeated key or a refused event costs that event only."""


class StreamKeeping(ABC):
    """Versions of a stream count from 1 without a gap."""

    def __init__(self, *, events: _Events) -> None:
        self._events = events

    def append(self, command: AppendStream) -> StreamAppended:
        """Raises InvalidInputError, Conflict; the caller undoes what was done by then."""
        name, events = command.stream, command.events
        if not events:
            raise InvalidInputError(f"stream {name!r}: no events to append")
        _check(name, events)
        current = self._version(name)
        if command.expected is not None and command.expected != current:
            raise Conflict(f"stream {name!r}", expected=command.expected, current=current)
        stored = self._events.append(events)
        if stored.refused:
            index, reason = stored.refused[0]
            raise InvalidInputError(f"stream {name!r}: events[{index}]: {reason}")
        if stored.repeated:
            index, seq = stored.repeated[0]
            raise InvalidInputError(f"stream {name!r}: events[{index}]: its key is event {seq}'s")
        self._move(name, current, stored.first_seq, stored.count)
        return StreamAppended(current + stored.count, stored.first_seq, stored.count)

    @abstractmethod
    def _version(self, name: str) -> int:
        """Of the newest event; 0 where there is no such stream yet."""

    @abstractmethod
    def _move(self, name: str, version: int, first_seq: int, count: int) -> None:
        """The events from ``first_seq`` on get the versions behind ``version``."""


def _check(name: str, events: Sequence[RawEvent]) -> None:
    """The subject is where readers look for a stream's events."""
    for index, event in enumerate(events):
        if event[3] != name:
            raise InvalidInputError(
                f"stream {name!r}: events[{index}] has the subject {event[3]!r}; it has to be "
                "the stream's name"
            )

"""Changes to sessions that are not known to be committed: waiting, or on their way.

A plain data structure; the sessions actor owns one, and loses it with its process: at most what
came within the last second.
"""

from __future__ import annotations

from typing import Final

import msgspec

from holdfast.storage.records import Event
from holdfast.storage.session_records import Session

__all__ = ["Batch", "Unwritten"]

BATCH: Final = 1_000  # sessions in one transaction: some 10 ms of work for the writer


class Batch(msgspec.Struct, frozen=True):
    """Changes that travel together; None stands for a deletion."""

    changes: dict[str, Session | None]
    events: list[Event]


class Unwritten:
    """The newest change of each session, and the expiries to be told with the next write."""

    def __init__(self) -> None:
        self._waiting: dict[str, Session | None] = {}
        self._sent: dict[str, Session | None] = {}
        self._events: list[Event] = []

    def __len__(self) -> int:
        return len(self._waiting) + len(self._sent)

    def __contains__(self, id: str) -> bool:
        return id in self._waiting or id in self._sent

    @property
    def is_due(self) -> bool:
        """Something waits to be sent."""
        return bool(self._waiting or self._events)

    def get(self, id: str) -> Session | None:
        """The session as last changed; None when it was deleted or not changed."""
        return self._waiting[id] if id in self._waiting else self._sent.get(id)

    def add(self, id: str, session: Session | None, event: Event | None = None) -> None:
        """A change, and what is to be told of it."""
        self._waiting[id] = session
        if event is not None:
            self._events.append(event)

    def supersede(self, id: str) -> None:
        """A forced write overtakes what waits."""
        self._waiting.pop(id, None)

    def take(self) -> Batch:
        """What goes next; oldest changes first."""
        ids = list(self._waiting)[:BATCH]
        changes = {id: self._waiting.pop(id) for id in ids}
        self._sent.update(changes)
        events, self._events = self._events[:BATCH], self._events[BATCH:]
        return Batch(changes, events)

    def written(self, batch: Batch) -> None:
        """The batch is committed."""
        for id, session in batch.changes.items():
            if id in self._sent and self._sent[id] is session:
                del self._sent[id]

    def failed(self, batch: Batch) -> None:
        """The batch is not stored: it waits again, unless it changed meanwhile."""
        self.written(batch)
        for id, session in batch.changes.items():
            self._waiting.setdefault(id, session)
        self._events = batch.events + self._events

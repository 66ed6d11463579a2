"""Sessions: the record, what changes it, and the outcome.  ``data`` is JSON text."""

from __future__ import annotations

import msgspec

from holdfast.storage.records import Event, Origin

__all__ = ["Session", "SessionsStored", "StoreSessions"]


class Session(msgspec.Struct, frozen=True, array_like=True):
    """What an agent knows of one conversation; ``ttl`` and ``max_age`` in seconds."""

    id: str
    data: str
    version: str
    created_us: int
    touched_us: int
    expires_us: int
    ttl: float
    max_age: float | None = None


class StoreSessions(msgspec.Struct, frozen=True, array_like=True, tag="store_sessions"):
    """Put and delete sessions, and store the events that tell of it.  Outcome: SessionsStored.

    ``answer`` is the caller's own; it comes back in the outcome, and in that of a repeat.
    """

    origin: Origin | None
    put: list[Session]
    delete: list[str]
    events: list[Event]
    answer: str = ""


class SessionsStored(msgspec.Struct, frozen=True, array_like=True, tag="sessions_stored"):
    """The sessions are committed; ``stored`` events have the numbers from ``first_seq`` on."""

    first_seq: int
    stored: int
    answer: str = ""

"""Sessions: the records, what changes them, and the outcome.  ``data`` is JSON text."""

from __future__ import annotations

import msgspec

from holdfast.storage.records import Event, Origin

__all__ = [
    "Session",
    "SessionItem",
    "SessionTotals",
    "SessionUse",
    "SessionsStored",
    "StoreSessions",
    "StoredItem",
]


class Session(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What an agent knows of one conversation; ``ttl`` and ``max_age`` in seconds.

    ``(id, created_us)`` names it among all that ever had the id.  ``holders`` is a JSON object:
    who has it in use, and until when (microseconds).  ``items`` is the number of its newest item,
    ``item_bytes`` what its items take together.  The garbage collector need not look at it: a
    hundred thousand of them would hold the actor up.
    """

    id: str
    data: str
    version: str
    created_us: int
    touched_us: int
    expires_us: int
    ttl: float
    max_age: float | None = None
    owner: str | None = None
    holders: str = "{}"
    items: int = 0
    item_bytes: int = 0


class SessionUse(msgspec.Struct, frozen=True, array_like=True):
    """Everything of a session that changes without its data: in the order of the UPDATE."""

    touched_us: int
    expires_us: int
    owner: str | None
    holders: str
    items: int
    item_bytes: int
    id: str
    created_us: int


class SessionItem(msgspec.Struct, frozen=True, array_like=True):
    """One item of the session ``(session, created_us)``; ``key`` is unique within it."""

    number: int
    time_us: int
    key: str | None
    data: str
    session: str
    created_us: int


class StoredItem(msgspec.Struct, frozen=True, array_like=True):
    """An item as it is read: numbers rise, and may skip some."""

    number: int
    time_us: int
    key: str | None
    data: str


class SessionTotals(msgspec.Struct, frozen=True, array_like=True):
    """How many sessions the database has, ended ones that are not deleted yet included, and the
    bytes of their data and items."""

    count: int
    bytes: int


class StoreSessions(msgspec.Struct, frozen=True, array_like=True, tag="store_sessions"):
    """Delete, put and use sessions, add items, store the events that tell of it, in this order.

    A put of an id that an earlier session has takes its place, items included.  Uses and items of
    a session that is not there (any more) are left out.  Outcome: SessionsStored.  ``answer`` is
    the caller's own; it comes back in the outcome, and in that of a repeat.
    """

    origin: Origin | None
    put: list[Session]
    delete: list[str]
    events: list[Event]
    answer: str = ""
    use: list[SessionUse] = []
    items: list[SessionItem] = []


class SessionsStored(msgspec.Struct, frozen=True, array_like=True, tag="sessions_stored"):
    """The sessions are committed; ``stored`` events have the numbers from ``first_seq`` on."""

    first_seq: int
    stored: int
    answer: str = ""

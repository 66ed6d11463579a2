"""The vocabulary of the sessions actor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from holdfast.storage.session_records import Session

__all__ = [
    "Delete",
    "Deleted",
    "Durability",
    "Get",
    "Put",
    "Reply",
    "Request",
    "SessionIs",
    "SessionsStats",
    "Stats",
    "Touch",
    "Versioned",
    "decode_reply",
    "decode_request",
]

# "memory": in the actor's memory, on disk within a second.  "committed": COMMIT has returned.
Durability = Literal["memory", "committed"]


class Put(msgspec.Struct, frozen=True, array_like=True, tag="put"):
    """Create or replace a session.  Reply: Versioned, or Conflict.

    ``data`` is JSON text; ``ttl`` and ``max_age`` are seconds, None for the configured ttl and
    for no maximum.  ``expected_version`` "" means that there must be none.
    """

    id: str
    data: str
    ttl: float | None = None
    max_age: float | None = None
    expected_version: str | None = None
    durability: Durability = "memory"


class Get(msgspec.Struct, frozen=True, array_like=True, tag="get"):
    """Read a session.  Reply: SessionIs."""

    id: str


class Touch(msgspec.Struct, frozen=True, array_like=True, tag="touch"):
    """Start its time to live anew.  Reply: SessionIs, with None when there is none."""

    id: str


class Delete(msgspec.Struct, frozen=True, array_like=True, tag="delete"):
    """End a session.  Reply: Deleted, after COMMIT."""

    id: str


class Stats(msgspec.Struct, frozen=True, array_like=True, tag="stats"):
    """How is the cache?  Reply: SessionsStats."""


class Versioned(msgspec.Struct, frozen=True, array_like=True, tag="versioned"):
    """The session is kept, at the durability asked for, under this version."""

    version: str


class SessionIs(msgspec.Struct, frozen=True, array_like=True, tag="session"):
    """The session, or None where there is none that lives."""

    session: Session | None


class Deleted(msgspec.Struct, frozen=True, array_like=True, tag="deleted"):
    """It is gone; ``existed`` says whether it lived."""

    existed: bool


class SessionsStats(msgspec.Struct, frozen=True, array_like=True, tag="sessions_stats"):
    """Sessions in memory, of how many it holds, and changes not yet written."""

    cached: int
    maxsize: int
    unwritten: int


Request = Put | Get | Touch | Delete | Stats
Reply = Versioned | SessionIs | Deleted | SessionsStats

decode_request: Callable[[bytes], Request] = msgspec.msgpack.Decoder(Request).decode
decode_reply: Callable[[bytes], Reply] = msgspec.msgpack.Decoder(Reply).decode

"""What the HTTP door answers, for the OpenAPI document.  Times are microseconds since 1970.

What goes out as the calls of a hub have it is of their types; here are those that differ.
"""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.actors.session_calls import Session
from holdfast.actors.state_results import Relationship

__all__ = [
    "Checkpoint",
    "Checkpoints",
    "CreatedCheckpoint",
    "Discovered",
    "Emitted",
    "Entities",
    "Entity",
    "Event",
    "Events",
    "Health",
    "KsiAnswer",
    "LogStats",
    "Problem",
    "PutSession",
    "Relationship",
    "Relationships",
    "Session",
    "Traversal",
]


class Entity(msgspec.Struct, frozen=True):
    """``version`` is its ETag."""

    id: str
    type: str
    version: int
    created_us: int
    updated_us: int
    properties: dict[str, Any]


class Entities(msgspec.Struct, frozen=True):
    """A page; ``cursor`` is for the next one, null behind the last."""

    entities: list[Entity]
    cursor: str | None


class Relationships(msgspec.Struct, frozen=True):
    """A page, as Entities."""

    relationships: list[Relationship]
    cursor: str | None


class Traversal(msgspec.Struct, frozen=True):
    """``nodes`` by their distance; not complete where ``limit`` cut it off."""

    nodes: dict[str, int]
    relationships: list[Relationship]
    is_complete: bool


class Event(msgspec.Struct, frozen=True):
    """An event with the names that the table of events has."""

    seq: int
    daemon: str
    time_us: int
    type: str
    source: str
    subject: str | None
    session: str | None
    correlation: str | None
    cause: str | None
    root: str | None
    depth: int
    key: str | None
    data: Any


class Events(msgspec.Struct, frozen=True):
    """A page; ``after`` is for the next one where the order is theirs, null when nothing came."""

    events: list[Event]
    after: str | None


class Emitted(msgspec.Struct, frozen=True):
    """``durability`` is the level that was reached."""

    type: str
    key: str | None
    durability: str


class LogStats(msgspec.Struct, frozen=True):
    """Figures of the log."""

    total_events: int
    ring_size: int
    ring_capacity: int
    pending: int
    last_seq: int
    mode: str
    dropped: int
    subscribers: int


class PutSession(msgspec.Struct, frozen=True):
    """``version`` is its new ETag."""

    id: str
    version: str


class Checkpoint(msgspec.Struct, frozen=True):
    """A checkpoint of the daemon; ``size`` in bytes."""

    id: int
    created_us: int
    size: int
    pins: list[str]


class Checkpoints(msgspec.Struct, frozen=True):
    """The newest first."""

    checkpoints: list[Checkpoint]


class Participant(msgspec.Struct, frozen=True):
    """Whose part it is; ``error`` is why it is missing, null when it is there."""

    name: str
    count: int
    bytes: int
    error: str | None


class CreatedCheckpoint(msgspec.Struct, frozen=True):
    """It is committed."""

    id: int
    participants: list[Participant]


class Health(msgspec.Struct, frozen=True):
    """``status`` is "healthy" or "degraded"; ``actors`` are states by name."""

    status: str
    daemon: str
    version: str
    sqlite_version: str
    uptime: float
    actors: dict[str, str]
    gateway: dict[str, Any]


class Discovered(msgspec.Struct, frozen=True):
    """As system:discover answers."""

    events: dict[str, Any] | list[Any]
    namespaces: list[str]
    total: int


class KsiAnswer(msgspec.Struct, frozen=True):
    """What the lines of the gateway answer."""

    event: str
    data: Any
    count: int
    correlation_id: str | None
    timestamp: float


class Problem(msgspec.Struct, frozen=True):
    """An error, as RFC 9457 has it.

    ``error_type`` is the class of it in holdfast's Python; ``outcome`` says whether a change was
    made: "unchanged" or "unknown"; ``did_you_mean`` names what is alike.
    """

    type: str
    title: str
    status: int
    detail: str
    error_type: str
    outcome: str
    did_you_mean: list[str] | None = None

"""Short ways to make what the storage tests store."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.errors import HoldfastError
from holdfast.storage.commands import Command, Outcome
from holdfast.storage.ports import Database
from holdfast.storage.records import (
    Appended,
    AppendEvents,
    Event,
    Origin,
    RawEvent,
)
from holdfast.storage.session_records import Session


def event(
    n: int = 0,
    *,
    type: str = "tool:call",
    source: str = "planner",
    subject: str | None = None,
    session: str | None = None,
    correlation: str | None = None,
    cause: str | None = None,
    root: str | None = None,
    depth: int = 0,
    key: str | None = None,
    data: str = "{}",
) -> RawEvent:
    time_us = 1_000_000 + n
    return (time_us, type, source, subject, session, correlation, cause, root, depth, key, data)


def events(count: int, *, first: int = 0) -> list[RawEvent]:
    return [event(n) for n in range(first, first + count)]


def origin(first: int, *, sender: str = "planner", acked: int = 0, stream: str = "log") -> Origin:
    return Origin(sender, "1.1", stream, first, acked)


def session(id: str = "s1", *, touched_us: int = 5, expires_us: int = 10) -> Session:
    return Session(id, "{}", "1.1:1", 1, touched_us, expires_us, 3.5, None)


def as_event(raw: RawEvent) -> Event:
    return Event(*raw)


def apply_one(database: Database, command: Command) -> Outcome:
    """The outcome of a command; an error is raised."""
    (outcome,) = database.apply([command])
    if isinstance(outcome, HoldfastError):
        raise outcome
    return outcome


def append(
    database: Database, frame: Sequence[RawEvent], numbered: Origin | None = None
) -> Appended:
    outcome = apply_one(database, AppendEvents(numbered, frame))
    assert isinstance(outcome, Appended)
    return outcome

"""Events and their delivery: the same on every backend."""

from __future__ import annotations

from typing import Any

from holdfast.storage.filters import EventFilter
from holdfast.storage.ports import Database, Reader
from holdfast.storage.records import (
    Appended,
    AppendEvents,
    Event,
    Origin,
)


def origin(first: int, sender: str = "a", stream: str = "log", *, fresh: bool = False) -> Origin:
    return Origin(sender, "1", stream, first, fresh=fresh)


def event(number: int, **fields: Any) -> Event:
    return Event(**{"time_us": number, "type": "t:x", "source": "s", **fields})


def append(database: Database, *events: Event, first: int | None = None) -> Appended:
    command = AppendEvents(None if first is None else origin(first), events)
    (outcome,) = database.apply([command])
    assert isinstance(outcome, Appended), outcome
    return outcome


def test_events_come_back_exactly(database: Database, reader: Reader) -> None:
    odd = "a\0b\1c\1\1d\1\2 \U0001f600 ' \" \\ %s"
    fields = {name: odd + name for name in ("subject", "session", "correlation", "cause", "root")}
    data = '{"a": [1e300, 12345678901234567890123, "\\u0000 \\ud83d\\ude00"], "a" : 1}'
    stored = [
        event(-(2**63), type=odd, source=odd, key=odd, data=data, depth=2**40, **fields),
        event(2**63 - 1),
    ]
    append(database, *stored, first=1)
    found = reader.events(EventFilter(), 10)
    assert [
        Event(*[getattr(each, name) for name in Event.__struct_fields__]) for each in found
    ] == (stored)
    assert reader.events(EventFilter(session=odd + "session"), 10) == found[:1]

"""Events as programs get them: data decoded, large data fetched.  Nothing is kept here."""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.actors.calls import Ask, Steps
from holdfast.actors.messages import query
from holdfast.storage import jsontext
from holdfast.storage.payloads import Payload
from holdfast.storage.records import StoredEvent

__all__ = ["Event", "Payload", "opened_events"]


class Event(msgspec.Struct, frozen=True):
    """A committed event; ``data`` is decoded.  ``seq`` is 0 while it is in memory only.

    ``payload`` says what the data is that is stored apart because it is large; ``data`` holds it
    all the same, or None where it was asked not to, or where retention deleted the event since
    it was found.
    """

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
    payload: Payload | None = None


def opened_events(events: list[StoredEvent], payloads: bool, timeout: float) -> Steps[list[Event]]:
    """The events; with ``payloads`` large ones have their data too."""
    texts: dict[str, str | None] = {}
    if payloads:
        refs = dict.fromkeys(event.payload for event in events if event.payload is not None)
        texts = yield from _fetched(list(refs), timeout)
    # None of them is left out: whoever reads page after page takes a short one for the last.
    return [_opened(event, texts.get(event.payload or "") or event.data) for event in events]


def _fetched(refs: list[str], timeout: float) -> Steps[dict[str, str | None]]:
    texts: dict[str, str | None] = {}
    while refs:
        reply = yield Ask("query", query.GetPayloads(refs), timeout)
        texts.update(zip(refs, reply.payloads, strict=False))
        refs = refs[len(reply.payloads) :]
    return texts


def _opened(event: StoredEvent, data: str) -> Event:
    fields: list[Any] = [*msgspec.structs.astuple(event)]
    fields[-2] = jsontext.decode(data)
    fields[-1] = None if event.payload is None else Payload.of(event.payload)
    return Event(*fields)

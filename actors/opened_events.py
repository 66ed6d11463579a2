"""Events that were found, made readable: their large data is fetched.  Nothing is kept here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from holdfast.actors.calls import Ask, Steps
from holdfast.actors.messages import log, query
from holdfast.actors.readable_events import Event
from holdfast.storage import jsontext
from holdfast.storage.payloads import Payload
from holdfast.storage.records import RawEvent, StoredEvent

__all__ = ["fetched_events", "opened_events"]

_decode: Final[Callable[[msgspec.Raw], list[RawEvent]]] = msgspec.msgpack.Decoder(
    list[RawEvent]
).decode


def opened_events(
    events: Sequence[StoredEvent], epoch: int, payloads: bool, timeout: float
) -> Steps[list[Event]]:
    """The events; with ``payloads`` large ones have their data too."""
    refs = [event.payload for event in events if event.payload is not None]
    texts = yield from _texts(refs if payloads else [], timeout)
    # None of them is left out: whoever reads page after page takes a short one for the last.
    return [_opened(event, texts.get(event.payload or "") or event.data, epoch) for event in events]


def fetched_events(reply: log.Fetched, payloads: bool, timeout: float) -> Steps[list[Event]]:
    """The events of an answer; with ``payloads`` large ones have their data too."""
    raws, refs = _decode(reply.events), reply.payloads
    texts = yield from _texts(list(refs.values()) if payloads else [], timeout)
    found = []
    for index, (seq, raw) in enumerate(zip(reply.seqs, raws, strict=True)):
        data, payload = raw[-1], None
        if (ref := refs.get(index)) is not None:
            data, payload = texts.get(ref) or data, Payload.of(ref)
        made = Event(seq, reply.daemon, *raw[:-1], jsontext.decode(data), reply.epoch, payload)
        found.append(made)
    return found


def _texts(wanted: Sequence[str], timeout: float) -> Steps[dict[str, str | None]]:
    refs = list(dict.fromkeys(wanted))
    texts: dict[str, str | None] = {}
    while refs:
        reply = yield Ask("query", query.GetPayloads(refs), timeout)
        texts.update(zip(refs, reply.payloads, strict=False))
        refs = refs[len(reply.payloads) :]
    return texts


def _opened(event: StoredEvent, data: str, epoch: int) -> Event:
    payload = None if event.payload is None else Payload.of(event.payload)
    fields: list[Any] = [*msgspec.structs.astuple(event)[:-2]]
    fields += (jsontext.decode(data), epoch, payload)
    return Event(*fields)

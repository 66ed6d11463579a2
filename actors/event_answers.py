"""What the query actor answers about events.  No state of its own."""

from __future__ import annotations

from holdfast.actors.messages.query import (
    CountEvents,
    Found,
    GetPayloads,
    GetPosition,
    Number,
    PayloadsAre,
    PositionIs,
    QueryEvents,
    ReadStream,
    StreamIs,
)
from holdfast.actors.replies import REPLY_BYTES, bounded, fitting
from holdfast.storage.ports import Reader
from holdfast.storage.records import Position

__all__ = ["answer_about_events"]


def answer_about_events(
    reader: Reader | None,
    message: QueryEvents | CountEvents | GetPosition | GetPayloads | ReadStream,
) -> Found | Number | PositionIs | PayloadsAre | StreamIs:
    """``reader`` is None as long as there is no database; then there is nothing."""
    match message:
        case QueryEvents():
            return _found(reader, message)
        case CountEvents(filter=wanted):
            return Number(0 if reader is None else reader.count(wanted))
        case GetPosition():
            return PositionIs(Position(0, 0) if reader is None else reader.position())
        case GetPayloads(refs=refs):
            if reader is None:
                return PayloadsAre([None] * len(refs))
            # The last may be as long again.
            return PayloadsAre(reader.payloads(refs, REPLY_BYTES // 2))
        case ReadStream(stream=name, after_version=version, limit=limit):
            if reader is None:
                return StreamIs(0, [])
            part = reader.stream(name, version, bounded(limit))
            sent = len(fitting([event for _, event in part.events]))
            more = sent < len(part.events)
            return StreamIs(part.version, part.events[:sent], more, reader.position().epoch)


def _found(reader: Reader | None, query: QueryEvents) -> Found:
    limit = bounded(query.limit)
    if reader is None:
        return Found([])
    events = reader.events(query.filter, limit, query.reverse)
    sent = fitting(events)
    more = len(sent) < len(events) or limit < query.limit
    return Found(sent, more, reader.position().epoch)

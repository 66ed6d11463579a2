"""The calls about streams: what they send, how the replies read.  Nothing is kept here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

import msgspec

from holdfast.actors.calls import Ask, Command, Steps
from holdfast.actors.event_encoding import EventEncoder
from holdfast.actors.messages import query
from holdfast.actors.opened_events import opened_events
from holdfast.actors.readable_events import Event
from holdfast.errors import InvalidInputError
from holdfast.storage.records import RawEvent
from holdfast.storage.stream_records import AppendStream

__all__ = ["Expected", "StreamEvent", "append_stream", "read_stream", "stream_version"]

MOST: Final = 1_000  # events appended together
PAGE: Final = 1_000  # events asked for at a time
Expected = int | Literal["any", "none"]

_decode: Callable[[bytes], RawEvent] = msgspec.msgpack.Decoder(RawEvent).decode


class StreamEvent(msgspec.Struct, frozen=True):
    """An event of a stream, and which version of the stream it made."""

    version: int
    event: Event


def append_stream(
    encoder: EventEncoder,
    stream: str,
    events: Sequence[tuple[str, object]],
    expected_version: Expected,
    session: str | None,
    source: str | None,
    correlation: str | None,
    cause: str | Event | None,
    timeout: float,
) -> Steps[int]:
    """Append all of ``(type, data)`` or nothing; the new version.  Raises Conflict."""
    if not 0 < len(events) <= MOST:
        raise InvalidInputError(f"{len(events)} events: expected 1 to {MOST} of them")
    if not stream:
        raise InvalidInputError(f"stream = {stream!r}: expected a name")
    rows = [
        _decode(encoder.encode(type, data, session, source, stream, correlation, cause, None, None))
        for type, data in events
    ]
    command = AppendStream(None, stream, _expected(expected_version), rows)
    reply = yield Command("writer", command, timeout)
    version: int = reply.version
    return version


def _expected(version: Expected) -> int | None:
    match version:
        case "any":
            return None
        case "none":
            return 0
        case int() if version >= 0 and not isinstance(version, bool):
            return version
    raise InvalidInputError(
        f'expected_version = {version!r}: expected a version >= 0, "none" or "any"'
    )


def read_stream(
    stream: str, *, after_version: int = 0, limit: int = 100, timeout: float = 30.0
) -> Steps[list[StreamEvent]]:
    """The first ``limit`` events behind a version, in order; retention may have deleted some."""
    if limit < 1:
        raise InvalidInputError(f"limit = {limit}: expected at least 1")
    found: list[StreamEvent] = []
    while len(found) < limit:
        page = query.ReadStream(stream, after_version, min(PAGE, limit - len(found)))
        reply = yield Ask("query", page, timeout)
        events = yield from opened_events(
            [event for _, event in reply.events], reply.epoch, True, timeout
        )
        numbered = zip(reply.events, events, strict=True)
        found += [StreamEvent(version, event) for (version, _), event in numbered]
        if not reply.more:
            break
        after_version = found[-1].version
    return found


def stream_version(stream: str, *, timeout: float = 30.0) -> Steps[int]:
    """How many events were ever appended to it; 0 for a stream that is not there."""
    reply = yield Ask("query", query.ReadStream(stream, 0, 1), timeout)
    version: int = reply.version
    return version

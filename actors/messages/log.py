"""The vocabulary of the log actor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from holdfast.actors.wire import array_length
from holdfast.storage.records import EventFilter, RawEvent, StoredEvent

__all__ = [
    "Advance",
    "Barrier",
    "Count",
    "Counted",
    "Emit",
    "EmitFrame",
    "Events",
    "Fetch",
    "Fetched",
    "Forget",
    "LogStats",
    "Mode",
    "Omit",
    "OmitFrame",
    "Passed",
    "Query",
    "Reply",
    "Request",
    "Stats",
    "Tail",
    "Visibility",
    "count_of",
    "decode_reply",
    "decode_request",
]

# "committed": events with a sequence number.  "memory": also those accepted, not committed yet.
Visibility = Literal["committed", "memory"]

# How the log takes events in; docs/OVERLOAD.md says what each means.
Mode = Literal["async", "sync", "drop", "flush"]


class Emit(msgspec.Struct, frozen=True, array_like=True, tag="emit"):
    """Keep these events, and have them committed.  A tell; acknowledged once committed.

    ``events`` is a msgpack array of ``storage.records.Event``, passed through as it is.
    """

    events: msgspec.Raw


class EmitFrame(msgspec.Struct, frozen=True):
    """An Emit as the log sees it: bytes to pass on, an array of ``count`` events.

    Nobody has looked at the events; the writer does, before anything is committed.
    """

    raw: msgspec.Raw
    count: int


class Omit(msgspec.Struct, frozen=True, array_like=True, tag="omit"):
    """The sender had no room for ``count`` events: have that recorded instead of them.

    A tell; acknowledged once the loss is committed.  ``events`` are the last of them, as in
    Emit: they are kept in memory, where ``visibility="memory"`` shows them.
    """

    count: int
    events: msgspec.Raw


class OmitFrame(msgspec.Struct, frozen=True):
    """An Omit as the log sees it."""

    count: int
    events: list[RawEvent]


class Tail(msgspec.Struct, frozen=True, array_like=True, tag="tail"):
    """The newest ``limit`` events, oldest first.  Reply: Events."""

    limit: int = 100
    visibility: Visibility = "committed"


class Query(msgspec.Struct, frozen=True, array_like=True, tag="query"):
    """The first ``limit`` events that match, or the newest first.  Reply: Events."""

    filter: EventFilter
    limit: int = 100
    reverse: bool = False
    visibility: Visibility = "committed"


class Count(msgspec.Struct, frozen=True, array_like=True, tag="count"):
    """How many events match.  Reply: Counted."""

    filter: EventFilter


class Fetch(msgspec.Struct, frozen=True, array_like=True, tag="fetch"):
    """The next events that match, behind number ``filter.after``.  Reply: Fetched.

    It comes when there is at least one or, without any, after ``wait`` seconds (60 at most).
    Without a position (``after`` is None) it comes at once, and ``upto`` is the newest event.
    ``id`` is the sender's number for the subscription: a newer fetch of it takes the place of an
    older one, which is answered no more.
    """

    id: int
    filter: EventFilter
    limit: int = 500
    wait: float = 0.0


class Barrier(msgspec.Struct, frozen=True, array_like=True, tag="barrier"):
    """Do nothing, after everything this sender told before.  Reply: Passed."""


class Advance(msgspec.Struct, frozen=True, array_like=True, tag="advance"):
    """The writer committed events that did not come by the log.  Reply: Passed."""

    last_seq: int


class Forget(msgspec.Struct, frozen=True, array_like=True, tag="forget"):
    """The events with these numbers, from, to, were deleted; with none: any may have been.

    Reply: Passed.
    """

    spans: list[tuple[int, int]]


class Stats(msgspec.Struct, frozen=True, array_like=True, tag="stats"):
    """How is the ring?  Reply: LogStats."""


class Events(msgspec.Struct, frozen=True, array_like=True, tag="events"):
    """What was asked for; ``seq`` is 0 in events that are not committed yet.

    ``covered`` is False when the ring does not reach back far enough to be sure: ask ``query``.
    ``epoch`` is that of the database, 0 as long as the log does not know it.
    """

    events: list[StoredEvent]
    covered: bool
    epoch: int = 0


class Counted(msgspec.Struct, frozen=True, array_like=True, tag="counted"):
    """The count; ``covered`` as in Events."""

    count: int
    covered: bool


class Fetched(msgspec.Struct, frozen=True, array_like=True, tag="fetched"):
    """Events in order: ``seqs`` are their numbers, ``events`` an array of ``records.Event``.

    ``payloads``: by index, where the data is of those whose data is not there.

    No other event up to ``upto`` matches: go on behind that.  ``covered`` is False when the ring
    does not reach back to the position; then all that matches up to ``upto`` is ``query``'s to
    tell.
    """

    seqs: list[int]
    events: msgspec.Raw
    daemon: str
    upto: int
    covered: bool
    epoch: int = 0
    payloads: dict[int, str] = {}


class Passed(msgspec.Struct, frozen=True, array_like=True, tag="passed"):
    """Everything told before is in the log's memory, or everything committed before in its ring."""


class LogStats(msgspec.Struct, frozen=True, array_like=True, tag="log_stats"):
    """Events in the ring, of how many it holds; waiting for their commit; the newest number.

    ``load`` counts all that senders wait for, ``dropped`` what this life of the log did not keep,
    ``fetches`` the subscribers that wait for events, ``damaged`` the reads of rows that cannot be
    read any more.
    """

    ring: int
    capacity: int
    pending: int
    last_seq: int
    mode: Mode = "async"
    load: int = 0
    dropped: int = 0
    fetches: int = 0
    damaged: int = 0


Request = Emit | Omit | Tail | Query | Count | Fetch | Barrier | Advance | Forget | Stats
Reply = Events | Counted | Fetched | Passed | LogStats

_decode_request: Callable[[bytes], Request] = msgspec.msgpack.Decoder(Request).decode
_decode_events: Callable[[msgspec.Raw], list[RawEvent]] = msgspec.msgpack.Decoder(
    list[RawEvent]
).decode
decode_reply: Callable[[bytes], Reply] = msgspec.msgpack.Decoder(Reply).decode


def decode_request(
    body: bytes | msgspec.Raw,
) -> EmitFrame | OmitFrame | Tail | Query | Count | Fetch | Barrier | Advance | Forget | Stats:
    """Raises msgspec's errors, or FrameError when there is no array of events."""
    message = _decode_request(body)
    match message:
        case Emit(events=events):
            return EmitFrame(events, array_length(memoryview(events)))
        case Omit(count=count, events=events):
            return OmitFrame(count, _decode_events(events))
        case _:
            return message


def count_of(message: Any) -> int:
    """How many numbers a tell takes: one for each of its events."""
    match message:
        case EmitFrame(count=count) | OmitFrame(count=count):
            return int(count)
        case _:
            return 1

"""The vocabulary of the query actor."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from holdfast.storage.records import EventFilter, StoredEvent

__all__ = ["CountEvents", "Found", "Number", "QueryEvents", "Reply", "Request"]


class QueryEvents(msgspec.Struct, frozen=True, array_like=True, tag="query_events"):
    """The first ``limit`` events that match, or the newest first.  Reply: Found."""

    filter: EventFilter
    limit: int = 100
    reverse: bool = False


class CountEvents(msgspec.Struct, frozen=True, array_like=True, tag="count_events"):
    """How many events match.  Reply: Number."""

    filter: EventFilter


class Found(msgspec.Struct, frozen=True, array_like=True, tag="found"):
    """The events asked for, in the order asked for.

    They may be fewer than ``limit`` although there are more, when they would not fit in one
    frame; ``more`` says so, and the last one's number is where to go on.
    """

    events: list[StoredEvent]
    more: bool = False


class Number(msgspec.Struct, frozen=True, array_like=True, tag="number"):
    """A count."""

    count: int


Request = QueryEvents | CountEvents
Reply = Found | Number

decode_request: Callable[[bytes], Request] = msgspec.msgpack.Decoder(Request).decode
decode_reply: Callable[[bytes], Reply] = msgspec.msgpack.Decoder(Reply).decode

"""The vocabulary of the query actor."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from holdfast.actors.messages.state import StateReply, StateRequest
from holdfast.storage.records import (
    DeadLetter,
    Dropped,
    EventFilter,
    StoredEvent,
)
from holdfast.storage.subscriber_records import Subscriber

__all__ = [
    "CountEvents",
    "DeadLetterIs",
    "DeadLettersAre",
    "DroppedAre",
    "Found",
    "GetDeadLetter",
    "ListDeadLetters",
    "ListDropped",
    "ListSubscribers",
    "Number",
    "Page",
    "QueryEvents",
    "ReadOn",
    "Reply",
    "Request",
    "SubscribersAre",
    "decode_reply",
    "decode_request",
]


class QueryEvents(msgspec.Struct, frozen=True, array_like=True, tag="query_events"):
    """The first ``limit`` events that match, or the newest first.  Reply: Found."""

    filter: EventFilter
    limit: int = 100
    reverse: bool = False


class ReadOn(msgspec.Struct, frozen=True, array_like=True, tag="read_on"):
    """The first ``limit`` events that match, for a subscriber behind ``after``.  Reply: Page."""

    filter: EventFilter
    limit: int


class ListSubscribers(msgspec.Struct, frozen=True, array_like=True, tag="list_subscribers"):
    """The named subscribers.  Reply: SubscribersAre."""


class CountEvents(msgspec.Struct, frozen=True, array_like=True, tag="count_events"):
    """How many events match.  Reply: Number."""

    filter: EventFilter


class ListDeadLetters(msgspec.Struct, frozen=True, array_like=True, tag="list_dead_letters"):
    """The newest ``limit`` dead letters, newest first.  Reply: DeadLettersAre."""

    limit: int = 100


class GetDeadLetter(msgspec.Struct, frozen=True, array_like=True, tag="get_dead_letter"):
    """One dead letter.  Reply: DeadLetterIs."""

    id: int


class ListDropped(msgspec.Struct, frozen=True, array_like=True, tag="list_dropped"):
    """The newest ``limit`` losses, newest first.  Reply: DroppedAre."""

    limit: int = 100


class Found(msgspec.Struct, frozen=True, array_like=True, tag="found"):
    """The events asked for, in the order asked for.

    They may be fewer than ``limit`` although there are more, when they would not fit in one
    frame; ``more`` says so, and the last one's number is where to go on.
    """

    events: list[StoredEvent]
    more: bool = False


class Page(msgspec.Struct, frozen=True, array_like=True, tag="page"):
    """As Found; events before number ``oldest`` are not kept (any more)."""

    events: list[StoredEvent]
    oldest: int
    more: bool = False


class SubscribersAre(msgspec.Struct, frozen=True, array_like=True, tag="subscribers"):
    """All of them, by name; ``last_seq`` is the newest event."""

    subscribers: list[Subscriber]
    last_seq: int


class Number(msgspec.Struct, frozen=True, array_like=True, tag="number"):
    """A count."""

    count: int


class DeadLettersAre(msgspec.Struct, frozen=True, array_like=True, tag="dead_letters"):
    """As many as fit in one frame; ``more`` says that there are older ones."""

    letters: list[DeadLetter]
    more: bool = False


class DeadLetterIs(msgspec.Struct, frozen=True, array_like=True, tag="dead_letter"):
    """The letter, or None where there is none of that id."""

    letter: DeadLetter | None


class DroppedAre(msgspec.Struct, frozen=True, array_like=True, tag="dropped"):
    """The losses asked for; ``count`` is the sum over all there are, listed or not."""

    losses: list[Dropped]
    count: int


Request = (
    QueryEvents
    | CountEvents
    | ListDeadLetters
    | GetDeadLetter
    | ListDropped
    | ReadOn
    | ListSubscribers
    | StateRequest
)
Reply = (
    Found | Number | DeadLettersAre | DeadLetterIs | DroppedAre | Page | SubscribersAre | StateReply
)

decode_request: Callable[[bytes], Request] = msgspec.msgpack.Decoder(Request).decode
decode_reply: Callable[[bytes], Reply] = msgspec.msgpack.Decoder(Reply).decode

"""The vocabulary of the query actor."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from holdfast.actors.messages.state import StateReply, StateRequest
from holdfast.storage.records import (
    DeadLetter,
    Dropped,
    EventFilter,
    Grouped,
    Position,
    StoredEvent,
)
from holdfast.storage.size_records import Sizes
from holdfast.storage.subscriber_records import Subscriber

__all__ = [
    "CountEvents",
    "CountGroups",
    "DeadLetterIs",
    "DeadLettersAre",
    "DroppedAre",
    "FindAround",
    "FindBelow",
    "Found",
    "GetChain",
    "GetDeadLetter",
    "GetPayloads",
    "GetPosition",
    "GetSizes",
    "GroupsAre",
    "ListDeadLetters",
    "ListDropped",
    "ListSubscribers",
    "Number",
    "Page",
    "PayloadsAre",
    "PositionIs",
    "QueryEvents",
    "ReadOn",
    "ReadStream",
    "Reply",
    "Request",
    "SearchText",
    "SizesAre",
    "StreamIs",
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


class GetPosition(msgspec.Struct, frozen=True, array_like=True, tag="get_position"):
    """Where does the database stand?  Reply: PositionIs."""


class GetChain(msgspec.Struct, frozen=True, array_like=True, tag="get_chain"):
    """An event, by number or name, and what led to it, the first cause last.  Reply: Found."""

    start: int | str
    limit: int = 100


class FindAround(msgspec.Struct, frozen=True, array_like=True, tag="find_around"):
    """Events with this key, root or correlation, in order, behind a number.  Reply: Found."""

    name: str
    after: int = 0
    limit: int = 100


class FindBelow(msgspec.Struct, frozen=True, array_like=True, tag="find_below"):
    """Events with one of these roots, in order, behind a number.  Reply: Found."""

    roots: list[str]
    after: int = 0
    limit: int = 100


class SearchText(msgspec.Struct, frozen=True, array_like=True, tag="search_text"):
    """The newest ``limit`` events that match and whose data has the text in it.  Reply: Found.

    ``text`` as FTS5 reads it.  Refused while older events are not indexed, unless ``partial``.
    """

    text: str
    filter: EventFilter
    limit: int = 100
    reverse: bool = True
    partial: bool = False


class CountGroups(msgspec.Struct, frozen=True, array_like=True, tag="count_groups"):
    """How many events match, by columns and by time.  Reply: GroupsAre.

    A bucket of time begins at a multiple of ``bucket_us`` since 1970.
    """

    filter: EventFilter
    by: list[str]
    bucket_us: int | None = None


class ListDeadLetters(msgspec.Struct, frozen=True, array_like=True, tag="list_dead_letters"):
    """The newest ``limit`` dead letters, newest first.  Reply: DeadLettersAre."""

    limit: int = 100


class GetDeadLetter(msgspec.Struct, frozen=True, array_like=True, tag="get_dead_letter"):
    """One dead letter.  Reply: DeadLetterIs."""

    id: int


class ListDropped(msgspec.Struct, frozen=True, array_like=True, tag="list_dropped"):
    """The newest ``limit`` losses, newest first.  Reply: DroppedAre."""

    limit: int = 100


class GetPayloads(msgspec.Struct, frozen=True, array_like=True, tag="get_payloads"):
    """The large data of events, by their references.  Reply: PayloadsAre."""

    refs: list[str]


class GetSizes(msgspec.Struct, frozen=True, array_like=True, tag="get_sizes"):
    """How large is the database?  Reply: SizesAre."""


class ReadStream(msgspec.Struct, frozen=True, array_like=True, tag="read_stream"):
    """The first ``limit`` events of a stream behind a version.  Reply: StreamIs."""

    stream: str
    after_version: int = 0
    limit: int = 100


class Found(msgspec.Struct, frozen=True, array_like=True, tag="found"):
    """The events asked for, in the order asked for.

    They may be fewer than ``limit`` although there are more, when they would not fit in one
    frame; ``more`` says so, and the last one's number is where to go on.  ``epoch`` is that of the
    database, 0 where there is none yet.
    """

    events: list[StoredEvent]
    more: bool = False
    epoch: int = 0


class Page(msgspec.Struct, frozen=True, array_like=True, tag="page"):
    """As Found; events before number ``oldest`` are not kept (any more)."""

    events: list[StoredEvent]
    oldest: int
    more: bool = False
    epoch: int = 0


class SubscribersAre(msgspec.Struct, frozen=True, array_like=True, tag="subscribers"):
    """All of them, by name; ``last_seq`` is the newest event."""

    subscribers: list[Subscriber]
    last_seq: int


class Number(msgspec.Struct, frozen=True, array_like=True, tag="number"):
    """A count."""

    count: int


class PositionIs(msgspec.Struct, frozen=True, array_like=True, tag="position"):
    """The newest number and the epoch; zeroes where there is no database yet."""

    position: Position


class GroupsAre(msgspec.Struct, frozen=True, array_like=True, tag="groups"):
    """Those that have events, by time and then by the columns in the order asked for."""

    groups: list[Grouped]


class SizesAre(msgspec.Struct, frozen=True, array_like=True, tag="sizes"):
    """None as long as there is no database."""

    sizes: Sizes | None


class StreamIs(msgspec.Struct, frozen=True, array_like=True, tag="stream"):
    """The stream's version, and events with their own; ``more``: there are some behind them."""

    version: int
    events: list[tuple[int, StoredEvent]]
    more: bool = False
    epoch: int = 0


class PayloadsAre(msgspec.Struct, frozen=True, array_like=True, tag="payloads"):
    """JSON texts, in the order asked for, None for what is not there (any more).

    They may be fewer, when more would not fit in one frame: ask again for the others.
    """

    payloads: list[str | None]


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
    | GetPosition
    | GetChain
    | FindAround
    | FindBelow
    | CountGroups
    | SearchText
    | GetPayloads
    | GetSizes
    | ReadStream
    | ListDeadLetters
    | GetDeadLetter
    | ListDropped
    | ReadOn
    | ListSubscribers
    | StateRequest
)  # fmt: skip
Reply = (
    Found
    | Number
    | PositionIs
    | GroupsAre
    | PayloadsAre
    | SizesAre
    | StreamIs
    | DeadLettersAre
    | DeadLetterIs
    | DroppedAre
    | Page
    | SubscribersAre
    | StateReply
)  # fmt: skip

decode_request: Callable[[bytes], Request] = msgspec.msgpack.Decoder(Request).decode
decode_reply: Callable[[bytes], Reply] = msgspec.msgpack.Decoder(Reply).decode

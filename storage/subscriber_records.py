"""Named subscribers: the record, what changes it, and the outcomes.

``filter`` is a JSON object of the conditions that are set, with sorted keys.  ``generation``
counts the consumers that came with the name; only the last one may acknowledge.
"""

from __future__ import annotations

import msgspec

from holdfast.storage.records import Origin

__all__ = [
    "AcknowledgeEvents",
    "EventsAcknowledged",
    "RemoveSubscriber",
    "StoreSubscriber",
    "Subscriber",
    "SubscriberRemoved",
    "SubscriberStored",
]


class Subscriber(msgspec.Struct, frozen=True, array_like=True):
    """Everything up to ``acked`` is acknowledged; ``owner`` says who came last."""

    name: str
    acked: int
    filter: str
    generation: int
    owner: str
    created_us: int
    updated_us: int


class StoreSubscriber(msgspec.Struct, frozen=True, array_like=True, tag="store_subscriber"):
    """A consumer takes the name over, which is made if there is none.  Outcome: SubscriberStored.

    A new one begins behind ``start``, or behind the newest event where that is None.  The filter
    of an old one has to be the same, unless ``change_filter``.
    """

    origin: Origin | None
    name: str
    filter: str
    owner: str
    start: int | None = None
    change_filter: bool = False


class SubscriberStored(msgspec.Struct, frozen=True, array_like=True, tag="subscriber_stored"):
    """The name is this consumer's; it goes on behind ``acked``."""

    acked: int
    generation: int


class AcknowledgeEvents(msgspec.Struct, frozen=True, array_like=True, tag="acknowledge_events"):
    """All events up to ``seq`` are done with.  Outcome: EventsAcknowledged.

    A Conflict when another consumer has taken the name over, or it was removed.
    """

    origin: Origin | None
    name: str
    generation: int
    seq: int


class EventsAcknowledged(msgspec.Struct, frozen=True, array_like=True, tag="events_acknowledged"):
    """Everything up to ``acked`` is; that may be more than was just acknowledged."""

    acked: int


class RemoveSubscriber(msgspec.Struct, frozen=True, array_like=True, tag="remove_subscriber"):
    """Forget a name and its position.  Outcome: SubscriberRemoved."""

    origin: Origin | None
    name: str


class SubscriberRemoved(msgspec.Struct, frozen=True, array_like=True, tag="subscriber_removed"):
    """Whether there was one."""

    existed: bool

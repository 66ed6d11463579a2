"""Events and delivery: the records that storage keeps, what changes them, and the outcomes.

The other concerns have theirs in modules of their own; ``commands`` names them all.

The field order of an event is the column order of table ``events``: a row, a frame on the wire
and an ``Event`` are the same sequence of values.  Times are integer microseconds since 1970 UTC,
durations seconds.  ``data`` is JSON text (``holdfast.storage.jsontext``).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from holdfast.storage.filters import EventFilter
from holdfast.storage.timelines import Fork

__all__ = [
    "AnswerKept",
    "AppendEvents",
    "Appended",
    "DeadLetter",
    "DeleteDeadLetter",
    "Discarded",
    "Dropped",
    "Event",
    "EventFilter",
    "Grouped",
    "KeepAnswer",
    "Kept",
    "Mark",
    "Origin",
    "Position",
    "RawEvent",
    "Row",
    "SkipEvents",
    "StoreDeadLetter",
    "StoredEvent",
]

# An Event as msgspec decodes it fastest, and as SQLite binds it: its fields in order.
RawEvent = tuple[
    int,
    str,
    str,
    str | None,
    str | None,
    str | None,
    str | None,
    str | None,
    int,
    str | None,
    str,
]

# A StoredEvent likewise: seq and daemon in front of the same fields, the payload behind them.
Row = tuple[
    int,
    str,
    int,
    str,
    str,
    str | None,
    str | None,
    str | None,
    str | None,
    str | None,
    int,
    str | None,
    str,
    str | None,
]


class Event(msgspec.Struct, frozen=True, array_like=True):
    """What happened, as its producer tells it.

    ``key`` makes it idempotent: it is unique per ``source`` for as long as the row is kept.
    """

    time_us: int
    type: str
    source: str
    subject: str | None = None
    session: str | None = None
    correlation: str | None = None
    cause: str | None = None
    root: str | None = None
    depth: int = 0
    key: str | None = None
    data: str = "null"


class StoredEvent(msgspec.Struct, frozen=True, array_like=True):
    """A committed event: ``(daemon, seq)`` names it for ever.

    ``payload`` is where its data is when that is large (``holdfast.storage.payloads``); ``data``
    is ``null`` then.
    """

    seq: int
    daemon: str
    time_us: int
    type: str
    source: str
    subject: str | None = None
    session: str | None = None
    correlation: str | None = None
    cause: str | None = None
    root: str | None = None
    depth: int = 0
    key: str | None = None
    data: str = "null"
    payload: str | None = None


class Origin(msgspec.Struct, frozen=True, array_like=True):
    """Who sent a command first, and where it stands in the numbering of that sender.

    ``first`` is the number of the command, or of the first event of a frame, from 1 and without
    gaps per (sender, incarnation, stream).  Replies up to ``acked`` have reached the sender.
    ``fresh`` says that it was never sent before, so that it cannot have been carried out.
    """

    sender: str
    incarnation: str
    stream: str
    first: int
    acked: int = 0
    fresh: bool = False


class Position(msgspec.Struct, frozen=True, array_like=True):
    """The newest sequence number, and which opening of the database this is.

    ``forks``: what is gone since it was restored from copies.
    """

    last_seq: int
    epoch: int
    forks: tuple[Fork, ...] = ()


class Grouped(msgspec.Struct, frozen=True, array_like=True):
    """How many events have these values, in the time from ``start_us`` on (None: at any)."""

    start_us: int | None
    values: tuple[str | None, ...]
    count: int


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """How far a sender's numbers are settled; of them, the events whose key existed, and those
    that a row of ``dropped`` stands for.  The others are committed."""

    number: int
    duplicates: int
    dropped: int = 0


class Dropped(msgspec.Struct, frozen=True, array_like=True):
    """A loss as data: the ``count`` numbers ``first`` to ``last`` were not stored, and why.

    Who and which are None for an event without an origin.
    """

    id: int
    time_us: int
    sender: str | None
    incarnation: str | None
    stream: str | None
    first: int | None
    last: int | None
    count: int
    reason: str


class DeadLetter(msgspec.Struct, frozen=True, array_like=True):
    """A message that could not be delivered to ``actor``; ``id`` is 0 until it is stored.

    ``kind`` is that of the message ("tell", "ask", "command"), ``number`` its number in the
    sender's numbering (of an ask: its id), ``reason`` why it is here ("poison: killed by signal
    9"), ``deaths`` how many lives of the actor it cost, ``body`` msgpack as it was sent.
    """

    id: int
    actor: str
    sender: str
    incarnation: str
    stream: str
    number: int
    kind: str
    reason: str
    deaths: int
    time_us: int
    body: bytes


class AppendEvents(msgspec.Struct, frozen=True, array_like=True, tag="append_events"):
    """Store a frame of events in order.  Outcome: Appended."""

    origin: Origin | None
    events: Sequence[RawEvent] | Sequence[Event]


class SkipEvents(msgspec.Struct, frozen=True, array_like=True, tag="skip_events"):
    """A tombstone: the ``count`` numbers from the origin's first on will not come.

    Moves the mark past them and notes those that were above it in ``dropped``, in one
    transaction.  Outcome: Appended, with nothing stored.
    """

    origin: Origin
    count: int
    reason: str


class StoreDeadLetter(msgspec.Struct, frozen=True, array_like=True, tag="store_dead_letter"):
    """Keep a message that could not be delivered; a repeat is stored once.  Outcome: Kept.

    Its identity is (actor, sender, incarnation, kind, number).
    """

    letter: DeadLetter
    origin: Origin | None = None


class DeleteDeadLetter(msgspec.Struct, frozen=True, array_like=True, tag="delete_dead_letter"):
    """Forget a dead letter.  Outcome: Discarded."""

    id: int
    origin: Origin | None = None


class KeepAnswer(msgspec.Struct, frozen=True, array_like=True, tag="keep_answer"):
    """Change nothing but the mark; keep ``answer`` for repeats.  Outcome: AnswerKept.

    As every command with an origin, a repeat gets the first outcome, of whatever kind it was.
    """

    origin: Origin
    answer: str


class Appended(msgspec.Struct, frozen=True, array_like=True, tag="appended"):
    """The frame is committed.

    ``stored`` events have the numbers ``first_seq``, ``first_seq + 1``, ... in the order of the
    frame, leaving out the ``skipped`` leading ones (at or below the mark), the ``repeated`` ones
    (index, sequence number of the first) and the ``refused`` ones (index, reason; each has its
    row in ``dropped``).  ``mark`` is 0 without an origin; ``duplicates`` and ``dropped`` count the
    repeated keys and the losses of this (sender, incarnation, stream) so far.  ``payloads`` are
    the events whose data is stored apart (index, where).
    """

    mark: int
    duplicates: int
    first_seq: int
    stored: int
    skipped: int = 0
    repeated: list[tuple[int, int]] = []
    refused: list[tuple[int, str]] = []
    dropped: int = 0
    payloads: list[tuple[int, str]] = []


class AnswerKept(msgspec.Struct, frozen=True, array_like=True, tag="answer_kept"):
    """The first answer to the command."""

    answer: str


class Kept(msgspec.Struct, frozen=True, array_like=True, tag="kept"):
    """The dead letter is committed under this ``id``, which is never used again."""

    id: int


class Discarded(msgspec.Struct, frozen=True, array_like=True, tag="discarded"):
    """There is no dead letter of that id (any more); ``existed`` says whether there was."""

    existed: bool

"""What each reading part of a storage backend does: one port for each concern."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from holdfast.storage.checkpoint_records import Checkpoint, Info, Owner, Part
from holdfast.storage.filters import EventFilter
from holdfast.storage.records import DeadLetter, Dropped, Grouped, Position, Row, StoredEvent
from holdfast.storage.session_records import Session, SessionTotals, StoredItem
from holdfast.storage.size_records import Sizes
from holdfast.storage.state_questions import (
    Direction,
    Edge,
    Ends,
    EntityFilter,
    EntityRow,
    EntityType,
    HistoryRow,
    Order,
    QueueItem,
    QueueRow,
    Traversal,
)
from holdfast.storage.stream_records import StreamPart
from holdfast.storage.subscriber_records import Subscriber

__all__ = [
    "CheckpointReader",
    "CountReader",
    "EventReader",
    "LossReader",
    "PayloadReader",
    "SessionReader",
    "SizeReader",
    "StateReader",
    "StreamReader",
    "SubscriberReader",
    "TextReader",
    "TreeReader",
]


class EventReader(Protocol):
    """Events."""

    def last_seq(self) -> int:
        """The number of the newest event ever committed; 0 before the first."""

    def position(self) -> Position:
        """That, and the epoch of the writer that opened the database last."""

    def events(self, filter: EventFilter, limit: int, reverse: bool = False) -> list[StoredEvent]:
        """The first ``limit`` events asked for by number, or the last, newest first."""

    def count(self, filter: EventFilter) -> int:
        """How many events are asked for."""

    def newest(self, limit: int) -> list[Row]:
        """The last ``limit`` events, oldest first."""

    def before(self, seq: int, limit: int) -> list[Row]:
        """The last ``limit`` events of lower numbers, oldest first."""

    def range(self, after_seq: int, until_seq: int) -> list[Row]:
        """The events with ``after_seq < seq <= until_seq``, in order."""


class TreeReader(Protocol):
    """What led to an event, and what it led to."""

    def causes(self, start: int | str, limit: int) -> list[StoredEvent]:
        """An event, by number or name, and what led to it, the first cause last."""

    def around(self, name: str, after: int, limit: int) -> list[StoredEvent]:
        """The events with this key, root or correlation, in order of their numbers."""

    def below(self, roots: Sequence[str], after: int, limit: int) -> list[StoredEvent]:
        """The events whose root is one of those, in order of their numbers."""


class TextReader(Protocol):
    """Full-text search."""

    def text_from(self) -> int | None:
        """Events from that number on can be searched; None when there is no index."""

    def search(
        self, text: str, filter: EventFilter, limit: int, reverse: bool = True
    ) -> list[StoredEvent]:
        """Events whose data matches, in order of their numbers or the newest first.

        Raises InvalidInputError for a text that is no search.
        """


class CountReader(Protocol):
    """How many events there are, by what and by when."""

    def grouped(
        self, filter: EventFilter, by: Sequence[str], bucket_us: int | None
    ) -> list[Grouped]:
        """The events asked for, counted by columns and, with a bucket, by time; in that order.

        Raises InvalidInputError for too many groups, too.
        """


class PayloadReader(Protocol):
    """Large data of events."""

    def payloads(self, refs: Sequence[str], max_bytes: int) -> list[str | None]:
        """The data, as JSON text, behind each of ``refs``; None where retention deleted it.

        They may be fewer: the one with which they pass ``max_bytes`` is the last.
        """


class StreamReader(Protocol):
    """Streams of events with versions."""

    def stream(self, name: str, after_version: int, limit: int) -> StreamPart:
        """The stream's version, and its events behind ``after_version`` that are still there."""


class SizeReader(Protocol):
    """How large it is."""

    def sizes(self, now_us: int) -> Sizes:
        """As of the last commit; ``now_us`` is the time, to say what a day brings."""

    def tables(self) -> list[tuple[str, int, int]]:
        """Name, rows and bytes of each table with its indexes, the largest first; reads it all."""


class LossReader(Protocol):
    """Dead letters and losses."""

    def dead_letter(self, id: int) -> DeadLetter | None:
        """The one of that id."""

    def dead_letters(self, limit: int, max_bytes: int) -> list[DeadLetter]:
        """The newest ones, newest first; the one whose body passes ``max_bytes`` is the last."""

    def count_dead_letters(self) -> int:
        """How many there are."""

    def dropped(self, limit: int) -> list[Dropped]:
        """The newest losses, newest first."""

    def count_dropped(self) -> int:
        """How many numbers all losses together stand for."""


class SessionReader(Protocol):
    """Sessions."""

    def session(self, id: str) -> Session | None:
        """As it was last written; it may have expired since."""

    def sessions(self, limit: int) -> list[Session]:
        """The newest touched ones, newest first."""

    def expired_sessions(self, now_us: int, limit: int) -> list[Session]:
        """Those whose time is over at ``now_us``, longest over first, without their data."""

    def idle_sessions(self, limit: int) -> list[Session]:
        """Those not touched for longest, that one first."""

    def list_sessions(
        self, now_us: int, after: str, prefix: str, owner: str | None, limit: int
    ) -> list[Session]:
        """Those that live at ``now_us``, in order of their ids after ``after``, without data."""

    def session_items(
        self, id: str, after: int, limit: int, reverse: bool = False
    ) -> list[StoredItem]:
        """Those with higher numbers than ``after``, in order; or the newest, newest first."""

    def session_item(self, id: str, created_us: int, key: str) -> StoredItem | None:
        """The item of that key, of the session that was created then."""

    def session_totals(self) -> SessionTotals:
        """How many sessions there are, and how large."""


class CheckpointReader(Protocol):
    """Checkpoints."""

    def checkpoint(self, agent: str, id: int = 0, pin: str = "") -> Checkpoint | None:
        """The one of that id, or of that name, else the newest one of an agent."""

    def checkpoints(self, agent: str, limit: int, before: int = 0) -> list[Checkpoint]:
        """The newest ones of an agent below ``before``, newest first; 0 is no bound."""

    def checkpoint_infos(self, agent: str, limit: int, before: int = 0) -> list[Info]:
        """Likewise, without their states."""

    def checkpoint_history(self, agent: str, id: int, limit: int) -> list[Info]:
        """The checkpoint, the one it came after, and so on, as far as they are there."""

    def checkpoint_parts(self, names: Sequence[bytes], max_bytes: int) -> list[Part]:
        """Of those that are there, the first ones that together have ``max_bytes``, or one."""

    def missing_checkpoint_parts(self, names: Sequence[bytes]) -> list[bytes]:
        """Those that are not there."""

    def checkpoint_owner(self, agent: str) -> Owner | None:
        """Who writes a thread."""

    def checkpoint_threads(self, limit: int, after: str = "") -> list[str]:
        """The names of threads behind ``after``, in order."""

    def checkpoint_participants(self, boot: int) -> list[str]:
        """Who takes part in daemon checkpoints."""


class StateReader(Protocol):
    """Entities, relationships and queues.  ``max_bytes`` bounds the texts of a reply."""

    def snapshot(self) -> AbstractContextManager[None]:
        """Several questions that see the same moment."""

    def entity(self, id: str) -> EntityRow | None:
        """As it is."""

    def entities_of(self, ids: Sequence[str], max_bytes: int) -> tuple[list[EntityRow], bool]:
        """Those there are, in order, as many as fit, at least one; whether there are more."""

    def entity_at_version(self, id: str, version: int) -> EntityRow | None:
        """As it was, if that is kept."""

    def entity_at_time(self, id: str, time_us: int) -> EntityRow | None:
        """As it was at that moment, if that is kept."""

    def history(
        self, id: str, limit: int, max_bytes: int, before: int | None = None
    ) -> tuple[list[HistoryRow], bool]:
        """What is kept of it, the newest version first, below ``before``; whether there is more."""

    def entity_types(self, limit: int) -> list[EntityType]:
        """By name."""

    def entities(
        self,
        filter: EntityFilter,
        order: Order,
        limit: int,
        max_bytes: int,
        cursor: str | None = None,
    ) -> tuple[list[EntityRow], str | None]:
        """The first ones that match, from the cursor on, and the cursor after them."""

    def count_entities(self, filter: EntityFilter) -> int:
        """How many match."""

    def count_entities_by_type(self, filter: EntityFilter, limit: int) -> list[tuple[str, int]]:
        """How many of each type match, most first."""

    def count_entities_by(
        self, filter: EntityFilter, name: str, limit: int
    ) -> list[tuple[str | None, int]]:
        """How many of those that match have each value of a property, most first."""

    def relationships(
        self, which: Ends, limit: int, max_bytes: int, after: tuple[str, str, str] | None = None
    ) -> tuple[list[Edge], bool]:
        """Those with the given start, type and end, in the order of whichever are not given;
        whether there may be more."""

    def count_relationships(self, which: Ends) -> int:
        """How many there are of those."""

    def count_relationships_by_type(self, which: Ends, limit: int) -> list[tuple[str, int]]:
        """How many of each type there are of those, most first."""

    def traverse(
        self,
        start: str,
        direction: Direction,
        types: Sequence[str],
        depth: int,
        limit: int,
        max_bytes: int,
    ) -> Traversal | None:
        """What is reached from ``start``, breadth first; None when there is no such entity."""

    def queue_size(self, namespace: str, key: str, now_us: int) -> int:
        """How many items are in it whose time is not over."""

    def queue_items(
        self, namespace: str, key: str, now_us: int, limit: int, max_bytes: int, after: int = 0
    ) -> tuple[list[QueueItem], bool]:
        """From the front, those whose time is not over, after the item of that id; whether there
        may be more."""

    def queues(
        self, namespace: str | None, limit: int, after: tuple[str, str] | None = None
    ) -> list[QueueRow]:
        """Those there are, of one namespace or of all, in order."""


class SubscriberReader(Protocol):
    """Subscribers, named ones and others."""

    def read_on(self, filter: EventFilter, limit: int) -> tuple[int, list[StoredEvent]]:
        """Of one moment: the oldest number that is kept, and the first events asked for."""

    def subscribers(self) -> list[Subscriber]:
        """All named ones, by name."""

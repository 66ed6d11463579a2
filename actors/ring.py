"""The newest events in memory: committed ones by sequence number, and loose ones between them.

A plain data structure; the log actor owns one.  Committed events are without a gap, so that one
number, the last, says where each of them stands.  Loose ones will never be committed; they stand
behind the event that was the newest when they came, and leave with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import islice
from operator import itemgetter

from holdfast.storage.records import EventFilter, RawEvent, Row, StoredEvent

__all__ = ["Ring"]


class Ring:
    """The last ``capacity`` committed events of ``daemon``."""

    def __init__(self, *, capacity: int, daemon: str) -> None:
        self.capacity = capacity
        self.last_seq = 0  # the number of the newest committed event
        self._daemon = daemon
        self._committed: deque[RawEvent] = deque(maxlen=capacity)
        # Each with the number of the committed event that it stands behind.
        self._loose: deque[tuple[int, RawEvent]] = deque(maxlen=capacity)

    def __len__(self) -> int:
        return len(self._committed)

    @property
    def first_seq(self) -> int:
        """The number of the oldest event held; one above the last when there is none."""
        return self.last_seq - len(self._committed) + 1

    def append(self, first_seq: int, events: Sequence[RawEvent]) -> None:
        """Add events that were committed as ``first_seq``, ``first_seq + 1``, ...

        What is held already is passed over.  Raises ValueError at a gap: fill it first.
        """
        if first_seq > self.last_seq + 1:
            raise ValueError(f"event {first_seq} after {self.last_seq}: the ring has no gaps")
        new = events[self.last_seq + 1 - first_seq :]
        self._committed.extend(new)
        self.last_seq += len(new)

    def refill(self, rows: Sequence[Row], last_seq: int) -> None:
        """Hold exactly the newest rows of the database, whose newest number is ``last_seq``."""
        self._committed.clear()
        self._committed.extend(row[2:] for row in rows)
        self.last_seq = last_seq

    @property
    def room(self) -> int:
        """How many older events it could hold, if there are any."""
        return min(self.capacity - len(self._committed), self.first_seq - 1)

    def prepend(self, rows: Sequence[Row]) -> None:
        """Add rows that precede the oldest event, the newest of them as there is room."""
        room = self.room
        self._committed.extendleft(row[2:] for row in reversed(rows[max(0, len(rows) - room) :]))

    def add_rows(self, rows: Iterable[Row]) -> None:
        """Add rows that follow the newest event."""
        for row in rows:
            self.append(row[0], (row[2:],))

    def remember(self, events: Iterable[RawEvent]) -> None:
        """Add events that are kept here and nowhere else."""
        self._loose.extend((self.last_seq, event) for event in events)

    def with_loose(
        self, committed: Iterable[StoredEvent], wanted: EventFilter, *, reverse: bool
    ) -> Iterator[StoredEvent]:
        """``committed``, in the order that ``reverse`` says, and the loose ones that match."""
        while self._loose and self._loose[0][0] < self.first_seq - 1:
            self._loose.popleft()
        numbered = ((event.seq, 0, event) for event in committed)
        loose = [(seq, 1, StoredEvent(0, self._daemon, *event)) for seq, event in self._loose]
        matching = [each for each in loose if wanted.matches(each[2])]
        if reverse:
            matching.reverse()
        merged = merge(numbered, matching, key=itemgetter(0, 1), reverse=reverse)
        return (event for _, _, event in merged)

    def newest(self, limit: int) -> list[StoredEvent]:
        """The last ``limit`` events, oldest first."""
        skip = max(0, len(self._committed) - limit)
        first = self.first_seq + skip
        return [
            StoredEvent(seq, self._daemon, *event)
            for seq, event in enumerate(islice(self._committed, skip, None), first)
        ]

    def matching(self, wanted: EventFilter, *, reverse: bool) -> Iterator[StoredEvent]:
        """The events that match, in order of their numbers or newest first."""
        matches = wanted.compile()
        first = self.first_seq
        if reverse:
            numbered = zip(
                range(self.last_seq, first - 1, -1), reversed(self._committed), strict=True
            )
        else:
            skip = 0 if wanted.after is None else max(0, wanted.after + 1 - first)
            numbered = zip(
                range(first + skip, self.last_seq + 1),
                islice(self._committed, skip, None),
                strict=True,
            )
        for seq, event in numbered:
            if matches(event[0], event[1], event[2], event[4], seq):
                yield StoredEvent(seq, self._daemon, *event)

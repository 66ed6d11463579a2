"""The newest events in memory: committed ones by sequence number, and loose ones between them.

A plain data structure; the log actor owns one.  Committed events are without a gap, so that one
number, the last, says where each of them stands.  Loose ones will never be committed; they stand
behind the event that was the newest when they came, and leave with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from operator import itemgetter

from holdfast.actors.blocks import Block
from holdfast.storage.records import (
    EventFilter,
    RawEvent,
    Row,
    StoredEvent,
)

__all__ = ["Ring"]


class Ring:
    """The last ``capacity`` committed events of ``daemon``.

    They are kept in the blocks they came in, so that up to a block more may be in memory.
    """

    def __init__(self, *, capacity: int, daemon: str) -> None:
        self.capacity = capacity
        self.last_seq = 0  # the number of the newest committed event
        self._daemon = daemon
        self._blocks: deque[Block] = deque()  # each begins where the one before it ends
        self._held = 0  # events in them
        # Each with the number of the committed event that it stands behind.
        self._loose: deque[tuple[int, RawEvent]] = deque(maxlen=capacity)

    def __len__(self) -> int:
        return min(self._held, self.capacity)

    @property
    def first_seq(self) -> int:
        """The number of the oldest event held; one above the last when there is none."""
        return self.last_seq - len(self) + 1

    def append(self, first_seq: int, block: Block) -> None:
        """Add events that were committed as ``first_seq``, ``first_seq + 1``, ...

        What is held already is passed over.  Raises ValueError at a gap: fill it first.
        """
        known = self.last_seq + 1 - first_seq
        if known < 0:
            raise ValueError(f"event {first_seq} after {self.last_seq}: the ring has no gaps")
        if known >= block.count:
            return
        if known:
            block = block.without(set(range(known)))
        self._blocks.append(block)
        self._held += block.count
        self.last_seq += block.count
        while self._held - self._blocks[0].count >= self.capacity:
            self._held -= self._blocks.popleft().count

    def refill(self, rows: Sequence[Row], last_seq: int) -> None:
        """Hold exactly the newest rows of the database, whose newest number is ``last_seq``."""
        self._blocks.clear()
        self._held = 0
        self.last_seq = last_seq
        self.prepend(rows)

    @property
    def room(self) -> int:
        """How many older events it could hold, if there are any."""
        return min(self.capacity - len(self), self.first_seq - 1)

    def prepend(self, rows: Sequence[Row]) -> None:
        """Add rows that precede the oldest event, the newest of them as there is room."""
        rows = rows[max(0, len(rows) - self.capacity + self._held) :]
        if rows:
            self._blocks.appendleft(Block.of([row[2:] for row in rows]))
            self._held += len(rows)

    def add_rows(self, rows: Iterable[Row]) -> None:
        """Add rows that follow the newest event, up to a gap in their numbers."""
        events: list[RawEvent] = []
        for row in rows:
            if row[0] != self.last_seq + 1 + len(events):
                break
            events.append(row[2:])
        if events:
            self.append(self.last_seq + 1, Block.of(events))

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
        after = 0 if wanted.after is None else wanted.after
        loose = [
            (seq, 1, StoredEvent(0, self._daemon, *event))
            for seq, event in self._loose
            if seq >= after
        ]
        matching = [each for each in loose if wanted.matches(each[2])]
        if reverse:
            matching.reverse()
        merged = merge(numbered, matching, key=itemgetter(0, 1), reverse=reverse)
        return (event for _, _, event in merged)

    def newest(self, limit: int) -> list[StoredEvent]:
        """The last ``limit`` events, oldest first."""
        limit = min(limit, len(self))
        found: list[RawEvent] = []
        for block in reversed(self._blocks):
            if len(found) >= limit:
                break
            found[:0] = block.events()
        first = self.last_seq - limit + 1
        last_ones = found[len(found) - limit :]
        return [StoredEvent(first + n, self._daemon, *event) for n, event in enumerate(last_ones)]

    def since(self, seq: int) -> list[tuple[int, Block]]:
        """The blocks with events behind a number, and the number that each begins with."""
        found = []
        for first, block in self._numbered(reverse=True):
            if first + block.count <= seq + 1:
                break
            found.append((first, block))
        return found[::-1]

    def numbers(self, wanted: EventFilter) -> Iterator[int]:
        """The numbers of the events that match, in order; quick where ``after`` is near."""
        matches = wanted.compile()
        oldest = max(self.first_seq, 0 if wanted.after is None else wanted.after + 1)
        for first, block in self.since(oldest - 1):
            for seq, (time_us, type, source, session) in enumerate(block.mentions(), first):
                if seq >= oldest and matches(time_us, type, source, session, seq):
                    yield seq

    def count(self, wanted: EventFilter) -> int:
        """How many events match."""
        return sum(len(seqs) for _, _, seqs in self._matching(wanted, reverse=False))

    def matching(self, wanted: EventFilter, *, reverse: bool) -> Iterator[StoredEvent]:
        """The events that match, in order of their numbers or newest first."""
        for first, block, seqs in self._matching(wanted, reverse=reverse):
            events = block.some([seq - first for seq in seqs])
            for seq, event in zip(seqs, events, strict=True):
                yield StoredEvent(seq, self._daemon, *event)

    def _matching(
        self, wanted: EventFilter, *, reverse: bool
    ) -> Iterator[tuple[int, Block, list[int]]]:
        """The blocks with events that match: their first numbers, and the numbers that match."""
        matches = wanted.compile()
        oldest = max(self.first_seq, 0 if wanted.after is None else wanted.after + 1)
        for first, block in self._numbered(reverse=reverse):
            if first + block.count <= oldest:
                continue
            seqs = [
                seq
                for seq, (time_us, type, source, session) in enumerate(block.mentions(), first)
                if seq >= oldest and matches(time_us, type, source, session, seq)
            ]
            if seqs:
                yield first, block, seqs[::-1] if reverse else seqs

    def _numbered(self, *, reverse: bool) -> Iterator[tuple[int, Block]]:
        if reverse:
            first = self.last_seq + 1
            for block in reversed(self._blocks):
                first -= block.count
                yield first, block
        else:
            first = self.last_seq + 1 - self._held
            for block in self._blocks:
                yield first, block
                first += block.count

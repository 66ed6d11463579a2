"""The newest events in memory: committed ones by sequence number, and loose ones between them.

A plain data structure; the log actor owns one.  It holds every committed event from one number
on; numbers may be missing, of events that retention deleted.  Loose events will never be
committed; they stand behind the event that was the newest when they came, and leave with it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
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

__all__ = ["Held", "Ring"]


class Held:
    """A block and the numbers of its events, which mostly follow on one another."""

    __slots__ = ("block", "seqs")

    def __init__(self, block: Block, seqs: Sequence[int]) -> None:
        self.block = block
        self.seqs = seqs

    @classmethod
    def rows(cls, rows: Sequence[Row]) -> Held:
        """The rows, of which there are some."""
        first, last = rows[0][0], rows[-1][0]
        whole = last - first + 1 == len(rows)
        seqs = range(first, last + 1) if whole else array("q", (row[0] for row in rows))
        return cls(Block.of_rows(rows), seqs)

    def indexes(self, seqs: Sequence[int]) -> list[int]:
        """Where those of the numbers, which are in order, are that it has."""
        own = self.seqs
        if isinstance(own, range):
            return [seq - own.start for seq in seqs if seq in own]
        found = ((bisect_left(own, seq), seq) for seq in seqs)
        return [at for at, seq in found if at < len(own) and own[at] == seq]

    def without(self, indexes: set[int]) -> Held:
        """The events but for those."""
        seqs = array("q", (seq for at, seq in enumerate(self.seqs) if at not in indexes))
        return Held(self.block.without(indexes), seqs)


class Ring:
    """The last ``capacity`` committed events of ``daemon``.

    They are kept in the blocks they came in, so that up to a block more may be in memory.
    """

    def __init__(self, *, capacity: int, daemon: str) -> None:
        self.capacity = capacity
        self.last_seq = 0  # the number of the newest committed event
        self.epoch = 0  # of the database, as far as it is known
        self._daemon = daemon
        self._blocks: deque[Held] = deque()  # in order; none of them is empty
        self._held = 0  # events in them
        self._floor = 1  # every event from this number on is in them
        self._is_all = True  # there are no others before that
        # Each with the number of the committed event that it stands behind.
        self._loose: deque[tuple[int, RawEvent]] = deque(maxlen=capacity)

    def __len__(self) -> int:
        return min(self._held, self.capacity)

    @property
    def first_seq(self) -> int:
        """Every event that exists from this number on is held; one above the last when none is."""
        excess = self._held - self.capacity
        return self._floor if excess <= 0 else self._blocks[0].seqs[excess]

    def append(self, first_seq: int, block: Block) -> None:
        """Add events that were committed as ``first_seq``, ``first_seq + 1``, ...

        What is held already is passed over.  Raises ValueError at a gap: fill it first.
        """
        known = self.last_seq + 1 - first_seq
        if known < 0:
            raise ValueError(f"event {first_seq} after {self.last_seq}: it lacks those between")
        if known >= block.count:
            return
        if known:
            block = block.without(set(range(known)))
        first = self.last_seq + 1
        self.last_seq += block.count
        self._add(Held(block, range(first, self.last_seq + 1)))

    def _add(self, held: Held) -> None:
        self._blocks.append(held)
        self._held += len(held.seqs)
        self._let_go()

    def _let_go(self) -> None:
        """Of the oldest blocks, as long as the others are enough."""
        while self._blocks and self._held - len(self._blocks[0].seqs) >= self.capacity:
            self._held -= len(self._blocks.popleft().seqs)
            self._floor = self._blocks[0].seqs[0] if self._blocks else self.last_seq + 1
            self._is_all = False

    def resize(self, capacity: int) -> None:
        """Hold so many from now on: the oldest go, or there is ``room`` for older ones."""
        self.capacity = capacity
        self._loose = deque(self._loose, maxlen=capacity)
        self._let_go()

    def refill(self, rows: Sequence[Row], last_seq: int, *, is_all: bool) -> None:
        """Hold exactly the newest rows of the database, whose newest number is ``last_seq``.

        ``is_all``: it has no others.
        """
        self._blocks.clear()
        self._held = 0
        self.last_seq = last_seq
        self._floor = last_seq + 1
        self.prepend(rows, is_all=is_all)

    @property
    def room(self) -> int:
        """How many older events it could hold, if there are any."""
        return 0 if self._is_all else max(0, self.capacity - self._held)

    def prepend(self, rows: Sequence[Row], *, is_all: bool) -> None:
        """Add the rows that precede the oldest event, the newest of them as there is room.

        ``is_all``: there are no others before those.
        """
        fitting = rows[max(0, len(rows) - self.capacity + self._held) :]
        if fitting:
            self._blocks.appendleft(Held.rows(fitting))
            self._held += len(fitting)
            self._floor = fitting[0][0]
        self._is_all = is_all and len(fitting) == len(rows)

    def add_rows(self, rows: Sequence[Row], last_seq: int) -> None:
        """Add the rows that follow the newest event, all there are up to ``last_seq``."""
        if rows:
            self._add(Held.rows(rows))
        self.last_seq = max(self.last_seq, last_seq)

    def forget(self, spans: Sequence[tuple[int, int]]) -> None:
        """Hold no event any more with a number in one of the spans, which are in order."""
        if not self._blocks or spans[-1][1] < (oldest := self._blocks[0].seqs[0]):
            return
        # Looked up and not listed: who sends the spans says how long they are.
        firsts = [first for first, _ in spans]

        def is_gone(seq: int) -> bool:
            at = bisect_right(firsts, seq)
            return at > 0 and seq <= spans[at - 1][1]

        for at, held in enumerate(self._blocks):
            if held.seqs[0] > spans[-1][1]:
                break
            if indexes := {index for index, seq in enumerate(held.seqs) if is_gone(seq)}:
                self._blocks[at] = held.without(indexes)
                self._held -= len(indexes)
        self._blocks = deque(held for held in self._blocks if held.seqs)
        if is_gone(oldest):
            self._floor = self._blocks[0].seqs[0] if self._blocks else self.last_seq + 1

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
        found: list[StoredEvent] = []
        for held in reversed(self._blocks):
            if len(found) >= limit:
                break
            found[:0] = self._stored(held, range(len(held.seqs)))
        return found[len(found) - limit :]

    def _stored(self, held: Held, indexes: Sequence[int]) -> Iterator[StoredEvent]:
        """The events at the indexes, decoded."""
        block, seqs = held.block, held.seqs
        payloads, daemon = block.payloads, self._daemon
        for index, event in zip(indexes, block.some(indexes), strict=True):
            yield StoredEvent(seqs[index], daemon, *event, payloads.get(index))

    def since(self, seq: int) -> list[Held]:
        """The blocks with events behind a number, in order."""
        found = []
        for held in reversed(self._blocks):
            if held.seqs[-1] <= seq:
                break
            found.append(held)
        return found[::-1]

    def numbers(self, wanted: EventFilter) -> Iterator[int]:
        """The numbers of the events that match, in order; quick where ``after`` is near."""
        matches = wanted.compile()
        oldest = max(self.first_seq, 0 if wanted.after is None else wanted.after + 1)
        for held in self.since(oldest - 1):
            for seq, mentioned in zip(held.seqs, held.block.mentions(), strict=True):
                if seq >= oldest and matches(mentioned, seq):
                    yield seq

    def count(self, wanted: EventFilter) -> int:
        """How many events match."""
        return sum(len(indexes) for _, indexes in self._matching(wanted, reverse=False))

    def matching(self, wanted: EventFilter, *, reverse: bool) -> Iterator[StoredEvent]:
        """The events that match, in order of their numbers or newest first."""
        for held, indexes in self._matching(wanted, reverse=reverse):
            yield from self._stored(held, indexes)

    def _matching(self, wanted: EventFilter, *, reverse: bool) -> Iterator[tuple[Held, list[int]]]:
        """The blocks with events that match, and where in them those are."""
        matches = wanted.compile()
        oldest = max(self.first_seq, 0 if wanted.after is None else wanted.after + 1)
        for held in reversed(self._blocks) if reverse else self._blocks:
            if held.seqs[-1] < oldest:
                continue
            numbered = enumerate(zip(held.seqs, held.block.mentions(), strict=True))
            indexes = [
                index
                for index, (seq, mentioned) in numbered
                if seq >= oldest and matches(mentioned, seq)
            ]
            if indexes:
                yield held, indexes[::-1] if reverse else indexes

"""How many events each rule of retention has to do with, and how large they are together.

Works within the caller's transaction, on any backend: counts what came since the last time, step
by step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

import msgspec

from holdfast.storage.filters import glob_matches
from holdfast.storage.retention_records import Deletions, Reason, Rule

__all__ = ["NEWEST", "Found", "Kept", "RetentionRows", "Sorter", "Tallies", "Tally"]

NEWEST: Final = 2**62  # no event has a higher number
LOOK: Final = 256  # rows counted in a step: some 0.2 ms
TYPES: Final = 10_000  # remembered, with the rule that is for them


class Found(msgspec.Struct, frozen=True):
    """An event as retention sees it."""

    seq: int
    type: str
    time_us: int
    size: int


# A row of ``retained``: rule, counted_seq, oldest_seq, count, bytes.
Kept = tuple[str, int, int, int, int]


class RetentionRows(Protocol):
    """What retention asks of the tables, and does to them, within the caller's transaction."""

    def retained(self) -> Sequence[Kept]:
        """What it wrote down last."""

    def save(self, rows: Sequence[Kept]) -> None:
        """Write down that instead."""

    def events(self, after: int, until: int, limit: int) -> Sequence[Found]:
        """The first events with ``after < seq <= until``."""

    def old(
        self, cutoff_us: int, behind: tuple[int, str, int], limit: int
    ) -> Sequence[tuple[int, str, int]]:
        """Events from before that moment as (seq, type, time_us), in order of (time_us, type,
        seq), those behind the given one."""

    def looked_up(self, seqs: Sequence[int]) -> Sequence[Found]:
        """The events of these numbers that are there."""

    def delete(self, seqs: Sequence[int]) -> None:
        """Those events, and what belongs to them; the newest number is used up."""

    def note(self, day: str, deletions: Deletions) -> None:
        """Add to what was deleted on a day."""

    def acknowledged(self) -> int | None:
        """The lowest number that a named subscriber has acknowledged; None without subscribers."""

    def give_back(self) -> bool:
        """Some free room, to the file system; whether there is more."""


class Sorter:
    """Which rule an event's type belongs to: the first that matches."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        self._known: dict[str, Rule | None] = {}

    def rule_of(self, type: str) -> Rule | None:
        """None where no rule is for it."""
        if type not in self._known:
            if len(self._known) >= TYPES:
                self._known.clear()
            matching = (rule for rule in self._rules if glob_matches(rule.types, type))
            self._known[type] = next(matching, None)
        return self._known[type]

    def is_of(self, rule: Rule, type: str) -> bool:
        """Whether the event is the rule's."""
        return self.rule_of(type) is rule


class Tally:
    """Of the events of a rule that were counted and not deleted since."""

    def __init__(self, oldest_seq: int = 0, count: int = 0, bytes: int = 0) -> None:
        self.oldest_seq = oldest_seq  # none of them has a number up to there
        self.count = count
        self.bytes = bytes

    def add(self, size: int) -> None:
        """One more."""
        self.count += 1
        self.bytes += size

    def remove(self, row: Found) -> None:
        """One less."""
        self.count -= 1
        self.bytes -= row.size

    def excess(self, rule: Rule) -> Reason | None:
        """Why the oldest has to go, if it has to."""
        if 0 < rule.max_count < self.count:
            return "count"
        if 0 < rule.max_bytes < self.bytes:
            return "bytes"
        return None


class Tallies:
    """One for each rule that bounds count or bytes; as table ``retained`` has them."""

    def __init__(self, rows: RetentionRows, rules: Sequence[Rule]) -> None:
        self._rows = rows
        self._sorter = Sorter(rules)
        # Which events a rule is for depends on the rules before it.
        names = [" ".join(rule.types for rule in rules[: n + 1]) for n in range(len(rules))]
        self._names = {
            rule.types: name
            for rule, name in zip(rules, names, strict=True)
            if rule.max_count or rule.max_bytes
        }
        known = {row[0]: row[1:] for row in rows.retained()}
        if set(known) == set(self._names.values()):
            self._all = {types: Tally(*known[name][1:]) for types, name in self._names.items()}
            self.counted_seq = min((row[0] for row in known.values()), default=0)
        else:  # other rules: count all again
            self._all = {types: Tally() for types in self._names}
            self.counted_seq = 0

    def of(self, rule: Rule) -> Tally:
        """The rule's; it bounds count or bytes."""
        return self._all[rule.types]

    def count(self) -> Iterator[None]:
        """Count what came since; yields after each step."""
        while self._all:
            rows = self._rows.events(self.counted_seq, NEWEST, LOOK)
            for row in rows:
                rule = self._sorter.rule_of(row.type)
                tally = self._all.get(rule.types) if rule is not None else None
                if tally is not None:
                    tally.add(row.size)
                self.counted_seq = row.seq
            if len(rows) < LOOK:
                return
            yield

    def remove(self, rule: Rule, rows: Sequence[Found]) -> None:
        """They are deleted for another reason."""
        tally = self._all.get(rule.types)
        if tally is not None:
            for row in rows:
                if row.seq <= self.counted_seq:
                    tally.remove(row)

    def save(self) -> None:
        """Write them down; within the transaction that has deleted."""
        self._rows.save(
            [
                (self._names[types], self.counted_seq, tally.oldest_seq, tally.count, tally.bytes)
                for types, tally in self._all.items()
            ]
        )

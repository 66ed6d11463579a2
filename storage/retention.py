"""Events out of their table again: retention, in steps of a millisecond or two.

Works within the caller's transaction, on any backend.  What it knows of the events that a rule
bounds by count or bytes is kept in table ``retained``, moved in the transaction that deletes; so a
restart, or a transaction that is lost, has nothing to count again but what came since.

Per rule the oldest go first: by their time where age decides, else by their number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from holdfast.clock import Clock
from holdfast.storage.retention_records import Deletions, Reason, Retention, Rule, Slice
from holdfast.storage.tallies import NEWEST, Found, RetentionRows, Sorter, Tallies

__all__ = ["RetentionTable"]

STEP: Final = 64  # rows deleted between two looks at the clock: some 1.5 ms
LOOK: Final = 256  # rows looked at likewise


class RetentionTable:
    """Rounds of work over all rules; each slice of one is the caller's transaction."""

    def __init__(self, rows: RetentionRows, *, retention: Retention, clock: Clock) -> None:
        self.retention = retention
        self._rows = rows
        self._clock = clock
        self._round: _Round | None = None
        self._plan: _Round | None = None  # that deletes nothing

    def slice(self, seconds: float) -> Slice:
        """Go on with the round, or begin one; about so long.  Raises the backend's error."""
        if self._round is None:
            self._round = self._begin(is_plan=False)
        round = self._round
        is_done = round.work(self._clock.monotonic() + seconds)
        deletions = round.deletions()
        gone = round.note()
        if is_done:
            self._round = None
        return Slice(deletions, gone, is_done)

    def plan(self, seconds: float) -> list[Deletions] | None:
        """The same without deleting anything; what would be, when it is done."""
        if self._plan is None:
            self._plan = self._begin(is_plan=True)
        plan = self._plan
        if not plan.work(self._clock.monotonic() + seconds):
            return None
        self._plan = None
        return plan.deletions()

    def reconfigure(self, retention: Retention) -> None:
        """Other rules; a round, or a plan, begins again with them."""
        if retention != self.retention:
            self.retention = retention
            self._round = self._plan = None

    def forget(self) -> None:
        """A transaction was lost: believe only the tables again."""
        self._round = None

    def _begin(self, *, is_plan: bool) -> _Round:
        tallies = Tallies(self._rows, self.retention.rules)
        return _Round(self._rows, self.retention, tallies, self._clock, is_plan=is_plan)


class _Round:
    """Every rule once.  A generator does the work, and yields after each step."""

    def __init__(
        self,
        rows: RetentionRows,
        retention: Retention,
        tallies: Tallies,
        clock: Clock,
        *,
        is_plan: bool,
    ) -> None:
        self._rows = rows
        self._retention = retention
        self._tallies = tallies
        self._clock = clock
        self._is_plan = is_plan
        self._now_us = clock.time_us()
        self._sorter = Sorter(retention.rules)
        self._found: dict[tuple[str, Reason], list[Found]] = {}  # in this slice
        self._steps = self._all_steps()

    def work(self, deadline: float) -> bool:
        """Do steps until then, at least one; whether that was the last."""
        monotonic: Callable[[], float] = self._clock.monotonic
        return all(monotonic() < deadline for _ in self._steps)

    def note(self) -> list[tuple[int, int]]:
        """Write down what this slice has deleted; the numbers, from, to."""
        day = _day(self._now_us)
        for each in self.deletions():
            self._rows.note(day, each)
        self._tallies.save()
        seqs = sorted(row.seq for rows in self._found.values() for row in rows)
        self._found.clear()
        return _spans(seqs)

    def deletions(self) -> list[Deletions]:
        """What was found to be deleted since the last ``note``."""
        return [
            Deletions(
                rule,
                reason,
                len(rows),
                sum(row.size for row in rows),
                min(row.seq for row in rows),
                max(row.seq for row in rows),
            )
            for (rule, reason), rows in self._found.items()
        ]

    def _all_steps(self) -> Iterator[None]:
        rules = self._retention.rules
        yield from self._tallies.count()
        for rule in rules:
            if rule.max_age:
                yield from self._by_age(rule)
        for rule in rules:
            if rule.max_count or rule.max_bytes:
                yield from self._by_size(rule)
        if not self._is_plan:
            yield from self._vacuum()

    # -- by age -------------------------------------------------------------------------------

    def _cutoff_us(self, rule: Rule) -> int:
        """Events from before are too old; 0 where age does not matter."""
        return self._now_us - int(rule.max_age * 1e6) if rule.max_age else -NEWEST

    def _by_age(self, rule: Rule) -> Iterator[None]:
        cutoff = self._cutoff_us(rule)
        at = (-NEWEST, "", 0)
        while True:
            rows = self._rows.old(cutoff, at, LOOK)
            old = [seq for seq, type, _ in rows if self._sorter.is_of(rule, type)]
            for first in range(0, len(old), STEP):
                limit = self._limit()  # a subscriber may have come since the last step
                chosen = [seq for seq in old[first : first + STEP] if seq <= limit]
                if chosen:
                    self._delete(rule, "age", list(self._rows.looked_up(chosen)))
                yield
            if len(rows) < LOOK:
                return
            seq, type, time_us = rows[-1]
            at = (time_us, type, seq)
            yield

    # -- by count and bytes -------------------------------------------------------------------

    def _by_size(self, rule: Rule) -> Iterator[None]:
        tally = self._tallies.of(rule)
        cutoff = self._cutoff_us(rule)
        while (reason := tally.excess(rule)) is not None:
            until = min(self._limit(), self._tallies.counted_seq)
            rows = self._rows.events(tally.oldest_seq, until, STEP)
            chosen: dict[Reason, list[Found]] = {}
            for row in rows:
                if self._sorter.is_of(rule, row.type):
                    reason = tally.excess(rule)
                    if reason is None:
                        break
                    # A plan has counted as too old what a round has deleted by now.
                    if not (self._is_plan and row.time_us < cutoff):
                        chosen.setdefault(reason, []).append(row)
                        tally.remove(row)
                tally.oldest_seq = row.seq
            for why, some in chosen.items():
                self._delete(rule, why, some, is_tallied=True)
            if len(rows) < STEP:
                return
            yield

    def _limit(self) -> int:
        """No event with a higher number may go: somebody waits for it."""
        if self._retention.ignore_subscribers:
            return NEWEST
        limit = self._rows.acknowledged()
        return NEWEST if limit is None else limit

    def _delete(
        self, rule: Rule, reason: Reason, rows: list[Found], *, is_tallied: bool = False
    ) -> None:
        if not is_tallied:
            self._tallies.remove(rule, rows)
        self._found.setdefault((rule.types, reason), []).extend(rows)
        if not self._is_plan:
            self._rows.delete([row.seq for row in rows])

    # -- the file -----------------------------------------------------------------------------

    def _vacuum(self) -> Iterator[None]:
        """Give back what is free, but for what the next events will need."""
        while self._rows.give_back():
            yield


def _day(now_us: int) -> str:
    """Of a moment, in UTC."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=now_us)).strftime("%Y-%m-%d")


def _spans(seqs: list[int]) -> list[tuple[int, int]]:
    """Numbers in order as ranges."""
    spans: list[tuple[int, int]] = []
    for seq in seqs:
        if spans and spans[-1][1] == seq - 1:
            spans[-1] = (spans[-1][0], seq)
        else:
            spans.append((seq, seq))
    return spans

"""One migration: copy, follow, finish, commit; or abandon.  For a process of its own, the copier.

The copy is proven as it is made: each range is read back from the target.  What changes meanwhile
is in the swap log, which the writer keeps in the same transaction; events that are added have
numbers to follow them by.  ``finish`` therefore moves and proves what is left, whatever the size of
the rest.  Nothing is kept that a crash could spoil: until the commit point is written the source
has everything, and a target that is not complete says so.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from holdfast.clock import Clock
from holdfast.errors import SwapError
from holdfast.storage.migrating.backends import open_source, open_target
from holdfast.storage.migrating.catalog import EVENTS, TABLES, Row, Table
from holdfast.storage.migrating.labels import Label
from holdfast.storage.migrating.ports import (
    Facts,
    Mode,
    Place,
    Progress,
    Proof,
    Source,
    Target,
)
from holdfast.storage.migrating.scanning import require_equal, require_nothing, scan
from holdfast.storage.migrating.writing import Writing
from holdfast.storage.timelines import Fork, decode_forks, encode_forks

__all__ = ["Migration"]

RANGE: Final = 5_000  # rows
RANGE_BYTES: Final = 8 * 2**20
LOG_ROWS: Final = 5_000  # of the log, read at once
BROUGHT: Final = 500  # rows that changed, brought at once: each may be a megabyte


class Migration:
    """Raises SwapError, and StorageError of either side; then ``abandon`` it."""

    def __init__(
        self, source: Place, target: Place, *, swap: str, mode: Mode, clock: Clock
    ) -> None:
        self._from = source
        self._to = target
        self._swap = swap
        self._mode = mode
        self._clock = clock
        self._open: tuple[Source, Target, Writing] | None = None
        self._tables = list(TABLES) if mode == "copy" else []  # still to be copied, the next first
        self._after: dict[str, Row] = {}  # the key that each is copied up to
        self._logged = 0  # the log is followed up to there
        self._total = 0
        self._bytes = 0
        self._is_finished = False
        self._proof: Proof | None = None
        self._old = source  # where the source is once it is left

    def prepare(self) -> None:
        """Look at both sides, and make the target ours.  Raises SwapError, StorageError."""
        _require_two(self._from, self._to)
        source = open_source(self._from)
        try:
            source.facts()  # all of them are known
            if self._mode == "require-empty":
                require_nothing(source, self._from)
            elif self._mode == "copy" and source.capture() != self._swap:
                raise SwapError(
                    f"{self._from.where}: its writer keeps no log for swap {self._swap}: have it "
                    "begin one before anything is copied"
                )
            label = Label(
                state="filling",
                swap=self._swap,
                other=self._from.where,
                at=self._clock.time_us(),
            )
            target = open_target(self._to, label)
        except BaseException:
            source.close()
            raise
        self._open = source, target, Writing(source, target)
        self._total = sum(source.count(table) for table in self._tables)

    def copy(self, seconds: float) -> Progress:
        """For about so long; each range is committed, read back and proven."""
        source, target, _ = self._opened()
        end = self._clock.monotonic() + seconds
        if not target.is_empty() and not target.empty(seconds):
            return self._progress("emptying")
        while self._tables:
            table = self._tables[0]
            after = self._after.get(table.name)
            rows, is_last = source.after(table, after, RANGE, RANGE_BYTES)
            self._append(table, after, rows)
            if is_last:
                self._tables.pop(0)
                if not self._tables:
                    target.analyse()
            target.keep_short()
            if self._clock.monotonic() >= end:
                break
        return self._progress("copying", is_done=not self._tables)

    def follow(self, seconds: float) -> Progress:
        """For about so long bring what was added and changed since; done when nothing is left."""
        source, target, _ = self._opened()
        end = self._clock.monotonic() + seconds
        is_done = self._mode != "copy"
        while not is_done:
            is_done = self._step(source)
            target.keep_short()
            if self._clock.monotonic() >= end:
                break
        return self._progress("following", behind=self._behind(source), is_done=is_done)

    def finish(self) -> Proof:
        """Lock the source, whose writer has ended; move and prove what is left.

        Raises AlreadyRunningError while there is a writer; SwapError, StorageError.
        """
        source, target, writing = self._opened()
        if self._tables:
            raise SwapError(f"table {self._tables[0].name} is not copied yet: copy first")
        start, before = self._clock.monotonic(), writing.rows
        source.lock()
        while self._mode == "copy" and not self._step(source):
            pass
        facts = source.facts() if self._mode == "copy" else _fresh_facts(source)
        epoch = source.epoch() + (self._mode != "copy")
        with target.transaction():
            target.settle(facts, epoch)
        last_seq = target.last_seq()
        if target.facts() != facts or (self._mode == "copy" and last_seq != source.last_seq()):
            raise SwapError(
                f"{self._to.where}: its newest event is {last_seq} and it keeps "
                f"{target.facts()}; expected {source.last_seq()} and {facts}",
                table="meta",
            )
        target.complete()
        self._is_finished = True
        self._proof = Proof(
            swap=self._swap,
            tables=writing.proofs,
            last_seq=last_seq,
            tail=writing.rows - before,
            seconds=self._clock.monotonic() - start,
        )
        return self._proof

    def commit(self) -> str:
        """The commit point is written: label the source as old; where that is now."""
        source, _, _ = self._opened()
        where = source.retire(self._swap, self._to.where, self._clock.time_us())
        self._open = None
        if self._from.backend != "postgresql":
            self._old = Place(backend=self._from.backend, daemon=self._from.daemon, path=where)
        return where

    def verify_old(self) -> Proof:
        """Read all of the old data; it is what was moved.  Slow.  Raises SwapError.

        After ``commit``.
        """
        if self._proof is None or self._mode != "copy":
            raise SwapError(f"swap {self._swap}: nothing was moved that could be compared")
        found = scan(self._old, swap=self._swap, clock=self._clock)
        require_equal(self._proof, found)
        return found

    def abandon(self) -> None:
        """Let go of both, the source unchanged.  Again does nothing."""
        if self._open is not None:
            source, target, _ = self._open
            self._open = None
            try:
                if not self._is_finished:
                    target.close()
            finally:
                source.close()

    def _opened(self) -> tuple[Source, Target, Writing]:
        if self._open is None:
            raise SwapError(f"swap {self._swap}: nothing is prepared, or it is over")
        return self._open

    def _append(self, table: Table, after: Row | None, rows: Sequence[Row]) -> None:
        _, _, writing = self._opened()
        if rows:
            writing.append(table, after, rows)
            self._after[table.name] = table.key_of(rows[-1])
            self._bytes += table.size_of(rows)

    def _step(self, source: Source) -> bool:
        """Some events that were added, and when there are no more some rows of the log; whether
        there was nothing left.

        In one moment of the source: the log names no event then that is not at the target.
        """
        with source.snapshot():
            after = self._after.get(EVENTS.name)
            rows, is_last = source.after(EVENTS, after, RANGE, RANGE_BYTES)
            self._append(EVENTS, after, rows)
            if not is_last:
                return False
            return self._bring(source) and not rows

    def _bring(self, source: Source) -> bool:
        """Whether there was nothing."""
        changed: dict[str, set[Row]] = {}
        count, n = 0, self._logged
        for each in source.logged(self._logged, LOG_ROWS):
            keys = changed.setdefault(each.table, set())
            if each.key not in keys:
                if count == BROUGHT:
                    break
                count += 1
                keys.add(each.key)
            n = each.n
        if not count:
            return True
        _, _, writing = self._opened()
        writing.bring(changed)
        writing.rows += count
        self._logged = n
        return False

    def _behind(self, source: Source) -> int:
        if self._mode != "copy":
            return 0
        last = self._after.get(EVENTS.name, (0,))[0]
        return max(0, source.newest() - int(last)) + source.log_end() - self._logged

    def _progress(self, phase: str, *, behind: int = 0, is_done: bool = False) -> Progress:
        _, _, writing = self._opened()
        return Progress(
            phase=phase,  # type: ignore[arg-type]  # one of them
            table=self._tables[0].name if self._tables else "",
            rows=writing.rows,
            total=max(self._total, writing.rows),
            bytes=self._bytes,
            behind=behind,
            is_done=is_done,
        )


def _require_two(source: Place, target: Place) -> None:
    if "postgresql" in (source.backend, target.backend):
        is_same = source.backend == target.backend and source.dsn == target.dsn
    else:
        is_same = os.path.realpath(source.path) == os.path.realpath(target.path)
    if is_same:
        raise SwapError(f"{source.where}: is the database that is used already")


def _fresh_facts(source: Source) -> Facts:
    """Of a database that begins anew: whoever goes on sending is let in, and positions that were
    read from the old one are refused."""
    epoch = source.epoch()
    forks = decode_forks(str(found) if (found := source.facts().get("forks")) else None)
    fresh = encode_forks((*forks, Fork(epoch + 1, epoch, 0)))
    return {"deleted_seq": 0, "restored_turn": 0, "forks": fresh}

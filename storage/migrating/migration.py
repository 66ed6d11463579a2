"""One migration: copy, follow, finish, commit; or abandon.  For a process of its own, the copier.

The copy is proven as it is made: each range is read back from the target.  What changes meanwhile
is in the swap log, which the writer keeps in the same transaction; events that are added have
numbers to follow them by.  ``finish`` therefore moves and proves what is left, whatever the size of
the rest.  Nothing is kept that a crash could spoil: until the commit point is written the source
has everything, and a target that is not complete says so, and how far it is.  Another try of the
same swap goes on from there, as if this one had only paused: the log was kept on.
"""

from __future__ import annotations

import os
from typing import Final

from holdfast.clock import Clock
from holdfast.errors import SwapError
from holdfast.storage.migrating.backends import open_source, open_target
from holdfast.storage.migrating.canonical import Sum, digests
from holdfast.storage.migrating.catalog import BY_NAME, EVENTS, TABLES, Row, Table
from holdfast.storage.migrating.labels import Label
from holdfast.storage.migrating.ports import (
    AnewError,
    Facts,
    Mode,
    Place,
    Progress,
    Proof,
    Source,
    Target,
    UnequalError,
)
from holdfast.storage.migrating.scanning import (
    RANGE,
    RANGE_BYTES,
    require_equal,
    require_nothing,
    scan,
)
from holdfast.storage.migrating.standing import Standing, require_same_source, stood
from holdfast.storage.migrating.writing import Writing
from holdfast.storage.timelines import Fork, decode_forks, encode_forks

__all__ = ["Migration"]

LOG_ROWS: Final = 5_000  # of the log, read at once
BROUGHT: Final = 500  # rows that changed, brought at once: each may be a megabyte


class Migration:
    """Raises SwapError, and StorageError of either side; then ``abandon`` it.

    ``resumes``: an earlier try of this swap was cut off; go on from what it has left.
    """

    def __init__(
        self,
        source: Place,
        target: Place,
        *,
        swap: str,
        mode: Mode,
        clock: Clock,
        resumes: bool = False,
    ) -> None:
        self._from = source
        self._to = target
        self._swap = swap
        self._mode = mode
        self._clock = clock
        self._resumes = resumes
        self._open: tuple[Source, Target, Writing] | None = None
        self._unchecked: list[Table] = []  # that an earlier try has left, the next first
        self._checked: tuple[Row | None, Sum] = (None, Sum())  # of the next: up to there
        self._total = 0
        self._last = 0  # event that is copied; those behind it are followed
        self._followed = 0
        self._is_finished = False
        self._proof: Proof | None = None
        self._old = source  # where the source is once it is left

    @property
    def resumed(self) -> int:
        """Rows that an earlier try had written; they are there."""
        _, _, writing = self._opened()
        return writing.standing.rows - writing.written

    def prepare(self) -> None:
        """Look at both sides, and make the target ours.

        Raises AnewError where nothing can be taken up, and nothing was touched; SwapError,
        StorageError.
        """
        _require_two(self._from, self._to)
        source = open_source(self._from)
        try:
            source.facts()  # all of them are known
            if self._mode == "require-empty":
                require_nothing(source, self._from)
            elif self._mode == "copy" and not self._resumes and source.capture() != self._swap:
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
            target, standing = self._target(source, label)
        except BaseException:
            source.close()
            raise
        self._open = source, target, Writing(source, target, standing)
        self._total = sum(source.count(BY_NAME[name]) for name in standing.left) + standing.rows
        self._last = source.newest()

    def _target(self, source: Source, label: Label) -> tuple[Target, Standing]:
        if not self._resumes:
            left = [table.name for table in TABLES] if self._mode == "copy" else []
            return open_target(self._to, label), Standing(self._swap, source.lineage(), left=left)
        was: list[Standing] = []

        def look(label: str | None, kept: str | None) -> None:
            was.append(stood(self._swap, label, kept))
            require_same_source(was[-1], source)

        target = open_target(self._to, label, look)
        self._unchecked = list(TABLES)
        return target, was[-1]

    def check(self, seconds: float) -> Progress:
        """For about so long read again what an earlier try has left, all of it: it has to be what
        that one has counted.  Raises AnewError."""
        _, target, writing = self._opened()
        end = self._clock.monotonic() + seconds
        while self._unchecked:
            table, (after, total) = self._unchecked[0], self._checked
            rows, is_last = target.after(table, after, RANGE, RANGE_BYTES)
            total.add(digests(rows))
            self._checked = (table.key_of(rows[-1]) if rows else after), total
            if is_last:
                if total.proof(table.name) != writing.standing.sums[table.name].proof(table.name):
                    raise AnewError(f"table {table.name} of the target is not what was copied")
                self._unchecked.pop(0)
                self._checked = None, Sum()
            if self._clock.monotonic() >= end:
                break
        return self._progress("checking", is_done=not self._unchecked)

    def copy(self, seconds: float) -> Progress:
        """For about so long; each range is written, read back and proven, and committed."""
        source, target, writing = self._opened()
        end = self._clock.monotonic() + seconds
        if not target.is_empty() and not target.empty(seconds):
            return self._progress("emptying")
        left, reached = writing.standing.left, writing.standing.after
        while left:
            table = BY_NAME[left[0]]
            rows, is_last = source.after(table, reached.get(table.name), RANGE, RANGE_BYTES)
            writing.append(table, rows)
            if is_last or (table is EVENTS and int(rows[-1][0]) >= self._last):
                left.pop(0)
                if not left:
                    writing.keep()
                    target.analyse()
            target.keep_short()
            if self._clock.monotonic() >= end:
                break
        return self._progress("copying", is_done=not left)

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
        if left := writing.standing.left:
            raise SwapError(f"table {left[0]} is not copied yet: copy first")
        start, before = self._clock.monotonic(), writing.written
        source.lock()
        if self._mode == "require-empty":  # something may have come since
            require_nothing(source, self._from)
        while self._mode == "copy" and not self._step(source):
            pass
        facts = source.facts() if self._mode == "copy" else _fresh_facts(source)
        epoch = source.epoch() + (self._mode != "copy")
        with target.transaction():
            target.settle(facts, epoch)
        last_seq = target.last_seq()
        if target.facts() != facts or (self._mode == "copy" and last_seq != source.last_seq()):
            raise UnequalError(
                f"{self._to.where}: its newest event is {last_seq} and it keeps "
                f"{target.facts()}; expected {source.last_seq()} and {facts}",
                table="meta",
            )
        target.complete()
        self._is_finished = True
        self._proof = Proof(
            swap=self._swap,
            tables=writing.standing.proofs,
            last_seq=last_seq,
            tail=writing.written - before,
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

    def _step(self, source: Source) -> bool:
        """Some events that were added, and when there are no more some rows of the log; whether
        there was nothing left.

        In one moment of the source: the log names no event then that is not at the target.
        """
        _, _, writing = self._opened()
        with source.snapshot():
            before = writing.standing.after.get(EVENTS.name)
            rows, is_last = source.after(EVENTS, before, RANGE, RANGE_BYTES)
            writing.append(EVENTS, rows)
            if rows:
                self._followed += int(rows[-1][0]) - int((before or (0,))[0])
            if not is_last:
                return False
            return self._bring(source) and not rows

    def _bring(self, source: Source) -> bool:
        """Whether there was nothing."""
        _, _, writing = self._opened()
        changed: dict[str, set[Row]] = {}
        count, n = 0, (before := writing.standing.logged)
        for each in source.logged(before, LOG_ROWS):
            keys = changed.setdefault(each.table, set())
            if each.key not in keys:
                if count == BROUGHT:
                    break
                count += 1
                keys.add(each.key)
            n = each.n
        if not count:
            return True
        writing.bring(changed, logged=n, rows=count)
        self._followed += n - before
        return False

    def _behind(self, source: Source) -> int:
        if self._mode != "copy":
            return 0
        _, _, writing = self._opened()
        last = writing.standing.after.get(EVENTS.name, (0,))[0]
        return max(0, source.newest() - int(last)) + source.log_end() - writing.standing.logged

    def _progress(self, phase: str, *, behind: int = 0, is_done: bool = False) -> Progress:
        _, _, writing = self._opened()
        return Progress(
            phase=phase,  # type: ignore[arg-type]  # one of them
            table=(writing.standing.left or [""])[0],
            rows=writing.standing.rows,
            total=max(self._total, writing.standing.rows),
            bytes=writing.standing.bytes,
            behind=behind,
            followed=self._followed,
            written=writing.written,
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

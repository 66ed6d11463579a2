"""The power fails after each entry of a recording, and the database is opened again.

Owns a folder in which one disk after the other is laid out; a temporary file system, since
what would be synced there is nobody's.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Final

import apsw
import msgspec
from loguru import logger

from holdfast.clock import Clock
from holdfast.errors import HoldfastError
from holdfast.storage.records import Appended, AppendEvents, Origin
from holdfast.storage.sqlite import SqliteDatabase
from holdfast.testing.clock import ManualClock
from holdfast.testing.faults.power.dying import abandon
from holdfast.testing.faults.power.oracle import Found, Looks, Oracle, content
from holdfast.testing.faults.power.platter import LOSSES, Loss, Platter
from holdfast.testing.faults.recording import Deleted, Entry, Told, Truncated, Wrote

__all__ = ["DATABASE", "Cuts", "Violation", "cut_everywhere"]

DATABASE: Final = "holdfast.db"
_FILES: Final = (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-journal")
_FRAME: Final = 24  # bytes of the header of a frame in the log; bytes 4 to 8 say: it commits
ENOUGH: Final = 20  # violations: the cuts after them would mostly show the same
CLOSED_IN_ORDER: Final = 16  # of so many databases one is also emptied of its log, and looked at


class Violation(msgspec.Struct, frozen=True):
    """What a loss at an entry of a recording left is not what was promised."""

    entry: int
    loss: Loss
    wrong: list[str]


class Cuts(msgspec.Struct):
    """What came of a recording."""

    points: int = 0  # entries after which the power failed
    disks: Counter[str] = msgspec.field(default_factory=Counter)  # by loss
    entries: Counter[str] = msgspec.field(default_factory=Counter)  # "wrote -wal"
    commits: int = 0
    told: int = 0
    deepest: int = 0  # commits that one loss took at most
    violations: list[Violation] = []


class Reopened(SqliteDatabase):
    """Holdfast's own open, looked at between the recovery and the first transaction of its own."""

    found: Found

    def __init__(self, path: Path, *, looks: Looks, clock: Clock) -> None:
        self._looks = looks
        super().__init__(path, daemon="after", durability="committed", clock=clock, full_text=True)

    def _raise_epoch(self) -> int:
        self.found = self._looks.look(self._connection)
        return super()._raise_epoch()


class _Bench:
    """The folder, and what is done with a disk in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / DATABASE
        self._clock = ManualClock(time_us=1_800_000_000_000_000)
        self._looks = Looks()
        self._count = 0

    def lay_out(self, files: dict[str, bytearray]) -> None:
        """The shared memory of the one before stays: after a power loss it is anybody's guess."""
        for put_aside in self._folder.glob(f"{DATABASE}-wal.*"):
            put_aside.unlink()
        for name in _FILES:
            if name not in files:
                (self._folder / name).unlink(missing_ok=True)
                continue
            # Over what is there: to make the pages of a new file takes longer than to fill them.
            fd = os.open(self._folder / name, os.O_RDWR | os.O_CREAT, 0o600)
            os.pwrite(fd, files[name], 0)
            os.ftruncate(fd, len(files[name]))
            os.close(fd)

    def content(self, files: dict[str, bytearray]) -> bytes:
        """What a reader would see."""
        self.lay_out(files)
        return self._raw_content()

    def _raw_content(self) -> bytes:
        connection = apsw.Connection(str(self._path))
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        try:
            return content(connection)
        finally:
            connection.close()

    def open(
        self, files: dict[str, bytearray], *, is_made: bool, was_synced: bool
    ) -> tuple[Found, list[str]]:
        """What is found, and what is wrong with going on from there.

        Until the database ``is_made`` an open goes on with making it, and so changes it.  Once it
        ``was_synced``, its lock says so.
        """
        self._count += 1
        (self._folder / f"{DATABASE}.lock").write_text("\nmade\n" if was_synced else "")
        found = None if is_made else self.content(files)
        self.lay_out(files)
        database = Reopened(self._path, looks=self._looks, clock=self._clock)
        is_closing = self._count % CLOSED_IN_ORDER == 0
        try:
            wrong = _go_on(database)
        except BaseException:
            abandon(database)
            raise
        if is_closing:
            database.close()
            wrong += self._look_at_one_file()
        else:
            abandon(database)
        if found is not None:
            return msgspec.structs.replace(database.found, content=found), wrong
        return database.found, wrong

    def _look_at_one_file(self) -> list[str]:
        if (self._folder / f"{DATABASE}-wal").exists():
            return ["there is a log after closing"]
        connection = apsw.Connection(str(self._path))
        try:
            return self._looks.look(connection).wrong
        finally:
            connection.close()


def _go_on(database: Reopened) -> list[str]:
    """A sender that was there before sends its last event again, and a new one."""
    facts, position = database.found.facts, database.position()
    seq = facts.get(("seq", ""), 0)
    wrong = []
    if position.last_seq != seq:
        wrong.append(f"the sequence goes on behind {position.last_seq}, not {seq}")
    if position.epoch != facts.get(("epoch", ""), 0) + 1:
        wrong.append(f"opened as epoch {position.epoch}, after {facts.get(('epoch', ''))}")
    mark = facts.get(("mark", "planner 1.1 log"), 0)
    event = (1, "tool:call", "planner", None, None, None, None, None, 0, None, "{}")
    first = max(mark, 1)
    frame = [event] * (mark + 2 - first)
    (outcome,) = database.apply([AppendEvents(Origin("planner", "1.1", "log", first), frame)])
    expected = (mark + 1, seq + 1, 1, 1 if mark else 0)
    if not isinstance(outcome, Appended):
        wrong.append(f"an event is refused: {outcome}")
    elif (outcome.mark, outcome.first_seq, outcome.stored, outcome.skipped) != expected:
        wrong.append(f"expected mark, number, stored, skipped {expected}: {outcome}")
    database.sync()
    return wrong


@contextmanager
def _in_silence() -> Iterator[None]:
    """A writer says what a power cut took; here that is no news."""
    logger.disable("holdfast.storage")
    try:
        yield
    finally:
        logger.enable("holdfast.storage")


@_in_silence()
def cut_everywhere(
    entries: Iterable[Entry],
    folder: Path,
    *,
    seed: str,
    losses: Sequence[Loss] | None = None,
    skip: int = 0,
    every: int = 1,
) -> Cuts:
    """Have the power fail after each entry but the first ``skip``, or after one in ``every``.

    With all of ``losses`` each; without, with one of them in turn.  What the disks hold follows
    from ``seed``.  ``folder`` is empty, and may hold anything afterwards.
    """
    platter, oracle, bench = Platter({}), Oracle(), _Bench(folder)
    cuts = Cuts()
    last: Entry | None = None
    for index, entry in enumerate(entries):
        if index == skip:
            oracle.note_content(bench.content(platter.after("nothing", Random(0))))
        platter.take(entry)
        if isinstance(entry, Told):
            oracle.note_told(entry)
            cuts.told += index >= skip
        if index < skip or isinstance(entry, Told):
            continue
        if _may_commit(entry, last):
            oracle.note_content(bench.content(platter.after("nothing", Random(0))))
        last = entry
        if index % every:
            continue
        cuts.points += 1
        cuts.entries[_kind(entry)] += 1
        chosen = losses or (LOSSES[cuts.points % len(LOSSES)],)
        for loss in chosen[:1] if platter.is_settled else chosen:
            cuts.disks["settled" if platter.is_settled else loss] += 1
            files = platter.after(loss, Random(f"{seed} {index} {loss}"))
            if wrong := _wrong(bench, oracle, files):
                cuts.violations.append(Violation(index, loss, wrong))
        if len(cuts.violations) >= ENOUGH:
            break
    cuts.commits, cuts.deepest = oracle.commits, oracle.deepest
    return cuts


def _wrong(bench: _Bench, oracle: Oracle, files: dict[str, bytearray]) -> list[str]:
    try:
        found, wrong = bench.open(files, is_made=oracle.is_made, was_synced=oracle.was_synced)
    except (HoldfastError, apsw.Error) as error:
        return [f"cannot be opened: {type(error).__name__}: {error}"]
    return oracle.judge(found) + wrong


def _may_commit(entry: Entry, last: Entry | None) -> bool:
    """A page whose frame says that it commits, or such a header written again; a journal gone."""
    if isinstance(entry, Wrote) and entry.file.endswith("-wal"):
        if len(entry.data) == _FRAME:
            return _commits(entry)
        return isinstance(last, Wrote) and len(last.data) == _FRAME and _commits(last)
    return isinstance(entry, Deleted) or (
        isinstance(entry, Truncated) and entry.file.endswith("-journal")
    )


def _commits(header: Wrote) -> bool:
    return header.data[4:8] != bytes(4)


def _kind(entry: Entry) -> str:
    file = getattr(entry, "file", "")
    suffix = file.rpartition("-")[2] if "-" in file else "database"
    return f"{type(entry).__name__.lower()} {suffix}"

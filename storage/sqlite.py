"""The SQLite database, writing side: group commit, exactly once, one writer at a time.

What ``apply`` answered survives SIGKILL of every process, at durability "disk" power loss too.
What it has not answered yet is stored as a whole or not at all; its senders still hold it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

import apsw

from holdfast.clock import Clock
from holdfast.errors import DamagedError, FencedError, HoldfastError, StorageError
from holdfast.storage.commands import Command, Outcome
from holdfast.storage.database_file import check_file
from holdfast.storage.delivering import Deliveries, apply_singly
from holdfast.storage.log_pass import LogPass
from holdfast.storage.log_sync import FILE_SYNCS, LogSync
from holdfast.storage.marks import MAX_SENDERS, Marks
from holdfast.storage.migrating.labels import settle_label
from holdfast.storage.migrating.sqlite_capture import (
    begin_capture,
    captured,
    end_capture,
    length,
)
from holdfast.storage.once import HalfDone, OnceOnly
from holdfast.storage.payloads import PAYLOAD_BYTES
from holdfast.storage.ports import Durability, Wal
from holdfast.storage.records import (
    Mark,
    Position,
)
from holdfast.storage.retention import RetentionTable
from holdfast.storage.retention_records import Deletions, Retention, Slice
from holdfast.storage.sqlite_concerns import handlers_of
from holdfast.storage.sqlite_connection import (
    naming_errors,
    open_writing,
    storage_error,
)
from holdfast.storage.sqlite_doubt import is_in_doubt, let_go
from holdfast.storage.sqlite_events import EventTable
from holdfast.storage.sqlite_lock import WriterLock
from holdfast.storage.sqlite_losses import LossTable
from holdfast.storage.sqlite_marks import SqliteSenders
from holdfast.storage.sqlite_once import SqliteUndo
from holdfast.storage.sqlite_payloads import PayloadTable
from holdfast.storage.sqlite_reader import SqliteReader
from holdfast.storage.sqlite_retention import SqliteRetention
from holdfast.storage.sqlite_schema import VERSION
from holdfast.storage.sqlite_text import TextIndex
from holdfast.storage.sqlite_threads import release_threads
from holdfast.storage.sqlite_wal import WalKeeper

__all__ = ["SqliteDatabase", "SqliteReader"]

T = TypeVar("T")

_KEEP_ALL: Final = Retention()
_EMPTIED: Final = (
    "there was a database here, and all that it had is gone; a log that was damaged is kept beside "
    "it as `*.cut-*`: `holdfast restore` a backup, or move the file away to begin with an empty one"
)


class SqliteDatabase:
    """Implements ``holdfast.storage.ports.Database``.

    ``patience`` are the seconds that the last writer has to end, where it was killed just now.
    ``vfs`` names a registered SQLite VFS, for tests that break the disk.  Raises
    AlreadyRunningError, SchemaError, StorageError.
    """

    _is_closed = False
    _log_sync: LogSync | None = None  # from the first sync on

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        daemon: str,
        durability: Durability,
        clock: Clock,
        max_senders: int = MAX_SENDERS,
        payload_bytes: int = PAYLOAD_BYTES,
        retention: Retention = _KEEP_ALL,
        full_text: bool = False,
        patience: float = 0.0,
        vfs: str | None = None,
    ) -> None:
        self.path: Final = os.path.realpath(path)  # two names of one file must be one lock
        self._clock, self._durability = clock, durability
        self._lock = WriterLock(self.path, patience=patience)
        try:
            self._check_place(vfs)
            self._connection = open_writing(self.path, durability=durability, vfs=vfs)
        except BaseException:
            self._lock.release()
            raise
        try:
            self._wal = WalKeeper(self._connection, path=self.path, vfs=vfs)
            self._wal.look_for_cut()
            self._text = TextIndex(self._connection)
            # One transaction, so that a file with a table that cannot be read stays as it is.
            self._epoch = self._raise_epoch()
            self._open_tables(daemon, max_senders=max_senders, payload_bytes=payload_bytes)
            self._connection.execute("COMMIT")
            rows = SqliteRetention(self._connection)
            self._retention = RetentionTable(rows, retention=retention, clock=clock)
            newest = self._events.last_seq
            self._transact(partial(self._text.open, is_wanted=full_text, last_seq=newest))
        except BaseException as error:
            let_go(self._connection, self.path, error)
            self._lock.release()
            if isinstance(error, apsw.Error | UnicodeDecodeError):
                raise storage_error(error, self.path) from error
            raise
        self._last_seq = self._events.last_seq  # as committed; the table's own may be ahead
        self._is_unsynced = durability == "committed"  # a commit came after the last sync
        if not self._is_unsynced:
            self._lock.note_made()

    def _check_place(self, vfs: str | None) -> None:
        if vfs is None:
            check_file(self.path, newest=VERSION, is_made=self._lock.is_made)
        if not os.path.exists(self.path):
            self._lock.note_none()

    def _open_tables(self, daemon: str, *, max_senders: int, payload_bytes: int) -> None:
        self._wal.is_kept_short = captured(self._connection) is not None
        connection = self._connection
        payloads = self._payloads = PayloadTable(connection, limit=payload_bytes)
        self._events = EventTable(connection, daemon=daemon, payloads=payloads, text=self._text)
        losses = LossTable(connection)
        note_lost = partial(losses.note_restored, self._clock.time_us)
        senders = SqliteSenders(connection)
        self._marks = Marks(senders, limit=max_senders, note_lost=note_lost)
        self._once = OnceOnly(
            SqliteUndo(connection),
            marks=self._marks,
            events=self._events,
            handlers=handlers_of(connection, events=self._events, clock=self._clock),
        )
        self._deliveries = Deliveries(
            marks=self._marks,
            once=self._once,
            events=self._events,
            losses=losses,
            clock=self._clock,
        )

    @property
    def last_seq(self) -> int:
        """The number of the newest event ever committed; 0 before the first."""
        return self._last_seq

    @property
    def wal(self) -> Wal:
        """What the log that ``checkpoint`` maintains looks like."""
        return self._wal.figures

    def position(self) -> Position:
        """Where the database stands."""
        return Position(self._last_seq, self._epoch)

    def mark(self, sender: str, incarnation: str, stream: str) -> Mark:
        """How far a sender's numbers are committed; zeroes for an unknown one."""
        return self._marks.mark(sender, incarnation, stream)

    def apply(self, commands: Sequence[Command]) -> list[Outcome | HoldfastError]:
        """Commit the commands in order as one transaction; an outcome or an error for each."""
        if not commands:
            return []
        try:
            return self._apply_together(commands)
        except apsw.Error as error:
            if len(commands) == 1 or isinstance(error, apsw.BusyError):
                return [storage_error(error, self.path) for _ in commands]
        return apply_singly(commands, self.apply)

    def _apply_together(self, commands: Sequence[Command]) -> list[Outcome | HoldfastError]:
        while True:
            with suppress(HalfDone):  # once: then the next so many commands are in savepoints
                return self._transact(lambda: [self._deliveries.run(each) for each in commands])
            self._once.be_cautious(len(commands))

    def forget(self, sender: str, incarnation: str) -> None:
        """Drop marks and kept results of a sender that is gone for good."""
        with naming_errors(self.path):
            self._transact(lambda: self._forget(sender, incarnation))

    def _forget(self, sender: str, incarnation: str) -> None:
        self._marks.forget(sender, incarnation)
        release_threads(self._connection, sender, incarnation)

    def begin_sync(self) -> LogSync | None:
        """``sync`` in two parts: what it returns is the wait for the disk, for any thread.

        The first one is made here, and makes the log's entry in its folder durable; so is each
        with a VFS of which nobody has said how to sync a log, and while there is no descriptor.
        """
        if not self._is_unsynced:
            return None
        if (vfs := self._connection.open_vfs) not in FILE_SYNCS:
            self.sync()
            return None
        if self._log_sync is None:
            self.sync()
            with suppress(StorageError):
                self._log_sync = LogSync(self.path, vfs)
            return None
        with naming_errors(self.path):
            self._transact(self._note_synced)  # if it is lost, nothing behind it is there
        self._is_unsynced = False
        return self._log_sync

    def sync(self) -> None:
        """Everything committed so far survives power loss when it returns.

        One commit with an fsync makes all earlier ones durable.  After a StorageError, but for a
        full disk, nobody knows what reached the disk: end the process.
        """
        if not self._is_unsynced:
            return
        with naming_errors(self.path):
            self._connection.pragma("synchronous", "FULL")
            try:
                self._transact(self._note_synced)
            finally:
                self._connection.pragma("synchronous", "NORMAL")
        self._is_unsynced = False
        self._lock.note_made()

    @property
    def retention(self) -> Retention:
        """What is kept of the events."""
        return self._retention.retention

    def reconfigure(self, *, payload_bytes: int, retention: Retention) -> None:
        """From now on."""
        self._payloads.limit = payload_bytes
        self._retention.reconfigure(retention)

    def retain(self, seconds: float) -> Slice:
        """Delete what is to be deleted, for about so long: a slice of a round over all rules."""
        with naming_errors(self.path):
            return self._transact(lambda: self._retention.slice(seconds))

    def plan_retention(self, seconds: float) -> list[Deletions] | None:
        """What a round would delete now; None when so many seconds were not enough: go on."""
        with naming_errors(self.path):
            return self._retention.plan(seconds)

    @property
    def has_chores(self) -> bool:
        """Whether ``work_off`` has something to do."""
        return self._text.has_work

    def work_off(self, seconds: float) -> None:
        """For about so long do some of what has time."""
        with naming_errors(self.path):
            self._transact(lambda: self._text.work(seconds, self._events.last_seq))

    def begin_checkpoint(self) -> LogPass | None:
        """The long part of a checkpoint that is due, for any thread."""
        return self._wal.begin()

    def cut_checkpoint_short(self) -> None:
        """Have the long part that is under way, if one is, end with the step that it is at."""
        self._wal.cut_short()

    def checkpoint(self, *, is_hurried: bool = False, is_pressed: bool = False) -> Wal:
        """Maintain the log; cheap unless it is due.  Call it after every ``apply``."""
        try:
            return (
                self._wal.make_room() if is_pressed else self._wal.maintain(is_hurried=is_hurried)
            )
        except apsw.Error as error:
            raise storage_error(error, self.path) from error

    def begin_capture(self, swap: str) -> None:
        """Keep a log of what changes from now on, for a migration; again does nothing."""
        with naming_errors(self.path):
            self._transact(lambda: begin_capture(self._connection, swap))
        self._wal.is_kept_short = True

    def end_capture(self) -> None:
        """Keep no log any more."""
        with naming_errors(self.path):
            self._transact(lambda: end_capture(self._connection))
        self._wal.is_kept_short = False

    def capture(self) -> tuple[str, int]:
        """The swap that there is a log for, and how long it is."""
        with naming_errors(self.path):
            return length(self._connection)

    def close(self) -> None:
        """Leave one file that needs no recovery; give up the lock.  Again does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            if self._log_sync is not None:
                self._log_sync.close()
            with naming_errors(self.path):
                self._wal.empty()
            if not is_in_doubt(self.path):
                self._lock.note_made()
        finally:
            let_go(self._connection, self.path)
            self._wal.release()
            self._lock.release()

    def _raise_epoch(self) -> int:
        """From the COMMIT on whoever opened the file before is fenced."""
        self._connection.execute("BEGIN IMMEDIATE")
        epoch: int = self._connection.execute(
            "UPDATE meta SET value = value + 1 WHERE name = 'epoch' RETURNING value"
        ).get
        settle_label(self._connection, self.path)
        if epoch == 1 and self._lock.is_made:
            raise DamagedError(f"{self.path}: {_EMPTIED}")
        return epoch

    def _transact(self, work: Callable[[], T]) -> T:
        """Do the work in one transaction of this epoch, or nothing of it."""
        execute = self._connection.execute
        try:
            execute("BEGIN IMMEDIATE")
            self._check_epoch()
            result = work()
            self._text.flush(self._events.last_seq)
            self._marks.flush()
            execute("COMMIT")
        except BaseException:
            self._take_back()
            raise
        self._last_seq = self._events.last_seq
        self._is_unsynced = self._durability == "committed"
        return result

    def _check_epoch(self) -> None:
        stored = self._connection.execute("SELECT value FROM meta WHERE name = 'epoch'").get
        if stored != self._epoch:
            raise FencedError(
                f"{self.path}: opened as epoch {self._epoch}, but a writer of epoch {stored} "
                f"has it now; this process must end"
            )

    def _take_back(self) -> None:
        """End the transaction if SQLite has not, and believe only the tables again."""
        with naming_errors(self.path):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._marks.load()
            self._events.load()
            self._retention.forget()
            self._text.load()

    def _note_synced(self) -> None:
        """Without a count it may change nothing; then SQLite writes nothing, and syncs nothing."""
        execute = self._connection.execute
        execute("UPDATE meta SET value = ? WHERE name = 'synced_seq'", (self._events.last_seq,))
        execute(
            "INSERT INTO meta (name, value) VALUES ('barriers', 1)"
            " ON CONFLICT (name) DO UPDATE SET value = value + 1"
        )

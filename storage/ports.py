"""What a storage backend does: the writing side, of which there is one, and reading sides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import msgspec

from holdfast.errors import HoldfastError, StorageError
from holdfast.storage.commands import Command, Outcome
from holdfast.storage.reader_ports import (
    CheckpointReader,
    CountReader,
    EventReader,
    LossReader,
    PayloadReader,
    SessionReader,
    SizeReader,
    StateReader,
    StreamReader,
    SubscriberReader,
    TextReader,
    TreeReader,
)
from holdfast.storage.records import Mark, Position
from holdfast.storage.retention_records import Deletions, Retention, Slice

__all__ = ["Database", "Durability", "NoDatabaseError", "Reader", "Wal"]

# What an ordinary COMMIT promises: to survive SIGKILL of everything, or power loss too.
Durability = Literal["committed", "disk"]


class NoDatabaseError(StorageError):
    """There is no database at the path yet; it appears when its writer starts."""


class Wal(msgspec.Struct, frozen=True):
    """The write-ahead log: pages in it, pages of them copied into the database file, and how
    many attempts in a row a reader kept the copying from getting anywhere."""

    frames: int
    checkpointed: int
    stuck: int


class Database(Protocol):
    """The writing side: one per database, fenced by its epoch."""

    @property
    def last_seq(self) -> int:
        """The number of the newest event ever committed; 0 before the first."""

    @property
    def wal(self) -> Wal:
        """What the log that ``checkpoint`` maintains looks like."""

    def apply(self, commands: Sequence[Command]) -> list[Outcome | HoldfastError]:
        """Commit the commands in order as one transaction; an outcome or an error for each.

        When it returns, everything that has an outcome is at the level of ``durability``, and
        nothing is stored of what has an error.  InvalidInputError: the command is refused for
        what it says, and will be again.  GapError, ExpiredError: its origin does not fit.
        StorageError: the disk would not have it.

        Raises FencedError when another writer took the database over; nothing is stored then.
        UnreachableError: there is no server; UnknownError: it was lost with the COMMIT under way.
        None of them has an outcome then: call it again with the same commands, or some of them, in
        order, and others behind them.  What had been committed gets its outcome by that.
        """

    def position(self) -> Position:
        """Where the database stands."""

    def mark(self, sender: str, incarnation: str, stream: str) -> Mark:
        """How far a sender's numbers are settled; zeroes for an unknown one."""

    def forget(self, sender: str, incarnation: str) -> None:
        """Drop marks and kept results of a sender that is gone for good."""

    def begin_sync(self) -> Callable[[], None] | None:
        """``sync`` in two parts: what it returns is the wait for the disk, for any thread.

        When that has returned, what was committed before this call survives power loss.  None: it
        does already.  One at a time, all over before ``close``; raises what ``sync`` raises, here
        and there.
        """

    def sync(self) -> None:
        """Everything committed so far survives power loss when it returns.

        Raises DiskFullError: it does not yet, try again.  After another StorageError nobody
        knows what reached the disk: end the process.  Whoever opens the database then writes
        again what is in doubt.
        """

    @property
    def retention(self) -> Retention:
        """What is kept of the events."""

    def reconfigure(self, *, payload_bytes: int, retention: Retention) -> None:
        """Store large texts, and keep events, by these from now on; a round begins again."""

    def retain(self, seconds: float) -> Slice:
        """Delete what is to be deleted, for about so long: a slice of a round over all rules.

        One transaction, all of it or nothing.  Raises StorageError; then a round begins again.
        """

    def plan_retention(self, seconds: float) -> list[Deletions] | None:
        """What a round would delete now; None when so many seconds were not enough: go on.

        Raises StorageError.
        """

    @property
    def has_chores(self) -> bool:
        """Whether ``work_off`` has something to do: to build or to drop the full-text index."""

    def work_off(self, seconds: float) -> None:
        """For about so long do some of what has time, in one transaction.  Raises StorageError."""

    def begin_checkpoint(self) -> Callable[[], None] | None:
        """The part of maintaining the log that takes long, for any thread; None: none is due.

        Commits go on meanwhile, and ``checkpoint`` does nothing; call it when that has returned.
        One at a time, over before ``close``; raises what ``checkpoint`` raises, there.
        """

    def cut_checkpoint_short(self) -> None:
        """The long part that is under way, if one is, ends soon; ``close`` does the rest."""

    def checkpoint(self, *, is_hurried: bool = False, is_pressed: bool = False) -> Wal:
        """Maintain the log; cheap unless it is due.  Call it after every ``apply``.

        ``is_hurried``: in small parts, as after ``retain``, of which senders notice nothing.
        ``is_pressed``: the disk is full; whatever room the log can do without is given back.
        Raises DiskFullError: the log goes on growing where there is room; try again.
        """

    def begin_capture(self, swap: str) -> None:
        """Keep a log of what changes from now on, for a migration; again does nothing.

        It is on when this returns, in every transaction, and after a restart of the writer too.
        One for another swap is ended.  Raises StorageError.
        """

    def end_capture(self) -> None:
        """Keep no log any more, and forget what there is of it.  Raises StorageError."""

    def capture(self) -> tuple[str, int]:
        """The swap that there is a log for, "" for none, and how many rows were put into it.

        Raises StorageError.
        """

    def close(self) -> None:
        """Leave one file that needs no recovery; give up the lock."""


class Reader(
    EventReader,
    PayloadReader,
    StreamReader,
    SizeReader,
    LossReader,
    SessionReader,
    CheckpointReader,
    StateReader,
    SubscriberReader,
    TreeReader,
    CountReader,
    TextReader,
    Protocol,
):
    """A reading side: sees what is committed, never waits for the writer, never stops it."""

    def shrink(self) -> None:
        """Give up the memory that earlier reads filled; what is read again takes longer once."""

    def close(self) -> None:
        """Let go of the database."""

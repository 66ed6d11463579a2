"""What a storage backend does: the writing side, of which there is one, and reading sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from holdfast.errors import HoldfastError, StorageError
from holdfast.storage.records import (
    Checkpoint,
    Command,
    DeadLetter,
    Dropped,
    EventFilter,
    Mark,
    Outcome,
    Position,
    Row,
    Session,
    StoredEvent,
)

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
        """

    def position(self) -> Position:
        """Where the database stands."""

    def mark(self, sender: str, incarnation: str, stream: str) -> Mark:
        """How far a sender's numbers are settled; zeroes for an unknown one."""

    def forget(self, sender: str, incarnation: str) -> None:
        """Drop marks and kept results of a sender that is gone for good."""

    def sync(self) -> None:
        """Everything committed so far survives power loss when it returns.

        Raises DiskFullError: it does not yet, try again.  After another StorageError nobody
        knows what reached the disk: end the process.
        """

    def checkpoint(self) -> Wal:
        """Maintain the log; cheap unless it is due.  Call it after every ``apply``.

        Raises DiskFullError: the log goes on growing where there is room; try again.
        """

    def close(self) -> None:
        """Leave one file that needs no recovery; give up the lock."""


class Reader(Protocol):
    """A reading side: sees what is committed, never waits for the writer, never stops it."""

    def last_seq(self) -> int:
        """The number of the newest event ever committed; 0 before the first."""

    def events(self, filter: EventFilter, limit: int, reverse: bool = False) -> list[StoredEvent]:
        """The first ``limit`` events asked for by number, or the last, newest first."""

    def count(self, filter: EventFilter) -> int:
        """How many events are asked for."""

    def newest(self, limit: int) -> list[Row]:
        """The last ``limit`` events, oldest first."""

    def range(self, after_seq: int, until_seq: int) -> list[Row]:
        """The events with ``after_seq < seq <= until_seq``, in order."""

    def session(self, id: str) -> Session | None:
        """As it was last written; it may have expired since."""

    def sessions(self, limit: int) -> list[Session]:
        """The newest touched ones, newest first."""

    def expired_sessions(self, now_us: int, limit: int) -> list[Session]:
        """Those whose time is over at ``now_us``, longest over first."""

    def checkpoint(self, agent: str) -> Checkpoint | None:
        """The newest one of an agent."""

    def checkpoints(self, agent: str, limit: int) -> list[Checkpoint]:
        """The newest ones of an agent, newest first."""

    def dead_letter(self, id: int) -> DeadLetter | None:
        """The one of that id."""

    def dead_letters(self, limit: int, max_bytes: int) -> list[DeadLetter]:
        """The newest ones, newest first; the one whose body passes ``max_bytes`` is the last."""

    def count_dead_letters(self) -> int:
        """How many there are."""

    def dropped(self, limit: int) -> list[Dropped]:
        """The newest losses, newest first."""

    def count_dropped(self) -> int:
        """How many numbers all losses together stand for."""

    def shrink(self) -> None:
        """Give up the memory that earlier reads filled; what is read again takes longer once."""

    def close(self) -> None:
        """Let go of the database."""

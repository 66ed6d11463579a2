"""What a migration moves between, what it tells of itself, and what it asks of a backend.

A row is the tuple of a table's values in the order of its ``columns`` (``catalog``), the same from
every backend: integers, floats, texts, bytes and None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final, Literal, Protocol

import msgspec

from holdfast.errors import SwapError
from holdfast.storage.migrating.catalog import Row, Table

__all__ = [
    "NO_BOUND",
    "AnewError",
    "ClashError",
    "Facts",
    "Logged",
    "Look",
    "Mode",
    "Place",
    "Progress",
    "Proof",
    "RefusedRowError",
    "Rows",
    "Source",
    "TableProof",
    "Target",
    "UnequalError",
]

# empty: nothing is copied, and the target begins with nothing.  require-empty: refuse unless the
# source holds nothing that anybody would miss.
Mode = Literal["copy", "empty", "require-empty"]
NO_BOUND: Final = 2**62  # bytes
Phase = Literal["checking", "emptying", "copying", "following", "complete"]


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a database is.  ``path`` of SQLite's, ``dsn`` of PostgreSQL's, resolved.

    ``home`` says whose the daemon is, as ``PostgresqlDatabase`` has it.
    """

    backend: Literal["sqlite", "memory", "postgresql"]
    daemon: str
    path: str = ""
    dsn: str = ""
    home: str = ""

    @property
    def where(self) -> str:
        """For people: nothing secret is in it."""
        if self.backend != "postgresql":
            return self.path
        from holdfast.storage.postgresql.connection import named

        return named(self.dsn)

    def __repr__(self) -> str:
        return f"Place({self.backend!r}, {self.where!r}, daemon={self.daemon!r})"


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far it is.

    ``rows`` of about ``total`` are copied, ``bytes`` of text and bytes in them.  ``behind``: rows
    that were changed or added since and are not at the target yet; ``followed`` those that were
    and are.  ``written`` rows by this try.  ``is_done``: of what was called, there is no more to do
    now.
    """

    phase: Phase
    table: str = ""
    rows: int = 0
    total: int = 0
    bytes: int = 0
    behind: int = 0
    followed: int = 0
    written: int = 0
    is_done: bool = False


class TableProof(msgspec.Struct, frozen=True):
    """``checksum`` is that of all rows together, whatever their order (``canonical``)."""

    name: str
    rows: int
    checksum: str


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What is at the target, read back from there; ``seconds`` that the last part of it took.

    ``tail`` counts the rows that were moved in it.
    """

    swap: str
    tables: tuple[TableProof, ...]
    last_seq: int
    tail: int
    seconds: float


class Logged(msgspec.Struct, frozen=True):
    """A row of the swap log: the row of ``table`` with that key was changed, added or deleted."""

    n: int
    table: str
    key: Row


# Looks at the label of a target and at how far it says to have come; before anything is changed.
Look = Callable[[str | None, str | None], None]

# Rows of ``meta`` that go with the data (``catalog.FACTS``).
Facts = dict[str, int | str]


class RefusedRowError(Exception):
    """A backend cannot hold one of the rows; it never leaves the package."""


class AnewError(SwapError):
    """A migration that was cut off cannot be taken up; it says why."""


class UnequalError(SwapError):
    """What was moved is not what there is: nothing that another try of it could mend."""


class ClashError(Exception):
    """A row at the target has a value that must be unique, and is stale; as that."""


class Rows(Protocol):
    """Both sides: asked in short transactions.  Raises StorageError."""

    def after(
        self, table: Table, key: Row | None, limit: int, max_bytes: int
    ) -> tuple[list[Row], bool]:
        """Rows in order of their key behind that one; whether they are the last.

        At most ``limit``, and no more than ``max_bytes`` of values, but at least one.
        """

    def having(self, table: Table, columns: Sequence[str], values: Sequence[Row]) -> list[Row]:
        """The rows with one of the values in those columns, which an index begins with."""

    def count(self, table: Table) -> int:
        """All of them: slow."""

    def facts(self) -> Facts:
        """Those that there are."""

    def last_seq(self) -> int:
        """The number of the newest event ever committed."""

    def epoch(self) -> int:
        """Of the last writer."""

    def close(self) -> None:
        """Let go of it."""


class Source(Rows, Protocol):
    """The old database, read beside its writer."""

    def snapshot(self) -> AbstractContextManager[None]:
        """One moment for all that is read within."""

    def capture(self) -> str | None:
        """The swap that its writer keeps a log for."""

    def lineage(self) -> str:
        """Another one once it may have lost what somebody has read."""

    def logged(self, after: int, limit: int) -> list[Logged]:
        """Of the log, in order."""

    def log_end(self) -> int:
        """The number of its last row; 0 for none."""

    def newest(self) -> int:
        """The number of the newest event that is there; 0 for none."""

    def lock(self) -> None:
        """Keep every writer out, until ``retire`` or ``close``.

        Raises AlreadyRunningError, StorageError while there is one.
        """

    def retire(self, swap: str, other: str, now_us: int) -> str:
        """Label it as old, for good, and let go of it; where it is now."""


class Target(Rows, Protocol):
    """The new database, which nobody else writes to."""

    def is_empty(self) -> bool:
        """Whether nothing of an earlier try is left.  Cheap."""

    def empty(self, seconds: float) -> bool:
        """Delete for about so long what an earlier try has left; whether it is all gone."""

    def transaction(self) -> AbstractContextManager[None]:
        """All of it or nothing; committed when it ends."""

    def insert(self, table: Table, rows: Sequence[Row]) -> None:
        """New ones.  Raises ClashError, RefusedRowError: the transaction is to be taken back."""

    def replace(self, table: Table, rows: Sequence[Row]) -> None:
        """Insert, or change the row of the same key.  Raises as ``insert``."""

    def delete(self, table: Table, keys: Sequence[Row]) -> None:
        """Those that there are."""

    def standing(self) -> str | None:
        """What ``keep`` has kept."""

    def keep(self, standing: str) -> None:
        """How far it is, within the transaction that it comes by."""

    def wrong_properties(self, rows: Sequence[Row]) -> str | None:
        """Read back what entities are found by; the id of one where that is not as it has to be."""

    def settle(self, facts: Facts, epoch: int) -> None:
        """Replace the facts, and have the next writer's epoch be above that one."""

    def complete(self) -> None:
        """Have all of it on the disk, labelled as complete, and let go of it."""

    def analyse(self) -> None:
        """Once it is copied: what questions are planned by, where that is not done by itself."""

    def keep_short(self) -> None:
        """Now and then: what a last fsync would have to write is written before."""

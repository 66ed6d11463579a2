"""What all reading parts stand on: one connection that cannot write, one statement at a time.

A statement left open would keep the writer's log from being checkpointed: each ends within the
call, and one that takes too long is ended.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Final, cast

import apsw

from holdfast.errors import HoldfastError, InvalidInputError
from holdfast.storage.sqlite_connection import REFUSALS, open_reading, storage_error

__all__ = ["Reading", "check_limit"]


# Steps of SQLite's virtual machine between looks at the clock: some 0.3 ms, and no cost to measure.
STEPS: Final = 10_000


class Reading:
    """Raises NoDatabaseError until a writer has made the file, SchemaError, StorageError.

    A statement that takes longer than ``statement_timeout`` seconds is ended; 0 lets all run.
    """

    def __init__(self, path: str | os.PathLike[str], *, statement_timeout: float = 0.0) -> None:
        self.path: Final = os.path.realpath(path)
        self._connection = open_reading(self.path)
        self._statement_timeout = statement_timeout
        self._deadline = 0.0  # of the statement under way
        if statement_timeout:
            self._connection.set_progress_handler(self._is_late, STEPS)

    def shrink(self) -> None:
        """Give up the page cache; what is read again takes longer once."""
        self._connection.pragma("shrink_memory")

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()

    def _read(
        self, sql: str, values: tuple[str | int | float | bytes, ...] = ()
    ) -> Sequence[tuple[apsw.SQLiteValue, ...]]:
        """All rows of one statement; callers know their types, for the tables are STRICT."""
        self._deadline = time.monotonic() + self._statement_timeout
        try:
            return self._connection.execute(sql, values).fetchall()
        except (*REFUSALS, apsw.Error) as error:
            raise self._reason(error) from error

    def _reason(self, error: Exception) -> HoldfastError:
        """What a statement ended with, in our words."""
        if isinstance(error, apsw.InterruptError):
            return InvalidInputError(
                f"the question takes longer than {self._statement_timeout} s to answer: narrow it "
                "(session, types, since, limit), or raise [actors.query] statement_timeout"
            )
        if isinstance(error, apsw.Error) and not isinstance(error, REFUSALS):
            return storage_error(error, self.path)
        if isinstance(error, UnicodeDecodeError):
            return storage_error(error, self.path)
        return InvalidInputError(f"a value that SQLite cannot look for: {error}")

    def _is_late(self) -> bool:
        return time.monotonic() > self._deadline

    def _number(self, sql: str, values: tuple[str | int | float, ...] = ()) -> int:
        return cast(int, self._read(sql, values)[0][0])


def check_limit(limit: int) -> None:
    """Raises InvalidInputError."""
    if limit < 0:
        raise InvalidInputError(f"limit: {limit}; expected 0 or more")

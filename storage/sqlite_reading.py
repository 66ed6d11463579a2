"""What all reading parts stand on: one connection that cannot write, one statement at a time.

A statement left open would keep the writer's log from being checkpointed: each ends within the
call.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final, cast

import apsw

from holdfast.errors import InvalidInputError
from holdfast.storage.sqlite_connection import REFUSALS, open_reading, storage_error

__all__ = ["Reading", "check_limit"]


class Reading:
    """Raises NoDatabaseError until a writer has made the file, SchemaError, StorageError."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: Final = os.path.realpath(path)
        self._connection = open_reading(self.path)

    def shrink(self) -> None:
        """Give up the page cache; what is read again takes longer once."""
        self._connection.pragma("shrink_memory")

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()

    def _read(
        self, sql: str, values: tuple[str | int | bytes, ...] = ()
    ) -> Sequence[tuple[apsw.SQLiteValue, ...]]:
        """All rows of one statement; callers know their types, for the tables are STRICT."""
        try:
            return self._connection.execute(sql, values).fetchall()
        except REFUSALS as error:
            raise InvalidInputError(f"a value that SQLite cannot look for: {error}") from error
        except apsw.Error as error:
            raise storage_error(error, self.path) from error

    def _number(self, sql: str, values: tuple[str | int, ...] = ()) -> int:
        return cast(int, self._read(sql, values)[0][0])


def check_limit(limit: int) -> None:
    """Raises InvalidInputError."""
    if limit < 0:
        raise InvalidInputError(f"limit: {limit}; expected 0 or more")

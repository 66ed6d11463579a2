"""What all reading parts stand on: one connection that cannot write, one statement at a time.

A connection that is lost is opened again by the next statement, which is then run once more: it
only asks.
"""

from __future__ import annotations

import math
from typing import Any, Final, cast

import psycopg
from psycopg import errors

from holdfast.errors import HoldfastError, InvalidInputError
from holdfast.storage.postgresql.connection import (
    REFUSALS,
    Connection,
    Values,
    connect,
    is_lost,
    named,
    storage_error,
    unreachable,
)
from holdfast.storage.postgresql.schema import check_version

__all__ = ["Reading", "check_limit"]


class Reading:
    """Raises NoDatabaseError until a writer has made the tables, UnreachableError, SchemaError,
    StorageError.

    A statement that takes longer than ``statement_timeout`` seconds is ended; 0 lets all run.
    """

    def __init__(self, dsn: str, *, daemon: str, statement_timeout: float = 0.0) -> None:
        self.where: Final = named(dsn)
        self._dsn = dsn
        self._daemon = daemon
        self._statement_timeout = statement_timeout
        self._connection = self._connect()

    def shrink(self) -> None:
        """Nothing here is as large as its pages: they are the server's."""

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()

    def _connect(self) -> Connection:
        connection = connect(self._dsn, application=f"holdfast {self._daemon} reading")
        try:
            check_version(connection, self.where)
            timeout = math.ceil(self._statement_timeout * 1e3)
            connection.run(
                "SET search_path = holdfast; SET default_transaction_read_only = on;"
                f" SET jit = off; SET statement_timeout = {timeout}"
            )
        except psycopg.Error as error:
            connection.close()
            raise storage_error(error, self.where) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _read(self, sql: str, values: Values = ()) -> list[tuple[Any, ...]]:
        """All rows of one statement; callers know their types."""
        if self._connection.closed:
            self._connection = self._connect()
        try:
            return self._fetch(sql, values)
        except psycopg.Error as error:
            if not is_lost(self._connection, error):
                raise self._reason(error) from error
            self._connection.close()
        except REFUSALS as error:
            raise self._reason(error) from error
        self._connection = self._connect()
        try:
            return self._fetch(sql, values)
        except psycopg.Error as error:
            if is_lost(self._connection, error):
                self._connection.close()
                raise unreachable(self.where) from error
            raise self._reason(error) from error

    def _fetch(self, sql: str, values: Values) -> list[tuple[Any, ...]]:
        cursor = self._connection.cursor(binary=True)
        return cursor.execute(sql, values or None).fetchall()

    def _reason(self, error: Exception) -> HoldfastError:
        """What a statement ended with, in our words."""
        if isinstance(error, errors.QueryCanceled):
            return self._too_slow()
        if isinstance(error, psycopg.Error) and not isinstance(error, REFUSALS):
            return storage_error(error, self.where)
        return InvalidInputError(f"a value that PostgreSQL cannot look for: {error}")

    def _too_slow(self) -> InvalidInputError:
        return InvalidInputError(
            f"the question takes longer than {self._statement_timeout} s to answer: narrow it "
            "(session, types, since, limit), or raise [actors.query] statement_timeout"
        )

    def _number(self, sql: str, values: Values = ()) -> int:
        return cast(int, self._read(sql, values)[0][0])


def check_limit(limit: int) -> None:
    """Raises InvalidInputError."""
    if limit < 0:
        raise InvalidInputError(f"limit: {limit}; expected 0 or more")

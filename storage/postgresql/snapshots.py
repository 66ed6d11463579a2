"""Several questions that see one moment of the database: a transaction that only reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import psycopg
from psycopg.pq import TransactionStatus

from holdfast.storage.postgresql.connection import is_lost, unreachable
from holdfast.storage.postgresql.reading import Reading

__all__ = ["Snapshots"]

# A plan for any value would be kept for values that are everywhere and for those that are rare.
_BEGIN: Final = (
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL plan_cache_mode = force_custom_plan"
)


class Snapshots(Reading):
    """What the parts share that ask more than one question for an answer."""

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Several questions that see the same moment, also within another one.

        Raises UnreachableError when the connection was lost between two of them.
        """
        if self._is_within():
            yield
            return
        self._begin()
        connection = self._connection
        try:
            yield
            if self._connection is not connection:
                raise unreachable(self.where)
        finally:
            if self._is_within():
                with suppress(psycopg.Error):  # then it is lost, and opened again by the next
                    self._connection.run("ROLLBACK")

    def _begin(self) -> None:
        if self._connection.closed:
            self._connection = self._connect()
        try:
            self._connection.run(_BEGIN)
        except psycopg.Error as error:
            if not is_lost(self._connection, error):
                raise self._reason(error) from error
            self._connection.close()
            self._connection = self._connect()
            self._connection.run(_BEGIN)

    def _is_within(self) -> bool:
        return self._connection.info.transaction_status in (
            TransactionStatus.INTRANS,
            TransactionStatus.INERROR,
        )

"""Rows of entities for one reply: read until it is full, all as of one moment."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, cast

import apsw
import msgspec

from holdfast.storage.sqlite_connection import REFUSALS
from holdfast.storage.sqlite_reading import Reading
from holdfast.storage.state_questions import EntityRow

__all__ = ["ENTITY", "StateRows"]

ENTITY: Final = "e.id, e.type, e.version, e.created_us, e.updated_us, e.properties"
OVERHEAD: Final = 600  # bytes of a row beside the text: two names of 256 characters, numbers
_BY_NUMBER: Final = f"""
SELECT {ENTITY} FROM json_each(?) AS j CROSS JOIN entities AS e ON e.number = j.value
"""
_BY_ID: Final = f"SELECT {ENTITY} FROM json_each(?) AS j CROSS JOIN entities AS e ON e.id = j.value"

_json: Final = msgspec.json.Encoder().encode


class StateRows(Reading):
    """What the parts that read relational state share."""

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Several questions that see the same moment, also within another one."""
        if self._connection.in_transaction:
            yield
            return
        self._read("BEGIN")
        try:
            yield
        finally:
            if self._connection.in_transaction:  # a statement that was ended may have ended it
                self._read("COMMIT")

    def entities_of(self, ids: Sequence[str], max_bytes: int) -> tuple[list[EntityRow], bool]:
        """Those there are, in the order of ``ids``, as many as fit, at least one; whether there
        are more."""
        return self._until_full(_BY_ID, _json(ids).decode(), max_bytes)

    def _entities_in(self, numbers: Sequence[int], max_bytes: int) -> list[EntityRow]:
        """In the order of ``numbers``, as many as fit, at least one."""
        return self._until_full(_BY_NUMBER, _json(numbers).decode(), max_bytes)[0]

    def _until_full(self, sql: str, keys: str, max_bytes: int) -> tuple[list[EntityRow], bool]:
        """All rows at once could be gigabytes: an entity has up to one megabyte."""
        rows, more = self._read_until(sql, (keys,), max_bytes, column=5)
        return cast("list[EntityRow]", rows), more

    def _read_until(
        self, sql: str, values: tuple[str | int | float, ...], max_bytes: int, *, column: int
    ) -> tuple[list[tuple[apsw.SQLiteValue, ...]], bool]:
        """Rows until the texts in a column are ``max_bytes`` together, at least one; whether there
        are more."""
        rows: list[tuple[apsw.SQLiteValue, ...]] = []
        size, more = 0, False
        self._deadline = time.monotonic() + self._statement_timeout
        cursor: apsw.Cursor | None = None
        try:
            cursor = self._connection.execute(sql, values)
            for row in cursor:
                text = cast("str | None", row[column]) or ""
                size += len(text) if text.isascii() else 4 * len(text)
                size += OVERHEAD
                if size > max_bytes and rows:
                    more = True
                    break
                rows.append(row)
        except (*REFUSALS, apsw.Error) as error:
            raise self._reason(error) from error
        finally:
            if cursor is not None:
                cursor.close()
        return rows, more

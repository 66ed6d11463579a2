"""Rows of entities for one reply: read until it is full, all as of one moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from holdfast.storage.postgresql.snapshots import Snapshots
from holdfast.storage.state_questions import EntityRow

__all__ = ["ENTITY", "StateRows"]

ENTITY: Final = "id, type, version, created_us, updated_us, properties"
OVERHEAD: Final = 600  # bytes of a row beside the text: two names of 256 characters, numbers
_OF_ENTITY: Final = ", ".join(f"e.{name}" for name in ENTITY.split(", "))
_BY_NUMBER: Final = f"""
SELECT {_OF_ENTITY} FROM unnest(%(keys)s::bigint[]) WITH ORDINALITY AS j(value, place)
JOIN entities AS e ON e.daemon = %(daemon)s AND e.number = j.value ORDER BY j.place
"""
_BY_ID: Final = f"""
SELECT {_OF_ENTITY} FROM unnest(%(keys)s::text[]) WITH ORDINALITY AS j(value, place)
JOIN entities AS e ON e.daemon = %(daemon)s AND e.id = j.value ORDER BY j.place
"""


class StateRows(Snapshots):
    """What the parts that read relational state share."""

    def entities_of(self, ids: Sequence[str], max_bytes: int) -> tuple[list[EntityRow], bool]:
        """Those there are, in the order of ``ids``, as many as fit, at least one; whether there
        are more."""
        return self._until_full(_BY_ID, list(ids), max_bytes)

    def _entities_in(self, numbers: Sequence[int], max_bytes: int) -> list[EntityRow]:
        """In the order of ``numbers``, as many as fit, at least one."""
        return self._until_full(_BY_NUMBER, list(numbers), max_bytes)[0]

    def _until_full(
        self, sql: str, keys: Sequence[object], max_bytes: int
    ) -> tuple[list[EntityRow], bool]:
        """All rows at once could be gigabytes: an entity has up to one megabyte."""
        return self._read_until(
            ENTITY, sql, {"keys": keys, "daemon": self._daemon}, max_bytes, text="properties"
        )

    def _read_until(
        self, columns: str, sql: str, values: dict[str, object], max_bytes: int, *, text: str
    ) -> tuple[list[Any], bool]:
        """Rows until the texts in a column are ``max_bytes`` together, at least one; whether there
        are more.

        The server leaves out what does not fit in any case, by bytes, which it knows without
        reading a text; here they are counted as for SQLite, so that pages end alike.  It always
        sends two, or nobody would know that there is a second one.
        """
        size = f"coalesce(octet_length({text}), 0) + {OVERHEAD}"
        sent = self._read(
            f"SELECT {columns} FROM (SELECT *, row_number() OVER () AS place, sum({size}) OVER"
            f" (ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before FROM ({sql}) AS asked)"
            " AS counted WHERE place <= 2 OR before <= %(max_bytes)s ORDER BY place",
            {**values, "max_bytes": max_bytes},
        )
        column = columns.split(", ").index(text)
        taken = 0
        for index, row in enumerate(sent):
            value: str = row[column] or ""
            taken += (len(value) if value.isascii() else 4 * len(value)) + OVERHEAD
            if taken > max_bytes and index:
                return sent[:index], True
        return sent, False

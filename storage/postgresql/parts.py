"""The tables of parts, writing side: each part once, for as long as a checkpoint names it.

Works within the caller's transaction, in as many statements for many parts as for one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from holdfast.storage.checkpoint_records import Part
from holdfast.storage.postgresql.connection import Connection

__all__ = ["HERE", "PartTable"]

SWEPT: Final = 50  # parts that nobody came to use, deleted at once

HERE: Final = "SELECT hash FROM checkpoint_parts WHERE daemon = %s AND hash = ANY(%s::bytea[])"
# An id is one more than the highest, as SQLite gives them: there is one writer.
_ADD: Final = """
WITH given AS (
    SELECT * FROM unnest(%(hashes)s::bytea[], %(sizes)s::bigint[], %(codecs)s::bigint[],
                         %(data)s::bytea[]) WITH ORDINALITY AS g (hash, size, codec, data, turn)
    WHERE hash NOT IN (SELECT hash FROM checkpoint_parts
                       WHERE daemon = %(daemon)s AND hash = ANY(%(hashes)s::bytea[]))
), fresh AS (
    INSERT INTO checkpoint_parts (daemon, id, hash, refs, held_us)
    SELECT %(daemon)s,
           coalesce((SELECT max(id) FROM checkpoint_parts WHERE daemon = %(daemon)s), 0)
               + row_number() OVER (ORDER BY turn),
           hash, 0, %(held_us)s
    FROM given RETURNING daemon, id, hash
)
INSERT INTO checkpoint_data (daemon, id, size, codec, data)
SELECT daemon, id, size, codec, data FROM fresh JOIN given USING (hash)
"""
_HOLD: Final = """
UPDATE checkpoint_parts SET held_us = greatest(held_us, %s)
WHERE daemon = %s AND hash = ANY(%s::bytea[])
"""
_REFER: Final = """
UPDATE checkpoint_parts SET refs = refs + 1 WHERE daemon = %s AND hash = ANY(%s::bytea[])
"""
_LET_GO: Final = """
UPDATE checkpoint_parts AS p SET refs = p.refs - g.count
FROM unnest(%s::bytea[], %s::bigint[]) AS g (hash, count)
WHERE p.daemon = %s AND p.hash = g.hash RETURNING p.id, p.refs, p.held_us
"""
_UNUSED: Final = """
SELECT id FROM checkpoint_parts WHERE daemon = %s AND refs = 0 AND held_us < %s
ORDER BY held_us LIMIT %s
"""
_DELETE: Final = """
WITH gone AS (
    DELETE FROM checkpoint_data WHERE daemon = %(daemon)s AND id = ANY(%(ids)s::bigint[])
    RETURNING octet_length(data) AS size
), also AS (
    DELETE FROM checkpoint_parts WHERE daemon = %(daemon)s AND id = ANY(%(ids)s::bigint[])
)
SELECT coalesce(sum(size), 0)::bigint FROM gone
"""


class PartTable:
    """What checkpoints are made of."""

    def __init__(self, connection: Connection, daemon: str) -> None:
        self._connection = connection
        self._daemon = daemon

    def missing(self, names: Iterable[bytes]) -> list[bytes]:
        """Those that are not there."""
        names = list(names)
        if not names:
            return []
        here = {name for (name,) in self._connection.rows(HERE, (self._daemon, names))}
        return [name for name in names if name not in here]

    def add(self, parts: Iterable[Part], *, held_us: int) -> None:
        """Keep those that are not there yet, until ``held_us`` whoever refers to them."""
        given: dict[bytes, Part] = {}
        for part in parts:
            given.setdefault(part.name, part)
        if not given:
            return
        if held_us:
            self._connection.run(_HOLD, (held_us, self._daemon, list(given)))
        values = {
            "daemon": self._daemon,
            "hashes": list(given),
            "sizes": [part.size for part in given.values()],
            "codecs": [part.codec for part in given.values()],
            "data": [part.data for part in given.values()],
            "held_us": held_us,
        }
        self._connection.run(_ADD, values)

    def refer(self, names: Iterable[bytes]) -> None:
        """One more checkpoint names them."""
        if names := list(names):
            self._connection.run(_REFER, (self._daemon, names))

    def let_go(self, names: Iterable[bytes], *, now_us: int) -> int:
        """One checkpoint less names each, as often as it is in it; the bytes of those gone."""
        counts = Counter(names)
        if not counts:
            return 0
        values = [*counts.keys()], [*counts.values()], self._daemon
        rows = self._connection.rows(_LET_GO, values)
        return self._delete([id for id, refs, held_us in rows if refs == 0 and held_us < now_us])

    def sweep(self, now_us: int) -> int:
        """Delete some that were put and never used; their bytes."""
        unused = self._connection.rows(_UNUSED, (self._daemon, now_us, SWEPT))
        return self._delete([id for (id,) in unused])

    def _delete(self, ids: list[int]) -> int:
        if not ids:
            return 0
        size: int = self._connection.value(_DELETE, {"daemon": self._daemon, "ids": ids})
        return size

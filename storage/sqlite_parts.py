"""The tables of parts, writing side: each part once, for as long as a checkpoint names it.

Works within the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast

import apsw

from holdfast.storage.checkpoint_records import Part

__all__ = ["PartTable"]

SWEPT: Final = 50  # parts that nobody came to use, deleted at once

_UNUSED: Final = "SELECT id FROM checkpoint_parts WHERE refs = 0 AND held_us < ? LIMIT ?"


class PartTable:
    """What checkpoints are made of."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def missing(self, names: Iterable[bytes]) -> list[bytes]:
        """Those that are not there."""
        sql = "SELECT id FROM checkpoint_parts WHERE hash = ?"
        return [name for name in names if self._connection.execute(sql, (name,)).get is None]

    def add(self, parts: Iterable[Part], *, held_us: int) -> None:
        """Keep those that are not there yet, until ``held_us`` whoever refers to them."""
        execute = self._connection.execute
        for part in parts:
            known = execute("SELECT id FROM checkpoint_parts WHERE hash = ?", (part.name,)).get
            if known is not None:
                if held_us:
                    execute(
                        "UPDATE checkpoint_parts SET held_us = max(held_us, ?) WHERE id = ?",
                        (held_us, known),
                    )
                continue
            execute(
                "INSERT INTO checkpoint_parts (hash, refs, held_us) VALUES (?, 0, ?)",
                (part.name, held_us),
            )
            execute(
                "INSERT INTO checkpoint_data (id, size, codec, data) VALUES (?, ?, ?, ?)",
                (self._connection.last_insert_rowid(), part.size, part.codec, part.data),
            )

    def refer(self, names: Iterable[bytes]) -> None:
        """One more checkpoint names them."""
        self._connection.executemany(
            "UPDATE checkpoint_parts SET refs = refs + 1 WHERE hash = ?",
            [(name,) for name in names],
        )

    def let_go(self, names: Iterable[bytes], *, now_us: int) -> int:
        """One checkpoint less names each, as often as it is in it; the bytes of those gone."""
        freed = 0
        for name in names:
            row = self._connection.execute(
                "UPDATE checkpoint_parts SET refs = refs - 1 WHERE hash = ?"
                " RETURNING id, refs, held_us",
                (name,),
            ).fetchall()
            for id, refs, held_us in cast("list[tuple[int, int, int]]", row):
                if refs == 0 and held_us < now_us:
                    freed += self._delete(id)
        return freed

    def sweep(self, now_us: int) -> int:
        """Delete some that were put and never used; their bytes."""
        unused = self._connection.execute(_UNUSED, (now_us, SWEPT)).fetchall()
        return sum(self._delete(cast(int, id)) for (id,) in unused)

    def _delete(self, id: int) -> int:
        execute = self._connection.execute
        size: int = execute(
            "DELETE FROM checkpoint_data WHERE id = ? RETURNING length(data)", (id,)
        ).get
        execute("DELETE FROM checkpoint_parts WHERE id = ?", (id,))
        return size

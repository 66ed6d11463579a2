"""Rows into the target, proven: what was written is read back, and counted in the same transaction.

Owns nothing that the target does not have: the sums of what is there, and how far that is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from holdfast.storage.migrating.bringing import Bringing
from holdfast.storage.migrating.catalog import BY_NAME, Row, Table
from holdfast.storage.migrating.ports import (
    NO_BOUND,
    ClashError,
    RefusedRowError,
    Source,
    Target,
)
from holdfast.storage.migrating.proving import proven, refusal, require_properties
from holdfast.storage.migrating.standing import Standing

__all__ = ["Writing"]


class Writing:
    """``standing`` is what the target keeps; ``written`` counts the rows of this process."""

    def __init__(self, source: Source, target: Target, standing: Standing) -> None:
        self._source = source
        self._target = target
        self.standing = standing
        self.written = 0

    def append(self, table: Table, rows: Sequence[Row]) -> None:
        """Those behind the last one that the target has.  Raises SwapError."""
        if not rows:
            return
        standing, after = self.standing, self.standing.after.get(table.name)
        last, size = table.key_of(rows[-1]), table.size_of(rows)
        if table.parents:
            rows = self._without_orphans(table, rows)
        if not rows:
            standing.after[table.name] = last
            return
        try:
            with self._target.transaction():
                self._target.insert(table, rows)
                found, _ = self._target.after(table, after, len(rows) + 1, NO_BOUND)
                require_properties(self._target, table, rows)
                standing.sums[table.name].add(proven(table, rows, found))
                standing.after[table.name] = last
                self._count(len(rows), size)
                self._target.keep(standing.encode())
        except ClashError:
            standing.after[table.name] = last
            self._count(len(rows), size)
            self.bring({table.name: [table.key_of(row) for row in rows]})
        except RefusedRowError as error:
            raise refusal(self._target, table, rows, self._target.insert, error) from error

    def bring(
        self, changed: Mapping[str, Iterable[Row]], *, logged: int = 0, rows: int = 0
    ) -> None:
        """Have rows with these keys, by table, as they are at the source; so many, and the log is
        followed up to ``logged`` then.  Raises SwapError."""
        self.standing.logged = logged or self.standing.logged
        self._count(rows, 0)
        Bringing(self._source, self._target, self.standing).run(changed)

    def keep(self) -> None:
        """How far it is, where no row came with that."""
        with self._target.transaction():
            self._target.keep(self.standing.encode())

    def _count(self, rows: int, size: int) -> None:
        self.written += rows
        self.standing.rows += rows
        self.standing.bytes += size

    def _without_orphans(self, table: Table, rows: Sequence[Row]) -> Sequence[Row]:
        """Those whose parents are at the target.

        The parents of the others were added after the log began, so they and these are in it.
        """
        for name, columns in table.parents:
            parent, named = BY_NAME[name], table.pick(columns)
            found = self._target.having(parent, parent.key, table.values(columns, rows))
            there = {parent.key_of(row) for row in found}
            rows = [row for row in rows if named(row) in there]
        return rows

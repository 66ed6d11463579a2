"""Rows into the target, proven: what was written is read back, and only then counted.

Owns the sums of what is at the target; they are lost with the process, and so is the migration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from holdfast.storage.migrating.bringing import Bringing
from holdfast.storage.migrating.canonical import Sum
from holdfast.storage.migrating.catalog import BY_NAME, TABLES, Row, Table
from holdfast.storage.migrating.ports import (
    NO_BOUND,
    ClashError,
    RefusedRowError,
    Source,
    TableProof,
    Target,
)
from holdfast.storage.migrating.proving import proven, refusal, require_properties

__all__ = ["Writing"]


class Writing:
    """``proofs`` are of what is there; ``rows`` counts those that were written."""

    def __init__(self, source: Source, target: Target) -> None:
        self._source = source
        self._target = target
        self._sums = {table.name: Sum() for table in TABLES}
        self.rows = 0

    @property
    def proofs(self) -> tuple[TableProof, ...]:
        """Of every table."""
        return tuple(total.proof(name) for name, total in self._sums.items())

    def append(self, table: Table, after: Row | None, rows: Sequence[Row]) -> None:
        """Rows behind the last one that the target has, which is ``after``.  Raises SwapError."""
        if table.parents:
            rows = self._without_orphans(table, rows)
        if not rows:
            return
        self.rows += len(rows)
        try:
            with self._target.transaction():
                self._target.insert(table, rows)
        except ClashError:
            self.bring({table.name: [table.key_of(row) for row in rows]})
            return
        except RefusedRowError as error:
            raise refusal(self._target, table, rows, self._target.insert, error) from error
        found, _ = self._target.after(table, after, len(rows) + 1, NO_BOUND)
        require_properties(self._target, table, rows)
        self._sums[table.name].add(proven(table, rows, found))

    def bring(self, changed: Mapping[str, Iterable[Row]]) -> None:
        """Have rows with these keys, by table, as they are at the source.  Raises SwapError."""
        Bringing(self._source, self._target, self._sums).run(changed)

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

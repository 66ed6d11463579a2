"""One transaction at the target: some rows as they are at the source by now.

The source always wins: a row at the target that has a value which must be unique, and which
another row has at the source, is stale, and goes; the swap log brings it as it is now, if it is.
Lost with a crash: nothing that the swap log does not have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from holdfast.storage.migrating.canonical import digests
from holdfast.storage.migrating.catalog import BY_NAME, TABLES, Row, Table
from holdfast.storage.migrating.ports import ClashError, RefusedRowError, Source, Target
from holdfast.storage.migrating.proving import proven, refusal, require_properties
from holdfast.storage.migrating.standing import Standing

__all__ = ["Bringing"]

# What takes rows of other tables along comes first, so that those are known when it is their turn.
_DEPENDENTS_LAST: Final = sorted(TABLES, key=lambda table: not table.dependents)

Keyed = dict[Row, Row]  # rows by key


class _RefusedError(Exception):
    """Of ``rows``; it never leaves this module."""

    def __init__(self, table: Table, rows: Sequence[Row]) -> None:
        super().__init__(table, rows)
        self.table = table
        self.rows = rows


class Bringing:
    """Used once: which rows there are, which there are to be, and what is in their way."""

    def __init__(self, source: Source, target: Target, standing: Standing) -> None:
        self._source = source
        self._target = target
        self._standing = standing
        self._keys: dict[str, set[Row]] = {}
        self._old: dict[str, Keyed] = {}  # at the target, to be changed or to go
        self._new: dict[str, Keyed] = {}  # as they are to be

    def run(self, changed: Mapping[str, Iterable[Row]]) -> None:
        """Rows with these keys, by table.  Raises SwapError; nothing is changed then."""
        self._keys = {name: set(keys) for name, keys in changed.items()}
        try:
            with self._target.transaction():
                added = self._bring()
                self._sum(added)
                self._target.keep(self._standing.encode())
        except _RefusedError as error:
            write, cause = self._target.replace, error.__cause__ or error
            raise refusal(self._target, error.table, error.rows, write, cause) from cause  # type: ignore[arg-type]  # as raised below

    def _sum(self, added: Mapping[str, list[bytes]]) -> None:
        sums = self._standing.sums
        for name, rows in self._old.items():
            sums[name].take(digests(rows.values()))
        for name, each in added.items():
            sums[name].add(each)

    def _bring(self) -> dict[str, list[bytes]]:
        for table in _DEPENDENTS_LAST:
            if keys := self._keys.get(table.name):
                self._look(table, list(keys))
        for table in TABLES:
            for name, columns in table.parents if self._new.get(table.name) else ():
                self._leave_orphans(table, BY_NAME[name], columns)
        for table in reversed(TABLES):
            if gone := self._gone(table):
                self._target.delete(table, gone)
        return {table.name: self._put(table) for table in TABLES if table.name in self._new}

    def _look(self, table: Table, keys: list[Row]) -> None:
        """Both sides of the rows; what is in the way; what goes with those that go."""
        new = self._source.having(table, table.key, keys)
        old = self._target.having(table, table.key, keys)
        for columns in table.unique:
            old += self._having(table, columns, table.values(columns, new))
        self._new[table.name] = {table.key_of(row): row for row in new}
        found = self._old[table.name] = {table.key_of(row): row for row in old}
        going = [found[key] for key in self._gone(table)]
        for name, columns, there in table.dependents:
            dependent = BY_NAME[name]
            rows = self._having(dependent, there, table.values(columns, going))
            self._keys.setdefault(name, set()).update(dependent.key_of(row) for row in rows)

    def _leave_orphans(self, table: Table, parent: Table, columns: tuple[str, ...]) -> None:
        """Leave out rows whose parent comes with a later part of the log: they come behind it."""
        rows, named = self._new[table.name], table.pick(columns)
        gone = set(self._gone(parent))
        old = self._having(parent, parent.key, table.values(columns, [*rows.values()]))
        there = {key for row in old if (key := parent.key_of(row)) not in gone}
        there |= self._new.get(parent.name, {}).keys()
        self._new[table.name] = {key: row for key, row in rows.items() if named(row) in there}

    def _having(self, table: Table, columns: tuple[str, ...], values: list[Row]) -> list[Row]:
        return self._target.having(table, columns, values) if values else []

    def _gone(self, table: Table) -> list[Row]:
        """Rows that are no more, and those in whose way a new one would be.

        A row whose unique values change is one of these too: two might exchange them.
        """
        new, old = self._new.get(table.name, {}), self._old.get(table.name, {})
        picks = [table.pick(columns) for columns in table.unique]
        return [
            key
            for key, row in old.items()
            if key not in new or any(pick(row) != pick(new[key]) for pick in picks)
        ]

    def _put(self, table: Table) -> list[bytes]:
        """The new rows; what is there now under all of the keys is just them."""
        rows = list(self._new[table.name].values())
        if rows:
            try:
                self._target.replace(table, rows)
            except (ClashError, RefusedRowError) as error:
                raise _RefusedError(table, rows) from error
        found = self._target.having(table, table.key, list(self._keys[table.name]))
        require_properties(self._target, table, rows)
        return proven(table, rows, found)

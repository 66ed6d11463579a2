"""A daemon's data in PostgreSQL that is being filled: its only session until it is complete."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final, cast

import psycopg
from psycopg import errors

from holdfast.errors import InvalidInputError, SwapError
from holdfast.storage.migrating.catalog import (
    BY_NAME,
    EVENTS,
    FACTS,
    INDEXED,
    TABLES,
    Row,
    Table,
)
from holdfast.storage.migrating.labels import LABEL, STANDING, Label, decode, encode
from holdfast.storage.migrating.ports import (
    AnewError,
    ClashError,
    Facts,
    Look,
    Place,
    RefusedRowError,
)
from holdfast.storage.migrating.postgresql_capture import end_steps
from holdfast.storage.migrating.postgresql_rows import (
    SETTINGS,
    PostgresqlRows,
    arrays,
    by_column,
    has_any,
    matching,
    named_error,
    open_rows,
)
from holdfast.storage.migrating.sqlite_rows import listed
from holdfast.storage.ports import NoDatabaseError
from holdfast.storage.postgresql.connection import REFUSALS, named
from holdfast.storage.postgresql.keys import check_indexed, key_of
from holdfast.storage.postgresql.session import Session, open_session
from holdfast.storage.postgresql.text import MARK, escaped, escaped_values
from holdfast.storage.state_values import KEY_LENGTH, comparable, parsed

__all__ = ["PostgresqlTarget", "forget_rows"]

_PROPERTIES: Final = ("entity", "name", "type", "kind", "key_number", "key_text", "rest", "whole")
_TEXTS: Final = (1, 2, 5, 6, 7)  # of these
_SET: Final = """
INSERT INTO meta (daemon, name, value) VALUES (%s, %s, %s)
ON CONFLICT (daemon, name) DO UPDATE SET value = excluded.value
"""
_UNSET: Final = "DELETE FROM meta WHERE daemon = %s AND name = %s"
_SLICE: Final = 5_000  # rows deleted at once
_LEFT: Final = (*(table.name for table in reversed(TABLES)), "properties")
_ENTITIES: Final = BY_NAME["entities"]


class PostgresqlTarget(PostgresqlRows):
    """Implements ``ports.Target``.  Raises SwapError when it is somebody's, UnreachableError,
    SchemaError, StorageError."""

    def __init__(
        self, place: Place, label: Label, *, is_old: bool = False, look: Look | None = None
    ) -> None:
        where = named(place.dsn)
        if not is_old:
            _require_ours(place, where, look)
        try:
            self._session = _session(place, where)
            connection = self._session.connection
            super().__init__(connection, place.daemon, where)
            self._label = label
            try:
                connection.run(SETTINGS)
                with self.transaction():
                    self._set(LABEL, encode(label))
                    if look is None:
                        connection.run(_UNSET, (place.daemon, STANDING))
                for step in end_steps(place.daemon):
                    with self.transaction():
                        connection.run(step)
                self._left = [name for name in _LEFT if look is None and self._has_any(name)]
            except BaseException:
                connection.close()
                raise
        except psycopg.Error as error:
            raise named_error(error, connection, where) from error

    def is_empty(self) -> bool:
        """Whether nothing of an earlier try is left."""
        return not self._left

    def empty(self, seconds: float) -> bool:
        """Delete for about so long what an earlier try has left; whether it is all gone."""
        end = time.monotonic() + seconds
        while self._left:
            name = self._left[0]
            some = f"SELECT ctid FROM {name} WHERE daemon = %s LIMIT {_SLICE}"
            with self._naming(), self.transaction():
                done = self._connection.run(
                    f"DELETE FROM {name} WHERE ctid = ANY(ARRAY({some}))", (self._daemon,)
                )
            if done.rowcount < _SLICE and not self._has_any(name):
                self._left.pop(0)
            if time.monotonic() >= end:
                break
        return not self._left

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing; committed when it ends.  Nobody else's: the epoch is ours."""
        with self._naming():
            self._session.begin()
        try:
            yield
            with self._naming():
                self._session.commit()
        except BaseException:
            with suppress(psycopg.Error):
                self._session.rollback()
            raise

    def insert(self, table: Table, rows: Sequence[Row]) -> None:
        """New ones.  Raises ClashError, RefusedRowError: the transaction is to be taken back."""
        if table is EVENTS:
            self._require_own(rows)
        columns = tuple(table.columns)
        with self._refusing():
            self._copy(table.name, columns, rows, table.texts)
            if table is _ENTITIES:
                self._copy("properties", _PROPERTIES, list(_properties_of(rows)), _TEXTS)

    def replace(self, table: Table, rows: Sequence[Row]) -> None:
        """Insert, or change the row of the same key.  Raises as ``insert``."""
        if table is EVENTS:
            self._require_own(rows)
        columns = tuple(table.columns)
        others = [column for column in columns[table.width :] if column != "daemon"]
        changed = ", ".join(f'"{column}" = excluded."{column}"' for column in others)
        head, key = ("", ()) if "daemon" in columns else ("daemon, ", (self._daemon,))
        values = ", ".join(["%s"] * (len(key) + len(columns)))
        with self._refusing():
            self._connection.many(
                f"INSERT INTO {table.name} ({head}{listed(columns)}) VALUES ({values})"
                f" ON CONFLICT (daemon, {listed(table.key)}) DO"
                f" {f'UPDATE SET {changed}' if changed else 'NOTHING'}",
                [(*key, *row) for row in rows],
            )
            if table is _ENTITIES:
                self._drop_properties(rows)
                self._copy("properties", _PROPERTIES, list(_properties_of(rows)), _TEXTS)

    def delete(self, table: Table, keys: Sequence[Row]) -> None:
        """Those that there are."""
        with self._naming():
            self._connection.run(
                f"DELETE FROM {table.name} AS each USING {arrays(table, table.key)}"
                f" WHERE each.daemon = %s AND {matching(table.key, 'each')}",
                (*by_column(keys), self._daemon),
            )
            if table is _ENTITIES:
                self._drop_properties(keys)

    def keep(self, standing: str) -> None:
        """How far it is, within the transaction that it comes by."""
        with self._naming():
            self._set(STANDING, standing)

    def wrong_properties(self, rows: Sequence[Row]) -> str | None:
        """Read back what entities are found by; the id of one where that is not as it has to be."""
        sql = (
            f"SELECT {listed(_PROPERTIES)} FROM properties"
            " WHERE daemon = %s AND entity = ANY(%s::bigint[])"
        )
        found = set(self._rows(sql, (self._daemon, [row[0] for row in rows])))
        for row in rows:
            wanted = set(_properties_of([row]))
            if not wanted <= found:
                return cast(str, row[1])
            found -= wanted
        stray = {row[0] for row in found}
        return next((cast(str, row[1]) for row in rows if row[0] in stray), None)

    def settle(self, facts: Facts, epoch: int) -> None:
        """Replace the facts, and have the next writer's epoch be above that one.

        Nothing that came is in the full-text index, whatever a writer has said here before.
        """
        names = [*FACTS, INDEXED]
        sql = "DELETE FROM meta WHERE daemon = %s AND name = ANY(%s)"
        with self._naming():
            self._connection.run(sql, (self._daemon, names))
            for name, value in facts.items():
                self._set(name, str(value))
            self._session.epoch = self._connection.value(
                "UPDATE daemons SET epoch = greatest(epoch, %s) WHERE daemon = %s RETURNING epoch",
                (epoch, self._daemon),
            )

    def complete(self) -> None:
        """Have all of it on the disk, labelled as complete, and let go of it."""
        whole = Label(
            state="complete", swap=self._label.swap, other=self._label.other, at=self._label.at
        )
        with self.transaction(), self._naming():
            self._set(LABEL, encode(whole))
        self.close()

    def keep_short(self) -> None:
        """Every COMMIT was on the server's disk."""

    def analyse(self) -> None:
        """Once it is copied: what questions are planned by."""
        with self._naming():
            for table in TABLES:
                self._connection.run(f"ANALYZE {table.name}")
            self._connection.run("ANALYZE properties")

    def vanish(self) -> None:
        """Have nothing be left of the daemon here."""
        with self._naming(), self._connection.transaction():
            for table in ("meta", "session_totals", "daemons"):
                self._connection.run(f"DELETE FROM {table} WHERE daemon = %s", (self._daemon,))

    def _copy(
        self, table: str, columns: Sequence[str], rows: Sequence[Row], texts: Sequence[int]
    ) -> None:
        head, key = ("", ()) if "daemon" in columns else ("daemon, ", (escaped(self._daemon),))
        statement = f"COPY {table} ({head}{listed(columns)}) FROM STDIN"
        with self._connection.cursor().copy(statement) as copy:
            write = copy.write_row
            if has_any(rows, texts, "\0", MARK):
                rows = [escaped_values(row) for row in rows]
            for row in rows:
                write((*key, *row))

    def _drop_properties(self, rows: Sequence[Row]) -> None:
        sql = "DELETE FROM properties WHERE daemon = %s AND entity = ANY(%s::bigint[])"
        self._connection.run(sql, (self._daemon, [row[0] for row in rows]))

    def _require_own(self, rows: Sequence[Row]) -> None:
        for row in rows:
            if row[1] != self._daemon:
                raise RefusedRowError(
                    f"it is of daemon {row[1]!r}, and here are the events of {self._daemon!r}"
                )

    def _set(self, name: str, value: str) -> None:
        self._connection.run(_SET, (self._daemon, name, value))

    def _has_any(self, table: str) -> bool:
        sql = f"SELECT 1 FROM {table} WHERE daemon = %s LIMIT 1"
        return bool(self._rows(sql, (self._daemon,)))

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except errors.UniqueViolation as error:
            raise ClashError from error
        except InvalidInputError as error:
            raise RefusedRowError(str(error)) from error
        except REFUSALS as error:
            text = error.diag.message_primary if isinstance(error, psycopg.Error) else None
            raise RefusedRowError(text or type(error).__name__) from error
        except psycopg.Error as error:
            raise named_error(error, self._connection, self.where) from error


def _properties_of(entities: Sequence[Row]) -> Iterator[Row]:
    """Rows of ``properties``.  Raises InvalidInputError for what has no room in an index."""
    for number, _, type, *_, text in entities:
        for name, value in parsed(text, "properties").items():
            kind, exact, key, rest = key_of(comparable(value))
            what = f"property {name!r} of type {type!r}"
            check_indexed(what, name, type, key, rest, number=exact)
            whole = value if isinstance(value, str) and len(value) > KEY_LENGTH else None
            yield number, name, type, kind, exact, key, rest, whole


def forget_rows(place: Place, seconds: float) -> bool:
    """Delete for about so long all that there is of the daemon; whether it is gone."""
    label = Label(state="filling", swap="forget", other="nowhere", at=0)
    target = PostgresqlTarget(place, label, is_old=True)
    try:
        if not target.empty(seconds):
            return False
        target.vanish()
        return True
    finally:
        target.close()


def _session(place: Place, where: str) -> Session:
    return open_session(
        place.dsn, daemon=place.daemon, home=place.home, where=where, is_filling=True
    )


def _require_ours(place: Place, where: str, look: Look | None) -> None:
    """Raise SwapError when there is data of the daemon that no swap has left half filled."""
    try:
        connection = open_rows(place.dsn, place.daemon, "checking")
    except NoDatabaseError as error:
        if look is not None:
            raise AnewError("the target is not there any more") from error
        return
    rows = PostgresqlRows(connection, place.daemon, where)
    try:
        label = decode(rows.label())
        if look is not None:
            look(rows.label(), rows.standing())
        is_ours = label is not None and (label.state == "filling" or rows.home() == place.home)
        if label is not None and label.state != "old" and is_ours:
            return
        there = label or any(rows.after(table, None, 1, 0)[0] for table in TABLES)
    finally:
        rows.close()
    if there:
        raise SwapError(
            f"{where}: holds data of daemon {place.daemon!r} already, which no swap has left half "
            "filled: delete it with `holdfast swap forget`, or give the daemon another name"
        )

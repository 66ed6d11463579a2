"""The SQLite database, reading side: sees what is committed, and cannot write.

Every read is one or two statements that end within the call: a statement left open would keep
the writer's log from being checkpointed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final, cast

import apsw

from holdfast.errors import InvalidInputError
from holdfast.storage.filters import EventFilter, is_glob
from holdfast.storage.records import (
    Checkpoint,
    DeadLetter,
    Dropped,
    Row,
    Session,
    StoredEvent,
)
from holdfast.storage.sqlite_connection import REFUSALS, open_reading, storage_error
from holdfast.storage.sqlite_events import LAST_SEQ

__all__ = ["SqliteReader"]

_EVENT: Final = (
    "seq, daemon, time_us, type, source, subject, session, correlation, cause, root, depth, key,"
    " data"
)
_SESSION: Final = "id, data, version, created_us, touched_us, expires_us, ttl, max_age"
_BY_SESSION: Final = "INDEXED BY events_by_session"
_CHECKPOINT: Final = "agent, id, created_us, state"
_LETTER: Final = (
    "id, actor, sender, incarnation, stream, number, kind, reason, deaths, time_us, body"
)
# Lengths first: they stand in the row's head, while bodies of megabytes would have to be read.
_NEWEST_LETTERS: Final = f"""
WITH newest AS (SELECT id, length(body) AS size FROM dead_letters ORDER BY id DESC LIMIT ?),
     summed AS (SELECT id, sum(size) OVER (ORDER BY id DESC) - size AS before FROM newest)
SELECT {_LETTER} FROM dead_letters
WHERE id IN (SELECT id FROM summed WHERE before <= ?) ORDER BY id DESC
"""
_DROPPED: Final = "id, time_us, sender, incarnation, stream, first, last, count, reason"

# Events next to where a query begins are read in order, which ends as soon as there are enough
# and is all that following needs.  Only what is further away is worth an index and a sort.
NEAR: Final = 5_000

_SessionRow = tuple[str, str, str, int, int, int, float, float | None]
_CheckpointRow = tuple[str, int, int, str]
_LetterRow = tuple[int, str, str, str, str, int, str, str, int, int, bytes]
_DroppedRow = tuple[int, int, str | None, str | None, str | None, int | None, int | None, int, str]

# A condition in SQL and the values of its parameters.
_Condition = tuple[str, tuple[str | int, ...]]


class SqliteReader:
    """Implements ``holdfast.storage.ports.Reader``.

    Raises NoDatabaseError until a writer has made the file, SchemaError, StorageError.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: Final = os.path.realpath(path)
        self._connection = open_reading(self.path)

    def last_seq(self) -> int:
        """The number of the newest event ever committed; 0 before the first."""
        return self._number(LAST_SEQ)

    def events(self, filter: EventFilter, limit: int, reverse: bool = False) -> list[StoredEvent]:
        """The first ``limit`` events asked for by number, or the last, newest first."""
        filter.check()
        _check_limit(limit)
        first, last = self._bounds(filter)
        if filter.session is not None:
            rows = self._select(filter, (first, last), limit, reverse, _BY_SESSION)
            return [StoredEvent(*row) for row in rows]
        edge = max(first, last - NEAR + 1) if reverse else min(last, first + NEAR - 1)
        near = (edge, last) if reverse else (first, edge)
        far = (first, edge - 1) if reverse else (edge + 1, last)
        rows = self._select(filter, near, limit, reverse, "NOT INDEXED")
        if len(rows) < limit and far[0] <= far[1]:
            rows += self._far(filter, far, limit - len(rows), reverse)
        return [StoredEvent(*row) for row in rows]

    def count(self, filter: EventFilter) -> int:
        """How many events are asked for."""
        filter.check()
        where, values = _join([*_conditions(filter), *_seq_conditions(filter)])
        return self._number(f"SELECT count(*) FROM events WHERE {where}", values)

    def newest(self, limit: int) -> list[Row]:
        """The last ``limit`` events, oldest first."""
        _check_limit(limit)
        sql = f"SELECT {_EVENT} FROM events ORDER BY seq DESC LIMIT ?"
        rows = cast("list[Row]", self._read(sql, (limit,)))
        rows.reverse()
        return rows

    def range(self, after_seq: int, until_seq: int) -> list[Row]:
        """The events with ``after_seq < seq <= until_seq``, in order."""
        sql = f"SELECT {_EVENT} FROM events WHERE seq > ? AND seq <= ? ORDER BY seq"
        return cast("list[Row]", self._read(sql, (after_seq, until_seq)))

    def session(self, id: str) -> Session | None:
        """As it was last written; it may have expired since."""
        found = self._sessions(f"SELECT {_SESSION} FROM sessions WHERE id = ?", (id,))
        return found[0] if found else None

    def sessions(self, limit: int) -> list[Session]:
        """The newest touched ones, newest first."""
        _check_limit(limit)
        sql = f"SELECT {_SESSION} FROM sessions ORDER BY touched_us DESC LIMIT ?"
        return self._sessions(sql, (limit,))

    def expired_sessions(self, now_us: int, limit: int) -> list[Session]:
        """Those whose time is over at ``now_us``, longest over first."""
        _check_limit(limit)
        sql = (
            f"SELECT {_SESSION} FROM sessions WHERE expires_us <= ? ORDER BY expires_us, id LIMIT ?"
        )
        return self._sessions(sql, (now_us, limit))

    def checkpoint(self, agent: str) -> Checkpoint | None:
        """The newest one of an agent."""
        return next(iter(self.checkpoints(agent, 1)), None)

    def checkpoints(self, agent: str, limit: int) -> list[Checkpoint]:
        """The newest ones of an agent, newest first."""
        _check_limit(limit)
        sql = f"SELECT {_CHECKPOINT} FROM checkpoints WHERE agent = ? ORDER BY id DESC LIMIT ?"
        rows = cast("list[_CheckpointRow]", self._read(sql, (agent, limit)))
        return [Checkpoint(*row) for row in rows]

    def dead_letter(self, id: int) -> DeadLetter | None:
        """The one of that id."""
        found = self._letters(f"SELECT {_LETTER} FROM dead_letters WHERE id = ?", (id,))
        return found[0] if found else None

    def dead_letters(self, limit: int, max_bytes: int) -> list[DeadLetter]:
        """The newest ones, newest first; the one whose body passes ``max_bytes`` is the last."""
        _check_limit(limit)
        return self._letters(_NEWEST_LETTERS, (limit, max_bytes))

    def count_dead_letters(self) -> int:
        """How many there are."""
        return self._number("SELECT count(*) FROM dead_letters")

    def dropped(self, limit: int) -> list[Dropped]:
        """The newest losses, newest first."""
        _check_limit(limit)
        sql = f"SELECT {_DROPPED} FROM dropped ORDER BY id DESC LIMIT ?"
        return [Dropped(*row) for row in cast("list[_DroppedRow]", self._read(sql, (limit,)))]

    def count_dropped(self) -> int:
        """How many numbers all losses together stand for."""
        return self._number("SELECT coalesce(sum(count), 0) FROM dropped")

    def shrink(self) -> None:
        """Give up the page cache; what is read again takes longer once."""
        self._connection.pragma("shrink_memory")

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()

    def _read(
        self, sql: str, values: tuple[str | int, ...] = ()
    ) -> Sequence[tuple[apsw.SQLiteValue, ...]]:
        """All rows of one statement; callers know their types, for the tables are STRICT."""
        try:
            return self._connection.execute(sql, values).fetchall()
        except REFUSALS as error:
            raise InvalidInputError(f"a value that SQLite cannot look for: {error}") from error
        except apsw.Error as error:
            raise storage_error(error, self.path) from error

    def _number(self, sql: str, values: tuple[str | int, ...] = ()) -> int:
        return cast(int, self._read(sql, values)[0][0])

    def _sessions(self, sql: str, values: tuple[str | int, ...]) -> list[Session]:
        return [Session(*row) for row in cast("list[_SessionRow]", self._read(sql, values))]

    def _letters(self, sql: str, values: tuple[int, ...]) -> list[DeadLetter]:
        return [DeadLetter(*row) for row in cast("list[_LetterRow]", self._read(sql, values))]

    def _bounds(self, filter: EventFilter) -> tuple[int, int]:
        """The lowest and the highest number that can be asked for."""
        first = self._number("SELECT coalesce(min(seq), 1) FROM events")
        last = self._number("SELECT coalesce(max(seq), 0) FROM events")
        if filter.after is not None:
            first = max(first, filter.after + 1)
        if filter.before is not None:
            last = min(last, filter.before - 1)
        return first, last

    def _select(
        self, filter: EventFilter, span: tuple[int, int], limit: int, reverse: bool, how: str
    ) -> list[Row]:
        """What is asked for within a span of numbers; NOT INDEXED walks the table in order."""
        where, values = _join([*_conditions(filter), ("seq BETWEEN ? AND ?", span)])
        sql = f"SELECT {_EVENT} FROM events {how} WHERE {where} {_order(reverse)}"
        return cast("list[Row]", self._read(sql, (*values, limit)))

    def _far(
        self, filter: EventFilter, span: tuple[int, int], limit: int, reverse: bool
    ) -> list[Row]:
        if filter.source is not None or _is_only_numbers(filter):
            return self._select(filter, span, limit, reverse, "NOT INDEXED")
        # The index holds all that is looked at: only the rows found are read from the table.
        where, values = _join([*_conditions(filter), ("seq BETWEEN ? AND ?", span)])
        found = f"SELECT seq FROM events INDEXED BY events_by_time WHERE {where} {_order(reverse)}"
        sql = f"SELECT {_EVENT} FROM events WHERE seq IN ({found}) {_order(reverse)}"
        return cast("list[Row]", self._read(sql, (*values, limit, limit)))


def _check_limit(limit: int) -> None:
    if limit < 0:
        raise InvalidInputError(f"limit: {limit}; expected 0 or more")


def _is_only_numbers(filter: EventFilter) -> bool:
    return not filter.types and filter.since_us is None and filter.until_us is None


def _order(reverse: bool) -> str:
    return f"ORDER BY seq {'DESC' if reverse else 'ASC'} LIMIT ?"


def _join(conditions: Sequence[_Condition]) -> tuple[str, tuple[str | int, ...]]:
    """All of them, as the text behind WHERE and its values."""
    if not conditions:
        return "true", ()
    where = " AND ".join(sql for sql, _ in conditions)
    return where, tuple(value for _, values in conditions for value in values)


def _conditions(filter: EventFilter) -> list[_Condition]:
    """The filter but for sequence numbers; agrees with ``EventFilter.compile``."""
    found: list[_Condition] = []
    if filter.types:
        alternatives = [_type_condition(pattern) for pattern in filter.types]
        sql, values = zip(*alternatives, strict=True)
        found.append((f"({' OR '.join(sql)})", values))
    if filter.session is not None:
        found.append(("session = ?", (filter.session,)))
    if filter.source is not None:
        found.append(("source = ?", (filter.source,)))
    if filter.since_us is not None:
        found.append(("time_us >= ?", (filter.since_us,)))
    if filter.until_us is not None:
        found.append(("time_us < ?", (filter.until_us,)))
    return found


def _seq_conditions(filter: EventFilter) -> list[_Condition]:
    found: list[_Condition] = []
    if filter.after is not None:
        found.append(("seq > ?", (filter.after,)))
    if filter.before is not None:
        found.append(("seq < ?", (filter.before,)))
    return found


def _type_condition(pattern: str) -> tuple[str, str]:
    """SQLite's GLOB also knows ``[...]``; a bracket in a set of its own is only a bracket."""
    if is_glob(pattern):
        return "type GLOB ?", pattern.replace("[", "[[]")
    return "type = ?", pattern

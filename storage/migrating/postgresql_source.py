"""A daemon's data in PostgreSQL that is left: read beside its writer, locked, then labelled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import msgspec
import psycopg
from psycopg import errors

from holdfast.errors import AlreadyRunningError
from holdfast.storage.migrating.labels import LABEL, Label, encode
from holdfast.storage.migrating.ports import Logged, Place
from holdfast.storage.migrating.postgresql_capture import captured, log_of
from holdfast.storage.migrating.postgresql_rows import PostgresqlRows, named_error, open_rows
from holdfast.storage.postgresql.connection import Connection, named
from holdfast.storage.postgresql.text import unescaped

__all__ = ["PostgresqlSource"]

_LOCK: Final = "SET LOCAL lock_timeout = 5000; SET LOCAL synchronous_commit = on"
_SET: Final = """
INSERT INTO meta (daemon, name, value) VALUES (%s, %s, %s)
ON CONFLICT (daemon, name) DO UPDATE SET value = excluded.value
"""
_SERVER: Final = """
SELECT (SELECT system_identifier FROM pg_control_system()),
    (SELECT timeline_id FROM pg_control_checkpoint())
"""
_key: Final = msgspec.json.Decoder(list).decode


class PostgresqlSource(PostgresqlRows):
    """Implements ``ports.Source``.  Raises NoDatabaseError, UnreachableError, SchemaError."""

    def __init__(self, place: Place) -> None:
        self._dsn = place.dsn
        connection = open_rows(place.dsn, place.daemon, "swapping")
        super().__init__(connection, place.daemon, named(place.dsn))
        self._lock: Connection | None = None

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """One moment for all that is read within."""
        with self._naming():
            self._connection.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            yield
        finally:
            with suppress(psycopg.Error):
                self._connection.run("ROLLBACK")

    def capture(self) -> str | None:
        """The swap that its writer keeps a log for."""
        with self._naming():
            return captured(self._connection, self._daemon)

    def lineage(self) -> str:
        """Another one after a restore, of the server or of the daemon's data; what it has
        acknowledged it has on its disk."""
        (server,) = self._rows(_SERVER)
        return f"{server[0]} {server[1]} {self.facts().get('forks', '')}"

    def logged(self, after: int, limit: int) -> list[Logged]:
        """Of the log, in order."""
        sql = f"SELECT n, tab, key FROM {log_of(self._daemon)} WHERE n > %s ORDER BY n LIMIT %s"
        return [
            Logged(n, table, tuple(_restored(part) for part in _key(key)))
            for n, table, key in self._rows(sql, (after, limit))
        ]

    def log_end(self) -> int:
        """The number of its last row; 0 for none."""
        if self.capture() is None:
            return 0
        sql = f"SELECT coalesce(max(n), 0) FROM {log_of(self._daemon)}"
        return int(self._rows(sql)[0][0])

    def newest(self) -> int:
        """The number of the newest event that is there; 0 for none."""
        sql = "SELECT coalesce(max(seq), 0) FROM events WHERE daemon = %s"
        return int(self._rows(sql, (self._daemon,))[0][0])

    def lock(self) -> None:
        """Keep every writer out, until ``retire`` or ``close``: each begins with that row."""
        if self._lock is not None:
            return
        lock = open_rows(self._dsn, self._daemon, "swapping")
        try:
            lock.run("BEGIN")
            lock.run(_LOCK)
            lock.run("SELECT 1 FROM daemons WHERE daemon = %s FOR UPDATE", (self._daemon,))
        except errors.LockNotAvailable as error:
            lock.close()
            raise AlreadyRunningError(
                f"{self.where}: a writer of daemon {self._daemon!r} is in the middle of something: "
                "stop it first"
            ) from error
        except psycopg.Error as error:
            lock.close()
            raise named_error(error, lock, self.where) from error
        self._lock = lock

    def retire(self, swap: str, other: str, now_us: int) -> str:
        """Label it as old, for good, and let go of it; where it is now.

        A writer that still has the epoch is fenced by that.
        """
        self.lock()
        lock = self._lock
        assert lock is not None
        label = Label(state="old", swap=swap, other=other, at=now_us)
        try:
            lock.run(_SET, (self._daemon, LABEL, encode(label)))
            lock.run("UPDATE daemons SET epoch = epoch + 1 WHERE daemon = %s", (self._daemon,))
            lock.run("COMMIT")
        except psycopg.Error as error:
            raise named_error(error, lock, self.where) from error
        finally:
            self.close()
        return f"{self.where}, daemon {self._daemon!r}"

    def close(self) -> None:
        """Let go of it."""
        super().close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _restored(part: object) -> object:
    return unescaped(part) if isinstance(part, str) else part

"""An SQLite database that is left: read beside its writer, then locked, then moved aside."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, cast

import apsw
import msgspec

from holdfast.storage.atomic_files import disk_errors, sync_folder
from holdfast.storage.migrating.labels import CAPTURE
from holdfast.storage.migrating.ports import Logged, Place
from holdfast.storage.migrating.sqlite_rows import SqliteRows, naming
from holdfast.storage.restoring import aside_of
from holdfast.storage.sqlite_connection import open_reading
from holdfast.storage.sqlite_doubt import settle_doubt
from holdfast.storage.sqlite_lock import WriterLock
from holdfast.storage.sqlite_schema import has_table

__all__ = ["SWAPPED", "SqliteSource", "move_aside", "old_files"]

SWAPPED: Final = "swapped"  # <path>.swapped-<when>
_BESIDE: Final = ("", "-wal", "-journal")
BOOT: Final = "/proc/sys/kernel/random/boot_id"
_BUSY: Final = 1_000  # milliseconds for a reader that is about to end

_key: Final = msgspec.json.Decoder(list).decode


class SqliteSource(SqliteRows):
    """Implements ``ports.Source``.  Raises NoDatabaseError, SchemaError, StorageError."""

    def __init__(self, place: Place) -> None:
        path = os.path.realpath(place.path)
        super().__init__(open_reading(path), path)
        self._lock: WriterLock | None = None

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """One moment for all that is read within."""
        with naming(self.path):
            self._connection.execute("BEGIN")
        try:
            yield
        finally:
            with suppress(apsw.Error):
                self._connection.execute("ROLLBACK")

    def capture(self) -> str | None:
        """The swap that its writer keeps a log for."""
        return cast("str | None", self._value(f"SELECT value FROM meta WHERE name = '{CAPTURE}'"))

    def lineage(self) -> str:
        """Another one after a restart of the machine, which may have lost the last commits, and
        after a restore."""
        with disk_errors(BOOT):
            boot = Path(BOOT).read_text().strip()
        return f"{boot} {self.facts().get('forks', '')}"

    def logged(self, after: int, limit: int) -> list[Logged]:
        """Of the log, in order."""
        sql = "SELECT n, tab, key FROM swap_log WHERE n > ? ORDER BY n LIMIT ?"
        with naming(self.path):
            rows = self._connection.execute(sql, (after, limit)).fetchall()
        return [Logged(n, table, tuple(_key(key))) for n, table, key in rows]  # type: ignore[arg-type]  # STRICT

    def log_end(self) -> int:
        """The number of its last row; 0 for none."""
        if not has_table(self._connection, "swap_log"):
            return 0
        return cast(int, self._value("SELECT coalesce(max(n), 0) FROM swap_log"))

    def newest(self) -> int:
        """The number of the newest event that is there; 0 for none."""
        return cast(int, self._value("SELECT coalesce(max(seq), 0) FROM events"))

    def lock(self) -> None:
        """Keep every writer out, until ``retire`` or ``close``."""
        if self._lock is None:
            self._lock = WriterLock(self.path)

    def retire(self, swap: str, other: str, now_us: int) -> str:
        """Move the files aside; where they are now.  Again, where that was cut off, goes on."""
        self.lock()
        lock = cast(WriterLock, self._lock)
        self._connection.close()
        try:
            aside = move_aside(self.path)
            lock.is_made = False  # whoever comes next makes a new one
        finally:
            self.close()
        return aside

    def close(self) -> None:
        """Let go of it."""
        super().close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def move_aside(path: str) -> str:
    """Where the database is now, "" where there was none.  Whoever calls it has its lock.

    Its log is empty if no reader is in the way; else it goes behind its file.
    """
    if os.path.lexists(path):
        with naming(path):
            settle_doubt(path, None)
            connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE)
            connection.set_busy_timeout(_BUSY)
            with suppress(apsw.BusyError, apsw.FullError):
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            connection.close()
        aside = aside_of(path, SWAPPED)
    elif not (known := old_files(path)):
        return ""
    else:  # a log was left where this was cut off
        aside = known[-1]
    with disk_errors(path):
        for suffix in _BESIDE:
            if os.path.lexists(path + suffix):
                os.rename(path + suffix, aside + suffix)
        with suppress(FileNotFoundError):
            os.unlink(f"{path}-shm")  # an index of the log, which is made again
        sync_folder(Path(path).parent)
    return aside


def old_files(path: str) -> list[str]:
    """The databases that were moved aside from there, the oldest first."""
    found = glob.glob(f"{glob.escape(path)}.{SWAPPED}-*")
    return sorted(name for name in found if not name.endswith((*_BESIDE[1:], "-shm")))

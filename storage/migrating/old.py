"""What a swap leaves behind: the old data, kept until somebody forgets it.

Files ``<path>.swapped-<when>`` of SQLite; in PostgreSQL the rows of a daemon whose label says so.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from holdfast.clock import Clock
from holdfast.errors import SwapError
from holdfast.storage.atomic_files import disk_errors, sync_folder
from holdfast.storage.migrating.backends import open_source
from holdfast.storage.migrating.labels import decode
from holdfast.storage.migrating.ports import Place
from holdfast.storage.migrating.sqlite_source import move_aside, old_files
from holdfast.storage.ports import NoDatabaseError
from holdfast.storage.sqlite_lock import WriterLock

__all__ = ["forget", "old_data", "retire"]

_FILES = ("-wal", "-shm", "-journal", "")  # the database itself last


def retire(place: Place, *, swap: str, other: str, clock: Clock) -> str:
    """What ``Migration.commit`` does, for one whose copier ended after the commit point.

    Where the old data is now; "" where there is none.  Again does nothing.
    Raises AlreadyRunningError, StorageError.
    """
    if place.backend != "postgresql":
        path = os.path.realpath(place.path)
        lock = WriterLock(path)
        try:
            where = move_aside(path)
            lock.is_made = False
            return where
        finally:
            lock.release()
    if found := old_data(place):
        return found[0]
    try:
        source = open_source(place)
    except NoDatabaseError:
        return ""
    return source.retire(swap, other, clock.time_us())


def old_data(place: Place) -> list[str]:
    """What is left there, for people.  Raises StorageError."""
    if place.backend != "postgresql":
        return old_files(os.path.realpath(place.path))
    from holdfast.storage.migrating.postgresql_rows import PostgresqlRows, open_rows

    try:
        connection = open_rows(place.dsn, place.daemon, "checking")
    except NoDatabaseError:
        return []
    rows = PostgresqlRows(connection, place.daemon, place.where)
    try:
        label = decode(rows.label())
    finally:
        rows.close()
    if label is None or label.state == "complete":
        return []
    return [f"{place.where}, daemon {place.daemon!r} ({label.state}, swap {label.swap})"]


def forget(place: Place, seconds: float) -> bool:
    """Delete for about so long what is left there; whether it is all gone.

    Raises SwapError when that is not old data; AlreadyRunningError, StorageError.
    """
    if place.backend != "postgresql":
        with disk_errors(place.path):
            for name in old_files(path := os.path.realpath(place.path)):
                for suffix in _FILES:
                    with suppress(FileNotFoundError):
                        os.unlink(name + suffix)
            sync_folder(Path(path).parent)
        return True
    if not old_data(place):
        raise SwapError(f"{place.where}: holds no old data of daemon {place.daemon!r}")
    from holdfast.storage.migrating.postgresql_target import forget_rows

    return forget_rows(place, seconds)

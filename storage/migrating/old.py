"""What swaps leave behind: old data, kept until somebody forgets it, and what is half filled.

Files ``<path>.swapped-<when>`` of SQLite, and a file whose label says so; in PostgreSQL the rows of
a daemon whose label says so.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from holdfast.clock import Clock
from holdfast.storage.atomic_files import disk_errors, sync_folder
from holdfast.storage.migrating.backends import open_source
from holdfast.storage.migrating.labels import Label, decode
from holdfast.storage.migrating.ports import Place
from holdfast.storage.migrating.sqlite_source import move_aside, old_files
from holdfast.storage.migrating.sqlite_target import label_of
from holdfast.storage.ports import NoDatabaseError
from holdfast.storage.sqlite_lock import WriterLock

__all__ = ["discard", "forget", "old_data", "retire"]

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


def old_data(place: Place, failed: Collection[str] = ()) -> list[str]:
    """What is left there, for people.  Raises StorageError.

    ``failed`` swaps were never committed, so what one of them has filled is left even if that is
    all of it.
    """
    if place.backend != "postgresql":
        path = os.path.realpath(place.path)
        is_left = _is_left(label_of(path), failed)
        return [*old_files(path), *([path] if is_left else [])]
    label = _label_in(place)
    if label is None or not (label.state == "old" or _is_left(label, failed)):
        return []
    return [f"{place.where}, daemon {place.daemon!r} ({label.state}, swap {label.swap})"]


def _is_left(label: Label | None, failed: Collection[str]) -> bool:
    """Whether it was filled for nothing."""
    if label is None:
        return False
    return label.state == "filling" or (label.state == "complete" and label.swap in failed)


def forget(place: Place, seconds: float, failed: Collection[str] = ()) -> bool:
    """Delete for about so long what is left there, and nothing else; whether it is all gone.

    ``failed`` as above.  Raises AlreadyRunningError, StorageError.
    """
    if place.backend != "postgresql":
        _forget_files(os.path.realpath(place.path), failed)
        return True
    if not old_data(place, failed):
        return True
    from holdfast.storage.migrating.postgresql_target import forget_rows

    return forget_rows(place, seconds)


def _label_in(place: Place) -> Label | None:
    """Of the daemon's rows in PostgreSQL."""
    from holdfast.storage.migrating.postgresql_rows import PostgresqlRows, open_rows

    try:
        connection = open_rows(place.dsn, place.daemon, "checking")
    except NoDatabaseError:
        return None
    rows = PostgresqlRows(connection, place.daemon, place.where)
    try:
        return decode(rows.label())
    finally:
        rows.close()


def discard(place: Place, swap: str, seconds: float) -> list[str]:
    """Delete for about so long what that swap has filled, uncommitted; what there is of it.

    Raises AlreadyRunningError, StorageError.
    """
    if place.backend != "postgresql":
        path = os.path.realpath(place.path)
        if (label := label_of(path)) is None or label.swap != swap:
            return []
        lock = WriterLock(path)
        try:
            _unlink(path, [path])
        finally:
            lock.release()
        return [path]
    from holdfast.storage.migrating.postgresql_target import forget_rows

    label = _label_in(place)
    if label is None or label.swap != swap or label.state == "old":
        return []
    forget_rows(place, seconds)
    return [f"{place.where}, daemon {place.daemon!r} ({label.state}, swap {label.swap})"]


def _forget_files(path: str, failed: Collection[str]) -> None:
    is_left = _is_left(label_of(path), failed)
    lock = WriterLock(path) if is_left else None  # nobody is filling it
    try:
        names = [*old_files(path), *([path] if lock is not None else [])]
        _unlink(path, names)
    finally:
        if lock is not None:
            lock.release()


def _unlink(path: str, names: list[str]) -> None:
    with disk_errors(path):
        for name in names:
            for suffix in _FILES:
                with suppress(FileNotFoundError):
                    os.unlink(name + suffix)
        if names:
            sync_folder(Path(path).parent)

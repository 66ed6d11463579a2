"""Opening an SQLite file the way holdfast needs it, and saying in our words what SQLite refused."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import apsw

from holdfast.errors import DamagedError, DiskFullError, InvalidInputError, StorageError
from holdfast.storage.database_file import PAGE_SIZE, check_file
from holdfast.storage.ports import Durability, NoDatabaseError
from holdfast.storage.sqlite_doubt import let_go, note_doubt, settle_doubt
from holdfast.storage.sqlite_schema import VERSION, check_version, migrate

__all__ = [
    "REFUSALS",
    "check_library",
    "naming_errors",
    "open_reading",
    "open_writing",
    "refused",
    "storage_error",
]

# Older ones can corrupt a WAL database that two processes write and checkpoint at one instant.
MIN_SQLITE: Final = (3, 51, 3)

# A viewer that opened the file for writing may hold its lock for a moment.
BUSY_TIMEOUT: Final = 5_000  # milliseconds

# 64 MB are written between two checkpoints; twice that stays on the disk, no more.
WAL_BYTES_KEPT: Final = 128 * 2**20

# What SQLite or apsw raise because of a value: that command is refused, others are not affected.
REFUSALS: Final = (
    apsw.ConstraintError,
    apsw.MismatchError,
    apsw.TooBigError,
    apsw.RangeError,
    apsw.BindingsError,
    TypeError,
    ValueError,
    OverflowError,
)


# How a full disk shows where the index of the write-ahead log has to grow.
_NO_ROOM: Final = (apsw.SQLITE_IOERR_SHMSIZE, apsw.SQLITE_IOERR_SHMMAP)


_DAMAGED: Final = (
    "the file is damaged; see where with `holdfast verify`, then `holdfast restore` a backup, or "
    "have `holdfast doctor --repair` save what can be read"
)


def check_library() -> None:
    """Raise StorageError when the SQLite inside apsw is too old to be trusted."""
    found = apsw.sqlite_lib_version()
    if tuple(map(int, found.split("."))) < MIN_SQLITE:
        needed = ".".join(map(str, MIN_SQLITE))
        raise StorageError(
            f"SQLite {found} is older than {needed}, which fixed a corruption of WAL databases; "
            f"pip install --upgrade 'apsw>={needed}'"
        )


def open_writing(path: str, *, durability: Durability, vfs: str | None) -> apsw.Connection:
    """The writing connection, on a file that has today's schema.

    Raises SchemaError, StorageError.
    """
    check_library()
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    if vfs is None:
        _make_private(path)
    try:
        settle_doubt(path, vfs)
        connection = apsw.Connection(path, flags=flags, vfs=vfs)
    except apsw.Error as error:
        raise storage_error(error, path) from error
    try:
        connection.set_busy_timeout(BUSY_TIMEOUT)
        if connection.readonly("main"):
            raise StorageError(f"{path}: read-only for uid {os.getuid()}; make it writable")
        version = _prepare_file(connection, path)
        if migrate(connection, version):
            # All of the file was written, so the log is as long as it: on a small disk too long.
            with suppress(apsw.BusyError, apsw.FullError):
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        _check_meta(connection, path)
        connection.pragma("synchronous", "FULL" if durability == "disk" else "NORMAL")
        connection.pragma("wal_autocheckpoint", 0)
        connection.pragma("journal_size_limit", WAL_BYTES_KEPT)
        connection.pragma("cache_size", -64 * 1024)  # KiB
        # A savepoint over five pages would write a file of its own for every command.
        connection.pragma("temp_store", "MEMORY")
        _require_foreign_keys(connection, path)
    except apsw.Error as error:
        let_go(connection, path, error)
        raise storage_error(error, path) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _make_private(path: str) -> None:
    """Make the file for this user only, whatever the umask; its log and index take its mode.

    One that is there keeps the mode that somebody gave it, but nobody else may write to it.
    """
    # SQLite says what is wrong.  An existing file is not opened: to close it again would end the
    # locks that a connection of this process has on it.
    with suppress(OSError):
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            mode = stat.S_IMODE(os.stat(path).st_mode)
            if mode & 0o022:
                os.chmod(path, mode & ~0o022)


def _prepare_file(connection: apsw.Connection, path: str) -> int:
    """Set what only an empty file can be given, in the one order that works."""
    try:
        version = check_version(connection, path)
    except NoDatabaseError:
        version = 0
        connection.pragma("page_size", PAGE_SIZE)
        connection.pragma("auto_vacuum", "INCREMENTAL")
    mode = connection.pragma("journal_mode", "WAL")
    if mode != "wal":
        raise StorageError(
            f"{path}: journal_mode is {mode!r} and cannot become 'wal'; "
            f"put the database on a local disk"
        )
    return version


def _check_meta(connection: apsw.Connection, path: str) -> None:
    """The three numbers that all others are given by."""
    sql = (
        "SELECT count(*) FROM meta WHERE typeof(value) = 'integer'"
        " AND name IN ('epoch', 'deleted_seq', 'synced_seq')"
    )
    if connection.execute(sql).get != 3:
        raise DamagedError(f"{path}: rows of table meta are missing or wrong: {_DAMAGED}")


def _require_foreign_keys(connection: apsw.Connection, path: str) -> None:
    """Off by default on every connection, and then cascades silently do nothing."""
    connection.pragma("foreign_keys", 1)
    if connection.pragma("foreign_keys") != 1:
        raise StorageError(f"{path}: this SQLite was built without foreign keys")


def open_reading(path: str) -> apsw.Connection:
    """A connection that cannot write.

    Raises NoDatabaseError until a writer has made the file, SchemaError, StorageError.
    """
    check_library()
    if not os.path.exists(path):
        raise NoDatabaseError(f"{path}: no database yet; it appears when the writer starts")
    check_file(path, newest=VERSION)
    try:
        connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
    except apsw.Error as error:
        raise storage_error(error, path) from error
    try:
        connection.set_busy_timeout(BUSY_TIMEOUT)
        version = check_version(connection, path)
        if version == 0:
            raise NoDatabaseError(f"{path}: no database yet; it appears when the writer starts")
        connection.pragma("cache_size", -16 * 1024)  # KiB
        connection.pragma("query_only", True)
    except apsw.Error as error:
        connection.close()
        raise storage_error(error, path) from error
    except BaseException:
        connection.close()
        raise
    return connection


def refused(error: Exception, what: str) -> InvalidInputError:
    """The error for a command that SQLite refuses because of a value in it."""
    return InvalidInputError(f"{what}: {error}")


def storage_error(error: apsw.Error | UnicodeDecodeError, path: str) -> StorageError:
    """The same error in our words: what happened, to which file, what to do.

    That an fsync failed is noted for the next open.
    """
    note_doubt(error, path)
    hint = f"SQLite says {type(error).__name__}"
    match error:
        case apsw.FullError():
            hint = "the disk is full; free some space, nothing acknowledged is lost"
            return DiskFullError(f"{path}: {error}; {hint}")
        case apsw.BusyError() | apsw.LockedError():
            hint = "another program locks it; let viewers open it read-only (mode=ro)"
        case UnicodeDecodeError():
            return DamagedError(f"{path}: a text in it is not UTF-8 ({error.reason}): {_DAMAGED}")
        case apsw.NotADBError() | apsw.CorruptError():
            return DamagedError(f"{path}: {error}: {_DAMAGED}")
        case apsw.ReadOnlyError() | apsw.PermissionsError() | apsw.CantOpenError():
            hint = f"uid {os.getuid()} has to be able to read and write it and its folder"
        case apsw.IOError() if getattr(error, "extendedresult", 0) in _NO_ROOM:
            hint = "the disk is full: there is no room for the index of the log; free some space"
            return DiskFullError(f"{path}: {error}; {hint}")
        case apsw.IOError():
            hint = "the disk reports an error; look at the kernel's log"
    return StorageError(f"{path}: {error}; {hint}")


@contextmanager
def naming_errors(path: str) -> Iterator[None]:
    """Raises StorageError for what SQLite raises."""
    try:
        yield
    except apsw.Error as error:
        raise storage_error(error, path) from error

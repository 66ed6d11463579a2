"""SQLite's log put on the disk without its connection, so that commits go on meanwhile.

What is committed stands in the log's file, or SQLite has copied it into the database and synced
that before the log began anew (sqlite.org/fileformat2.html, "Checkpoints").  So one sync of the
log's file makes all durable that was committed before it began; a commit with
``synchronous=FULL`` does no more, but every other commit waits for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

import apsw

from holdfast.errors import StorageError
from holdfast.storage.sqlite_connection import naming_errors

__all__ = ["FILE_SYNCS", "LogSync", "sync_file"]

# How a file of a database that was opened with the VFS of this name is synced, given its
# descriptor and name; raises OSError, apsw.Error.  Of another VFS nobody knows what its files are.
FILE_SYNCS: Final[dict[str, Callable[[int, str], None]]] = {
    "unix": lambda descriptor, _name: os.fdatasync(descriptor)
}


def sync_file(sync: Callable[[int, str], None], descriptor: int, name: str) -> None:
    """Raises what SQLite would, so that the next opening knows."""
    try:
        sync(descriptor, name)
    except OSError as error:
        failed = apsw.IOError(f"sync of {name}: {error.strerror}")
        failed.extendedresult = apsw.SQLITE_IOERR_FSYNC  # type: ignore[attr-defined]  # apsw's stub lacks it
        raise failed from error


class LogSync:
    """Of the database at ``path``; ``close`` it after the last call has returned.

    The log has no locks of its own, so a descriptor beside SQLite's takes none away.
    Raises StorageError.
    """

    def __init__(self, path: str, vfs: str) -> None:
        self._path = path
        self._name: Final = f"{path}-wal"
        self._sync = FILE_SYNCS[vfs]
        try:
            self._descriptor = os.open(self._name, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise StorageError(f"{self._name}: cannot be opened: {error.strerror}") from error

    def __call__(self) -> None:
        """Return when all is on the disk that was committed before.

        Any thread may call it.  After a StorageError nobody knows what is: end the process.
        """
        with naming_errors(self._path):
            sync_file(self._sync, self._descriptor, self._name)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

"""SQLite's log copied into the database beside its connection, so that commits go on meanwhile.

A PASSIVE checkpoint waits for nobody and nobody waits for it (sqlite.org/wal.html,
"Checkpointing").  One that others commit during does not sync the database: SQLite leaves that to
the one that reaches the log's end (wal.c, walCheckpoint).  So this syncs it by itself, and for the
writer's connection, which finishes before the log can begin anew, little is left.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

import apsw

from holdfast.errors import DiskFullError, StorageError
from holdfast.storage.log_sync import FILE_SYNCS, sync_file
from holdfast.storage.sqlite_connection import naming_errors

__all__ = ["LogPass"]

PASSES: Final = 3  # each is shorter than the one before, whoever writes meanwhile
SHORT: Final = 500  # pages, 4 MB: the writer's connection copies so many in a few milliseconds


class LogPass:
    """Over the database at ``path``; may be called again after it has returned.

    Raises StorageError.
    """

    def __init__(self, path: str, vfs: str) -> None:
        self._path = path
        self._sync = FILE_SYNCS[vfs]
        # From ``begin`` on, until it has returned; and for good where nobody knows what of it is on
        # the disk: nobody else may take what it has copied for stored.
        self.is_under_way = False
        self.left = 0  # pages that the last one had to leave to a reader
        self.is_cut_short = False  # what it leaves, whoever closes the database does
        with naming_errors(path):
            self._connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
            self._connection.pragma("wal_autocheckpoint", 0)
            self._connection.pragma("schema_version")  # a connection finds the log when it reads
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            self._connection.close()
            raise StorageError(f"{path}: cannot be opened: {error.strerror}") from error

    def begin(self) -> LogPass:
        """It will be called, by any thread."""
        self.is_under_way = True
        return self

    def __call__(self) -> None:
        """Return when nearly all of the log is in the database and on the disk, but for readers.

        After a StorageError but for a full disk nobody knows what is on the disk: end the process.
        """
        try:
            with naming_errors(self._path), suppress(apsw.BusyError):  # another program is at it
                self._pass()
        except DiskFullError:
            self.is_under_way = False
            raise
        self.is_under_way = False

    def _pass(self) -> None:
        before = self.left = 0
        for _ in range(PASSES):
            frames, copied = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            self.left = frames - copied
            if self.is_cut_short:
                return
            sync_file(self._sync, self._descriptor, self._path)
            if copied < frames or frames - before < SHORT or self.is_cut_short:
                return
            before = frames

    def close(self) -> None:
        """After it has returned; ``release`` follows.  Again does nothing."""
        self._connection.close()

    def release(self) -> None:
        """After the writer's connection: to close a descriptor ends all locks of the process."""
        os.close(self._descriptor)

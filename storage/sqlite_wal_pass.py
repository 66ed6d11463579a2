"""Copying the write-ahead log into the database file while commits go on.

A pass has a thread and a connection of its own, since it waits for the disk twice: of a commit
that came in between, that was tens of milliseconds.  Lost when the process dies: nothing, the log
has it all.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable

import apsw

__all__ = ["WalPass", "copy_log"]


def copy_log(connection: apsw.Connection) -> tuple[int, int]:
    """How many pages the log had, and how many of them are in the database file now.

    PASSIVE, never TRUNCATE here: TRUNCATE waits for readers and stalls every agent.
    Raises apsw.BusyError when another program is at it, apsw.Error.
    """
    return connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)


class WalPass:
    """One pass at a time; whoever began it takes what it found."""

    def __init__(self, path: str, *, vfs: str | None) -> None:
        self._path = path
        self._vfs = vfs
        self._connection: apsw.Connection | None = None  # the thread's, while there is one
        self._thread: threading.Thread | None = None
        self._copied: tuple[int, int] | None = None
        self._error: apsw.Error | None = None
        self._descriptor: int | None = None  # of the database file

    @property
    def is_under_way(self) -> bool:
        """Whether it was begun and not taken yet."""
        return self._thread is not None

    def begin(self) -> None:
        """Nothing may be under way.  Raises apsw.Error."""
        if self._connection is None:
            self._connection = apsw.Connection(
                self._path, flags=apsw.SQLITE_OPEN_READWRITE, vfs=self._vfs
            )
            # Both files are on the disk before the log may be overwritten.
            self._connection.pragma("synchronous", "NORMAL")
            self._connection.pragma("wal_autocheckpoint", 0)
        self._start(self._copy, self._connection)

    def flush(self) -> None:
        """Write the log to the disk; nobody is told.  Nothing may be under way."""
        self._start(_flush, self._path + "-wal")

    def _start(self, target: Callable[..., None], argument: object) -> None:
        self._thread = threading.Thread(
            target=target, args=(argument,), name="wal pass", daemon=True
        )
        self._thread.start()

    def _copy(self, connection: apsw.Connection) -> None:
        try:
            self._copied = copy_log(connection)
            self._flush_database()
        except apsw.BusyError:  # that is no progress of ours
            self._copied = None
        except apsw.Error as error:
            self._error = error

    def _flush_database(self) -> None:
        """SQLite does it when the last page is copied, and then for all passes together."""
        with contextlib.suppress(OSError):  # which SQLite will meet too
            if self._descriptor is None:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            os.fdatasync(self._descriptor)

    def take(self) -> tuple[int, int] | None:
        """What ``copy_log`` returned, once, when it has ended.  Raises apsw.Error."""
        if self._thread is None or self._thread.is_alive():
            return None
        self._thread = None
        copied, error = self._copied, self._error
        self._copied = self._error = None
        if error is not None:
            raise error
        return copied

    def wait(self) -> None:
        """Until none is under way; it is still to be taken."""
        if self._thread is not None:
            self._thread.join()

    def close(self) -> None:
        """Not before it has ended: the file is about to be closed."""
        self.wait()
        self._thread = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def release(self) -> None:
        """Let go of the file, whose other connections in this process are closed: to close any
        descriptor of it is to lose all locks that the process has on it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _flush(path: str) -> None:
    # An error of the disk is told to every open file: the barrier will hear of it.
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)

"""The writer's lock: one process per database file may write, as the kernel sees it.

The lock is a flock on ``<database>.lock`` and ends with its process, however that ends.  The file
itself stays: to remove it would let two processes lock two files of one name.
"""

from __future__ import annotations

import fcntl
import os

from holdfast.errors import AlreadyRunningError, StorageError

__all__ = ["WriterLock"]


class WriterLock:
    """Held from construction to ``release``; ``path`` is the database's."""

    def __init__(self, path: str) -> None:
        self._path = path
        name = f"{path}.lock"
        try:
            # Close-on-exec: a program started by the writer must not keep the lock alive.
            self._fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageError(
                f"{name}: cannot be created: {error.strerror}; "
                f"the folder has to exist and uid {os.getuid()} has to be able to write there"
            ) from error
        try:
            self._acquire()
        except BaseException:
            os.close(self._fd)
            raise

    def _acquire(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(self._fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
            raise AlreadyRunningError(
                f"{self._path}: pid {owner} writes to this database; stop it, or use another path"
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let the next writer in."""
        os.ftruncate(self._fd, 0)
        os.close(self._fd)

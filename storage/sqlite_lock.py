"""The writer's lock: one process per database file may write, as the kernel sees it.

The lock is a flock on ``<database>.lock`` and ends with its process, however that ends.  The file
itself stays: to remove it would let two processes lock two files of one name.  It says ``made``
once a database has been on the disk, so that an empty one in its place is known to be damage.
"""

from __future__ import annotations

import contextlib
import os
from typing import Final

from holdfast.errors import AlreadyRunningError, StorageError
from holdfast.storage.file_lock import lock_within

__all__ = ["WriterLock"]

_MADE: Final = "made"


class WriterLock:
    """Held from construction to ``release``; ``path`` is the database's.

    ``patience`` are the seconds its last holder has to end.  Raises AlreadyRunningError,
    StorageError.
    """

    def __init__(self, path: str, *, patience: float = 0.0) -> None:
        self._path = path
        self.is_made = False  # a database has been on the disk
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
            self._acquire(patience)
        except BaseException:
            os.close(self._fd)
            raise

    def _acquire(self, patience: float) -> None:
        if not lock_within(self._fd, patience):
            owner = self._read().partition("\n")[0].strip() or "unknown"
            raise AlreadyRunningError(
                f"{self._path}: pid {owner} writes to this database; stop it, or use another path"
            )
        self.is_made = _MADE in self._read().split("\n")
        self._write(str(os.getpid()))

    def note_made(self) -> None:
        """There is a database, and a power cut does not change that."""
        if not self.is_made:
            self.is_made = True
            self._write(str(os.getpid()))

    def note_none(self) -> None:
        """Somebody has taken it away: whatever comes is new."""
        if self.is_made:
            self.is_made = False
            self._write(str(os.getpid()))

    def release(self) -> None:
        """Let the next writer in."""
        self._write("")
        os.close(self._fd)

    def _read(self) -> str:
        return os.pread(self._fd, 40, 0).decode("ascii", "replace")

    def _write(self, owner: str) -> None:
        text = f"{owner}\n{_MADE}\n" if self.is_made else owner and f"{owner}\n"
        # In place and cut afterwards: whoever kills this process between leaves both lines.
        with contextlib.suppress(OSError):  # a full disk: the pid is for people
            os.pwrite(self._fd, text.encode(), 0)
            os.ftruncate(self._fd, len(text))

"""An SQLite VFS over the real one that fails, waits, and writes down what it does.

Owns nothing but its name; what to do at each operation is its ``Disk``'s to say.  WAL works: the
shared memory is the real VFS's own, which apsw passes through unseen.  So the one way to have it
fail is the system call below it (``shared_memory``).
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any, Final

import apsw

from holdfast.storage.log_sync import FILE_SYNCS
from holdfast.testing.faults.plan import Operation
from holdfast.testing.faults.recording import (
    Deleted,
    Made,
    Recorder,
    Synced,
    SyncFailed,
    Truncated,
    Wrote,
)

__all__ = ["Disk", "FaultyVFS", "io_error"]

BASE: Final = "unix"  # by its name: the default VFS may be one of these

_CODES: Final[dict[Operation, int]] = {
    "open": apsw.SQLITE_CANTOPEN,
    "read": apsw.SQLITE_IOERR_READ,
    "write": apsw.SQLITE_IOERR_WRITE,
    "sync": apsw.SQLITE_IOERR_FSYNC,
    "truncate": apsw.SQLITE_IOERR_TRUNCATE,
    "delete": apsw.SQLITE_IOERR_DELETE,
    "map": apsw.SQLITE_IOERR_SHMMAP,
}
# SQLite syncs the folder along with the first sync of a file that was opened so.
_NEW: Final = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL


def io_error(operation: Operation) -> apsw.IOError:
    """SQLITE_IOERR as the real VFS has it for the operation."""
    error = apsw.IOError("injected")
    error.extendedresult = _CODES[operation]  # type: ignore[attr-defined]  # apsw's stub lacks it
    return error


class Disk:
    """What the VFS asks before an operation and tells of it; this one has no faults.

    ``file`` is a name without its folder.
    """

    recorder: Recorder | None = None

    def before(self, operation: Operation, file: str, end: int) -> int | None:
        """Called before each; ``end`` is where in the file it ends.

        May wait; may raise apsw.FullError or ``io_error``.  A number is how many bytes of a write
        are written before ``die`` is called.  Called for "map" by ``shared_memory``.
        """
        return None

    def die(self) -> None:
        """A write was torn: end this process, as nothing more of it happens."""


class FaultyVFS(apsw.VFS):
    """Registered under ``name`` for as long as it is referred to, in forks too."""

    _disk = Disk()  # for connections that are closed when the interpreter has cleared this

    def __init__(self, name: str, disk: Disk, *, is_default: bool = False) -> None:
        self._disk = disk
        super().__init__(name, BASE, makedefault=is_default)
        FILE_SYNCS[name] = partial(_sync_file, disk)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        """Temporary files, which have no name, are left alone."""
        if name is None:
            return super().xOpen(name, flags)
        return _FaultyFile(self._disk, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        """Told after it is done: until then the file may be there."""
        file = os.path.basename(filename)
        self._disk.before("delete", file, 0)
        super().xDelete(filename, syncdir)
        if self._disk.recorder is not None:
            self._disk.recorder.add(Deleted(file, syncdir))


def _sync_file(disk: Disk, descriptor: int, name: str) -> None:
    """As ``xSync``, from another thread, while the writer writes on.

    Told before it is done: what is written during it is not on the disk for certain.
    """
    file = os.path.basename(name)
    try:
        disk.before("sync", file, 0)
        if disk.recorder is not None:
            disk.recorder.add(Synced(file, with_folder=False))
        os.fdatasync(descriptor)
    except (apsw.Error, OSError):
        if disk.recorder is not None:
            disk.recorder.add(SyncFailed(file))
        raise


class _FaultyFile(apsw.VFSFile):
    def __init__(self, disk: Disk, name: str | apsw.URIFilename, flags: list[int]) -> None:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._disk = disk
        self._recorder = disk.recorder
        self._file: Final = os.path.basename(path)
        is_creating = bool(flags[0] & apsw.SQLITE_OPEN_CREATE)
        # So that its first sync takes the folder along.
        self._has_new_entry = is_creating and bool(flags[0] & _NEW)
        self._is_read_only = bool(flags[0] & apsw.SQLITE_OPEN_READONLY)
        disk.before("open", self._file, 0)
        if self._recorder is not None and is_creating and not os.path.exists(path):
            self._recorder.add(Made(self._file))
        super().__init__(BASE, name, flags)

    def xLock(self, level: int) -> None:
        """Refused where the file is only read: SQLite minds neither, apsw minds the error."""
        try:
            super().xLock(level)
        except apsw.IOError:
            if not self._is_read_only:
                raise
            raise apsw.BusyError from None

    def xRead(self, amount: int, offset: int) -> bytes:
        self._disk.before("read", self._file, offset + amount)
        return super().xRead(amount, offset)

    def xWrite(self, data: Any, offset: int) -> None:
        kept = self._disk.before("write", self._file, offset + len(data))
        if kept is not None:
            data = bytes(data[:kept])
        if self._recorder is not None:
            self._recorder.add(Wrote(self._file, offset, bytes(data)))
        super().xWrite(data, offset)
        if kept is not None:
            self._disk.die()

    def xTruncate(self, size: int) -> None:
        self._disk.before("truncate", self._file, size)
        if self._recorder is not None:
            self._recorder.add(Truncated(self._file, size))
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:
        try:
            self._disk.before("sync", self._file, 0)
            super().xSync(flags)
        except apsw.Error:
            if self._recorder is not None:
                self._recorder.add(SyncFailed(self._file))
            raise
        if self._recorder is not None:
            self._recorder.add(Synced(self._file, self._has_new_entry))
        self._has_new_entry = False

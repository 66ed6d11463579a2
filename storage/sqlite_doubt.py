"""What an fsync that failed leaves: pages that the kernel calls clean and the disk may not have.

Linux tells of them once; the next fsync succeeds without them, and a barrier would promise what is
not there.  So the log, which is the only copy of what was committed since it was last copied, is
written again before anything is built on it; and what SQLite takes for copied from it, because
somebody else has the database open and so its index, is copied again.  Owns the file
``<database>.doubt``, which is there from the failure until then.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

import apsw

from holdfast.storage.wal_file import copied_pages

__all__ = ["is_in_doubt", "let_go", "note_doubt", "settle_doubt"]

CHUNK: Final = 2**16  # bytes; SQLite writes less than 128 KiB at once, and nothing of a multiple
_FAILED: Final = (apsw.SQLITE_IOERR_FSYNC, apsw.SQLITE_IOERR_DIR_FSYNC)


def note_doubt(error: BaseException, path: str) -> None:
    """If it is an fsync that failed, whoever opens the database next has to know."""
    if getattr(error, "extendedresult", 0) in _FAILED:
        with suppress(OSError):  # the error itself is on its way
            os.close(os.open(f"{path}.doubt", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))


def is_in_doubt(path: str) -> bool:
    """An fsync has failed since the database was opened: its log is the only copy, and is kept."""
    return os.path.exists(f"{path}.doubt")


def let_go(connection: apsw.Connection, path: str, error: BaseException | None = None) -> None:
    """Close it, because of ``error`` if there is one.

    The last one that SQLite closes copies the log and deletes it, but for this.
    """
    if error is not None:
        note_doubt(error, path)
    if is_in_doubt(path):
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.close()


def settle_doubt(path: str, vfs: str | None) -> None:
    """Have the disk hold what the kernel does, if that is in doubt.

    Called by the one writer, before it opens the database; readers see no change.  Raises
    apsw.Error; then it is still in doubt.
    """
    doubt, log = f"{path}.doubt", f"{path}-wal"
    if not is_in_doubt(path):
        return
    if os.path.exists(log):
        _write_again(log, vfs or "")
        if os.path.exists(path):
            _copy_again(path, log, vfs or "")
    os.unlink(doubt)


def _write_again(log: str, vfs: str) -> None:
    file = apsw.VFSFile(vfs, log, [apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_WAL, 0])
    try:
        size = file.xFileSize()
        for offset in range(0, size, CHUNK):
            file.xWrite(file.xRead(min(CHUNK, size - offset), offset), offset)
        file.xSync(apsw.SQLITE_SYNC_FULL)
    finally:
        file.xClose()


def _copy_again(path: str, log: str, vfs: str) -> None:
    """Readers that have a page from the database see the same bytes before and after."""
    pages = copied_pages(log, f"{path}-shm")
    if not pages.numbers:
        return
    file = apsw.VFSFile(vfs, path, [apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_MAIN_DB, 0])
    try:
        for number in pages.numbers:
            file.xWrite(pages.read(number) or b"", (number - 1) * pages.size)
        file.xSync(apsw.SQLITE_SYNC_FULL)
    finally:
        file.xClose()
        pages.close()

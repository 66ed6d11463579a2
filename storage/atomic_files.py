"""Files that change as a whole, and what a disk says when it does not take something.

Nothing is owned here.  A name that ends in ``DRAFT`` is a draft that a crash has left: whoever owns
the folder deletes it at the next start.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from holdfast.errors import DiskFullError, StorageError

__all__ = ["DRAFT", "disk_errors", "replace", "sync_folder", "write_all"]

DRAFT: Final = ".draft"
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def disk_errors(what: object) -> Iterator[None]:
    """Name an OSError as holdfast does: DiskFullError, else StorageError."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise DiskFullError(
                f"{what}: no room on the disk ({error.strerror}); nothing is written: make room, "
                "then try again"
            ) from error
        raise StorageError(f"{what}: {error.strerror}; nothing is written") from error


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte.  Raises OSError; some may be written then."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def replace(path: Path, data: bytes) -> None:
    """Have ``data`` in the file, on the disk: whoever opens it finds the old or the new whole.

    Raises StorageError; the old one is there then.
    """
    draft = path.with_name(path.name + DRAFT)
    with disk_errors(path):
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                write_all(descriptor, data)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            draft.rename(path)
        except OSError:
            with suppress(OSError):
                draft.unlink()
            raise
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have the names in it on the disk.  Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

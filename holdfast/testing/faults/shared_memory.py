"""Failing maps of the memory that a write-ahead log's readers and writer share.

SQLite's own VFS maps it, where no other VFS can come in between; but it looks up the system call in
a table, in which it is replaced here.  For the life of the process and of its forks.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Any, Final

import apsw

from holdfast.errors import StorageError
from holdfast.testing.faults.vfs import Disk

__all__ = ["watch_maps"]

_MMAP: Final = ctypes.CFUNCTYPE(
    ctypes.c_ssize_t,  # the address, or -1
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,  # the descriptor
    ctypes.c_int64,
    use_errno=True,
)
_kept: list[Any] = []  # what SQLite calls must not be collected


def watch_maps(disk: Disk) -> None:
    """Have ``disk`` asked before each map.  Raises StorageError where SQLite has none."""
    vfs = apsw.VFS("holdfast-maps", "")
    address = vfs.xGetSystemCall("mmap")
    if not address:
        raise StorageError("this SQLite maps no memory: no fault of it can be injected")
    mmap = _MMAP(address)

    def watched(*arguments: Any) -> int:
        _, length, _, _, fd, offset = arguments
        try:
            file = os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))
            disk.before("map", file, offset + length)
        except (apsw.Error, OSError):
            ctypes.set_errno(errno.EIO)
            return -1
        result: int = mmap(*arguments)
        return result

    replacement = _MMAP(watched)
    _kept.append(replacement)
    new_address = ctypes.cast(replacement, ctypes.c_void_p).value
    assert new_address is not None
    vfs.xSetSystemCall("mmap", new_address)

"""A disk that breaks on command, for a database in the test's own process: the rig's VFS.

It also notes which kinds of file were synced, for the promises about power loss.
"""

from __future__ import annotations

from collections.abc import Callable

import apsw

from holdfast.testing.faults.plan import Operation
from holdfast.testing.faults.vfs import Disk, FaultyVFS


class FaultyDisk(Disk):
    """While ``fault`` is set, every write of a database or log file raises it.

    ``room`` is the number of writes that still succeed before that.  Beyond ``capacity`` bytes
    a file cannot grow: the disk is full there.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.fault: type[apsw.Error] | None = None
        self.room = 0
        self.capacity: int | None = None
        self.sync_fault: apsw.Error | None = None
        self.database_sync_fault: apsw.Error | None = None
        self.on_write: Callable[[], object] | None = None  # called once, before the next one
        self.syncs: list[str] = []
        self.writes: list[int] = []  # where each ends
        self._vfs = FaultyVFS(name, self)

    def unregister(self) -> None:
        self._vfs.unregister()

    def before(self, operation: Operation, file: str, end: int) -> None:
        if operation == "sync":
            if self.sync_fault is not None:
                raise self.sync_fault
            if self.database_sync_fault is not None and not file.endswith("-wal"):
                raise self.database_sync_fault
            self.syncs.append("wal" if file.endswith("-wal") else "database")
        elif operation == "write":
            if (call := self.on_write) is not None:
                self.on_write = None
                call()
            self.writes.append(end)
            self._write(end)

    def _write(self, end: int) -> None:
        if self.capacity is not None and end > self.capacity:
            raise apsw.FullError("injected")
        if self.fault is None:
            return
        if self.room:
            self.room -= 1
            return
        raise self.fault("injected")

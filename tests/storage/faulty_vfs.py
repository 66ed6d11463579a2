"""A disk that breaks on command: an SQLite VFS over the real one.

It also records which kinds of file were synced, for the promises about power loss.
"""

from __future__ import annotations

from typing import Any

import apsw


class FaultyDisk:
    """While ``fault`` is set, every write of a database or log file raises it.

    ``room`` is the number of writes that still succeed before that.  Beyond ``capacity`` bytes
    a file cannot grow: the disk is full there.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.fault: type[apsw.Error] | None = None
        self.room = 0
        self.capacity: int | None = None
        self.syncs: list[str] = []
        self._vfs = _FaultyVFS(self)

    def unregister(self) -> None:
        self._vfs.unregister()

    def on_write(self, end: int) -> None:
        if self.capacity is not None and end > self.capacity:
            raise apsw.FullError("injected")
        if self.fault is None:
            return
        if self.room:
            self.room -= 1
            return
        raise self.fault("injected")


class _FaultyVFS(apsw.VFS):
    def __init__(self, disk: FaultyDisk) -> None:
        self._disk = disk
        super().__init__(disk.name, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        return _FaultyFile(self._disk, name, flags)


class _FaultyFile(apsw.VFSFile):
    def __init__(
        self, disk: FaultyDisk, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> None:
        self._disk = disk
        text = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        self._kind = "wal" if text.endswith("-wal") else "database"
        super().__init__("", name, flags)

    def xWrite(self, data: Any, offset: int) -> None:
        self._disk.on_write(offset + len(data))
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        self._disk.syncs.append(self._kind)
        super().xSync(flags)

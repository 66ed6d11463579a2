"""The file of a response log that is being appended to; open, so that a record is one write.

In the file when ``append`` returns: it survives SIGKILL of everything, since it is the kernel's by
then.  A record that a kill or a power cut left half written is put aside when the file is opened.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from holdfast.errors import StorageError
from holdfast.storage.atomic_files import disk_errors, write_all
from holdfast.storage.jsonl_lines import Line, decode_line, newest_line

__all__ = ["TORN", "JsonlFile", "repair"]

TORN: Final = ".torn"  # ends the name of the file that keeps what was put aside
TAIL: Final = 64 * 1024  # bytes looked at first; most lines are far shorter


class JsonlFile:
    """Opens or makes it, repaired.  Raises StorageError.

    ``put_aside`` is how many bytes of a torn line were; ``last`` is the last whole line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with disk_errors(path):
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(path, flags, 0o600)
            try:
                self.put_aside = repair(self._descriptor, path)
                self.size = os.fstat(self._descriptor).st_size
                self.last = self._newest()
                self.first_us = self._first_us()
            except BaseException:
                os.close(self._descriptor)
                raise
        self._is_whole = True  # nothing of a failed append is left in it

    def append(self, data: bytes, time_us: int) -> None:
        """Append a whole line of that time.  Raises StorageError; nothing of it is written then."""
        if not self._is_whole:
            self._take_back()
        with disk_errors(self.path):
            try:
                write_all(self._descriptor, data)
            except OSError:
                self._is_whole = False
                with suppress(OSError):
                    self._take_back()
                raise
        self.size += len(data)
        if self.first_us is None:
            self.first_us = time_us

    def text(self) -> bytes:
        """All lines.  Raises StorageError."""
        with disk_errors(self.path):
            return _read(self._descriptor, 0, self.size)

    def sync(self) -> None:
        """Have it on the disk.  Raises StorageError: it is in the file, but perhaps not there."""
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise StorageError(
                f"{self.path}: {error.strerror}: what was appended is in the file, "
                "but may not be on the disk"
            ) from error

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)

    def _take_back(self) -> None:
        os.ftruncate(self._descriptor, self.size)
        self._is_whole = True

    def _newest(self) -> Line | None:
        """From the end, in longer and longer pieces."""
        length = TAIL
        while True:
            start = max(0, self.size - length)
            tail = _read(self._descriptor, start, self.size - start)
            if start:
                tail = tail[tail.find(b"\n") + 1 :]  # the first one of a piece is half a line
            line = newest_line(tail)
            if line is not None or not start:
                return line
            length *= 4

    def _first_us(self) -> int | None:
        """When the oldest record came: which day's file this is."""
        head = _read(self._descriptor, 0, min(TAIL, self.size))
        for raw in head.split(b"\n"):
            line = decode_line(raw)
            if line is not None:
                return line.time_us
        return None if self.last is None else self.last.time_us


def repair(descriptor: int, path: Path) -> int:
    """Leave only whole lines; how many bytes were put aside, in ``path`` with TORN behind.

    A record of which only the newline is missing is whole, and stays.  Raises OSError.
    """
    size = os.fstat(descriptor).st_size
    if not size or os.pread(descriptor, 1, size - 1) == b"\n":
        return 0
    length = TAIL
    while True:
        start = max(0, size - length)
        tail = _read(descriptor, start, size - start)
        newline = tail.rfind(b"\n")
        if newline >= 0 or not start:
            break
        length *= 4
    torn = tail[newline + 1 :]
    if decode_line(torn) is not None:
        write_all(descriptor, b"\n")
        return 0
    # Put aside first: a kill between the two leaves it twice rather than nowhere.
    _put_aside(torn, path.with_name(path.name + TORN))
    os.ftruncate(descriptor, size - len(torn))
    return len(torn)


def _put_aside(torn: bytes, path: Path) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o600)
    try:
        write_all(descriptor, torn + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(descriptor: int, start: int, length: int) -> bytes:
    """Raises OSError; shorter when somebody else has cut the file."""
    pieces = []
    while length > 0:
        piece = os.pread(descriptor, length, start)
        if not piece:
            break
        pieces.append(piece)
        start += len(piece)
        length -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)

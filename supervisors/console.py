"""Standard error as something that never makes its writer wait, whoever reads it or does not.

What finds no room waits here, up to a bound; beyond it lines are dropped and counted.  Lost with
the process: what waits.
"""

from __future__ import annotations

import os
import select
import socket
import stat
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

__all__ = ["Console"]

LIMIT: Final = 1024 * 1024  # bytes that wait
RESERVE: Final = 256 * 1024  # bytes more for the lines of this process itself
PIECE: Final = 4096  # PIPE_BUF: a pipe that has room at all takes this much at once


class Console:
    """The descriptor ``fd``, whose flags are left alone: they are not this process's only.

    ``note`` makes the line that tells of lines that were dropped.
    """

    def __init__(self, fd: int, *, note: Callable[[int], bytes]) -> None:
        self._note = note
        self._waiting: deque[bytes] = deque()  # pieces of at most PIECE bytes
        self._size = 0  # of what waits, in bytes
        self._hidden = 0  # lines dropped since this was told
        self._notice = b"", 0  # the last line that told it, until it is written, and the count
        self._room = select.epoll()  # ready when there is room for what waits
        self._is_watched = False
        self._socket: socket.socket | None = None
        self._owned = -1  # a descriptor of our own, to the same pipe or terminal
        self._fd = fd
        kind = os.fstat(fd).st_mode
        if stat.S_ISSOCK(kind):
            self._socket = socket.socket(fileno=os.dup(fd))
        elif stat.S_ISFIFO(kind) or stat.S_ISCHR(kind):
            # Opened once more, it has flags of its own.  What cannot be opened is looked at
            # before each write instead.
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            with suppress(OSError):
                self._owned = self._fd = os.open(f"/proc/self/fd/{fd}", flags)

    def fileno(self) -> int:
        """Readable when ``flush`` can do something."""
        return self._room.fileno()

    def write(self, lines: bytes, *, is_own: bool = False) -> None:
        """Write whole lines, or keep them, or drop them."""
        if self._hidden and self._size <= LIMIT // 2:
            self._tell_of_hidden()
        limit = LIMIT + RESERVE if is_own else 0 if self._hidden else LIMIT
        if self._size + len(lines) > limit:
            self._hidden += lines.count(b"\n")
            return
        self._add(lines)
        if not self._is_watched:
            self.flush()

    def flush(self) -> list[object]:
        """Write what waits as far as there is room."""
        while self._waiting:
            piece = self._waiting[0]
            try:
                written = self._put(piece)
            except BlockingIOError:
                self._watch(True)
                return []
            except OSError:  # nobody will read it, or a disk is full
                self._drop_all()
                break
            self._size -= written
            if written < len(piece):
                self._waiting[0] = piece[written:]
            else:
                self._waiting.popleft()
            if self._hidden and self._size <= LIMIT // 2:
                self._tell_of_hidden()
        self._watch(False)
        return []

    def close(self, grace: float) -> None:
        """Hand over what waits, as long as that takes no longer than ``grace`` seconds."""
        deadline = time.monotonic() + grace
        self.flush()
        while self._waiting and (left := deadline - time.monotonic()) > 0:
            self._room.poll(left)
            self.flush()
        self._room.close()
        if self._socket is not None:
            self._socket.close()
        if self._owned >= 0:
            os.close(self._owned)

    def _add(self, lines: bytes) -> None:
        self._size += len(lines)
        while len(lines) > PIECE:
            end = lines.rfind(b"\n", 0, PIECE) + 1 or PIECE
            self._waiting.append(lines[:end])
            lines = lines[end:]
        self._waiting.append(lines)

    def _tell_of_hidden(self) -> None:
        count, self._hidden = self._hidden, 0
        self._notice = self._note(count), count
        self._add(self._notice[0])

    def _drop_all(self) -> None:
        notice, count = self._notice
        for piece in self._waiting:
            self._hidden += count if piece is notice else piece.count(b"\n")
        self._waiting.clear()
        self._size = 0

    def _put(self, piece: bytes) -> int:
        """Raises BlockingIOError when there is no room, other OSError when there never will be."""
        if self._socket is not None:
            return self._socket.send(piece, socket.MSG_DONTWAIT)
        if self._owned < 0:
            poll = select.poll()
            poll.register(self._fd, select.POLLOUT)
            if not poll.poll(0):
                raise BlockingIOError
        return os.write(self._fd, piece)

    def _watch(self, is_wanted: bool) -> None:
        if is_wanted != self._is_watched:
            if is_wanted:
                self._room.register(self._fd, select.EPOLLOUT)
            else:
                self._room.unregister(self._fd)
            self._is_watched = is_wanted

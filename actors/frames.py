"""A stream of bytes cut into the payloads of frames, whatever pieces it comes in.

Lost with the process: one unfinished frame, which its sender still has.
"""

from __future__ import annotations

import socket
import struct
from typing import Final

from holdfast.actors.wire import MAX_FRAME
from holdfast.errors import FrameError

__all__ = ["FrameReader", "Payload"]

Payload = bytes | bytearray

# Above 128 KiB malloc maps and unmaps pages for every read, however little comes: 12 us.
READ_BYTES: Final = 64 * 1024

LARGE: Final = 64 * 1024  # bytes that are missing of a frame: the rest is read to its place
_LENGTH: Final = struct.Struct("<I")


class FrameReader:
    """Holds at most one unfinished frame: ``max_frame`` bytes and one read."""

    def __init__(self, *, max_frame: int = MAX_FRAME) -> None:
        self.max_frame = max_frame
        self._rest = bytearray()  # what came of an unfinished frame, its length included
        self._missing = 0  # bytes until it is whole, or until its length is known
        self._large: bytearray | None = None  # the payload of a large one

    @property
    def held(self) -> int:
        """Bytes that are kept for a frame whose rest has not come."""
        return len(self._rest) + (0 if self._large is None else len(self._large))

    def read(self, sock: socket.socket) -> list[Payload] | None:
        """What one look at a socket completes; None at its end.

        What is missing of a large frame goes straight to its place, as far as it is there.
        Raises BlockingIOError, OSError, FrameError.
        """
        payloads: list[Payload] = []
        if self._large is None:
            data = sock.recv(READ_BYTES)
            if not data:
                return None
            payloads += self.feed(data)
        while self._large is not None:
            try:
                count = sock.recv_into(self._room(self._large))
            except BlockingIOError:
                break
            if not count:
                return payloads or None  # the end will be there at the next look, too
            payloads += self._filled(count)
        return payloads

    def feed(self, data: bytes) -> list[Payload]:
        """The payloads completed by ``data``.

        Raises FrameError for a length over the bound; the stream is of no use after that.
        """
        payloads: list[Payload] = []
        if self._large is not None:
            count = min(len(data), self._missing)
            self._room(self._large)[:count] = data[:count]
            payloads += self._filled(count)
            data = data[count:]
        if self._rest:
            self._rest += data
            if len(data) < self._missing:
                self._missing -= len(data)
                return []
            data = bytes(self._rest)
            self._rest.clear()
        at, end = 0, len(data)
        while at < end:
            if end - at < 4:
                self._missing = 4 - (end - at)
                break
            (length,) = _LENGTH.unpack_from(data, at)
            if length > self.max_frame:
                raise FrameError(f"a frame of {length} bytes is over the bound {self.max_frame}")
            stop = at + 4 + length
            if stop > end:
                self._missing = stop - end
                if self._missing > LARGE:
                    self._large = bytearray(length)
                    self._large[: end - at - 4] = memoryview(data)[at + 4 :]
                    return payloads
                break
            payloads.append(data[at + 4 : stop])
            at = stop
        if at < end:
            self._rest += data[at:]
        return payloads

    def _room(self, large: bytearray) -> memoryview:
        return memoryview(large)[len(large) - self._missing :]

    def _filled(self, count: int) -> list[Payload]:
        """So many bytes more of the large frame are there; its payload, if that was the rest."""
        self._missing -= count
        if self._missing or self._large is None:
            return []
        large, self._large = self._large, None
        return [large]

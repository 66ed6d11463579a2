"""Lines out of the bytes of a stream, wherever they are cut; sans I/O.

Kept: what has come and was not taken yet, at most a line of the largest size and one read.
"""

from __future__ import annotations

__all__ = ["JsonLines", "TooLong"]


class TooLong:
    """In the place of a line that is over the bound; its bytes are not kept."""


class JsonLines:
    """What one peer sends; ``max_line`` bytes without the newline."""

    def __init__(self, *, max_line: int) -> None:
        self._max_line = max_line
        self._held = bytearray()
        self._looked = 0  # bytes of those that are known to have no newline in them
        self._is_skipping = False  # until the end of a line that is too long
        self._is_at_end = False

    @property
    def is_full(self) -> bool:
        """Read no more before a line is taken."""
        return len(self._held) > self._max_line

    def feed(self, data: bytes) -> None:
        """More of the stream."""
        self._held += data

    def end(self) -> None:
        """There is no more: what is left is a line, whether it is whole or not."""
        self._is_at_end = True

    def next(self) -> bytes | TooLong | None:
        """The next line that is not blank; None until there is one."""
        while True:
            line = self._take()
            if line is None or isinstance(line, TooLong) or line.strip():
                return line

    def _take(self) -> bytes | TooLong | None:
        end = self._held.find(b"\n", self._looked)
        if end < 0:
            self._looked = len(self._held)
            if self._looked > self._max_line and not self._is_skipping:
                self._is_skipping = True
                self._forget(self._looked)
                return TooLong()
            if self._is_skipping or self._is_at_end:
                rest = bytes(self._held)
                self._forget(self._looked)
                return rest if rest and not self._is_skipping else None
            return None
        line = bytes(self._held[:end])
        self._forget(end + 1)
        if self._is_skipping:
            self._is_skipping = False
            return b""
        return TooLong() if end > self._max_line else line

    def _forget(self, count: int) -> None:
        del self._held[:count]
        self._looked = 0

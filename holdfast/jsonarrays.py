"""A JSON array piece by piece, whatever its size: the text of each element with its line.

Keeps nothing but the element in hand.  What is wrong inside an element costs that element only,
as long as its brackets and quotes are in order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, Final

__all__ = ["elements"]

_CHUNK: Final = 64 * 1024  # bytes
_BOM: Final = b"\xef\xbb\xbf"
_OUTSIDE: Final = re.compile(rb'["{}\[\],]')
_INSIDE: Final = re.compile(rb'["\\]')


def elements(stream: BinaryIO, *, max_bytes: int) -> Iterator[tuple[int, bytes | str]]:
    """Every element: the number of the line it begins in, and its text, or why it has none."""
    scanner = _Scanner(stream, max_bytes)
    yield from scanner.run()


class _Scanner:
    """Where it stands in the text."""

    def __init__(self, stream: BinaryIO, max_bytes: int) -> None:
        self._stream = stream
        self._max_bytes = max_bytes
        self._buffer = b""
        self._at = 0  # in the buffer: looked at up to there
        self._line = 1  # of what the buffer begins with
        self._is_skipping = False  # the element is too long
        self._depth = 0
        self._is_text = False

    def run(self) -> Iterator[tuple[int, bytes | str]]:
        """From the bracket that opens to the one that closes, and what is behind it."""
        while not self._buffer.strip() and self._read():
            pass
        self._buffer = self._buffer.removeprefix(_BOM)
        start = self._buffer.find(b"[")
        self._take(start + 1)
        while (end := self._next_end()) is not None:
            is_last = self._buffer[end : end + 1] == b"]"
            if not is_last or self._buffer[:end].strip() or self._is_skipping:
                yield self._element(end)
            self._take(end + 1)
            if is_last:
                yield from self._rest()
                return
        reason = "the file ends inside the array"
        yield self._line + self._leading(self._buffer), reason

    def _next_end(self) -> int | None:
        """Where the element in hand ends: at a comma, or at the bracket of the array."""
        while True:
            pattern = _INSIDE if self._is_text else _OUTSIDE
            match = pattern.search(self._buffer, self._at)
            if match is None:
                self._at = len(self._buffer)
                if not self._read():
                    return None
                continue
            at, sign = match.start(), match[0]
            if sign == b"\\":
                if at + 1 >= len(self._buffer) and not self._read():
                    return None
                self._at = at + 2
                continue
            self._at = at + 1
            if sign == b'"':
                self._is_text = not self._is_text
            elif sign in b"{[":
                self._depth += 1
            elif self._depth == 0 and sign != b"}":
                return at
            elif sign != b",":
                self._depth = max(0, self._depth - 1)

    def _read(self) -> bool:
        """More of the text; whether there was more.  Of what is too long only lines are counted."""
        if len(self._buffer) > self._max_bytes and self._at == len(self._buffer):
            self._is_skipping = True
            self._take(self._at)
        chunk = self._stream.read(_CHUNK)
        self._buffer += chunk
        return bool(chunk)

    def _take(self, count: int) -> None:
        self._line += self._buffer.count(b"\n", 0, count)
        self._buffer = self._buffer[count:]
        self._at = 0

    def _element(self, end: int) -> tuple[int, bytes | str]:
        text = self._buffer[:end]
        line = self._line + self._leading(text)
        if self._is_skipping or len(text) > self._max_bytes:
            self._is_skipping = False
            return line, f"longer than {self._max_bytes} bytes"
        return line, text.strip()

    @staticmethod
    def _leading(text: bytes) -> int:
        """Ends of lines before its first sign."""
        return text[: len(text) - len(text.lstrip())].count(b"\n")

    def _rest(self) -> Iterator[tuple[int, str]]:
        while not self._buffer.strip():
            self._take(len(self._buffer))
            if not self._read():
                return
        yield self._line + self._leading(self._buffer), "there is more behind the end of the array"

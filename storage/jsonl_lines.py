"""Lines of a response log: one record each, with its number and who sent it.

A line is a JSON object, so that no beginning of it is a line by itself: what a crash cut off is
told from what is whole.  Nothing is owned here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

__all__ = ["Line", "Sent", "decode_line", "encode_line", "lines_after", "lines_back", "newest_line"]


class Sent(msgspec.Struct, frozen=True, array_like=True):
    """Which message of which sender a record came in: what a repeat is recognised by."""

    sender: str
    incarnation: str
    number: int


class Line(msgspec.Struct, frozen=True):
    """One record; ``seq`` counts from 1 within its session, ``record`` is JSON text."""

    seq: int
    time_us: int
    session: str
    sent: Sent | None
    record: msgspec.Raw


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Line).decode


def encode_line(line: Line) -> bytes:
    """The line with the newline at its end; the record holds none (JSON escapes them)."""
    return _encode(line) + b"\n"


def decode_line(raw: bytes) -> Line | None:
    """The line, without its newline; None when it is damaged."""
    try:
        line = _decode(raw)
        bytes(line.record).decode()  # what msgspec passes over unread may be cut within a letter
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return line


def lines_after(text: bytes, after: int) -> Iterator[Line | None]:
    """The lines of a part whose number is above ``after``; None for each that is damaged.

    Found by bisection: numbers ascend, whatever is damaged between them.
    """
    at, end = 0, len(text)
    while at < end:
        start = text.rfind(b"\n", 0, (at + end) // 2) + 1
        start = max(start, at)
        stop, line = _next_whole(text, start, end)
        if line is None or line.seq > after:
            end = start
        else:
            at = stop
    while at < len(text):
        stop = _end_of_line(text, at)
        if stop - at > 1:
            yield decode_line(text[at : stop - 1] if text[stop - 1] == 10 else text[at:stop])
        at = stop


def lines_back(text: bytes) -> Iterator[Line]:
    """The whole lines, the newest first; what is damaged is passed over."""
    end = len(text)
    while end > 0:
        if text[end - 1] == 10:
            end -= 1
        start = text.rfind(b"\n", 0, end) + 1
        line = decode_line(text[start:end])
        if line is not None:
            yield line
        end = start


def newest_line(text: bytes) -> Line | None:
    """The last whole line."""
    return next(lines_back(text), None)


def _next_whole(text: bytes, start: int, end: int) -> tuple[int, Line | None]:
    """The first whole line that begins in ``text[start:end]``, and where it ends."""
    while start < end:
        stop = _end_of_line(text, start)
        line = decode_line(text[start:stop].rstrip(b"\n"))
        if line is not None:
            return stop, line
        start = stop
    return start, None


def _end_of_line(text: bytes, start: int) -> int:
    found = text.find(b"\n", start)
    return len(text) if found < 0 else found + 1

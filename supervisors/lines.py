"""From the bytes that a process writes to lines that name it, in the one format of the log.

``time level actor[pid] text``.  Kept here, and lost with the supervisor: the beginning of a line
whose end was not written yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, Literal

__all__ = ["LINE_BYTES", "SIGNED", "Lines", "Others", "line_head", "pieces", "when"]

LINE_BYTES: Final = 8 * 1024  # of a text; what is longer is cut into pieces
HEAD_BYTES: Final = 256  # more than the time, the level and a name of 48 characters take
CUT: Final = b" [...]", b"[...] "  # at the end of a piece, and at the beginning of the next one

# Merged lines have to be in order.  With the offset, for the night when a clock is set back; in
# microseconds, since a millisecond is enough for an actor to ask another ten times.
_TIME: Final = rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d(?::\d\d)?"
_LEVEL: Final = rb"[A-Za-z]+(?: \d+)?"  # loguru's "Level 25" too
_HEAD: Final = _TIME + rb" " + _LEVEL + rb" +"
# Of one line; its groups are the time, the level, the actor, the pid and the text.
SIGNED: Final = re.compile(
    rb"(%s) (%s) +([\w-]+)\[(\d+)\] (.*)" % (_TIME, _LEVEL),
    re.DOTALL,  # whatever a text holds, but no line end
)


def when(time_us: int) -> datetime:
    """Microseconds since 1970 as local time."""
    return datetime.fromtimestamp(time_us / 1e6, UTC).astimezone()


def line_head(time: datetime, level: str, actor: str, pid: int | None) -> str:
    """What comes before the text."""
    return f"{time.isoformat(' ', 'microseconds')} {level: <7} {actor}[{pid or 0}] "


def pieces(line: bytes, limit: int = LINE_BYTES) -> Iterator[bytes]:
    """The line, or the pieces that it is cut into, none inside of a character."""
    while len(line) > limit:
        end = limit
        while end > limit - 4 and line[end] & 0xC0 == 0x80:
            end -= 1
        yield line[:end] + CUT[0]
        line = CUT[1] + line[end:]
    yield line


class Lines:
    """One stream of one process.

    A line that the process's own log has written passes as it is, any other gets a head; of a
    supervisor, so do the lines of those below it.
    """

    def __init__(
        self,
        level: Literal["STDOUT", "STDERR"],
        *,
        actor: str,
        pid: int | None,
        is_supervisor: bool,
    ) -> None:
        self._level = level
        self._actor = actor
        self._pid = pid
        self._rest = b""
        name = rb"[\w-]+" if is_supervisor else re.escape(actor.encode())
        self._unsigned = re.compile(rb"^(?!\Z|" + _HEAD + name + rb"\[\d+\] )", re.MULTILINE)
        # What is cut already, and has a head, is not cut once more on its way up.
        self._limit = 8 * LINE_BYTES if is_supervisor else LINE_BYTES + HEAD_BYTES

    def feed(self, data: bytes, time: datetime) -> bytes:
        """The lines that ``data`` ends."""
        lines = (self._rest + data).split(b"\n")
        if max(map(len, lines)) > self._limit:
            lines = [piece for line in lines for piece in pieces(line, self._limit)]
        self._rest = lines.pop()
        return self._signed(lines, time)

    def finish(self, time: datetime) -> bytes:
        """Nothing more comes: what is left, as a line."""
        rest, self._rest = self._rest, b""
        return self._signed([rest] if rest else [], time)

    def _signed(self, lines: list[bytes], time: datetime) -> bytes:
        if not lines:
            return b""
        text = (b"\n".join(lines) + b"\n").replace(b"\r\n", b"\n")
        if not text.isascii():
            text = text.decode(errors="backslashreplace").encode()
        # A name has no backslash, so this is what is put in.
        return self._unsigned.sub(
            line_head(time, self._level, self._actor, self._pid).encode(), text
        )


class Others:
    """Tells the lines of a supervisor from those of the processes below it."""

    def __init__(self, supervisor: str) -> None:
        name = re.escape(supervisor.encode())
        line = rb"^" + _HEAD + rb"(?!" + name + rb"\[)[\w-]+\[\d+\] [^\n]*\n"
        self._theirs = re.compile(line, re.MULTILINE)

    def left_out(self, lines: bytes) -> bytes:
        """The supervisor's own."""
        return self._theirs.sub(b"", lines)

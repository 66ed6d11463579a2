"""The files that supervisors keep of their children's lines, read while they are written.

Owns open files and how far each is read; nothing that outlives the command.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from holdfast.supervisors.lines import SIGNED

__all__ = ["ActorLog", "Line", "actors_in"]

BLOCK: Final = 256 * 1024  # bytes read at once
ATTEMPTS: Final = 100  # to see all files of an actor between two rotations
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Line(NamedTuple):
    """One line; ``raw`` is how it stands in the file, ``time_us`` microseconds since 1970."""

    time_us: int
    level: str
    actor: str
    pid: int | None
    text: str
    raw: str


def actors_in(folder: Path) -> list[str]:
    """Whose lines are there."""
    return sorted(path.stem for path in folder.glob("*.log"))


class ActorLog:
    """The lines of one actor, in the order in which they were written, then those that follow."""

    def __init__(self, folder: Path, actor: str) -> None:
        self.actor = actor
        self._path = folder / f"{actor}.log"
        self._current: BinaryIO | None = None  # the newest file; read up to its position
        self._rest = b""  # the beginning of a line whose end is not there yet
        self._time_us = 0  # of the last line: one that tells none is taken for as late

    def newest(self, count: int) -> list[Line]:
        """At most the last ``count`` lines; ``news`` goes on behind them."""
        with ExitStack() as stack:
            found: list[bytes] = []
            for file in reversed(self._opened(stack)):
                size = os.fstat(file.fileno()).st_size
                file.seek(_start_of_last(file, size, count - len(found)))
                data = file.read(size - file.tell())
                lines = self._split(data) if file is self._current else data.split(b"\n")[:-1]
                found = lines + found
                if len(found) >= count:
                    break
            return self._parsed(found[max(0, len(found) - count) :])

    def all(self, since: int | None) -> Iterator[Line]:
        """Every line from the file on that may hold the first one after ``since``.

        ``news`` goes on behind them.
        """
        with ExitStack() as stack:
            for file in self._opened(stack):
                info = os.fstat(file.fileno())
                if since is not None and info.st_mtime * 1e6 < since:
                    file.seek(info.st_size)
                    continue
                left = info.st_size
                while left > 0 and (data := file.read(min(BLOCK, left))):
                    left -= len(data)
                    yield from self._parsed(self._split(data))

    def news(self) -> list[Line]:
        """What was written since."""
        data = self._unread()
        if self._is_replaced():
            data += self._unread()  # written before it was
            with ExitStack() as stack:
                before, at = None, 0
                if self._current is not None:
                    before, at = os.fstat(self._current.fileno()), self._current.tell()
                newer = _after(before, self._opened(stack))
                data += b"".join(file.read() for file in newer)
                if before is not None and not newer and self._current is not None:
                    self._current.seek(at)  # opened once more: in a rotation nothing is newer yet
        return self._parsed(self._split(data))

    def close(self) -> None:
        """Let go of the file."""
        if self._current is not None:
            self._current.close()
            self._current = None

    def _opened(self, stack: ExitStack) -> list[BinaryIO]:
        """All files, the oldest first; the last one stays open, the others as long as ``stack``."""
        for _ in range(ATTEMPTS):
            chain: list[BinaryIO] = []
            paths: list[Path] = []
            rotated = self._rotated()
            for path in (*rotated, self._path):
                with suppress(FileNotFoundError):
                    chain.append(path.open("rb"))
                    paths.append(path)
            # A rotation in between would leave one out, or have one twice.
            is_still = all(_is_at([file], path) for file, path in zip(chain, paths, strict=True))
            is_all = rotated == self._rotated()
            if is_still and is_all and (self._path in paths or not self._path.exists()):
                break
            for file in chain:
                file.close()
        else:
            return []
        for file in chain[:-1]:
            stack.callback(file.close)
        if self._current is not None and chain:
            stack.callback(self._current.close)
        self._current = chain[-1] if chain else self._current
        return chain

    def _rotated(self) -> list[Path]:
        found = []
        for path in self._path.parent.glob(f"{self._path.name}.*"):
            number = path.name.rpartition(".")[2]
            if number.isdecimal():
                found.append((int(number), path))
        return [path for _, path in sorted(found, reverse=True)]

    def _unread(self) -> bytes:
        if self._current is None:
            return b""
        if os.fstat(self._current.fileno()).st_size < self._current.tell():
            self._current.seek(0)  # somebody has emptied it
            self._rest = b""
        return self._current.read()

    def _is_replaced(self) -> bool:
        there = [] if self._current is None else [self._current]
        return self._path.exists() and not _is_at(there, self._path)

    def _split(self, data: bytes) -> list[bytes]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        return lines

    def _parsed(self, lines: list[bytes]) -> list[Line]:
        return [self._line(line) for line in lines]

    def _line(self, raw: bytes) -> Line:
        shown = raw.decode(errors="backslashreplace")
        signed = SIGNED.fullmatch(raw)
        if signed is None:  # somebody else has written it
            return Line(self._time_us, "", self.actor, None, shown, shown)
        time, level, actor, pid, text = (
            part.decode(errors="backslashreplace") for part in signed.groups()
        )
        self._time_us = (datetime.fromisoformat(time) - _EPOCH) // _MICROSECOND
        return Line(self._time_us, level, actor, int(pid), text, shown)


def _is_at(files: list[BinaryIO], path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return any(os.path.samestat(os.fstat(file.fileno()), there) for file in files)


def _after(before: os.stat_result | None, chain: list[BinaryIO]) -> list[BinaryIO]:
    """Those of the files that were written to after the one that ``before`` tells of."""
    if before is None:
        return chain
    infos = [os.fstat(file.fileno()) for file in chain]
    for number, info in enumerate(infos):
        if os.path.samestat(info, before):
            return chain[number + 1 :]
    # Rotated away, and all the others came later; or moved by somebody, and they came before.
    return [
        file
        for file, info in zip(chain, infos, strict=True)
        if file is chain[-1] or info.st_mtime_ns > before.st_mtime_ns
    ]


def _start_of_last(file: BinaryIO, size: int, count: int) -> int:
    """Where the last ``count`` lines of the first ``size`` bytes begin."""
    at, ends = size, 0
    while at > 0:
        begin = max(0, at - BLOCK)
        file.seek(begin)
        block = file.read(at - begin)
        here = block.count(b"\n")
        if ends + here > count:  # the end of the line before the first one wanted is in here
            cut = len(block)
            for _ in range(count - ends + 1):
                cut = block.rfind(b"\n", 0, cut)
            return begin + cut + 1
        at, ends = begin, ends + here
    return 0

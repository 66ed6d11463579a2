"""A write-ahead log read without SQLite: which pages it holds, and where it is broken.

Each frame carries a checksum over all before it; the log ends where that does not fit.  A frame
that does not fit and has frames behind it which go on from it was damaged, or lost at a power cut:
SQLite takes no notice of what is behind.  Reads only.
https://www.sqlite.org/fileformat.html#the_write_ahead_log
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from holdfast.storage.database_file import PAGE_SIZES

__all__ = ["FRAME_HEAD", "HEAD", "WalPages", "copied_pages", "cut_off_in", "read_log"]

# Of the log's file and of each page in it, bytes that stand in front.
HEAD: Final = 32
FRAME_HEAD: Final = 24
_MAGIC: Final = {0x377F0682: "<", 0x377F0683: ">"}
_MASK: Final = 0xFFFFFFFF
# Of the index, in this machine's order: the log's salts, as they are there, and nBackfill.
_SALTS: Final = slice(32, 40)
_COPIED: Final = slice(96, 100)


class WalPages:
    """The newest committed version of each page that a log holds."""

    def __init__(self, path: str, frames: dict[int, int], pages: int, size: int) -> None:
        self._file = open(path, "rb") if frames else None  # noqa: SIM115  # until close
        self.size = size  # bytes of a page; 0: there is no log
        self._frames = frames  # by number of the page: where its bytes begin
        self.pages = pages  # of the database, as the last commit has it; 0: it says nothing

    @property
    def numbers(self) -> Iterable[int]:
        """Of the pages that it has."""
        return self._frames.keys()

    def read(self, number: int) -> bytes | None:
        """The bytes of a page; None where the log has none."""
        at = self._frames.get(number)
        if at is None or self._file is None:
            return None
        self._file.seek(at)
        return self._file.read(self.size)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()


def read_log(path: str) -> WalPages:
    """All commits of the log that are whole; none where there is no log, or none of SQLite's."""
    committed: dict[int, int] = {}
    pages = size_of_page = 0
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
            order, size_of_page = _order(head)
            sums = _checksum(head[:24], (0, 0), order) if order else (0, 0)
            if order and sums == struct.unpack(">2I", head[24:32]):
                waiting: dict[int, int] = {}
                length = FRAME_HEAD + size_of_page
                while len(frame := file.read(length)) == length:
                    number, size, *salts = struct.unpack(">4I", frame[:16])
                    sums = _checksum(frame[:8] + frame[FRAME_HEAD:], sums, order)
                    if tuple(salts) != struct.unpack(">2I", head[16:24]):
                        break
                    if sums != struct.unpack(">2I", frame[16:24]):
                        break
                    waiting[number] = file.tell() - size_of_page
                    if size:
                        committed |= waiting
                        waiting, pages = {}, size
    except FileNotFoundError:
        pass
    return WalPages(path, committed, pages, size_of_page)


def copied_pages(path: str, index: str) -> WalPages:
    """What of the log is in the database by now, as its ``index`` in shared memory has it; none
    where that is of another log, or nobody has the database open.

    https://www.sqlite.org/walformat.html#the_wal_index_file_format
    """
    with suppress(FileNotFoundError), open(path, "rb") as file, open(index, "rb") as shared:
        head, state = file.read(HEAD), shared.read(_COPIED.stop)
        order, size = _order(head)
        if order and state[_SALTS] == head[16:24]:
            copied: dict[int, int] = {}
            for n in range(int.from_bytes(state[_COPIED], sys.byteorder)):
                at = HEAD + n * (FRAME_HEAD + size)
                copied[int.from_bytes(os.pread(file.fileno(), 4, at), "big")] = at + FRAME_HEAD
            return WalPages(path, copied, 0, size)
    return WalPages(path, {}, 0, 0)


def cut_off_in(path: str, frames: int, page_size: int) -> int:
    """How many frames are behind the ``frames`` that SQLite knows of, if a commit is among them.

    0 where the log ends as it should: what a transaction has left that was never committed follows
    right behind, or has no commit in it, and what stands there from before the log was begun anew
    has other salts.  Where the head of the log is gone, so that SQLite knows of none, any commit
    counts, in a database of ``page_size``.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
            order, size = _order(head)
            if order:
                return _behind(file.fileno(), head[16:24], order, size, frames)
            guesses = (_behind(file.fileno(), None, each, page_size, 0) for each in "<>")
            return max(guesses) if frames == 0 else 0
    except FileNotFoundError:
        return 0


def _behind(descriptor: int, salts: bytes | None, order: str, size: int, first: int) -> int:
    length = FRAME_HEAD + size
    count = (os.fstat(descriptor).st_size - HEAD) // length

    def is_whole(n: int, *, ends_a_transaction: bool) -> bool:
        at = HEAD + n * length
        frame = os.pread(descriptor, FRAME_HEAD, at)
        if len(frame) < FRAME_HEAD or salts not in (None, frame[8:16]):
            return False
        if ends_a_transaction and frame[4:8] == bytes(4):
            return False
        before = struct.unpack(">2I", os.pread(descriptor, 8, at - length + 16))
        data = os.pread(descriptor, size, at + FRAME_HEAD)
        return _checksum(frame[:8] + data, before, order) == struct.unpack(">2I", frame[16:24])

    # Nothing is broken there: a writer died, or its fsync failed, when it had written that and not
    # told the readers, who have kept what they know.
    if first and is_whole(first, ends_a_transaction=False):
        return 0
    for n in range(max(first, 1), count):
        if is_whole(n, ends_a_transaction=True):
            return count - first
    return 0


def _order(head: bytes) -> tuple[str, int]:
    """How the words of checksums stand in the log, and the bytes of a page; "" when it is none."""
    if len(head) < HEAD:
        return "", 0
    magic, _, size = struct.unpack(">3I", head[:12])
    return (_MAGIC.get(magic, ""), size) if size in PAGE_SIZES else ("", 0)


def _checksum(data: bytes, before: tuple[int, ...], order: str) -> tuple[int, int]:
    one, two = before
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        one = (one + even + two) & _MASK
        two = (two + odd + one) & _MASK
    return one, two

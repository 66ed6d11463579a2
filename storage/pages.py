"""A database file read without SQLite: its pages as bytes, and the cells in them.

For files that SQLite will not read any more.  Everything that is read is doubted: what does not
fit where it stands is left out and counted, and no number in the file is followed for ever.
https://www.sqlite.org/fileformat.html says what is where.  Reads only; nothing is kept.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from holdfast.storage.database_file import HEAD
from holdfast.storage.wal_file import WalPages

__all__ = ["FREE", "ROOT", "Cell", "Page", "Pages", "decode_record"]

Value = int | float | str | bytes | None
Kind = Literal["table", "index", "table interior", "index interior"]
_KINDS: Final[dict[int, Kind]] = {
    0x0D: "table",
    0x0A: "index",
    0x05: "table interior",
    0x02: "index interior",
}
# What the pointer map says of a page; each entry is that and the page it hangs on.
ROOT: Final = 1
FREE: Final = 2
NODE: Final = 5
_ENTRY: Final = 5  # bytes
_LOCK_BYTE: Final = 0x40000000  # the page with it is never used
_DEEPEST: Final = 12  # pages from a leaf to its root; 16 KiB pages need four for 2**40 rows
_SIZES: Final = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)  # bytes by serial type


class Cell(NamedTuple):
    """A row of a table or an entry of an index; ``rowid`` 0 in an index."""

    rowid: int
    record: bytes


class Page(NamedTuple):
    """What could be read of a page of a b-tree; ``damaged`` cells could not."""

    kind: Kind
    cells: list[Cell]
    children: list[int]
    damaged: int


class Pages:
    """A database file, with what its log holds in front of it."""

    def __init__(self, path: str, log: WalPages, size: int) -> None:
        """``size``: bytes of a page."""
        self._file = open(path, "rb")  # noqa: SIM115  # until close
        self._log = log
        self.size = size
        self.count = max(-(-self._file.seek(0, 2) // size), log.pages)
        self._per_map = size // _ENTRY + 1  # pages from one map to the next
        self._lock_page = _LOCK_BYTE // size + 1
        # Bytes of a row that stand in its page, the rest in others.
        self._least = (size - 12) * 32 // 255 - 23
        self._most = {"table": size - 35, "index": (size - 12) * 64 // 255 - 23}

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def read(self, number: int) -> bytes | None:
        """The bytes of a page; None where there are none."""
        if not 1 <= number <= self.count:
            return None
        if (found := self._log.read(number)) is not None:
            return found
        self._file.seek((number - 1) * self.size)
        data = self._file.read(self.size)
        return data if len(data) == self.size else None

    def is_map(self, number: int) -> bool:
        """Whether the page is no page of data."""
        return number == self._lock_page or (number >= 2 and (number - 2) % self._per_map == 0)

    def hangs_on(self, number: int) -> tuple[int, int]:
        """What the pointer map says: what the page is, and the one above it; zeroes: nothing."""
        place = (number - 2) // self._per_map * self._per_map + 2
        data = self.read(place + 1 if place == self._lock_page else place)
        at = _ENTRY * (number - place - 1)
        if number < 3 or data is None or not 0 <= at <= self.size - _ENTRY:
            return 0, 0
        what, above = struct.unpack_from(">BI", data, at)
        return what, above

    def root_above(self, number: int) -> int:
        """The root of the tree that the page belongs to, by the pointer map; 0: of none."""
        for _ in range(_DEEPEST):
            what, above = self.hangs_on(number)
            if what == ROOT or number == 1:
                return number
            if what != NODE:
                return 0
            number = above
        return 0

    def parse(self, number: int) -> Page | None:
        """A page of a b-tree; None when it is none."""
        data = self.read(number)
        if data is None or self.is_map(number):
            return None
        start = HEAD if number == 1 else 0
        kind = _KINDS.get(data[start])
        if kind is None:
            return None
        count = int.from_bytes(data[start + 3 : start + 5], "big")
        is_interior = kind.endswith("interior")
        pointers = start + (12 if is_interior else 8)
        if pointers + 2 * count > self.size:
            return None
        children = [int.from_bytes(data[start + 8 : start + 12], "big")] if is_interior else []
        found: list[tuple[int, int, Cell | None, int]] = []
        for at in struct.unpack_from(f">{count}H", data, pointers):
            try:
                cell, child, end = self._cell(data, at, kind)
            except (ValueError, IndexError):
                continue
            if at >= pointers + 2 * count and end <= self.size:
                found.append((at, end, cell, child))
        # Two that overlap are not both what they seem to be.
        found.sort(key=lambda one: one[0])
        fine = [
            one
            for n, one in enumerate(found)
            if (n == 0 or found[n - 1][1] <= one[0])
            and (n + 1 == len(found) or one[1] <= found[n + 1][0])
        ]
        children += [child for _, _, _, child in fine if child]
        cells = [cell for _, _, cell, _ in fine if cell is not None]
        return Page(kind, cells, children, count - len(fine))

    def kind_of(self, number: int) -> Kind | None:
        """What a page says that it is."""
        data = None if self.is_map(number) else self.read(number)
        return None if data is None else _KINDS.get(data[HEAD if number == 1 else 0])

    def _cell(self, data: bytes, at: int, kind: Kind) -> tuple[Cell | None, int, int]:
        """The cell at ``at``, its left child, and where it ends.  Raises ValueError, IndexError."""
        child = 0
        if kind.endswith("interior"):
            child, at = int.from_bytes(data[at : at + 4], "big"), at + 4
        if kind == "table interior":
            _, at = _varint(data, at)
            return None, child, at
        size, at = _varint(data, at)
        rowid = 0
        if kind == "table":
            rowid, at = _varint(data, at)
            rowid = rowid - 2**64 if rowid >= 2**63 else rowid
        most = self._most["table" if kind == "table" else "index"]
        if size <= most:
            return Cell(rowid, data[at : at + size]), child, at + size
        if size > self.count * self.size:
            raise ValueError("longer than the file")
        local = self._least + (size - self._least) % (self.size - 4)
        local = local if local <= most else self._least
        rest = self._overflow(
            int.from_bytes(data[at + local : at + local + 4], "big"), size - local
        )
        return Cell(rowid, data[at : at + local] + rest), child, at + local + 4

    def _overflow(self, number: int, size: int) -> bytes:
        """The rest of a long row.  Raises ValueError where it does not lead to its end."""
        parts = []
        while size > 0:
            data = self.read(number)
            if data is None or self.is_map(number) or self.hangs_on(number)[0] not in (3, 4):
                raise ValueError("the rest of the row is not there")
            parts.append(data[4 : 4 + size])
            size -= self.size - 4
            number = int.from_bytes(data[:4], "big")
        if number:
            raise ValueError("longer than it says")
        return b"".join(parts)


def decode_record(record: bytes) -> list[Value]:
    """The values of a row.  Raises ValueError, IndexError where it is none."""
    head, at = _varint(record, 0)
    types = []
    while at < head:
        kind, at = _varint(record, at)
        types.append(kind)
    if at != head:
        raise ValueError("its head has another length than it says")
    values = list(_values(record, at, types))
    return values


def _values(record: bytes, at: int, types: list[int]) -> Iterator[Value]:
    for kind in types:
        if kind in (10, 11):
            raise ValueError("a type that SQLite does not use")
        size = _SIZES[kind] if kind < 10 else (kind - 12) // 2
        data = record[at : at + size]
        if len(data) != size:
            raise ValueError("shorter than it says")
        at += size
        if kind >= 12:
            yield data.decode() if kind % 2 else data
        elif kind == 7:
            yield struct.unpack(">d", data)[0]
        else:
            yield (
                None
                if kind == 0
                else kind - 8
                if kind > 7
                else int.from_bytes(data, "big", signed=True)
            )
    if at != len(record):
        raise ValueError("longer than it says")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of one to nine bytes, and where it ends.  Raises IndexError."""
    value = 0
    for n in range(8):
        byte = data[at + n]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + n + 1
    return value << 8 | data[at + 8], at + 9

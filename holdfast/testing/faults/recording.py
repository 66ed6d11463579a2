"""What was done to a database's files, in order, and what somebody was told meanwhile.

Owns one file, to which any process appends, one write for each entry.  An entry of a write is
there before the write, that of a sync after the sync: whoever is killed in between did less than
is written here, never more.  Lost then: nothing; a torn last entry is left out by the reader.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

__all__ = [
    "Deleted",
    "Entry",
    "Fact",
    "Made",
    "Recorder",
    "SyncFailed",
    "Synced",
    "Told",
    "Truncated",
    "Wrote",
    "read_recording",
]


class _Entry(msgspec.Struct, frozen=True, array_like=True):
    """Files are named without their folder."""


class Made(_Entry, tag="made", frozen=True, array_like=True):
    """There is a new, empty file of this name; its entry in the folder is not synced yet."""

    file: str


class Wrote(_Entry, tag="wrote", frozen=True, array_like=True):
    """These bytes go to this offset, as far as the process sees them."""

    file: str
    offset: int
    data: bytes


class Truncated(_Entry, tag="truncated", frozen=True, array_like=True):
    """The file has this size, as far as the process sees it."""

    file: str
    size: int


class Synced(_Entry, tag="synced", frozen=True, array_like=True):
    """All before is on the disk; the folder's entries too, where ``with_folder``."""

    file: str
    with_folder: bool


class SyncFailed(_Entry, tag="sync_failed", frozen=True, array_like=True):
    """What was done to the file and is not synced may never be on the disk, whatever is synced
    later: the kernel tells of it once."""

    file: str


class Deleted(_Entry, tag="deleted", frozen=True, array_like=True):
    """The file is gone; on the disk only where ``with_folder``."""

    file: str
    with_folder: bool


# What, of whom, how far: ("entity", "e7", 3) is version 3 of the entity e7.  Numbers only rise.
Fact: TypeAlias = tuple[str, str, int]


class Told(_Entry, tag="told", frozen=True, array_like=True):
    """Somebody was told that this is at a level; where ``is_all``, with every commit so far."""

    level: Literal["committed", "disk"]
    facts: list[Fact] = []
    is_all: bool = False


Entry: TypeAlias = Made | Wrote | Truncated | Synced | SyncFailed | Deleted | Told

_LENGTH: Final = struct.Struct("<I")  # bytes of the entry behind it
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Entry).decode


class Recorder:
    """Appends to a recording, from as many processes as like to; it may cross a fork."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def add(self, entry: Entry) -> None:
        """Put it behind what all have added so far.  Raises OSError."""
        body = _encode(entry)
        os.writev(self._fd, (_LENGTH.pack(len(body)), body))

    def close(self) -> None:
        """Nothing more is added."""
        os.close(self._fd)


def read_recording(path: Path) -> Iterator[Entry]:
    """The entries in order, up to a torn last one."""
    with path.open("rb") as file:
        while len(head := file.read(_LENGTH.size)) == _LENGTH.size:
            (length,) = _LENGTH.unpack(head)
            if len(body := file.read(length)) < length:
                return
            yield _decode(body)

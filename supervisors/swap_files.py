"""What the root keeps of swaps: the one under way, and those that are over.

``swapping`` in the data directory stands there while a swap is under way: a root that finds it was
started after one that died in the middle.  ``swaps.jsonl`` has a line for each that is over.  Lost
with the data directory.  Neither decides where the data is; the commit point does.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from holdfast.actors.messages.swap import SwapPhase, SwapRecord
from holdfast.errors import ConfigError
from holdfast.storage.atomic_files import disk_errors, replace, sync_folder, write_all
from holdfast.supervisors.spec import Environment

__all__ = ["Entry", "SwapFiles", "UnderWay"]

UNDER_WAY: Final = "swapping"
HISTORY: Final = "swaps.jsonl"
MOST: Final = 16 * 2**20  # bytes of the history that are read: tens of thousands of swaps


class UnderWay(msgspec.Struct, frozen=True):
    """The swap that is under way, from where to where, and how far it had come.

    ``is_cut``: nobody is at it, which is on record, and its log is kept on.  ``resumes`` one that
    was.
    """

    record: SwapRecord
    phase: SwapPhase
    source: Environment
    target: Environment
    is_cut: bool = False
    resumes: bool = False


class Entry(msgspec.Struct, frozen=True):
    """One that is over, and the two places; references in them stay references."""

    record: SwapRecord
    places: list[Environment] = []


_decode: Final = msgspec.json.Decoder(Entry).decode


class SwapFiles:
    """Of one data directory; by its owner."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._under_way = data_dir / UNDER_WAY
        self._history = data_dir / HISTORY

    def begin(self, swap: UnderWay) -> None:
        """Before anything else, and at each of its phases.  Raises StorageError."""
        replace(self._under_way, msgspec.json.encode(swap) + b"\n")

    def end(self) -> None:
        """There is none any more.  Raises StorageError."""
        with disk_errors(self._under_way):
            self._under_way.unlink(missing_ok=True)
            sync_folder(self._under_way.parent)

    def under_way(self) -> UnderWay | None:
        """What a killed root has left.  Raises ConfigError."""
        try:
            data = self._under_way.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(f"{self._under_way}: cannot be read: {error.strerror}") from error
        try:
            return msgspec.json.decode(data, type=UnderWay)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{self._under_way}: what is known of a swap that was cut off cannot be "
                f"understood: {error}; remove it, and reload again"
            ) from None

    def add(self, entry: Entry) -> None:
        """To the history.  Raises StorageError."""
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        with disk_errors(self._history):
            descriptor = os.open(self._history, flags, 0o600)
            try:
                size = os.fstat(descriptor).st_size
                torn = size and os.pread(descriptor, 1, size - 1) != b"\n"  # by a crash
                line = msgspec.json.encode(entry) + b"\n"
                write_all(descriptor, b"\n" + line if torn else line)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def history(self) -> list[Entry]:
        """The oldest first; what is no line of it is left out.  Raises StorageError."""
        if not self._history.exists():
            return []
        entries = []
        with disk_errors(self._history), self._history.open("rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - MOST))
            lines = stream.read(MOST).splitlines()
        for line in lines:
            with suppress(msgspec.DecodeError, UnicodeDecodeError):
                entries.append(_decode(line))
        return entries

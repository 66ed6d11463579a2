"""The rotated parts of response logs: read-only, named by the numbers in them, then compressed.

A part is compressed beside itself and only then replaced, so that a kill at any point leaves one
that is whole.  zstandard is loaded when there is something to compress or to read.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from holdfast.errors import StorageError
from holdfast.storage.atomic_files import DRAFT, disk_errors, sync_folder, write_all

if TYPE_CHECKING:
    from zstandard import ZstdCompressionObj

__all__ = ["PACKED", "PLAIN", "Compression", "Part", "part_at", "part_name", "read_part"]

PLAIN: Final = ".jsonl"
PACKED: Final = ".jsonl.zst"
LEVEL: Final = 3  # zstd's default: chat text to a fifth, some 200 MB/s
SLICE: Final = 512 * 1024  # bytes compressed at a time: 3 ms, in which nobody is answered
_NAME: Final = re.compile(r"([^.]+)\.(\d{12})-(\d{12})\.jsonl(\.zst)?")


class Part(NamedTuple):
    """A rotated file: which records it holds, and how large and old it is."""

    time_ns: int  # of its last record: the oldest goes first when there is no room
    path: Path
    stem: str
    first: int
    last: int
    size: int

    @property
    def is_packed(self) -> bool:
        """It is compressed."""
        return self.path.name.endswith(PACKED)


def part_name(stem: str, first: int, last: int) -> str:
    """The name of a part that is not compressed yet."""
    return f"{stem}.{first:012d}-{last:012d}{PLAIN}"


def part_at(path: Path, stat: os.stat_result) -> Part | None:
    """What a file's name says; None when it is no part."""
    found = _NAME.fullmatch(path.name)
    if found is None:
        return None
    return Part(stat.st_mtime_ns, path, found[1], int(found[2]), int(found[3]), stat.st_size)


def read_part(part: Part) -> bytes:
    """Its lines.  Raises StorageError."""
    with disk_errors(part.path):
        raw = part.path.read_bytes()
    if not part.is_packed:
        return raw
    import zstandard

    try:
        return zstandard.ZstdDecompressor().decompressobj().decompress(raw)
    except zstandard.ZstdError as error:
        raise StorageError(f"{part.path}: cannot be decompressed: {error}") from error


class Compression:
    """One part on its way; ``step`` again and again.  Raises StorageError, the part stays then."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self._target = part.path.with_name(part.path.name.removesuffix(PLAIN) + PACKED)
        self._draft = self._target.with_name(self._target.name + DRAFT)
        self._source = self._output = -1
        self._packer: ZstdCompressionObj | None = None

    def step(self) -> Part | None:
        """Compress a slice; the compressed part when that was the last one."""
        try:
            with disk_errors(self._target):
                if self._packer is None:
                    self._packer = self._opened()
                raw = os.read(self._source, SLICE)
                if raw:
                    write_all(self._output, self._packer.compress(raw))
                    return None
                write_all(self._output, self._packer.flush())
                return self._finish()
        except StorageError:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Leave the part as it is, and nothing beside it."""
        self._close()
        with suppress(OSError):
            self._draft.unlink()

    def _opened(self) -> ZstdCompressionObj:
        import zstandard

        self._source = os.open(self.part.path, os.O_RDONLY | os.O_CLOEXEC)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._output = os.open(self._draft, flags, 0o600)
        size = self.part.size  # into the frame's head, so that a reader knows how much comes
        return zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compressobj(size=size)

    def _finish(self) -> Part:
        part = self.part
        os.utime(self._output, ns=(part.time_ns, part.time_ns))
        os.fsync(self._output)
        size = os.fstat(self._output).st_size
        self._close()
        self._draft.rename(self._target)
        sync_folder(self._target.parent)
        part.path.unlink()
        return part._replace(path=self._target, size=size)

    def _close(self) -> None:
        for descriptor in (self._source, self._output):
            if descriptor >= 0:
                os.close(descriptor)
        self._source = self._output = -1

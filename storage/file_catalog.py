"""All files of the folder with their sizes, and how much room is left for more.

Read from the folder when it is made: the folder is the truth, and one process writes in it.  About
300 bytes of memory a session.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from holdfast.errors import AlreadyRunningError, DiskFullError
from holdfast.storage.atomic_files import DRAFT, disk_errors
from holdfast.storage.file_lock import lock_within
from holdfast.storage.jsonl_file import TORN
from holdfast.storage.jsonl_parts import PLAIN, Part, part_at

__all__ = ["Catalog", "Log"]

LOCK: Final = "writer.lock"
RESULTS: Final = "results"
LOGS: Final = "logs"
_JSON: Final = ".json"


class Log:
    """The files of one session."""

    __slots__ = ("active", "parts", "time_ns", "torn")

    def __init__(self) -> None:
        self.active = -1  # bytes of the file that is appended to; -1 where there is none
        self.torn = 0  # bytes that were put aside
        self.parts: list[Part] = []  # in the order of their numbers
        self.time_ns = 0  # of the newest change

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return max(0, self.active) + self.torn + sum(part.size for part in self.parts)


class Catalog:
    """The folder ``files``: ``logs`` and ``results`` in it, locked until ``close``.

    ``patience`` are the seconds that its last writer has to end, where it was killed just now.
    Raises StorageError; AlreadyRunningError when another process writes there.
    """

    def __init__(self, folder: Path, *, max_bytes: int, patience: float = 0.0) -> None:
        self.logs_folder = folder / LOGS
        self.results_folder = folder / RESULTS
        self.max_bytes = max_bytes
        self.used = 0  # bytes of all files
        self.logs: dict[str, Log] = {}  # by stem
        self.results: dict[str, int] = {}  # bytes by stem
        self.deleted_parts = self.deleted_bytes = 0  # since the process started
        self._oldest: list[Part] = []  # a heap; may name parts that are gone
        with disk_errors(folder):
            folder.mkdir(mode=0o700, exist_ok=True)
            self._lock = _locked(folder, patience)
            for made in (self.logs_folder, self.results_folder):
                made.mkdir(mode=0o700, exist_ok=True)
            self._read_logs()
            for path, stat in _files(self.results_folder):
                if path.name.endswith(_JSON):
                    self.set_result(path.name.removesuffix(_JSON), stat.st_size)

    def close(self) -> None:
        """Let the next writer in."""
        os.close(self._lock)

    def active_path(self, stem: str) -> Path:
        """The file of a session that is appended to."""
        return self.logs_folder / f"{stem}{PLAIN}"

    def result_path(self, stem: str) -> Path:
        """The file of a result."""
        return self.results_folder / f"{stem}{_JSON}"

    def log(self, stem: str) -> Log:
        """The files of a session; those of a new one are none."""
        found = self.logs.get(stem)
        if found is None:
            found = self.logs[stem] = Log()
        return found

    def set_active(self, stem: str, size: int, time_ns: int) -> None:
        """The active file has that size now; -1: it is no more."""
        log = self.log(stem)
        self.used += max(0, size) - max(0, log.active)
        log.active, log.time_ns = size, max(log.time_ns, time_ns)

    def add_torn(self, stem: str, size: int) -> None:
        """So many bytes more were put aside."""
        self.log(stem).torn += size
        self.used += size

    def set_result(self, stem: str, size: int) -> None:
        """A result's file has that size now; 0: it is no more."""
        self.used += size - self.results.pop(stem, 0)
        if size:
            self.results[stem] = size

    def add_part(self, part: Part) -> None:
        """A part more."""
        log = self.log(part.stem)
        log.parts.append(part)
        log.parts.sort(key=lambda one: one.first)
        log.time_ns = max(log.time_ns, part.time_ns)
        self.used += part.size
        heapq.heappush(self._oldest, part)

    def remove_part(self, part: Part) -> None:
        """A part less."""
        self.logs[part.stem].parts.remove(part)
        self.used -= part.size

    def forget(self, stem: str) -> None:
        """All files of a session are gone."""
        log = self.logs.pop(stem, None)
        if log is not None:
            self.used -= log.size

    def plain_parts(self) -> Iterator[Part]:
        """What waits to be compressed."""
        for log in self.logs.values():
            yield from (part for part in log.parts if not part.is_packed)

    def make_room(self, needed: int) -> list[Part]:
        """Delete the oldest parts until so many bytes more are within the bound; those.

        Raises DiskFullError when that is not enough; nothing is deleted then.
        """
        missing = self.used + needed - self.max_bytes
        if missing <= 0:
            return []
        spare = sum(part.size for log in self.logs.values() for part in log.parts)
        if spare < missing:
            raise DiskFullError(
                f"the files take {self.used} bytes, and [actors.files] max_bytes = "
                f"{self.max_bytes} has no room for {needed} more: nothing is written; delete "
                "sessions or results, or raise it"
            )
        deleted = []
        while missing > 0:
            part = heapq.heappop(self._oldest)
            log = self.logs.get(part.stem)
            if log is None or part not in log.parts:
                continue  # gone already, or compressed since
            with disk_errors(part.path), suppress(FileNotFoundError):
                part.path.unlink()
            self.remove_part(part)
            missing -= part.size
            deleted.append(part)
        self.deleted_parts += len(deleted)
        self.deleted_bytes += sum(part.size for part in deleted)
        return deleted

    def _read_logs(self) -> None:
        parts: dict[tuple[str, int], Part] = {}
        for path, stat in _files(self.logs_folder):
            stem = path.name.partition(".")[0]
            if path.name == stem + PLAIN:
                self.set_active(stem, stat.st_size, stat.st_mtime_ns)
            elif path.name.endswith(TORN):
                self.add_torn(stem, stat.st_size)
            elif (part := part_at(path, stat)) is not None:
                twin = parts.get((stem, part.first))
                # Killed between putting the compressed one in place and deleting this.
                if twin is not None:
                    plain, part = sorted((twin, part), key=lambda one: one.is_packed)
                    plain.path.unlink()
                parts[stem, part.first] = part
        for part in parts.values():
            self.add_part(part)


def _locked(folder: Path, patience: float) -> int:
    """The descriptor of the folder's lock, which ends with the process."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(folder / LOCK, flags, 0o600)
    if not lock_within(descriptor, patience):
        os.close(descriptor)
        raise AlreadyRunningError(
            f"{folder}: another process writes to it: stop that daemon, or set "
            "[actors.files] path to another folder"
        )
    return descriptor


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """The files; drafts of a life that was killed are deleted."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(DRAFT):
                os.unlink(entry.path)
            elif entry.is_file(follow_symlinks=False):
                yield Path(entry.path), entry.stat(follow_symlinks=False)

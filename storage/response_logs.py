"""Response logs: records appended to one file per session, rotated, compressed, within a bound.

A record is in the file when ``append`` returns (it survives SIGKILL of everything) and on the disk
after ``sync``.  At most the line that was being written is torn by a kill; it is put aside when
its file is opened for the next one.  Nothing is in memory but what the folder says.
"""

from __future__ import annotations

import os
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import msgspec

from holdfast.clock import Clock
from holdfast.errors import StorageError
from holdfast.storage.atomic_files import disk_errors, sync_folder
from holdfast.storage.file_catalog import Catalog, Log
from holdfast.storage.file_names import name_of, stem_of
from holdfast.storage.file_records import LogInfo
from holdfast.storage.jsonl_file import TORN, JsonlFile
from holdfast.storage.jsonl_lines import (
    Line,
    Sent,
    decode_line,
    encode_line,
    lines_after,
    lines_back,
    newest_line,
)
from holdfast.storage.jsonl_parts import Compression, Part, part_name, read_part

__all__ = ["Page", "ResponseLogs", "Rotation"]

DAY_US: Final = 86_400_000_000
# Bytes of a session in which a repeat is looked for, the newest: 0.1 s.
SEARCHED: Final = 128 * 1024 * 1024


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """When a file is put away: at so many bytes, on the next UTC day; and how many stay open."""

    max_bytes: int
    daily: bool
    open_files: int


class Page(msgspec.Struct, frozen=True):
    """Records in order; ``damaged`` lines among them could not be read.

    ``last`` is the number of the session's newest record, ``more`` says that not all up to there
    are here.
    """

    lines: list[Line]
    last: int
    damaged: int
    more: bool


class ResponseLogs:
    """The one writer of the folder."""

    def __init__(self, catalog: Catalog, *, rotation: Rotation, clock: Clock) -> None:
        self._catalog = catalog
        self.rotation = rotation
        self._clock = clock
        self._open: OrderedDict[str, JsonlFile] = OrderedDict()  # by stem, least recent first
        self._unsynced: dict[str, None] = {}  # stems, of what may not be on the disk
        self._round: deque[str] = deque()  # those of them that ``sync_next`` is going through
        self._to_pack: deque[Part] = deque(catalog.plain_parts())
        self._packing: Compression | None = None
        self._new_names = False  # names in the folder may not be on the disk
        self.torn_lines = 0  # put aside since the process started

    # -- writing ------------------------------------------------------------------------------

    def append(self, session: str, record: str, sent: Sent | None, *, is_repeat: bool) -> int:
        """Append a record, JSON text without a newline; its number.

        A repeat of a record that is there gets the number it has.  Raises StorageError; then
        nothing of it is written.
        """
        stem = stem_of(session)
        if is_repeat and sent is not None and (known := self._number_of(stem, sent)):
            return known
        file = self._opened(stem)
        now = self._clock.time_us()
        if self._is_due(file, now):
            self._rotate(stem, file)
            file = self._opened(stem)
        seq = self._newest_seq(stem, file) + 1
        line = Line(seq, now, session, sent, msgspec.Raw(record.encode()))
        data = encode_line(line)
        try:
            self._make_room(len(data))
            file.append(data, now)
        except StorageError:
            if not file.size:
                self._take_back(stem)
            raise
        file.last = line
        self._catalog.set_active(stem, file.size, now * 1000)
        self._unsynced[stem] = None
        return seq

    def delete(self, session: str) -> bool:
        """Delete all files of a session; whether there were any.  Raises StorageError."""
        stem = stem_of(session)
        log = self._catalog.logs.get(stem)
        if log is None:
            return False
        self._close(stem)
        self._unsynced.pop(stem, None)
        if self._packing is not None and self._packing.part.stem == stem:
            self._packing.abandon()
            self._packing = None
        active = self._catalog.active_path(stem)
        paths = [active, active.with_name(active.name + TORN), *(p.path for p in log.parts)]
        with disk_errors(active):
            for path in paths:
                path.unlink(missing_ok=True)
            sync_folder(active.parent)
        self._catalog.forget(stem)
        return True

    def sync(self, session: str) -> None:
        """Have what was appended to it on the disk.  Raises StorageError."""
        self._sync(stem_of(session))

    def sync_next(self) -> bool:
        """Have one file on the disk, of those that were not when this round began.

        Whether there are more: what is appended meanwhile is for the next round, or rounds under
        load would never end.  Raises StorageError.
        """
        if not self._round:
            self._round.extend(self._unsynced)
        if self._round:
            self._sync(self._round.popleft())
        return bool(self._round)

    def _sync(self, stem: str) -> None:
        if stem not in self._unsynced:
            return
        self._opened(stem).sync()
        del self._unsynced[stem]
        if self._new_names:
            with disk_errors(self._catalog.logs_folder):
                sync_folder(self._catalog.logs_folder)
            self._new_names = False

    @property
    def is_unsynced(self) -> bool:
        """Something may not be on the disk yet."""
        return bool(self._unsynced)

    def close(self) -> None:
        """Let go of all files; what was being compressed is found again at the next start."""
        if self._packing is not None:
            self._packing.abandon()
            self._packing = None
        for stem in list(self._open):
            self._close(stem)

    # -- compressing --------------------------------------------------------------------------

    @property
    def is_packing(self) -> bool:
        """There is something to compress."""
        return self._packing is not None or bool(self._to_pack)

    def pack(self) -> None:
        """Compress a slice of what was rotated.  Raises StorageError: that part stays as it is."""
        if self._packing is None:
            part = self._to_pack.popleft()
            log = self._catalog.logs.get(part.stem)
            if log is None or part not in log.parts:
                return  # deleted meanwhile
            self._packing = Compression(part)
        packing = self._packing
        try:
            packed = packing.step()
        except StorageError:
            self._packing = None
            self._to_pack.append(packing.part)
            raise
        if packed is not None:
            self._packing = None
            self._catalog.remove_part(packing.part)
            self._catalog.add_part(packed)

    # -- reading ------------------------------------------------------------------------------

    def read(self, session: str, *, after: int, limit: int, max_bytes: int) -> Page:
        """The records whose number is above ``after``, the oldest first.  Raises StorageError."""
        stem = stem_of(session)
        log = self._catalog.logs.get(stem)
        if log is None:
            return Page([], 0, 0, more=False)
        lines: list[Line] = []
        damaged = size = 0
        more = False
        for text in self._texts(stem, log, after):
            for line in lines_after(text, after):
                if line is None:
                    damaged += 1
                    continue
                size += len(line.record)
                if len(lines) == limit or (lines and size > max_bytes):
                    more = True
                    break
                lines.append(line)
            if more:
                break
        return Page(lines, self._last_seq(stem, log), damaged, more)

    def list(self, after: str, limit: int) -> tuple[list[LogInfo], str]:
        """What there is, in the order of file names after ``after``; where to go on, or ""."""
        stems = sorted(stem for stem in self._catalog.logs if stem > after)
        infos = []
        for stem in stems[:limit]:
            log = self._catalog.logs[stem]
            session = name_of(stem) or self._session_of(stem, log)
            changed = log.time_ns // 1000
            infos.append(LogInfo(session, log.size, len(log.parts), log.torn, changed))
        return infos, stems[limit - 1] if len(stems) > limit else ""

    # -- inside -------------------------------------------------------------------------------

    def _opened(self, stem: str) -> JsonlFile:
        file = self._open.get(stem)
        if file is not None:
            self._open.move_to_end(stem)
            return file
        while len(self._open) >= self.rotation.open_files:
            self._open.popitem(last=False)[1].close()
        path = self._catalog.active_path(stem)
        log = self._catalog.logs.get(stem)
        is_new = log is None or log.active < 0
        file = JsonlFile(path)
        self._open[stem] = file
        self._catalog.set_active(stem, file.size, 0)
        if file.put_aside:
            self.torn_lines += 1
            self._catalog.add_torn(stem, file.put_aside + 1)
        self._new_names = self._new_names or is_new
        return file

    def _take_back(self, stem: str) -> None:
        """Nothing found room in a file that was made for it: leave none that is empty."""
        self._close(stem)
        path = self._catalog.active_path(stem)
        with disk_errors(path):
            path.unlink(missing_ok=True)
        self._catalog.set_active(stem, -1, 0)
        if not self._catalog.log(stem).size:
            self._catalog.forget(stem)

    def _close(self, stem: str) -> None:
        file = self._open.pop(stem, None)
        if file is not None:
            file.close()

    def _is_due(self, file: JsonlFile, now: int) -> bool:
        if file.size >= self.rotation.max_bytes:
            return True
        is_old = file.first_us is not None and file.first_us // DAY_US != now // DAY_US
        return self.rotation.daily and is_old

    def _rotate(self, stem: str, file: JsonlFile) -> None:
        """Put the file away under the numbers it holds; the next record begins another."""
        oldest = next((line for line in lines_after(file.text(), 0) if line is not None), None)
        if oldest is None or file.last is None:
            return  # nothing in it can be read: it stays, and is gone with its session
        file.sync()
        self._unsynced.pop(stem, None)
        path = file.path.with_name(part_name(stem, oldest.seq, file.last.seq))
        size = file.size
        with disk_errors(path):
            os.rename(file.path, path)
            time_ns = path.stat().st_mtime_ns
        self._close(stem)
        self._catalog.set_active(stem, -1, time_ns)
        part = Part(time_ns, path, stem, oldest.seq, file.last.seq, size)
        self._catalog.add_part(part)
        self._to_pack.append(part)
        self._new_names = True

    def _make_room(self, needed: int) -> None:
        """Raises DiskFullError."""
        for part in self._catalog.make_room(needed):
            if self._packing is not None and self._packing.part == part:
                self._packing.abandon()
                self._packing = None

    def _newest_seq(self, stem: str, file: JsonlFile) -> int:
        parts = self._catalog.log(stem).parts
        return max(file.last.seq if file.last else 0, parts[-1].last if parts else 0)

    def _last_seq(self, stem: str, log: Log) -> int:
        file = self._open.get(stem)
        newest = file.last if file is not None else newest_line(self._active_text(stem, log))
        return max(newest.seq if newest else 0, log.parts[-1].last if log.parts else 0)

    def _number_of(self, stem: str, sent: Sent) -> int:
        """The number of the record that came in that message; 0 when it is not there."""
        log = self._catalog.logs.get(stem)
        if log is None:
            return 0
        searched = 0
        for text in self._texts_back(stem, log):
            for line in lines_back(text):
                known = line.sent
                if known is None or known.sender != sent.sender:
                    continue
                # A sender's numbers ascend within a session: below it there is no use in looking.
                if known.incarnation == sent.incarnation and known.number <= sent.number:
                    return line.seq if known.number == sent.number else 0
            searched += len(text)
            if searched > SEARCHED:
                break
        return 0

    def _texts(self, stem: str, log: Log, after: int) -> Iterator[bytes]:
        """The parts that hold numbers above ``after``, then the active file."""
        for part in log.parts:
            if part.last > after:
                yield read_part(part)
        yield self._active_text(stem, log)

    def _texts_back(self, stem: str, log: Log) -> Iterator[bytes]:
        """The active file, then the parts, the newest first; without those that are damaged."""
        yield self._active_text(stem, log)
        for part in reversed(log.parts):
            with suppress(StorageError):
                yield read_part(part)

    def _active_text(self, stem: str, log: Log) -> bytes:
        """Its whole lines; it is not opened for that, so nothing is repaired."""
        file = self._open.get(stem)
        if file is not None:
            return file.text()
        if log.active < 0:
            return b""
        path = self._catalog.active_path(stem)
        with disk_errors(path):
            text = path.read_bytes()
        whole = text.rfind(b"\n") + 1
        return text if decode_line(text[whole:]) is not None else text[:whole]

    def _session_of(self, stem: str, log: Log) -> str:
        """The session whose name was too long for a file's: its records have it."""
        for text in self._texts_back(stem, log):
            if (line := newest_line(text)) is not None:
                return line.session
        return stem

"""The files actor: response logs as JSON lines, and named results.

Lost when its process dies: at most the line that was being written, which is put aside when its
file is opened again; nothing acknowledged.  A record that comes again after a death is recognised
in the file itself, since it stands there with the number its sender gave it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec
from loguru import logger

from holdfast.actors.delivery import Delivery
from holdfast.actors.host import LATER, HostedActor
from holdfast.actors.messages import files
from holdfast.actors.notices import Notices
from holdfast.clock import Clock
from holdfast.errors import HoldfastError, InvalidInputError, StorageError
from holdfast.storage import jsontext
from holdfast.storage.file_catalog import Catalog
from holdfast.storage.file_names import checked_name
from holdfast.storage.jsonl_lines import Sent
from holdfast.storage.response_logs import ResponseLogs, Rotation
from holdfast.storage.result_files import ResultFiles

__all__ = ["FilesActor"]

MAX_RECORD: Final = 1024 * 1024  # bytes
MAX_RESULT: Final = 4 * 1024 * 1024  # bytes; half of what a frame holds
MAX_LIMIT: Final = 1_000  # records or names in one reply
PAGE_BYTES: Final = 2 * 1024 * 1024
PACK_AGAIN: Final = 60.0  # seconds until what could not be compressed is tried again


class _SyncDue(msgspec.Struct, frozen=True):
    """Put what was appended on the disk, one file at a time."""


class _SyncAsked(msgspec.Struct, frozen=True):
    """Put what is waited for on the disk: all that was ready has been appended."""


class _PackDue(msgspec.Struct, frozen=True):
    """Compress a slice of what was rotated."""


class FilesActor(HostedActor):
    """Opens the folder with the first request; has no timer while there is nothing to do."""

    refuses_tells = True

    def __init__(
        self,
        *,
        open_catalog: Callable[[], Catalog],
        rotation: Rotation,
        durability: Literal["committed", "disk"],
        sync_interval: float,
        clock: Clock,
    ) -> None:
        super().__init__()
        self._open_catalog = open_catalog
        self._rotation = rotation
        self._is_always_synced = durability == "disk"
        self._sync_interval = sync_interval
        self._clock = clock
        self._notices = Notices(self.mailbox)
        self._folder: tuple[Catalog, ResponseLogs, ResultFiles] | None = None
        self._sync_is_due = self._pack_is_due = False
        # Appended, and to be answered when they are on the disk: the appends of one look at the
        # sockets share an fsync for each file.
        self._awaiting_disk: dict[str, list[tuple[Delivery, int]]] = {}
        self._told_torn = self._told_deleted = 0

    def reconfigure(
        self,
        *,
        open_catalog: Callable[[], Catalog],
        max_bytes: int,
        rotation: Rotation,
        sync_interval: float,
    ) -> None:
        """Other bounds from now on, of the same folder."""
        self._open_catalog, self._rotation = open_catalog, rotation
        self._sync_interval = sync_interval
        if self._folder is not None:
            catalog, logs, _ = self._folder
            catalog.max_bytes, logs.rotation = max_bytes, rotation

    def on_stop(self) -> None:
        """Have everything on the disk."""
        if self._folder is not None:
            logs = self._folder[1]
            try:
                while logs.is_unsynced:
                    logs.sync_next()
            except StorageError as error:
                logger.error("the stop leaves records that may not be on the disk: {}", error)
            logs.close()
            self._folder[0].close()

    def on_receive(self, message: Any) -> Any:
        """Requests of programs, and timers."""
        match message:
            case files.Append():
                return self._append(message)
            case files.PutResult():
                return self._put_result(message)
            case files.Delete(session=session):
                return files.Deleted(self._logs.delete(checked_name("session", session)))
            case files.DeleteResult(name=name):
                return files.Deleted(self._results.delete(checked_name("name", name)))
            case files.Read():
                return self._read(message)
            case files.GetResult(name=name):
                found = self._results.get(checked_name("name", name))
                if found is None:
                    return files.ResultIs(0, 0, "")
                return files.ResultIs(found.version, found.time_us, bytes(found.value).decode())
            case files.List(after=after, limit=limit):
                return files.LogsAre(*self._logs.list(after, _bounded(limit)))
            case files.ListResults(after=after, limit=limit):
                return files.ResultsAre(*self._results.list(after, _bounded(limit)))
            case files.Stats():
                return self._stats()
            case _SyncDue():
                self._sync_one()
            case _SyncAsked():
                self._sync_asked()
            case _PackDue():
                self._pack()
            case _:
                logger.warning("unknown message {!r}", message)
        return None

    # -- changes ------------------------------------------------------------------------------

    def _append(self, append: files.Append) -> Any:
        session = checked_name("session", append.session)
        record = _checked_record(append.record)
        sent, is_repeat = self._sent()
        seq = self._logs.append(session, record, sent, is_repeat=is_repeat)
        self.mailbox.absolve()  # it is written: a kill from here on makes no poison of it
        self._tell_of_room()
        self._arm()
        if append.durability == "committed" and not self._is_always_synced:
            return files.Appended(seq)
        delivery = self.mailbox.current
        if delivery is None or delivery.kind == "tell":
            self._logs.sync(session)  # nobody waits for an answer
            return None
        if not self._awaiting_disk:
            self.mailbox.deliver(_SyncAsked())  # behind what is ready to be appended as well
        self._awaiting_disk.setdefault(session, []).append((delivery, seq))
        return LATER

    def _put_result(self, put: files.PutResult) -> files.ResultPut:
        name = checked_name("name", put.name)
        size = len(put.value.encode())
        if size > MAX_RESULT:
            raise InvalidInputError(f"value of {size} bytes: expected at most {MAX_RESULT}")
        jsontext.decode(put.value)
        sent, is_repeat = self._sent()
        version = self._results.put(
            name, put.value, sent, expected=put.expected_version, is_repeat=is_repeat
        )
        self.mailbox.absolve()
        self._tell_of_room()
        return files.ResultPut(version)

    def _sent(self) -> tuple[Sent | None, bool]:
        """Which command this is, and whether it may have been carried out before."""
        delivery = self.mailbox.current
        if delivery is None or delivery.kind != "command":
            return None, False
        is_repeat = delivery.redelivered or bool(delivery.skip)
        return Sent(delivery.sender, delivery.incarnation, delivery.number), is_repeat

    def _read(self, read: files.Read) -> files.RecordsAre:
        session = checked_name("session", read.session)
        if read.after < 0:
            raise InvalidInputError(f"after = {read.after}: expected a number >= 0")
        limit = _bounded(read.limit)
        page = self._logs.read(session, after=read.after, limit=limit, max_bytes=PAGE_BYTES)
        records = [
            files.RecordIs(line.seq, line.time_us, bytes(line.record).decode())
            for line in page.lines
        ]
        return files.RecordsAre(records, page.last, page.more, page.damaged)

    # -- the disk -----------------------------------------------------------------------------

    def _arm(self) -> None:
        if not self._sync_is_due and self._logs.is_unsynced:
            self._sync_is_due = True
            self.mailbox.after(self._sync_interval, _SyncDue())
        if not self._pack_is_due and self._logs.is_packing:
            self._pack_is_due = True
            self.mailbox.deliver(_PackDue())

    def _sync_one(self) -> None:
        self._sync_is_due = False
        try:
            is_more = self._logs.sync_next()
        except StorageError as error:
            logger.error("trying again: {}", error)
            is_more = False
        if is_more:
            self._sync_is_due = True
            self.mailbox.deliver(_SyncDue())
        else:
            self._arm()

    def _sync_asked(self) -> None:
        """One file at a time, so that the others are served in between."""
        session = next(iter(self._awaiting_disk))
        waiting = self._awaiting_disk.pop(session)
        failure: HoldfastError | None = None
        try:
            self._logs.sync(session)
        except StorageError as error:
            failure = error
        for delivery, seq in waiting:
            if failure is None:
                delivery.set(files.Appended(seq))
            else:
                delivery.set_exception((type(failure), failure, None))
        if self._awaiting_disk:
            self.mailbox.deliver(_SyncAsked())

    def _pack(self) -> None:
        self._pack_is_due = False
        try:
            self._logs.pack()
        except StorageError as error:
            logger.warning("not compressed, trying again: {}", error)
            self._pack_is_due = True
            self.mailbox.after(PACK_AGAIN, _PackDue())
            return
        if self._logs.is_packing:
            self._pack_is_due = True
            self.mailbox.deliver(_PackDue())

    # -- the folder ---------------------------------------------------------------------------

    @property
    def _logs(self) -> ResponseLogs:
        return self._opened()[1]

    @property
    def _results(self) -> ResultFiles:
        return self._opened()[2]

    def _opened(self) -> tuple[Catalog, ResponseLogs, ResultFiles]:
        """The folder, looked through at the first use.  Raises StorageError."""
        if self._folder is None:
            catalog = self._open_catalog()
            logs = ResponseLogs(catalog, rotation=self._rotation, clock=self._clock)
            self._folder = catalog, logs, ResultFiles(catalog, clock=self._clock)
            self._arm()
        return self._folder

    def _stats(self) -> files.FilesStats:
        catalog, logs, _ = self._opened()
        return files.FilesStats(
            catalog.used,
            catalog.max_bytes,
            len(catalog.logs),
            len(catalog.results),
            catalog.deleted_parts,
            catalog.deleted_bytes,
            logs.torn_lines,
        )

    def _tell_of_room(self) -> None:
        """Tell once of what was deleted to make room, and of what was put aside."""
        catalog, logs, _ = self._opened()
        if catalog.deleted_parts > self._told_deleted:
            parts = catalog.deleted_parts - self._told_deleted
            self._told_deleted = catalog.deleted_parts
            logger.warning("{} rotated files were deleted: max_bytes is reached", parts)
            data: dict[str, object] = {
                "parts": parts,
                "deleted_parts": catalog.deleted_parts,
                "deleted_bytes": catalog.deleted_bytes,
                "max_bytes": catalog.max_bytes,
            }
            self._notices.emit("files:deleted_for_room", data)
        if logs.torn_lines > self._told_torn:
            self._told_torn = logs.torn_lines
            logger.warning("a torn line was put aside")
            self._notices.emit("files:torn_line", {"torn_lines": logs.torn_lines})


def _bounded(limit: int) -> int:
    if limit < 1:
        raise InvalidInputError(f"limit = {limit}: expected at least 1")
    return min(limit, MAX_LIMIT)


def _checked_record(record: str) -> str:
    """The record on one line.  Raises InvalidInputError."""
    size = len(record.encode())
    if size > MAX_RECORD:
        raise InvalidInputError(f"record of {size} bytes: expected at most {MAX_RECORD}")
    value = jsontext.decode(record)
    if not isinstance(value, dict):
        raise InvalidInputError(f"record = {record[:80]}: expected a JSON object")
    return record if "\n" not in record else jsontext.encode(value)

"""The calls about response logs and results: what they send, how the replies read.

Nothing is kept here.
"""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.actors.calls import Ask, Command, Now, Steps
from holdfast.actors.messages import files
from holdfast.errors import AskTimeoutError, InvalidInputError
from holdfast.storage import jsontext
from holdfast.storage.conversations import Format, Record, exported
from holdfast.storage.file_names import checked_name
from holdfast.storage.file_records import LogInfo, ResultInfo

__all__ = [
    "Format",
    "LogInfo",
    "Record",
    "Result",
    "ResultInfo",
    "append_record",
    "delete_log",
    "delete_result",
    "export_log",
    "files_stats",
    "get_result",
    "list_logs",
    "list_results",
    "put_result",
    "read_records",
]

PAGE = 500  # records or names asked for at a time


class Result(msgspec.Struct, frozen=True):
    """A named result; ``value`` is decoded, ``version`` counts its replacements from 1."""

    name: str
    version: int
    time_us: int
    value: Any


def append_record(
    session: str,
    record: dict[str, Any],
    *,
    durability: files.Durability = "committed",
    timeout: float = 30.0,
) -> Steps[int]:
    """Append a record to the session's log; its number, from 1.

    It is in the file then ("committed": it survives SIGKILL of everything), or on the disk
    ("disk").  Appended once, whatever is killed meanwhile.  Raises InvalidInputError,
    DiskFullError, StorageError; then nothing of it is written.
    """
    if durability not in ("committed", "disk"):
        raise InvalidInputError(f"durability = {durability!r}: expected committed or disk")
    if not isinstance(record, dict):
        raise InvalidInputError(f"record = {str(record)[:80]!r}: expected a dict")
    append = files.Append(checked_name("session", session), jsontext.encode(record), durability)
    reply = yield Command("files", append, timeout)
    seq: int = reply.seq
    return seq


def read_records(
    session: str, *, after: int = 0, limit: int = 100, timeout: float = 30.0
) -> Steps[list[Record]]:
    """The records after number ``after``, the oldest first, rotated ones too.

    Lines that cannot be read are passed over.  Empty where there is no such session.
    """
    if limit < 1:
        raise InvalidInputError(f"limit = {limit}: expected at least 1")
    until = (yield Now()) + timeout
    found: list[Record] = []
    while len(found) < limit:
        ask = files.Read(checked_name("session", session), after, min(PAGE, limit - len(found)))
        reply = yield Ask("files", ask, (yield from _rest(until)))
        found += [_opened(record) for record in reply.records]
        if not reply.more:
            break
        after = reply.records[-1].seq
    return found


def export_log(session: str, format: Format = "markdown", *, timeout: float = 30.0) -> Steps[str]:
    """The session's records that exist now, as one text: "markdown" or "json".

    Raises InvalidInputError when there is no such session.
    """
    until = (yield Now()) + timeout
    records: list[Record] = []
    end = after = 0
    while True:
        ask = files.Read(checked_name("session", session), after, PAGE)
        reply = yield Ask("files", ask, (yield from _rest(until)))
        end = end or reply.last
        records += [_opened(record) for record in reply.records if record.seq <= end]
        if not reply.more or reply.records[-1].seq >= end:
            break
        after = reply.records[-1].seq
    if not records:
        raise InvalidInputError(f"session = {session[:80]!r}: no record of it is there")
    return "".join(exported(session, records, format))


def delete_log(session: str, *, timeout: float = 30.0) -> Steps[bool]:
    """Delete all files of a session; whether there were any."""
    reply = yield Command("files", files.Delete(checked_name("session", session)), timeout)
    existed: bool = reply.existed
    return existed


def list_logs(*, limit: int = 1_000, timeout: float = 30.0) -> Steps[list[LogInfo]]:
    """The sessions that have files, in the order of their files' names."""
    until = (yield Now()) + timeout
    found: list[LogInfo] = []
    after = ""
    while len(found) < limit:
        ask = files.List(after, min(PAGE, limit - len(found)))
        reply = yield Ask("files", ask, (yield from _rest(until)))
        found += reply.logs
        after = reply.next
        if not after:
            break
    return found


def put_result(
    name: str, value: object, *, expected_version: int | None = None, timeout: float = 30.0
) -> Steps[int]:
    """Replace a named result as a whole, on the disk; its version.

    ``expected_version=0`` means that there must be none.  Raises Conflict, InvalidInputError,
    DiskFullError, StorageError; the old one is there then.
    """
    put = files.PutResult(checked_name("name", name), jsontext.encode(value), expected_version)
    reply = yield Command("files", put, timeout)
    version: int = reply.version
    return version


def get_result(name: str, *, timeout: float = 30.0) -> Steps[Result | None]:
    """The named result, or None."""
    reply = yield Ask("files", files.GetResult(checked_name("name", name)), timeout)
    if not reply.version:
        return None
    return Result(name, reply.version, reply.time_us, jsontext.decode(reply.value))


def delete_result(name: str, *, timeout: float = 30.0) -> Steps[bool]:
    """Delete a named result; whether it was there."""
    reply = yield Command("files", files.DeleteResult(checked_name("name", name)), timeout)
    existed: bool = reply.existed
    return existed


def list_results(*, limit: int = 1_000, timeout: float = 30.0) -> Steps[list[ResultInfo]]:
    """The named results, in the order of their files' names."""
    until = (yield Now()) + timeout
    found: list[ResultInfo] = []
    after = ""
    while len(found) < limit:
        ask = files.ListResults(after, min(PAGE, limit - len(found)))
        reply = yield Ask("files", ask, (yield from _rest(until)))
        found += reply.results
        after = reply.next
        if not after:
            break
    return found


def files_stats(*, timeout: float = 30.0) -> Steps[files.FilesStats]:
    """How full the files are, and what was deleted to make room."""
    stats: files.FilesStats = yield Ask("files", files.Stats(), timeout)
    return stats


def _rest(until: float) -> Steps[float]:
    """The seconds that are left.  Raises AskTimeoutError when none are."""
    rest: float = until - (yield Now())
    if rest <= 0:
        raise AskTimeoutError("the records did not all come within the timeout: ask for fewer")
    return rest


def _opened(record: files.RecordIs) -> Record:
    value = jsontext.decode(record.record)
    assert isinstance(value, dict)
    return Record(record.seq, record.time_us, value)

"""The vocabulary of the files actor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from holdfast.storage.file_records import LogInfo, ResultInfo

__all__ = [
    "Append",
    "Appended",
    "Delete",
    "DeleteResult",
    "Deleted",
    "Durability",
    "FilesStats",
    "GetResult",
    "List",
    "ListResults",
    "LogsAre",
    "PutResult",
    "Read",
    "RecordIs",
    "RecordsAre",
    "Reply",
    "Request",
    "ResultIs",
    "ResultPut",
    "ResultsAre",
    "Stats",
    "decode_reply",
    "decode_request",
]

# "committed": in the file, and so safe from SIGKILL.  "disk": fsynced, safe from power loss.
Durability = Literal["committed", "disk"]


class Append(msgspec.Struct, frozen=True, array_like=True, tag="append"):
    """Append a record, JSON text of an object.  Reply: Appended.

    As a command it is carried out once; as an ask perhaps twice, if the actor dies meanwhile.
    """

    session: str
    record: str
    durability: Durability = "committed"


class Read(msgspec.Struct, frozen=True, array_like=True, tag="read"):
    """The records of a session after number ``after``.  Reply: RecordsAre."""

    session: str
    after: int = 0
    limit: int = 100


class Delete(msgspec.Struct, frozen=True, array_like=True, tag="delete"):
    """Delete all files of a session.  Reply: Deleted."""

    session: str


class List(msgspec.Struct, frozen=True, array_like=True, tag="list"):
    """Which sessions there are, from the cursor ``after`` on.  Reply: LogsAre."""

    after: str = ""
    limit: int = 100


class PutResult(msgspec.Struct, frozen=True, array_like=True, tag="put_result"):
    """Replace a named result by JSON text.  Reply: ResultPut, or Conflict."""

    name: str
    value: str
    expected_version: int | None = None


class GetResult(msgspec.Struct, frozen=True, array_like=True, tag="get_result"):
    """Read a named result.  Reply: ResultIs."""

    name: str


class DeleteResult(msgspec.Struct, frozen=True, array_like=True, tag="delete_result"):
    """Delete a named result.  Reply: Deleted."""

    name: str


class ListResults(msgspec.Struct, frozen=True, array_like=True, tag="list_results"):
    """Which results there are, from the cursor ``after`` on.  Reply: ResultsAre."""

    after: str = ""
    limit: int = 100


class Stats(msgspec.Struct, frozen=True, array_like=True, tag="stats"):
    """How full is it?  Reply: FilesStats."""


class Appended(msgspec.Struct, frozen=True, array_like=True, tag="appended"):
    """The record is in the file, or on the disk, as was asked; its number in the session."""

    seq: int


class RecordIs(msgspec.Struct, frozen=True, array_like=True):
    """One record; ``record`` is JSON text, ``time_us`` when it was appended."""

    seq: int
    time_us: int
    record: str


class RecordsAre(msgspec.Struct, frozen=True, array_like=True, tag="records"):
    """Records in order; ``last`` is the newest number of the session, 0 where there is none.

    ``more`` says that not all up to there are here; ``damaged`` lines were passed over.
    """

    records: list[RecordIs]
    last: int
    more: bool
    damaged: int


class Deleted(msgspec.Struct, frozen=True, array_like=True, tag="deleted"):
    """It is gone; ``existed`` says whether it was there."""

    existed: bool


class LogsAre(msgspec.Struct, frozen=True, array_like=True, tag="logs"):
    """Sessions; ``next`` is the cursor to go on with, "" at the end."""

    logs: list[LogInfo]
    next: str


class ResultPut(msgspec.Struct, frozen=True, array_like=True, tag="result_put"):
    """The result is on the disk, under this version."""

    version: int


class ResultIs(msgspec.Struct, frozen=True, array_like=True, tag="result"):
    """A result as JSON text; version 0 and "" where there is none."""

    version: int
    time_us: int
    value: str


class ResultsAre(msgspec.Struct, frozen=True, array_like=True, tag="results"):
    """Results; ``next`` is the cursor to go on with, "" at the end."""

    results: list[ResultInfo]
    next: str


class FilesStats(msgspec.Struct, frozen=True, array_like=True, tag="files_stats"):
    """Bytes of all files, of how many; and since the process started: what was deleted to make
    room, and torn lines put aside."""

    bytes: int
    max_bytes: int
    sessions: int
    results: int
    deleted_parts: int
    deleted_bytes: int
    torn_lines: int


Request = Append | Read | Delete | List | PutResult | GetResult | DeleteResult | ListResults | Stats
Reply = Appended | RecordsAre | Deleted | LogsAre | ResultPut | ResultIs | ResultsAre | FilesStats

decode_request: Callable[[bytes], Request] = msgspec.msgpack.Decoder(Request).decode
decode_reply: Callable[[bytes], Reply] = msgspec.msgpack.Decoder(Reply).decode

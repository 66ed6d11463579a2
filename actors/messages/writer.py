"""The vocabulary of the writer actor."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from holdfast.storage.records import (
    AnswerKept,
    Appended,
    AppendEvents,
    CheckpointStored,
    Command,
    KeepAnswer,
    Mark,
    Origin,
    Position,
    RawEvent,
    SessionsStored,
    StoreCheckpoint,
    StoreSessions,
)

__all__ = [
    "Forget",
    "Forgotten",
    "GetMark",
    "GetPosition",
    "MarkIs",
    "PositionIs",
    "Relay",
    "Reply",
    "Request",
    "Stats",
    "Sync",
    "Synced",
    "WriterStats",
    "decode_reply",
    "decode_request",
]


class Relay(msgspec.Struct, frozen=True, array_like=True, tag="relay"):
    """Commit the events that ``origin`` sent.  Reply: Appended.

    ``events`` is a msgpack array of ``storage.records.Event``, as the origin encoded it.
    """

    origin: Origin
    events: msgspec.Raw


class GetMark(msgspec.Struct, frozen=True, array_like=True, tag="get_mark"):
    """How far is this sender committed, after all that came before?  Reply: MarkIs."""

    sender: str
    incarnation: str
    stream: str


class GetPosition(msgspec.Struct, frozen=True, array_like=True, tag="get_position"):
    """Where does the database stand, after all that came before?  Reply: PositionIs."""


class Sync(msgspec.Struct, frozen=True, array_like=True, tag="sync"):
    """Put everything committed so far on the disk.  Reply: Synced."""


class Forget(msgspec.Struct, frozen=True, array_like=True, tag="forget"):
    """This sender is gone for good: drop its marks and kept results.  Reply: Forgotten."""

    sender: str
    incarnation: str


class Stats(msgspec.Struct, frozen=True, array_like=True, tag="stats"):
    """How is the database?  Reply: WriterStats."""


class MarkIs(msgspec.Struct, frozen=True, array_like=True, tag="mark"):
    """Everything up to ``mark.number`` is committed."""

    mark: Mark


class PositionIs(msgspec.Struct, frozen=True, array_like=True, tag="position"):
    """The newest sequence number and the epoch."""

    position: Position


class Synced(msgspec.Struct, frozen=True, array_like=True, tag="synced"):
    """Everything committed before the request survives power loss."""


class Forgotten(msgspec.Struct, frozen=True, array_like=True, tag="forgotten"):
    """Nothing is kept of the sender; its numbers would be refused as expired."""


class WriterStats(msgspec.Struct, frozen=True, array_like=True, tag="writer_stats"):
    """Groups committed and commands in them since the start; pages in the write-ahead log, and
    attempts in a row to empty it that a reader blocked."""

    groups: int
    commands: int
    wal_frames: int
    wal_stuck: int


Request = (
    Relay
    | StoreSessions
    | StoreCheckpoint
    | KeepAnswer
    | GetMark
    | GetPosition
    | Sync
    | Forget
    | Stats
)
Reply = (
    Appended
    | SessionsStored
    | CheckpointStored
    | AnswerKept
    | MarkIs
    | PositionIs
    | Synced
    | Forgotten
    | WriterStats
)

_decode_request: Callable[[bytes], Request] = msgspec.msgpack.Decoder(Request).decode
_decode_events: Callable[[msgspec.Raw], list[RawEvent]] = msgspec.msgpack.Decoder(
    list[RawEvent]
).decode
decode_reply: Callable[[bytes], Reply] = msgspec.msgpack.Decoder(Reply).decode


def decode_request(
    body: bytes,
) -> Command | GetMark | GetPosition | Sync | Forget | Stats:
    """Raises msgspec's errors; a Relay comes out as the AppendEvents it stands for."""
    message = _decode_request(body)
    if isinstance(message, Relay):
        return AppendEvents(message.origin, _decode_events(message.events))
    return message

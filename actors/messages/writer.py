"""The vocabulary of the writer actor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec

from holdfast.storage.checkpoint_records import (
    CheckpointPinned,
    CheckpointsPruned,
    CheckpointStored,
    CheckpointUnpinned,
    ClaimThread,
    EnrolParticipant,
    ForkCheckpoint,
    ParticipantEnrolled,
    PartsMissing,
    PartsStored,
    PinCheckpoint,
    PruneCheckpoints,
    StoreCheckpoint,
    StoreParts,
    ThreadClaimed,
    ThreadOwned,
    UnpinCheckpoint,
)
from holdfast.storage.commands import Command
from holdfast.storage.records import (
    AnswerKept,
    Appended,
    AppendEvents,
    DeadLetter,
    DeleteDeadLetter,
    Discarded,
    KeepAnswer,
    Kept,
    Mark,
    Origin,
    Position,
    RawEvent,
    SkipEvents,
    StoreDeadLetter,
)
from holdfast.storage.retention_records import Deletions
from holdfast.storage.session_records import SessionsStored, StoreSessions
from holdfast.storage.state_records import ChangeState, StateChanged
from holdfast.storage.stream_records import AppendStream, StreamAppended
from holdfast.storage.subscriber_records import (
    AcknowledgeEvents,
    EventsAcknowledged,
    RemoveSubscriber,
    StoreSubscriber,
    SubscriberRemoved,
    SubscriberStored,
)

__all__ = [
    "BeginCapture",
    "CaptureIs",
    "Captured",
    "DiscardDeadLetter",
    "Discarded",
    "EndCapture",
    "Forget",
    "Forgotten",
    "GetCapture",
    "GetMark",
    "GetPosition",
    "KeepDeadLetter",
    "Kept",
    "MarkIs",
    "Pace",
    "PositionIs",
    "Prune",
    "Pruned",
    "Question",
    "Relay",
    "Reply",
    "Request",
    "Skip",
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


class Skip(msgspec.Struct, frozen=True, array_like=True, tag="skip"):
    """The ``count`` events from the origin's first on will not come; record that.  Reply: Appended.

    Only those above the origin's mark are counted as dropped.
    """

    origin: Origin
    count: int
    reason: str


class KeepDeadLetter(msgspec.Struct, frozen=True, array_like=True, tag="keep_dead_letter"):
    """Keep a message that could not be delivered; its ``id`` is not looked at.  Reply: Kept.

    Ask it as an idempotent question: a repeat gets the id of the first.
    """

    letter: DeadLetter


class DiscardDeadLetter(msgspec.Struct, frozen=True, array_like=True, tag="discard_dead_letter"):
    """Forget a dead letter.  Reply: Discarded."""

    id: int


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


class Prune(msgspec.Struct, frozen=True, array_like=True, tag="prune"):
    """Delete now what retention's rules say, or say what that would be.  Reply: Pruned.

    The reply comes when all is done, which may take minutes.
    """

    is_plan: bool


class BeginCapture(msgspec.Struct, frozen=True, array_like=True, tag="begin_capture"):
    """Log from now on which rows change, for the swap of that name.  Reply: Captured.

    It goes on in the writer's next lives.  Again, for the same swap, does nothing.
    """

    swap: str


class EndCapture(msgspec.Struct, frozen=True, array_like=True, tag="end_capture"):
    """Log it no more, and drop the log; nothing where there is none.  Reply: Captured."""


class Captured(msgspec.Struct, frozen=True, array_like=True, tag="captured"):
    """It is, or is not any more, in every transaction that follows."""


class GetCapture(msgspec.Struct, frozen=True, array_like=True, tag="get_capture"):
    """For which swap is there a log, and how long is it?  Reply: CaptureIs."""


class Pace(msgspec.Struct, frozen=True, array_like=True, tag="pace"):
    """Work for this ``share`` of the time only, and rest after each group; 1 is as fast as it can.

    A copier is to catch up.  It lasts some seconds, unless it is said again.  Reply: Captured.
    """

    share: Annotated[float, msgspec.Meta(ge=0.01, le=1.0)]


class CaptureIs(msgspec.Struct, frozen=True, array_like=True, tag="capture_is"):
    """ "" for none; the log has so many ``rows``."""

    swap: str
    rows: int


class MarkIs(msgspec.Struct, frozen=True, array_like=True, tag="mark"):
    """Everything up to ``mark.number`` is committed."""

    mark: Mark


class PositionIs(msgspec.Struct, frozen=True, array_like=True, tag="position"):
    """The newest sequence number and the epoch."""

    position: Position


class Pruned(msgspec.Struct, frozen=True, array_like=True, tag="pruned"):
    """What was deleted, or would be; ``rules`` is the number of them that are configured."""

    rules: int
    deletions: list[Deletions]


class Synced(msgspec.Struct, frozen=True, array_like=True, tag="synced"):
    """Everything committed before the request survives power loss."""


class Forgotten(msgspec.Struct, frozen=True, array_like=True, tag="forgotten"):
    """Nothing is kept of the sender; its numbers would be refused as expired."""


class WriterStats(msgspec.Struct, frozen=True, array_like=True, tag="writer_stats"):
    """Groups committed and commands in them since the start; pages in the write-ahead log, and
    attempts in a row to empty it that a reader blocked; rules of retention; why the database does
    not answer, "" when it does; for how many seconds it has not."""

    groups: int
    commands: int
    wal_frames: int
    wal_stuck: int
    rules: int = 0
    outage: str = ""
    outage_seconds: float = 0.0


# What is no command.
Question = (
    GetMark
    | GetPosition
    | Sync
    | Forget
    | Prune
    | Stats
    | BeginCapture
    | EndCapture
    | GetCapture
    | Pace
)
Request = (
    Relay
    | Skip
    | KeepDeadLetter
    | DiscardDeadLetter
    | AppendStream
    | StoreSessions
    | StoreCheckpoint
    | ClaimThread
    | EnrolParticipant
    | ForkCheckpoint
    | PinCheckpoint
    | PruneCheckpoints
    | StoreParts
    | UnpinCheckpoint
    | ChangeState
    | StoreSubscriber
    | AcknowledgeEvents
    | RemoveSubscriber
    | KeepAnswer
    | Question
)
Reply = (
    Appended
    | StreamAppended
    | SessionsStored
    | CheckpointStored
    | CheckpointPinned
    | CheckpointsPruned
    | CheckpointUnpinned
    | ParticipantEnrolled
    | PartsMissing
    | PartsStored
    | ThreadClaimed
    | ThreadOwned
    | StateChanged
    | SubscriberStored
    | EventsAcknowledged
    | SubscriberRemoved
    | AnswerKept
    | Kept
    | Discarded
    | MarkIs
    | PositionIs
    | Pruned
    | Synced
    | Forgotten
    | WriterStats
    | Captured
    | CaptureIs
)

_decode_request: Callable[[bytes], Request] = msgspec.msgpack.Decoder(Request).decode
_decode_events: Callable[[msgspec.Raw], list[RawEvent]] = msgspec.msgpack.Decoder(
    list[RawEvent]
).decode
decode_reply: Callable[[bytes], Reply] = msgspec.msgpack.Decoder(Reply).decode


def decode_request(body: bytes) -> Command | Question:
    """Raises msgspec's errors; what is to be stored comes out as the command it stands for."""
    message = _decode_request(body)
    match message:
        case Relay(origin=origin, events=events):
            return AppendEvents(origin, _decode_events(events))
        case Skip(origin=origin, count=count, reason=reason):
            return SkipEvents(origin, count, reason)
        case KeepDeadLetter(letter=letter):
            return StoreDeadLetter(letter)
        case DiscardDeadLetter(id=id):
            return DeleteDeadLetter(id)
        case _:
            return message

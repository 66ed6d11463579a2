"""All that a database can be told to do, and what comes of it: the unions over the concerns.

A command of ``Once`` is carried out once: its outcome is kept with what it changed, and is the
answer to every repeat.  An outcome with a field ``stored`` says how many events were stored with
it.
"""

from __future__ import annotations

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
from holdfast.storage.records import (
    AnswerKept,
    Appended,
    AppendEvents,
    DeleteDeadLetter,
    Discarded,
    KeepAnswer,
    Kept,
    SkipEvents,
    StoreDeadLetter,
)
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

__all__ = ["Command", "Once", "OnceOutcome", "Outcome", "tells_of_events"]

# One line each, so that concerns are added without touching another's.
Once = (
    KeepAnswer
    | StoreSessions
    | StoreCheckpoint
    | ChangeState
    | AppendStream
    | StoreParts
    | ClaimThread
    | ForkCheckpoint
    | PinCheckpoint
    | UnpinCheckpoint
    | PruneCheckpoints
    | EnrolParticipant
    | StoreSubscriber
    | AcknowledgeEvents
    | RemoveSubscriber
)  # fmt: skip
OnceOutcome = (
    AnswerKept
    | SessionsStored
    | CheckpointStored
    | StateChanged
    | StreamAppended
    | PartsMissing
    | PartsStored
    | ThreadClaimed
    | ThreadOwned
    | CheckpointPinned
    | CheckpointUnpinned
    | CheckpointsPruned
    | ParticipantEnrolled
    | SubscriberStored
    | EventsAcknowledged
    | SubscriberRemoved
)  # fmt: skip

Command = AppendEvents | SkipEvents | StoreDeadLetter | DeleteDeadLetter | Once
Outcome = Appended | Kept | Discarded | OnceOutcome


def tells_of_events(outcome: object) -> bool:
    """Whether the database itself made events that the log has not seen: it has to read them."""
    return bool(not isinstance(outcome, Appended) and getattr(outcome, "stored", 0))

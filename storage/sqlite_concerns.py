"""Which table carries out which command: the one place where the concerns of a database meet."""

from __future__ import annotations

import apsw

from holdfast.clock import Clock
from holdfast.storage.checkpoint_records import (
    ClaimThread,
    EnrolParticipant,
    ForkCheckpoint,
    PinCheckpoint,
    PruneCheckpoints,
    StoreCheckpoint,
    StoreParts,
    UnpinCheckpoint,
)
from holdfast.storage.once import Handler
from holdfast.storage.session_records import StoreSessions
from holdfast.storage.sqlite_checkpoints import CheckpointTable
from holdfast.storage.sqlite_events import EventTable
from holdfast.storage.sqlite_sessions import SessionTable
from holdfast.storage.sqlite_state import StateTables
from holdfast.storage.sqlite_streams import StreamTable
from holdfast.storage.sqlite_subscribers import SubscriberTable
from holdfast.storage.state_records import ChangeState
from holdfast.storage.stream_records import AppendStream
from holdfast.storage.subscriber_records import (
    AcknowledgeEvents,
    RemoveSubscriber,
    StoreSubscriber,
)

__all__ = ["handlers_of"]


def handlers_of(
    connection: apsw.Connection, *, events: EventTable, clock: Clock
) -> dict[type, Handler]:
    """By type of command.  ``clock`` dates what a command changes without saying when."""
    streams = StreamTable(connection, events=events)
    sessions = SessionTable(connection, events=events)
    checkpoints = CheckpointTable(connection, clock=clock)
    state = StateTables(connection, events=events, clock=clock)
    subscribers = SubscriberTable(connection, events=events, clock=clock)
    return {
        AppendStream: streams.append,
        StoreSessions: sessions.store,
        StoreCheckpoint: checkpoints.store,
        StoreParts: checkpoints.store_parts,
        ClaimThread: checkpoints.claim,
        ForkCheckpoint: checkpoints.fork,
        PinCheckpoint: checkpoints.pin,
        UnpinCheckpoint: checkpoints.unpin,
        PruneCheckpoints: checkpoints.prune,
        EnrolParticipant: checkpoints.enrol,
        ChangeState: state.change,
        StoreSubscriber: subscribers.store,
        AcknowledgeEvents: subscribers.acknowledge,
        RemoveSubscriber: subscribers.remove,
    }

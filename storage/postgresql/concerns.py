"""Which table carries out which command: the one place where the concerns of a database meet."""

from __future__ import annotations

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
from holdfast.storage.postgresql.checkpoints import CheckpointTable
from holdfast.storage.postgresql.connection import Connection
from holdfast.storage.postgresql.events import EventTable
from holdfast.storage.postgresql.sessions import SessionTable
from holdfast.storage.postgresql.state import StateTables
from holdfast.storage.postgresql.streams import StreamTable
from holdfast.storage.postgresql.subscribers import SubscriberTable
from holdfast.storage.postgresql.threads import release_threads
from holdfast.storage.session_records import StoreSessions
from holdfast.storage.state_records import ChangeState
from holdfast.storage.stream_records import AppendStream
from holdfast.storage.subscriber_records import (
    AcknowledgeEvents,
    RemoveSubscriber,
    StoreSubscriber,
)

__all__ = ["forget_sender", "handlers_of"]


def handlers_of(
    connection: Connection, daemon: str, *, state: StateTables, events: EventTable, clock: Clock
) -> dict[type, Handler]:
    """By type of command.  ``clock`` dates what a command changes without saying when."""
    streams = StreamTable(connection, daemon, events=events)
    sessions = SessionTable(connection, daemon, events=events)
    checkpoints = CheckpointTable(connection, daemon, clock=clock)
    subscribers = SubscriberTable(connection, daemon, events=events, clock=clock)
    return {
        ChangeState: state.change,
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
        StoreSubscriber: subscribers.store,
        AcknowledgeEvents: subscribers.acknowledge,
        RemoveSubscriber: subscribers.remove,
    }  # fmt: skip


def forget_sender(connection: Connection, daemon: str, sender: str, incarnation: str) -> None:
    """This life of a sender is over: what it held is free."""
    release_threads(connection, daemon, sender, incarnation)

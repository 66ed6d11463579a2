"""The SQLite database, reading side: sees what is committed, and cannot write."""

from __future__ import annotations

from holdfast.storage.sqlite_checkpoint_reader import CheckpointReading
from holdfast.storage.sqlite_count_reader import CountReading
from holdfast.storage.sqlite_event_reader import EventReading
from holdfast.storage.sqlite_loss_reader import LossReading
from holdfast.storage.sqlite_payload_reader import PayloadReading
from holdfast.storage.sqlite_session_reader import SessionReading
from holdfast.storage.sqlite_size_reader import SizeReading
from holdfast.storage.sqlite_state_reader import StateReading
from holdfast.storage.sqlite_stream_reader import StreamReading
from holdfast.storage.sqlite_subscriber_reader import SubscriberReading
from holdfast.storage.sqlite_text_reader import TextReading
from holdfast.storage.sqlite_tree_reader import TreeReading

__all__ = ["SqliteReader"]


class SqliteReader(
    SubscriberReading,
    TreeReading,
    CountReading,
    TextReading,
    EventReading,
    PayloadReading,
    StreamReading,
    SizeReading,
    LossReading,
    SessionReading,
    CheckpointReading,
    StateReading,
):
    """Implements ``holdfast.storage.ports.Reader``: a part for each concern, one connection."""

"""The PostgreSQL database, reading side: sees what is committed, and cannot write."""

from __future__ import annotations

from holdfast.storage.postgresql.checkpoint_reader import CheckpointReading
from holdfast.storage.postgresql.count_reader import CountReading
from holdfast.storage.postgresql.event_reader import EventReading
from holdfast.storage.postgresql.loss_reader import LossReading
from holdfast.storage.postgresql.payload_reader import PayloadReading
from holdfast.storage.postgresql.session_reader import SessionReading
from holdfast.storage.postgresql.size_reader import SizeReading
from holdfast.storage.postgresql.state_reader import StateReading
from holdfast.storage.postgresql.stream_reader import StreamReading
from holdfast.storage.postgresql.subscriber_reader import SubscriberReading
from holdfast.storage.postgresql.text_reader import TextReading
from holdfast.storage.postgresql.tree_reader import TreeReading

__all__ = ["PostgresqlReader"]


class PostgresqlReader(
    SubscriberReading,
    TreeReading,
    CountReading,
    TextReading,
    EventReading,
    PayloadReading,
    StreamReading,
    SizeReading,
    LossReading,
    StateReading,
    SessionReading,
    CheckpointReading,
):
    """Implements ``holdfast.storage.ports.Reader``: a part for each concern, one connection."""

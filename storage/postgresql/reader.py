"""The PostgreSQL database, reading side: sees what is committed, and cannot write."""

from __future__ import annotations

from holdfast.storage.postgresql.event_reader import EventReading
from holdfast.storage.postgresql.loss_reader import LossReading
from holdfast.storage.postgresql.payload_reader import PayloadReading
from holdfast.storage.postgresql.size_reader import SizeReading
from holdfast.storage.postgresql.state_reader import StateReading
from holdfast.storage.postgresql.text_reader import TextReading

__all__ = ["PostgresqlReader"]


class PostgresqlReader(
    TextReading,
    EventReading,
    PayloadReading,
    SizeReading,
    LossReading,
    StateReading,
):
    """Implements ``holdfast.storage.ports.Reader``: a part for each concern, one connection."""

"""Checkpoints: the record, what changes it, and the outcome.  ``state`` is JSON text."""

from __future__ import annotations

import msgspec

from holdfast.storage.records import Origin

__all__ = ["Checkpoint", "CheckpointStored", "StoreCheckpoint"]


class Checkpoint(msgspec.Struct, frozen=True, array_like=True):
    """A state to resume from; ``id`` counts from 1 per agent."""

    agent: str
    id: int
    created_us: int
    state: str


class StoreCheckpoint(msgspec.Struct, frozen=True, array_like=True, tag="store_checkpoint"):
    """Keep a state to resume from.  Outcome: CheckpointStored."""

    origin: Origin | None
    agent: str
    created_us: int
    state: str


class CheckpointStored(msgspec.Struct, frozen=True, array_like=True, tag="checkpoint_stored"):
    """The checkpoint is committed under this ``id``."""

    id: int

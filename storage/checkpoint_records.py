"""Checkpoints: the records, what changes them, and the outcomes.  ``state`` is JSON text.

A checkpoint belongs to a thread, which has the name of an agent; its ``id`` counts from 1 in the
thread.  Large values of a state are cut into parts (``holdfast.storage.parts``), which are kept
once each, whoever refers to them.
"""

from __future__ import annotations

from typing import Final

import msgspec

from holdfast.storage.records import Origin

__all__ = [
    "DAEMON",
    "Checkpoint",
    "CheckpointPinned",
    "CheckpointStored",
    "CheckpointUnpinned",
    "CheckpointsPruned",
    "ClaimThread",
    "EnrolParticipant",
    "ForkCheckpoint",
    "Info",
    "Owner",
    "Part",
    "ParticipantEnrolled",
    "PartsMissing",
    "PartsStored",
    "Piece",
    "PinCheckpoint",
    "PruneCheckpoints",
    "StoreCheckpoint",
    "StoreParts",
    "ThreadClaimed",
    "ThreadOwned",
    "UnpinCheckpoint",
]

DAEMON: Final = "$daemon"  # the thread of the daemon's own checkpoints; no agent is called so


class Piece(msgspec.Struct, frozen=True, array_like=True):
    """The value at ``path``, which ``state`` has null for: the texts of the parts, then ``tail``.

    An empty path is the whole state.
    """

    path: list[str]
    parts: list[bytes]
    tail: str


class Part(msgspec.Struct, frozen=True, array_like=True):
    """``size`` bytes of text, called by their hash; ``codec`` 1 is zstd, 0 nothing."""

    name: bytes
    size: int
    codec: int
    data: bytes


class Checkpoint(msgspec.Struct, frozen=True, array_like=True):
    """A state to resume from; ``size`` in bytes of JSON text, all parts included.

    ``parent`` is the one it came after: (thread, id), which may be pruned by now.
    """

    agent: str
    id: int
    created_us: int
    state: str
    pieces: list[Piece] = []
    size: int = 0
    parent: tuple[str, int] | None = None
    pins: list[str] = []


class Info(msgspec.Struct, frozen=True, array_like=True):
    """A checkpoint without its state."""

    agent: str
    id: int
    created_us: int
    size: int
    parent: tuple[str, int] | None
    pins: list[str]


class Owner(msgspec.Struct, frozen=True, array_like=True):
    """The life of a sender that may write a thread; ``fence`` counts the owners so far.

    ``is_present`` is False once it has given the thread back.
    """

    sender: str
    incarnation: str
    fence: int
    is_present: bool


class StoreCheckpoint(msgspec.Struct, frozen=True, array_like=True, tag="store_checkpoint"):
    """Keep a state to resume from.  Outcome: CheckpointStored, PartsMissing, ThreadOwned.

    ``created_us`` 0 is now.  ``parts`` are those that may not be there yet.  ``evict`` is the
    fence of an owner that is known to be dead; ``takeover`` takes the thread from a living one.
    """

    origin: Origin | None
    agent: str
    created_us: int
    state: str
    pieces: list[Piece] = []
    parts: list[Part] = []
    size: int = 0
    takeover: bool = False
    evict: int = 0


class CheckpointStored(msgspec.Struct, frozen=True, array_like=True, tag="checkpoint_stored"):
    """The checkpoint is committed under this ``id``."""

    id: int


class PartsMissing(msgspec.Struct, frozen=True, array_like=True, tag="parts_missing"):
    """Nothing is stored: these parts are neither there nor came along."""

    names: list[bytes]


class ThreadOwned(msgspec.Struct, frozen=True, array_like=True, tag="thread_owned"):
    """Nothing is stored: somebody else writes this thread."""

    agent: str
    owner: Owner


class StoreParts(msgspec.Struct, frozen=True, array_like=True, tag="store_parts"):
    """Keep parts of a checkpoint to come, for an hour at least.  Outcome: PartsStored."""

    origin: Origin | None
    parts: list[Part]


class PartsStored(msgspec.Struct, frozen=True, array_like=True, tag="parts_stored"):
    """The parts are committed."""


class ClaimThread(msgspec.Struct, frozen=True, array_like=True, tag="claim_thread"):
    """Be the one who writes a thread.  Outcome: ThreadClaimed, ThreadOwned."""

    origin: Origin | None
    agent: str
    takeover: bool = False
    evict: int = 0


class ThreadClaimed(msgspec.Struct, frozen=True, array_like=True, tag="thread_claimed"):
    """The thread is the sender's; ``fence`` counts the owners so far."""

    fence: int


class ForkCheckpoint(msgspec.Struct, frozen=True, array_like=True, tag="fork_checkpoint"):
    """Begin the thread ``to`` with the state of a checkpoint.  Outcome: CheckpointStored."""

    origin: Origin | None
    agent: str
    id: int
    to: str


class PinCheckpoint(msgspec.Struct, frozen=True, array_like=True, tag="pin_checkpoint"):
    """Give a checkpoint a name; one that another has moves.  Outcome: CheckpointPinned."""

    origin: Origin | None
    agent: str
    id: int
    name: str


class CheckpointPinned(msgspec.Struct, frozen=True, array_like=True, tag="checkpoint_pinned"):
    """The name is the checkpoint's; ``moved_from`` had it before, 0 if none."""

    moved_from: int


class UnpinCheckpoint(msgspec.Struct, frozen=True, array_like=True, tag="unpin_checkpoint"):
    """Take a name away.  Outcome: CheckpointUnpinned."""

    origin: Origin | None
    agent: str
    name: str


class CheckpointUnpinned(msgspec.Struct, frozen=True, array_like=True, tag="checkpoint_unpinned"):
    """No checkpoint of the thread has that name (any more)."""

    existed: bool


class PruneCheckpoints(msgspec.Struct, frozen=True, array_like=True, tag="prune_checkpoints"):
    """Delete up to ``limit`` checkpoints of a thread, and parts that nobody refers to then.

    Those go that are not among the newest ``keep_last``, are older than ``age_us`` microseconds
    (below 0: of any age) and have no name, or whatever their name if not ``keep_pinned``.
    ``after`` is the id to go on from; ``dry_run`` only says which.  Outcome: CheckpointsPruned.
    """

    origin: Origin | None
    agent: str
    keep_last: int
    age_us: int = -1
    keep_pinned: bool = True
    after: int = 0
    limit: int = 50
    dry_run: bool = False


class CheckpointsPruned(msgspec.Struct, frozen=True, array_like=True, tag="checkpoints_pruned"):
    """These are gone; ``freed`` bytes of parts with them.  ``more`` may be left to delete."""

    ids: list[int]
    freed: int
    more: bool


class EnrolParticipant(msgspec.Struct, frozen=True, array_like=True, tag="enrol_participant"):
    """An actor takes part in daemon checkpoints of this ``boot``, or not any more.

    Outcome: ParticipantEnrolled.
    """

    origin: Origin | None
    name: str
    boot: int
    is_in: bool = True


class ParticipantEnrolled(msgspec.Struct, frozen=True, array_like=True, tag="participant_enrolled"):
    """It is committed."""

"""The vocabulary of the checkpoints actor.

What changes checkpoints is told the writer (``holdfast.storage.checkpoint_records``); here is what
is asked about them, and what concerns the checkpoints of the whole daemon.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from holdfast.storage.checkpoint_records import Checkpoint, Info, Owner, Part

__all__ = [
    "CheckpointIs",
    "CheckpointsAre",
    "Create",
    "Created",
    "Enrol",
    "Enrolled",
    "FindParts",
    "Get",
    "GetHistory",
    "GetOwner",
    "GetPart",
    "GetParts",
    "InfosAre",
    "List",
    "ListInfos",
    "ListThreads",
    "Missing",
    "OwnerIs",
    "PartIs",
    "Participant",
    "PartsAre",
    "Reply",
    "Request",
    "Restore",
    "Restored",
    "ThreadsAre",
    "decode_reply",
    "decode_request",
]

Reason = Literal["command", "interval", "stop"]


class Get(msgspec.Struct, frozen=True, array_like=True, tag="get"):
    """One checkpoint of an agent: of that id, of that name, else the newest.

    Reply: CheckpointIs.
    """

    agent: str
    id: int = 0
    pin: str = ""


class GetParts(msgspec.Struct, frozen=True, array_like=True, tag="get_parts"):
    """Parts by name.  Reply: PartsAre, the first ones in order that fit, one at least."""

    names: list[bytes]


class FindParts(msgspec.Struct, frozen=True, array_like=True, tag="find_parts"):
    """Which of these parts are not there?  Reply: Missing."""

    names: list[bytes]


class List(msgspec.Struct, frozen=True, array_like=True, tag="list"):
    """The newest ``limit`` checkpoints of an agent below ``before``, newest first.

    Reply: CheckpointsAre.
    """

    agent: str
    limit: int = 100
    before: int = 0


class ListInfos(msgspec.Struct, frozen=True, array_like=True, tag="list_infos"):
    """Likewise, without their states.  Reply: InfosAre."""

    agent: str
    limit: int = 100
    before: int = 0


class GetHistory(msgspec.Struct, frozen=True, array_like=True, tag="get_history"):
    """A checkpoint and those before it, through forks.  Reply: InfosAre."""

    agent: str
    id: int
    limit: int = 100


class ListThreads(msgspec.Struct, frozen=True, array_like=True, tag="list_threads"):
    """The names of threads behind ``after``, in order.  Reply: ThreadsAre."""

    limit: int = 1_000
    after: str = ""


class GetOwner(msgspec.Struct, frozen=True, array_like=True, tag="get_owner"):
    """Who writes a thread?  Reply: OwnerIs."""

    agent: str


class Create(msgspec.Struct, frozen=True, array_like=True, tag="create"):
    """Make a checkpoint of the daemon.  Reply: Created, after COMMIT."""

    reason: Reason = "command"


class Restore(msgspec.Struct, frozen=True, array_like=True, tag="restore_daemon"):
    """Give the participants what a checkpoint of the daemon has of them.  Reply: Restored.

    Refused as a whole when it is damaged, or claims more than the database holds.  ``only``
    names participants, all by default; ``dry_run`` only says what would be done.
    """

    id: int
    dry_run: bool = False
    only: list[str] = []


class GetPart(msgspec.Struct, frozen=True, array_like=True, tag="get_part"):
    """The part of one participant in the newest checkpoint that has it.  Reply: PartIs."""

    participant: str


class Enrol(msgspec.Struct, frozen=True, array_like=True, tag="enrol"):
    """From now on until the daemon ends, ask ``name`` for its part.  Reply: Enrolled."""

    name: str


class CheckpointIs(msgspec.Struct, frozen=True, array_like=True, tag="checkpoint"):
    """The checkpoint, or None where there is none, and as many of its parts as fit."""

    checkpoint: Checkpoint | None
    parts: list[Part] = []


class CheckpointsAre(msgspec.Struct, frozen=True, array_like=True, tag="checkpoints"):
    """Those asked for, as many as fit; ``more`` says that there are older ones."""

    checkpoints: list[Checkpoint]
    more: bool = False


class InfosAre(msgspec.Struct, frozen=True, array_like=True, tag="infos"):
    """Those asked for."""

    infos: list[Info]


class ThreadsAre(msgspec.Struct, frozen=True, array_like=True, tag="threads"):
    """Those asked for."""

    names: list[str]


class PartsAre(msgspec.Struct, frozen=True, array_like=True, tag="parts"):
    """Those that are there, as many as fit."""

    parts: list[Part]


class Missing(msgspec.Struct, frozen=True, array_like=True, tag="missing"):
    """These are not there."""

    names: list[bytes]


class OwnerIs(msgspec.Struct, frozen=True, array_like=True, tag="owner"):
    """The owner, or None; ``is_dead`` when its process is known to have ended."""

    owner: Owner | None
    is_dead: bool = False


class Participant(msgspec.Struct, frozen=True, array_like=True):
    """What a checkpoint of the daemon has of one of those who take part.

    ``error`` says why there is nothing of it, or why it was not restored.  ``restored`` and
    ``skipped`` count what it took over of the ``count`` things, once it was asked to.
    """

    name: str
    count: int = 0
    mark: int = 0
    bytes: int = 0
    error: str = ""
    restored: int = 0
    skipped: int = 0


class Created(msgspec.Struct, frozen=True, array_like=True, tag="created"):
    """The checkpoint is committed under this ``id``; some may be missing in it."""

    id: int
    participants: list[Participant]


class Restored(msgspec.Struct, frozen=True, array_like=True, tag="restored_daemon"):
    """What became of each; nothing was done in a dry run."""

    id: int
    dry_run: bool
    participants: list[Participant]


class PartIs(msgspec.Struct, frozen=True, array_like=True, tag="part"):
    """The part as ``Collected`` had it, of checkpoint ``id``; 0 where there is none."""

    id: int
    created_us: int = 0
    state: str = "null"
    count: int = 0
    mark: int = 0


class Enrolled(msgspec.Struct, frozen=True, array_like=True, tag="enrolled"):
    """It is committed."""


Request = (
    Get
    | GetParts
    | FindParts
    | List
    | ListInfos
    | GetHistory
    | ListThreads
    | GetOwner
    | Create
    | Restore
    | GetPart
    | Enrol
)
Reply = (
    CheckpointIs
    | CheckpointsAre
    | InfosAre
    | ThreadsAre
    | PartsAre
    | Missing
    | OwnerIs
    | Created
    | Restored
    | PartIs
    | Enrolled
)

decode_request: Callable[[bytes], Request] = msgspec.msgpack.Decoder(Request).decode
decode_reply: Callable[[bytes], Reply] = msgspec.msgpack.Decoder(Reply).decode

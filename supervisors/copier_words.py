"""What the root and the copier say to each other: the process that moves a database.

Datagrams on a socket pair; its end of file is the death of the other side.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from holdfast.storage.migrating.ports import Progress, Proof
from holdfast.supervisors.settings import Migrate
from holdfast.supervisors.spec import Environment

__all__ = [
    "COPIER",
    "LONGEST",
    "Abandon",
    "Commit",
    "Copy",
    "Discard",
    "Far",
    "Finish",
    "Finished",
    "Forget",
    "Forgotten",
    "FromCopier",
    "Job",
    "Move",
    "Prepared",
    "Refused",
    "Retire",
    "Retired",
    "ToCopier",
    "Verified",
    "Verify",
    "decode_from",
    "decode_job",
    "decode_to",
    "encode",
]

COPIER: Final = "/copier"  # the descriptor's name in a fork request; no actor can be called so
LONGEST: Final = 128 * 1024  # bytes of a datagram; the kernel's wmem_max is 208 KiB


class Move(msgspec.Struct, frozen=True, array_like=True, tag="move"):
    """Move the data from one environment's database to the other's, as it is told."""

    swap: str
    source: Environment
    target: Environment
    mode: Migrate
    resumes: bool = False  # what an earlier try of it has left


class Retire(msgspec.Struct, frozen=True, array_like=True, tag="retire"):
    """A move was committed, and nobody came to label the old data: do it, if it is there."""

    swap: str
    source: Environment
    target: Environment


class Forget(msgspec.Struct, frozen=True, array_like=True, tag="forget"):
    """Delete what is labelled as old or half filled at these places, or only name it.

    ``failed`` are swaps that were never committed, whatever the label of their target says.
    """

    places: list[Environment]
    dry_run: bool
    failed: list[str] = []


class Discard(msgspec.Struct, frozen=True, array_like=True, tag="discard"):
    """Delete what that swap had filled there, which was not committed.  Reply: Forgotten."""

    swap: str
    place: Environment


Job = Move | Retire | Forget | Discard


class Copy(msgspec.Struct, frozen=True, array_like=True, tag="copy"):
    """Copy, then follow until something else is said.  Reply: Far, many times."""


class Finish(msgspec.Struct, frozen=True, array_like=True, tag="finish"):
    """The writer has ended: lock the source, move what is left.  Reply: Finished."""


class Commit(msgspec.Struct, frozen=True, array_like=True, tag="commit"):
    """The commit point is written: label the old data.  Reply: Retired."""


class Verify(msgspec.Struct, frozen=True, array_like=True, tag="verify"):
    """Read all of the old data once more.  Reply: Verified."""


class Abandon(msgspec.Struct, frozen=True, array_like=True, tag="abandon"):
    """Let go of both and end.  No reply but the end."""


ToCopier = Copy | Finish | Commit | Verify | Abandon


class Prepared(msgspec.Struct, frozen=True, array_like=True, tag="prepared"):
    """Both sides are open; the target is labelled as half filled.

    ``resumed`` rows are there, by an earlier try.
    """

    resumed: int = 0


class Far(msgspec.Struct, frozen=True, array_like=True, tag="far"):
    """How far it is; ``is_copied``: the bulk is there."""

    progress: Progress
    is_copied: bool


class Finished(msgspec.Struct, frozen=True, array_like=True, tag="finished"):
    """All is there, on the disk; the source is locked until Commit, Abandon or the end."""

    proof: Proof


class Retired(msgspec.Struct, frozen=True, array_like=True, tag="retired"):
    """Where the old data is now; "" for nowhere."""

    where: str


class Verified(msgspec.Struct, frozen=True, array_like=True, tag="verified"):
    """It is what was moved."""


class Forgotten(msgspec.Struct, frozen=True, array_like=True, tag="forgotten"):
    """What was deleted, or would be."""

    what: list[str]


class Refused(msgspec.Struct, frozen=True, array_like=True, tag="refused"):
    """It cannot, and ends.

    ``does``: "anew" where this swap cannot be gone on with, and nothing was touched; "end" where
    there is no use in going on with it.
    """

    error: str
    does: Literal["", "anew", "end"] = ""


FromCopier = Prepared | Far | Finished | Retired | Verified | Forgotten | Refused

encode: Final = msgspec.msgpack.Encoder().encode
decode_job: Final = msgspec.msgpack.Decoder(Job).decode
decode_to: Final = msgspec.msgpack.Decoder(ToCopier).decode
decode_from: Final = msgspec.msgpack.Decoder(FromCopier).decode

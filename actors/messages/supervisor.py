"""The vocabulary of supervisors: what their sockets answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

__all__ = [
    "ChildCount",
    "ChildState",
    "ChildStatus",
    "Children",
    "CountChildren",
    "GetTree",
    "GoneActor",
    "LastExit",
    "Reply",
    "Request",
    "StopTree",
    "Stopping",
    "Traffic",
    "Tree",
    "WhichChildren",
    "decode_reply",
    "decode_request",
]

ChildState = Literal["starting", "running", "backoff", "stopping", "stopped", "exited", "fatal"]


class LastExit(msgspec.Struct, frozen=True):
    """How a process ended; ``at`` in seconds since 1970.

    ``kind`` is exit, shutdown (it ended on purpose) or signal; start_timeout, shutdown_timeout or
    zygote_lost when it was killed for that; not_forked when there was no process at all.
    """

    kind: str
    code: int | None
    signal: int | None
    at: float


class GoneActor(msgspec.Struct, frozen=True):
    """One that has ended and is not restarted: how it ended, and the tells since, dead letters.

    ``letters`` were kept, ``waiting`` wait for the writer to keep them.
    """

    id: str
    how: str
    letters: int = 0
    waiting: int = 0


class Traffic(msgspec.Struct, frozen=True):
    """What a process's conversations came to since its start, those of its hub included.

    ``senders`` are connected to it now; ``late_answers`` of it found nobody there any more.
    ``pending`` messages that it sent are not acknowledged now; ``late_replies`` came to it after
    its timeout and were let go; ``rejected`` found no room and were not sent; ``dropped`` will not
    be handled: rows of ``dropped``, or dead letters of an actor that is gone.
    """

    senders: int = 0
    late_answers: int = 0
    pending: int = 0
    late_replies: int = 0
    rejected: int = 0
    dropped: int = 0


class ChildStatus(msgspec.Struct, frozen=True):
    """One child, and under a supervisor its children and who has ended for good there.

    ``mailbox`` waiting messages; ``handled`` messages since its start; ``rss`` bytes.
    """

    id: str
    pid: int | None
    state: ChildState
    incarnation: int
    restarts: int
    last_exit: LastExit | None = None
    mailbox: int = 0
    handled: int = 0
    rss: int = 0
    children: list[ChildStatus] = []
    gone: list[GoneActor] = []
    traffic: Traffic = Traffic()


class WhichChildren(msgspec.Struct, frozen=True, array_like=True, tag="which_children"):
    """Name the direct children.  Reply: Children."""


class Children(msgspec.Struct, frozen=True, array_like=True, tag="children"):
    """The direct children, in start order."""

    children: list[ChildStatus]


class CountChildren(msgspec.Struct, frozen=True, array_like=True, tag="count_children"):
    """Count the direct children.  Reply: ChildCount."""


class ChildCount(msgspec.Struct, frozen=True, array_like=True, tag="child_count"):
    """``active`` are those with a live process."""

    specs: int
    active: int
    supervisors: int
    workers: int


class GetTree(msgspec.Struct, frozen=True, array_like=True, tag="get_tree"):
    """Describe the whole tree below.  Reply: Tree."""


class Tree(msgspec.Struct, frozen=True, array_like=True, tag="tree"):
    """The tree; ``uptime`` in seconds."""

    name: str
    version: str
    sqlite_version: str
    uptime: float
    root: ChildStatus


class StopTree(msgspec.Struct, frozen=True, array_like=True, tag="stop_tree"):
    """Stop everything, in reverse start order.  Reply: Stopping, at once."""


class Stopping(msgspec.Struct, frozen=True, array_like=True, tag="stopping"):
    """The stop has begun; it is over when the root's process is gone."""

    pid: int


Request = WhichChildren | CountChildren | GetTree | StopTree
Reply = Children | ChildCount | Tree | Stopping

decode_request: Callable[[bytes], Request] = msgspec.msgpack.Decoder(Request).decode
decode_reply: Callable[[bytes], Reply] = msgspec.msgpack.Decoder(Reply).decode

"""The vocabulary of supervisors: what their sockets answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from holdfast.actors.messages.reload import Reload, Reloaded
from holdfast.actors.messages.swap import (
    CancelSwap,
    ForgetSwapped,
    GetSwap,
    GetSwaps,
    SwapCancelled,
    SwapIs,
    SwappedForgotten,
    SwapsAre,
)

__all__ = [
    "AwaitEnd",
    "ChildCount",
    "ChildIs",
    "ChildState",
    "ChildStatus",
    "Children",
    "CountChildren",
    "DeleteChild",
    "Ended",
    "Forget",
    "Forgotten",
    "GetChild",
    "GetReports",
    "GetTree",
    "GoneActor",
    "LastExit",
    "Locate",
    "Located",
    "Order",
    "Reload",
    "Reloaded",
    "Reply",
    "Report",
    "ReportsAre",
    "Request",
    "RestartChild",
    "StartChild",
    "StopTree",
    "Stopping",
    "TerminateChild",
    "Traffic",
    "Tree",
    "WhichChildren",
    "decode_reply",
    "decode_request",
    "reply_of",
]

ChildState = Literal["starting", "running", "backoff", "stopping", "stopped", "exited", "fatal"]


class LastExit(msgspec.Struct, frozen=True):
    """How a process ended; ``at`` in seconds since 1970.

    ``kind`` is exit, memory (an exit because of a MemoryError), shutdown (it ended on purpose) or
    signal; start_timeout, shutdown_timeout, hang or zygote_lost when it was killed for that;
    not_forked when there was no process at all.  A monitor may say besides: noproc (it was not
    alive, or is gone for so long that nobody knows more), supervisor_lost (its supervisor died, and
    it with it), noconnection (the supervisor that would tell was cut off, and was not there again
    within a second).
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
    be handled: rows of ``dropped``, or dead letters of an actor that is gone.  ``copies`` are
    connections to it that brought once more what had come on another one: nothing was taken in.
    """

    senders: int = 0
    late_answers: int = 0
    pending: int = 0
    late_replies: int = 0
    rejected: int = 0
    dropped: int = 0
    copies: int = 0


class ChildStatus(msgspec.Struct, frozen=True):
    """One child, and under a supervisor its children and who has ended for good there.

    ``restart`` is its restart type.  ``mailbox`` waiting messages; ``handled`` messages since its
    start; ``rss`` bytes; ``uptime`` seconds since it was ready; ``cpu`` seconds of processor time;
    ``last_message`` the type of the last one that somebody sent it, "" before the first; ``busy``
    seconds that it has had the present one in hand, 0.0 when it is idle.

    ``rate`` messages handled a second, lately.  Of its handlers in this life, those of its own
    messages too, a batch as one:
    ``handling`` counts those that took less than 2**index microseconds and not less than half of
    that, ``handling_seconds`` is the sum, ``p50`` and ``p99`` are seconds within which that share
    was done.  ``exits`` are the newest three, ``last_exit`` in the end.
    """

    id: str
    pid: int | None
    state: ChildState
    incarnation: int
    restarts: int
    restart: str = "permanent"
    last_exit: LastExit | None = None
    mailbox: int = 0
    handled: int = 0
    rss: int = 0
    children: list[ChildStatus] = []
    gone: list[GoneActor] = []
    traffic: Traffic = Traffic()
    uptime: float = 0.0
    cpu: float = 0.0
    last_message: str = ""
    busy: float = 0.0
    rate: float = 0.0
    p50: float = 0.0
    p99: float = 0.0
    handling: list[int] = []
    handling_seconds: float = 0.0
    exits: list[LastExit] = []


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


class StartChild(msgspec.Struct, frozen=True, array_like=True, tag="start_child"):
    """Add a child, behind those that are there, and start it.

    ``table`` has the keys of ``[agents.NAME]`` in a config, or of ``[supervisors.NAME]`` for a
    ``kind`` of "supervisor", which begins without children.  Reply: ChildIs, when it is ready;
    ConfigError, ChildError; StartError, and then it is not kept.  It is a child for as long as
    this supervisor lives; the next life of the supervisor does not have it.
    """

    name: str
    table: dict[str, Any]
    kind: Literal["agent", "supervisor"] = "agent"


class TerminateChild(msgspec.Struct, frozen=True, array_like=True, tag="terminate_child"):
    """Stop a child, and do not restart it; a temporary one is then no child any more.

    Reply: ChildIs, when it is down; ChildError.
    """

    child: str


class RestartChild(msgspec.Struct, frozen=True, array_like=True, tag="restart_child"):
    """Start a child that is down.  Reply: ChildIs, when it is ready; StartError, ChildError."""

    child: str


class DeleteChild(msgspec.Struct, frozen=True, array_like=True, tag="delete_child"):
    """Forget a child that is down.  Reply: ChildIs, as it last was; ChildError."""

    child: str


class GetTree(msgspec.Struct, frozen=True, array_like=True, tag="get_tree"):
    """Describe the whole tree below.  Reply: Tree."""


class Tree(msgspec.Struct, frozen=True, array_like=True, tag="tree"):
    """The tree; ``uptime`` in seconds, ``log_dir`` where the lines of its processes are."""

    name: str
    version: str
    sqlite_version: str
    uptime: float
    root: ChildStatus
    log_dir: str = ""


class StopTree(msgspec.Struct, frozen=True, array_like=True, tag="stop_tree"):
    """Stop everything, in reverse start order.  Reply: Stopping, at once."""


class Stopping(msgspec.Struct, frozen=True, array_like=True, tag="stopping"):
    """The stop has begun; it is over when the root's process is gone."""

    pid: int


class Locate(msgspec.Struct, frozen=True, array_like=True, tag="locate"):
    """Asked of the root: whose child is the actor ``name``?  Reply: Located, UnknownActorError."""

    name: str


class Located(msgspec.Struct, frozen=True, array_like=True, tag="located"):
    """The supervisor by name; the root counts as its own."""

    supervisor: str


class GetChild(msgspec.Struct, frozen=True, array_like=True, tag="get_child"):
    """How is a direct child now?  Reply: ChildIs, at once, or UnknownActorError."""

    child: str


class ChildIs(msgspec.Struct, frozen=True, array_like=True, tag="child_is"):
    """``incarnation`` names its present life, or the last one; no other life has that name."""

    status: ChildStatus
    incarnation: str


class AwaitEnd(msgspec.Struct, frozen=True, array_like=True, tag="await_end"):
    """Tell when a direct child's life ``incarnation`` ends, or its present one if that is "".

    Reply: Ended, once that life is reaped, or at once when it is no more; DeliveryError when too
    many wait already.  It waits as long as the connection does on which it came.
    """

    child: str
    incarnation: str = ""


class Ended(msgspec.Struct, frozen=True, array_like=True, tag="ended"):
    """The life is over; ``incarnation`` is "" where there was none."""

    incarnation: str
    exit: LastExit


class Forget(msgspec.Struct, frozen=True, array_like=True, tag="forget"):
    """Nobody waits any more for the answer to this sender's ask ``ask``.  Reply: Forgotten."""

    ask: int


class Forgotten(msgspec.Struct, frozen=True, array_like=True, tag="forgotten"):
    """There will be no answer to it, if there was none before."""


class GetReports(msgspec.Struct, frozen=True, array_like=True, tag="get_reports"):
    """What was reported after number ``after``; -1: all that is remembered, at once.

    Reply: ReportsAre, as soon as there is one.
    """

    after: int = -1


class Report(msgspec.Struct, frozen=True):
    """One of OTP's reports, of ``kind`` progress, child_terminated and so on.

    ``number`` counts from 1 in each life of the supervisor; ``time_us`` since 1970.  ``data`` is
    what the event ``supervisor:KIND`` in the log carries.
    """

    number: int
    time_us: int
    kind: str
    child: str | None
    text: str
    data: dict[str, Any]


class ReportsAre(msgspec.Struct, frozen=True, array_like=True, tag="reports"):
    """In order; a hole in the numbers is what was forgotten."""

    reports: list[Report]


Order = StartChild | TerminateChild | RestartChild | DeleteChild
Request = (
    WhichChildren
    | CountChildren
    | GetTree
    | StopTree
    | Locate
    | GetChild
    | AwaitEnd
    | Forget
    | GetReports
    | Reload
    | GetSwap
    | GetSwaps
    | ForgetSwapped
    | CancelSwap
    | Order
)
Reply = (
    Children
    | ChildCount
    | Tree
    | Stopping
    | Located
    | ChildIs
    | Ended
    | Forgotten
    | ReportsAre
    | Reloaded
    | SwapIs
    | SwapsAre
    | SwappedForgotten
    | SwapCancelled
)

decode_request: Callable[[bytes], Request] = msgspec.msgpack.Decoder(Request).decode
decode_reply: Callable[[bytes], Reply] = msgspec.msgpack.Decoder(Reply).decode


def reply_of(value: Any) -> Reply:
    """What a supervisor answered, also one whose answers are read as plain values.

    Only the root has a name that says what it is.  Raises msgspec.ValidationError.
    """
    reply: Reply = msgspec.convert(value, Reply)
    return reply

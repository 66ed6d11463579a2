"""What a supervisor and its child say to each other, on the socket that ties their lives.

Each end is one half of a socket pair.  Its end of file is the death of the other side: a child
whose supervisor is gone exits at once, whatever it has in hand.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from holdfast.actors.messages.supervisor import ChildStatus, GoneActor, Traffic

__all__ = [
    "Below",
    "Failed",
    "FromChild",
    "FromParent",
    "GetStatus",
    "Hold",
    "Preload",
    "Ready",
    "Reconfigure",
    "Reconfigured",
    "Release",
    "Settle",
    "StatusReply",
    "Stop",
]


class Ready(msgspec.Struct, frozen=True, array_like=True, tag="ready"):
    """``on_start`` returned; the child takes messages now."""


class Failed(msgspec.Struct, frozen=True, array_like=True, tag="failed"):
    """The child is about to exit because of an exception; its traceback.

    ``cause`` is "memory" when that was a MemoryError, which its LastExit says then.
    """

    traceback: str
    cause: str = ""


class StatusReply(msgspec.Struct, frozen=True, array_like=True, tag="status"):
    """Answer to ``GetStatus`` of the same ``id``; ``children`` and ``gone`` of a supervisor.

    ``rate``, ``handling`` and ``handling_seconds`` as in ChildStatus.
    """

    id: int
    mailbox: int
    handled: int
    children: list[ChildStatus] = []
    gone: list[GoneActor] = []
    traffic: Traffic = Traffic()
    rate: float = 0.0
    handling: list[int] = []
    handling_seconds: float = 0.0


class Below(msgspec.Struct, frozen=True, array_like=True, tag="below"):
    """Of a supervisor: the children that were added below it by messages, and whose they are.

    ``shutdown``: what those that it has now may take to stop.
    """

    supervisors: dict[str, str]
    shutdown: float | Literal["infinity", "brutal_kill"]


class Stop(msgspec.Struct, frozen=True, array_like=True, tag="stop"):
    """Handle what was accepted, run ``on_stop``, exit 0.

    A supervisor kills what it has not stopped ``within`` seconds; None: it takes its time.
    """

    within: float | None = None


class GetStatus(msgspec.Struct, frozen=True, array_like=True, tag="get_status"):
    """How are you?  Reply: StatusReply."""

    id: int


class Reconfigure(msgspec.Struct, frozen=True, array_like=True, tag="reconfigure"):
    """Be what ``terms`` say, as far as one life can; a supervisor has its children be it, too.

    ``terms`` are an encoded ``holdfast.supervisors.spec.Terms``.  ``is_back``: they are those from
    before, and what came since goes.  Reply: Reconfigured; with an error all is as it was.
    """

    id: int
    terms: bytes
    is_back: bool = False


class Settle(msgspec.Struct, frozen=True, array_like=True, tag="settle"):
    """Of a supervisor: the last terms stand; stop who is no child any more.

    ``names`` are all that the tree has now: of those that are children elsewhere nothing stays.
    """

    id: int
    names: list[str]


class Preload(msgspec.Struct, frozen=True, array_like=True, tag="preload"):
    """Of a supervisor: have the zygotes, here and below, import these modules.  No reply."""

    modules: list[str]


class Hold(msgspec.Struct, frozen=True, array_like=True, tag="hold"):
    """Of a supervisor: stop these children, here and below, and start none of them until Release.

    ``environment`` is an encoded ``holdfast.supervisors.spec.Environment``, which names all that
    are held.  Reply: Reconfigured, when they are down.
    """

    id: int
    names: list[str]
    environment: bytes


class Release(msgspec.Struct, frozen=True, array_like=True, tag="release"):
    """Of a supervisor: start those that were held, with this ``environment``, all at once.

    Reply: Reconfigured, when each is ready, or has failed to become so and is tried again.
    """

    id: int
    environment: bytes


class Reconfigured(msgspec.Struct, frozen=True, array_like=True, tag="reconfigured"):
    """Answer to ``Reconfigure``, ``Settle``, ``Hold`` or ``Release`` of the same ``id``.

    ``error`` is "" if it is done.
    """

    id: int
    error: str = ""


FromChild = Ready | Failed | StatusReply | Below | Reconfigured
FromParent = Stop | GetStatus | Reconfigure | Settle | Preload | Hold | Release

encode: Final = msgspec.msgpack.Encoder().encode
decode_from_child: Final = msgspec.msgpack.Decoder(FromChild).decode
decode_from_parent: Final = msgspec.msgpack.Decoder(FromParent).decode

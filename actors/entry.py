"""One message on its way out, as a link keeps it until it is acknowledged or answered.

Neighbouring tells share one, and so do neighbouring offers: they travel in one frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

__all__ = ["Entry", "Kind", "OnReply"]

# An "offer" is a tell whose items are packed into one message when it is sent first.
Kind = Literal["tell", "offer", "command", "ask", "stop"]
OnReply = Callable[[Any], None]  # gets the reply, or the HoldfastError that came instead


class Entry:
    """One message on its way, or several neighbours: numbered (tell, offer, command) or not."""

    __slots__ = (
        "bodies",
        "body",
        "count",
        "deadline",
        "first",
        "idempotent",
        "is_numbered",
        "kind",
        "on_reply",
        "order",
        "position",
        "size",
        "was_sent",
    )

    def __init__(
        self,
        kind: Kind,
        first: int,
        order: int,
        *,
        body: bytes = b"",
        count: int = 0,
        on_reply: OnReply | None = None,
        idempotent: bool = True,
    ) -> None:
        self.kind = kind
        self.first = first  # the number of the first message, the id of an ask
        self.order = order  # among all entries of the outbox
        self.count = count  # of numbers it takes
        self.body = body  # of a command, an ask, and of an offer that is packed
        self.bodies: list[bytes] = []  # of tells; the items of an offer that is not packed yet
        self.size = len(body)  # bytes
        self.on_reply = on_reply
        self.idempotent = idempotent
        # It takes numbers of its sender, and stays in the outbox until it is acknowledged.
        self.is_numbered = kind != "ask" and kind != "stop"
        self.position = 0  # among the frames of the connection it was sent on
        self.deadline: float | None = None  # monotonic; the answer is of no use after it
        self.was_sent = False

    @property
    def last(self) -> int:
        """Its highest number."""
        return self.first + self.count - 1

    @property
    def is_finished(self) -> bool:
        """A command whose result has come."""
        return self.kind == "command" and self.on_reply is None

    def cut(self, count: int) -> Entry:
        """Take the first ``count`` tells or unpacked items out of it, as an entry before it."""
        front = Entry(self.kind, self.first, self.order)
        front.bodies, self.bodies = self.bodies[:count], self.bodies[count:]
        front.count = count
        front.size = sum(map(len, front.bodies))
        front.was_sent = self.was_sent
        self.first += count
        self.count -= count
        self.size -= front.size
        return front

    def answer(self, value: Any) -> None:
        """Tell who waits, once."""
        on_reply, self.on_reply = self.on_reply, None
        if on_reply is not None:
            on_reply(value)

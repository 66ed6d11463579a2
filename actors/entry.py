"""One message on its way out, as a link keeps it until it is acknowledged or answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

__all__ = ["Entry", "Kind", "OnReply"]

Kind = Literal["tell", "command", "ask", "stop"]
OnReply = Callable[[Any], None]  # gets the reply, or the HoldfastError that came instead


class Entry:
    """One message on its way: numbered (tell, command) or not (ask)."""

    __slots__ = (
        "body",
        "count",
        "deadline",
        "first",
        "idempotent",
        "kind",
        "on_reply",
        "order",
        "position",
        "was_sent",
    )

    def __init__(
        self,
        kind: Kind,
        first: int,
        count: int,
        body: bytes,
        order: int,
        on_reply: OnReply | None = None,
        *,
        idempotent: bool = True,
    ) -> None:
        self.kind = kind
        self.first = first  # the number of a tell or command, the id of an ask
        self.count = count
        self.body = body
        self.order = order
        self.on_reply = on_reply
        self.idempotent = idempotent
        self.position = 0  # among the messages of the connection it was sent on
        self.deadline: float | None = None  # monotonic; the answer is of no use after it
        self.was_sent = False

    @property
    def is_numbered(self) -> bool:
        """It takes numbers of its sender, and stays in the outbox until it is acknowledged."""
        return self.kind in ("tell", "command")

    @property
    def last(self) -> int:
        """Its highest number."""
        return self.first + self.count - 1

    @property
    def is_finished(self) -> bool:
        """A command whose result has come."""
        return self.kind == "command" and self.on_reply is None

    def answer(self, value: Any) -> None:
        """Tell who waits, once."""
        on_reply, self.on_reply = self.on_reply, None
        if on_reply is not None:
            on_reply(value)

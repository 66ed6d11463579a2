"""One message on its way out, as a link keeps it until it is acknowledged or answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

__all__ = ["Entry", "Kind", "OnReply"]

Kind = Literal["tell", "command", "ask", "stop"]
OnReply = Callable[[Any], None]  # gets the reply, or the HoldfastError that came instead


class Entry:
    """One message on its way: numbered (tell, command) or not (ask)."""

    __slots__ = ("body", "count", "first", "idempotent", "kind", "on_reply", "order", "was_sent")

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
        self.was_sent = False

"""What the writer tells the log: that there are events which did not come by it, and which went.

Owns what is on its way there.  Lost with the writer: nothing, the log asks when it starts anew.
"""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.actors.mailbox import Mailbox
from holdfast.actors.messages import log

__all__ = ["Announcing"]


class _Announced(msgspec.Struct, frozen=True):
    """The log knows of the events up to ``last_seq``."""

    last_seq: int


class _Told(msgspec.Struct, frozen=True):
    """The log knows which events were deleted."""


class Announcing:
    """The writer's."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._own_seq = 0  # the newest event that did not come by the log
        self._is_announcing = False

    def added(self, last_seq: int) -> None:
        """Let the log read what did not come by it; one message under way at a time."""
        self._own_seq = last_seq
        if not self._is_announcing:
            self._is_announcing = True
            self._mailbox.link("log").ask(log.Advance(last_seq), context=_Announced(last_seq))

    def deleted(self, spans: list[tuple[int, int]]) -> None:
        """These events are no more."""
        self._mailbox.link("log").ask(log.Forget(spans), context=_Told())

    def answered(self, context: Any) -> None:
        """By the log."""
        if isinstance(context, _Announced):
            self._is_announcing = False
            if context.last_seq < self._own_seq:
                self.added(self._own_seq)

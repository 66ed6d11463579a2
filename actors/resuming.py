"""What a participant with nothing but memory does first: take its part of the newest checkpoint.

Owns the questions for its part that came meanwhile, lost with the process: who asks hears that it
died.  They wait, or a checkpoint without the part would become the newest.
"""

from __future__ import annotations

from typing import Final

from holdfast.actors.delivery import LATER, Delivery, Later
from holdfast.actors.mailbox import Mailbox
from holdfast.actors.messages import barrier
from holdfast.actors.messages.checkpoints import GetPart

__all__ = ["Resuming"]


class Resuming:
    """Also the context of the question, which is asked again until it is answered."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._waiting: Final[list[Delivery]] = []
        self.is_over = False

    def begin(self) -> None:
        """Ask; the answer comes as Answered."""
        self._mailbox.link("checkpoints").ask(GetPart(self._mailbox.name), context=self)

    def hold(self, delivery: Delivery) -> Later:
        """A Collect that is answered when this is over."""
        self._waiting.append(delivery)
        return LATER

    def release(self, collected: barrier.Collected) -> None:
        """It is over: this is the part now."""
        self.is_over = True
        for delivery in self._waiting:
            delivery.set(collected)
        self._waiting.clear()

"""The checkpoint of the daemon before its stop: asked for and waited for, but never for long.

Owns nothing but whether it is under way.  Everybody still runs meanwhile; the root answers.
"""

from __future__ import annotations

from typing import Any

from loguru import logger

from holdfast.actors.mailbox import Mailbox
from holdfast.actors.messages.checkpoints import Create, Created

__all__ = ["Farewell"]


class Farewell:
    """Also the context of the question.  ``within`` seconds it has to be there; 0: none is made."""

    def __init__(self, *, mailbox: Mailbox, within: float) -> None:
        self._mailbox = mailbox
        self.within = within
        self._began: float | None = None  # monotonic

    @property
    def spent(self) -> float:
        """Seconds of the stop that it took so far."""
        return 0.0 if self._began is None else self._mailbox.monotonic() - self._began

    def begin(self, within: float | None) -> bool:
        """Have it made, or go on with the one under way; its answer comes as Answered.

        ``within`` seconds everything is to be stopped; None is no bound.  False: none is made.
        """
        if self._began is not None:
            return True
        seconds = self.within if within is None else min(self.within, within / 2)
        if not seconds:
            return False
        self._began = self._mailbox.monotonic()
        link = self._mailbox.link("checkpoints")
        link.ask(Create("stop"), context=self, timeout=seconds)
        return True

    def answered(self, outcome: Any) -> None:
        """The stop goes on, with it or without."""
        if isinstance(outcome, Created):
            logger.info("checkpoint {} of the daemon is kept, stopping now", outcome.id)
        else:
            logger.warning("stopping without a checkpoint of the daemon: {}", outcome)

"""The pulse of a process: signs of life in its flight record, for its supervisor to see.

Owns no state.  One timer and 0.1 us of writing for each sign; nobody is woken by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from holdfast.actors.mailbox import Mailbox
from holdfast.actors.recorder import FlightRecorder

if TYPE_CHECKING:
    from holdfast.actors.hub import Hub
    from holdfast.clock import Clock

__all__ = ["Pulse"]


class Pulse:
    """A sign every ``interval`` seconds; 0 none at all."""

    def __init__(self, recorder: FlightRecorder, *, interval: float, clock: Clock) -> None:
        self.recorder = recorder
        self._interval = interval
        self._now = clock.monotonic

    def beat_in_mailbox(self, mailbox: Mailbox, when: Literal["idle", "always"] = "idle") -> None:
        """From the main thread: none comes while a handler works.

        "always": its handlers are short, so that one that is missing means a hang all the same.
        """
        if self._interval > 0:
            self.recorder.beats(when)
            self._beat_again(mailbox)

    def beat_in_hub(self, hub: Hub) -> None:
        """From the hub's thread, however long a handler works; until the hub is closed."""
        if self._interval > 0:
            self.recorder.beats("always")
            self._beat()
            hub._every(self._interval, self._beat, on_close=lambda: self.recorder.beats("never"))

    def _beat_again(self, mailbox: Mailbox) -> None:
        self._beat()
        mailbox.later(self._interval, lambda: self._beat_again(mailbox))

    def _beat(self) -> None:
        self.recorder.beat(self._now())

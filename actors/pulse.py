"""The pulse of a process: signs of life in its flight record, for its supervisor to see.

Owns no state.  One timer and 0.1 us of writing for each sign; nobody is woken by it.
"""

from __future__ import annotations

from collections.abc import Callable
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
        self._begin: Callable[[], None] = lambda: None  # with what was chosen at the start

    def beat_in_mailbox(
        self,
        mailbox: Mailbox,
        when: Literal["idle", "always"] = "idle",
        *,
        shows_life: Callable[[], bool] = lambda: True,
    ) -> None:
        """From the main thread: none comes while a handler works, or ``shows_life`` says no.

        "always": its handlers are short, so that one that is missing means a hang all the same.
        """

        def again() -> None:
            if self._interval > 0:
                if shows_life():
                    self._beat(mailbox)
                mailbox.later(self._interval, again)

        self._start(when, again)

    def beat_in_hub(self, hub: Hub, mailbox: Mailbox) -> None:
        """From the hub's thread, however long a handler works; until the hub is closed."""

        def begin() -> None:
            self._beat(mailbox)
            hub._every(
                lambda: self._interval,
                lambda: self._beat(mailbox),
                on_close=lambda: self.recorder.beats("never"),
            )

        self._start("always", begin)

    def reconfigure(self, interval: float) -> None:
        """A sign so often from now on."""
        before, self._interval = self._interval, interval
        if interval > 0 and not before:
            self._begin()
        elif before and not interval:
            self.recorder.beats("never")

    def _start(self, when: Literal["idle", "always"], begin: Callable[[], None]) -> None:
        def start() -> None:
            self.recorder.beats(when)
            begin()

        self._begin = start
        if self._interval > 0:
            start()

    def _beat(self, mailbox: Mailbox) -> None:
        now = self._now()
        self.recorder.beat(now)
        mailbox.handling.sample(now, mailbox.handled)

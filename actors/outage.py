"""What the writer does while its database's server does not answer.

Owns what has come and is not done, in order.  Lost with the writer's process: nothing that its
senders do not hold themselves; none of it was answered.

Events wait: the ring has them, and their senders' outboxes.  Commands wait too, for so long; then
they fail, and so does what comes later, until the server is back.  One that was in a group whose
COMMIT was not answered fails as unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from loguru import logger

from holdfast.actors.delivery import Delivery
from holdfast.clock import Clock
from holdfast.errors import UnknownError, UnreachableError
from holdfast.storage.commands import Command
from holdfast.storage.records import AppendEvents, SkipEvents

__all__ = ["Outage", "TryAgain"]

FIRST_PAUSE: Final = 0.1  # seconds until the server is looked for again
MOST_PAUSE: Final = 1.0


class TryAgain(msgspec.Struct, frozen=True):
    """It is time to see whether the server answers."""


class Outage:
    """``patience``: seconds that a command waits; ``after`` delivers a message to the writer."""

    def __init__(
        self, *, patience: float, after: Callable[[float, object], object], clock: Clock
    ) -> None:
        self._patience = patience
        self._after = after
        self._clock = clock
        self._held: list[Delivery] = []
        self._late: list[object] = []  # timers' messages that came meanwhile
        self._unknown: set[int] = set()  # ids of held ones that may be stored
        self._began = 0.0
        self._pause = FIRST_PAUSE
        self.is_on = False
        self.reason = ""  # why it is on

    def hold(self, items: list[Delivery]) -> None:
        """They come after what is held; what has no time left fails."""
        self._held += items
        if self._clock.monotonic() - self._began >= self._patience:
            self._fail_commands()

    @property
    def seconds(self) -> float:
        """How long it has lasted; 0.0 when the server answers."""
        return self._clock.monotonic() - self._began if self.is_on else 0.0

    def put_off(self, message: object) -> None:
        """A timer's message, until it is over."""
        self._late.append(message)

    def begin(self, error: UnreachableError, group: list[Delivery], rest: list[Delivery]) -> None:
        """The server was lost with ``group`` in hand, or is not back yet.  Before ``rest``."""
        if not self.is_on:
            self.is_on = True
            self._began = self._clock.monotonic()
            self._pause = FIRST_PAUSE
            logger.warning("{}; events wait, trying again and again", error)
        self.reason = str(error)
        if isinstance(error, UnknownError):
            self._unknown |= {id(delivery) for delivery in group}
        self.hold([*group, *rest])
        self._after(self._pause, TryAgain())
        self._pause = min(MOST_PAUSE, 2 * self._pause)

    def over(self) -> tuple[list[Delivery], list[object]]:
        """The server has answered: what was held, and the timers' messages."""
        if self.is_on:
            lasted = self._clock.monotonic() - self._began
            logger.info("the database answers again, after {:.1f} s", lasted)
        self.is_on, self.reason = False, ""
        self._unknown.clear()
        held, self._held = self._held, []
        late, self._late = self._late, []
        return held, late

    def _fail_commands(self) -> None:
        waiting: list[Delivery] = []
        failing: list[Delivery] = []
        for delivery in self._held:
            is_event = isinstance(delivery.message, AppendEvents | SkipEvents)
            is_command = isinstance(delivery.message, Command) and not is_event
            (failing if is_command else waiting).append(delivery)
        self._held = waiting
        for delivery in failing:
            error = self._reason(delivery)
            delivery.set_exception((type(error), error, None))

    def _reason(self, delivery: Delivery) -> UnreachableError:
        if id(delivery) in self._unknown:
            self._unknown.discard(id(delivery))
            return UnknownError(
                "the database's server was lost while this was being committed: it is stored, or "
                "it is not; do it again with the same id, key or expected version"
            )
        return UnreachableError("the database's server does not answer; nothing is stored")

"""The hub: everything a program does with a daemon's state, over one connection per actor.

Owns the outboxes of this process; they are lost with it, so ``flush`` before what must not be lost
depends on it.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import msgspec

from holdfast.actors.failures import AskTimeout
from holdfast.actors.hub_events import Event, HubEvents
from holdfast.actors.hub_state import Checkpoint, HubCheckpoints, HubSessions, Session
from holdfast.actors.messages import log, writer
from holdfast.actors.ref import RemoteRef
from holdfast.actors.threaded import ThreadedDriver
from holdfast.clock import Clock
from holdfast.errors import InvalidInputError

__all__ = ["Checkpoint", "Event", "Hub", "Level", "Session"]

Level = Literal["memory", "committed", "disk"]


class Hub:
    """``holdfast.connect`` returns one; usable from several threads."""

    def __init__(
        self, *, run_dir: Path, sender: str, incarnation: str, source: str, clock: Clock
    ) -> None:
        self._clock = clock
        self._driver = ThreadedDriver(
            run_dir=run_dir, sender=sender, incarnation=incarnation, clock=clock
        )
        self.events = HubEvents(self._driver, source=source, clock=clock)
        self.sessions = HubSessions(self._driver)
        self.checkpoints = HubCheckpoints(self._driver)

    def flush(self, level: Level = "committed", timeout: float = 30.0) -> Level:
        """Wait until everything this hub sent before is at ``level``; the level.

        Raises AskTimeout when it is not within ``timeout`` seconds; nothing is lost by that.
        """
        if level not in ("memory", "committed", "disk"):
            raise InvalidInputError(f"level = {level!r}: expected memory, committed or disk")
        deadline = self._clock.monotonic() + timeout
        if level == "memory":
            self._driver.ask_once("log", log.Barrier(), timeout)
            return level
        if not self._driver.drain(timeout):
            raise AskTimeout(
                f"{self.events.pending} events are not committed after {timeout} s: "
                "look at `holdfast status`"
            )
        if level == "disk":
            rest = max(0.0, deadline - self._clock.monotonic())
            self._driver.ask_once("writer", writer.Sync(), rest)
        return level

    def ref(self, name: str) -> RemoteRef:
        """A reference to any actor by name: pykka's tell, ask and stop."""
        return RemoteRef(name, self._driver)

    def ask(self, name: str, message: object, timeout: float = 30.0) -> object:
        """Ask an actor, again after each restart of it, until ``timeout``; its raw reply."""
        return msgspec.to_builtins(self._driver.ask_once(name, message, timeout))

    def close(self, timeout: float = 30.0) -> None:
        """Flush, then disconnect.  Raises AskTimeout when not everything is committed."""
        try:
            if self.events.pending and self._driver.is_usable:
                self.flush(timeout=timeout)
        finally:
            self._driver.close()

    def abandon(self) -> None:
        """Disconnect at once; what is not acknowledged is lost."""
        self._driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is None:
            self.close()
        else:
            self.abandon()

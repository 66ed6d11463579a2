"""The hub: everything a program does with a daemon's state, over one connection per actor.

Owns the outboxes of this process; they are lost with it, so ``flush`` before what must not be lost
depends on it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar, assert_never

from holdfast.actors import calls
from holdfast.actors.calls import (
    Ask,
    Blocking,
    Command,
    Drain,
    Level,
    Now,
    Step,
    Steps,
    Work,
    blocking,
)
from holdfast.actors.counters import Counters
from holdfast.actors.failures import AskTimeout
from holdfast.actors.hub_events import Event, HubEvents
from holdfast.actors.hub_relational import HubState
from holdfast.actors.hub_state import (
    Checkpoint,
    HubCache,
    HubCheckpoints,
    HubFiles,
    HubSessions,
    HubSupervision,
    HubTracker,
    Session,
)
from holdfast.actors.monitors import WaitingMonitor
from holdfast.actors.outbox import OutboxLimits
from holdfast.actors.ref import RemoteRef
from holdfast.actors.renewals import renewed
from holdfast.actors.threaded import ThreadedDriver
from holdfast.clock import Clock

__all__ = ["Checkpoint", "Counters", "Event", "Hub", "Level", "Session"]

T = TypeVar("T")

EARLY: Final = (
    "log",
    "sessions",
    "checkpoints",
    "writer",
)  # connected to before they are first needed


class Hub(Blocking):
    """``holdfast.connect`` returns one; usable from several threads."""

    def __init__(
        self,
        *,
        run_dir: Path,
        sender: str,
        incarnation: str,
        source: str,
        clock: Clock,
        limits: OutboxLimits | None = None,
    ) -> None:
        self._driver = ThreadedDriver(
            run_dir=run_dir, sender=sender, incarnation=incarnation, clock=clock, limits=limits
        )
        runner = _ThreadRunner(self._driver, clock=clock)
        super().__init__(runner)
        self.events = HubEvents(self._driver, runner, source=source, clock=clock)
        self.sessions = HubSessions(runner, self._driver)
        self.cache = HubCache(runner)
        self.state = HubState(runner)
        self.checkpoints = HubCheckpoints(runner)
        self.files = HubFiles(runner)
        self.tracker = HubTracker(runner)
        self.supervision = HubSupervision(runner)
        for name in EARLY:
            self._driver.open(name)
        self._on_close: Callable[[], None] | None = None

    flush = blocking(calls.flush)
    ask = blocking(calls.ask)

    def ref(self, name: str) -> RemoteRef:
        """A reference to any actor by name: pykka's tell, ask and stop."""
        return RemoteRef(name, self._driver)

    def counters(self) -> dict[str, Counters]:
        """What became of the messages to each actor so far; "log:read" is a second way to "log"."""
        return self._driver.counters

    def _later(self, delay: float, callback: Callable[[], None]) -> None:
        """Call back once, ``delay`` seconds from now, in the hub's thread: be brief there."""
        self._driver.later(delay, callback)

    def _every(
        self,
        interval: Callable[[], float],
        callback: Callable[[], None],
        *,
        on_close: Callable[[], None],
    ) -> None:
        """Call back every ``interval()`` seconds in the hub's thread, and once when it ends."""
        self._on_close = on_close
        self._driver.every(interval, callback)

    def monitor(self, name: str, *, timeout: float = 30.0) -> WaitingMonitor:
        """Watch an actor's present life: ``ref(name).monitor()``."""
        return self.ref(name).monitor(timeout=timeout)

    def close(self, timeout: float = 30.0) -> None:
        """Flush, tells to agents included, then disconnect.

        Raises AskTimeout when something is not acknowledged by then; it names to whom.
        """
        try:
            if self._driver.owed and self._driver.is_usable:
                self.flush(timeout=timeout)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Disconnect at once; what is not acknowledged is lost."""
        if self._on_close is not None and self._driver.is_usable:  # a fork's copy is not
            self._on_close()
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


class _ThreadRunner:
    """Takes the steps of calls in the thread that calls."""

    def __init__(self, driver: ThreadedDriver, *, clock: Clock) -> None:
        self._driver = driver
        self._clock = clock

    def run(self, steps: Steps[T], /) -> T:
        """What the call returns."""
        try:
            step = next(steps)
            while True:
                step = steps.send(self._take(step))
        except StopIteration as end:
            value: T = end.value
            return value

    def _take(self, step: Step) -> Any:
        match step:
            case Ask():
                return self._driver.ask_once(
                    step.to, step.message, step.timeout, idempotent=step.idempotent
                )
            case Command():
                return self._driver.command_once(step.to, step.message, step.timeout)
            case Drain():
                return self._drain(step.timeout)
            case Now():
                return self._clock.monotonic()
            case Work():
                with renewed(self._driver, step):
                    return step.finish(step.function())
            case _:
                assert_never(step)

    def _drain(self, timeout: float) -> float:
        deadline = self._clock.monotonic() + timeout
        if not self._driver.drain(timeout):
            owed = ", ".join(f"{count} to {to!r}" for to, count in self._driver.owed.items())
            raise AskTimeout(
                f"messages are not acknowledged after {timeout} s: {owed}: look at "
                "`holdfast status`"
            )
        return max(0.0, deadline - self._clock.monotonic())

"""Monitors: word of the end of an actor's present life, from the supervisor that reaps it.

Watching neither restarts nor links nor harms anybody.  Kept here: the monitors of this process,
which are lost with it; the supervisor then forgets who waited.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeVar

import msgspec

from holdfast.actors.calls import Ask, Steps
from holdfast.actors.failures import AskTimeout
from holdfast.actors.messages.supervisor import (
    AwaitEnd,
    ChildIs,
    ChildStatus,
    Ended,
    Forget,
    GetChild,
    LastExit,
)
from holdfast.actors.reactor import Cancellable
from holdfast.actors.ref import Driver, RemoteRef
from holdfast.actors.supervision_calls import ROOT, read_reply, supervisor_of
from holdfast.errors import ActorDied, HoldfastError, UnknownActorError

__all__ = [
    "Down",
    "Monitor",
    "WaitingMonitor",
    "begin",
    "overdue",
    "run",
    "state_of",
    "waiting",
]

# Seconds for a supervisor to be back after its connection broke; its children are gone by then.
REACH: Final = 1.0

T = TypeVar("T")


class Down(msgspec.Struct, frozen=True):
    """The life that ``monitor`` watched is over; ``incarnation`` is "" where there was none.

    ``reason`` is how it ended, in the words of LastExit: ``reason.kind``, ``code``, ``signal``.
    """

    monitor: str
    name: str
    incarnation: str
    reason: LastExit


class Carrier(Protocol):
    """What a monitor needs of a driver; it calls back with nothing of the driver under way."""

    def send_ask(
        self, to: str, message: object, on_reply: Callable[[Any], None], *, idempotent: bool
    ) -> int: ...

    def abandon(self, to: str, ident: int) -> None: ...

    def later(self, delay: float, callback: Callable[[], None]) -> Cancellable: ...


class Monitor:
    """One monitor of one life.  ``with`` it, or ``cancel`` it, when it is of no more use."""

    def __init__(
        self, name: str, carrier: Carrier, *, on_down: Callable[[Monitor], None] = lambda _: None
    ) -> None:
        self.id: Final = uuid.uuid4().hex[:12]
        self.name: Final = name
        self.incarnation = ""  # of the life it watches
        self.is_cancelled = False
        self.error: HoldfastError | None = None  # the supervisor would not watch
        self._carrier = carrier
        self._on_down = on_down
        self._lock = threading.Lock()  # an end and a cancel may come from two threads
        self._down: Down | None = None
        self.supervisor = ROOT  # who watches; until it is found, who is asked for it
        self._wait = 0  # the ask that is answered at the end; 0 for none
        self._probe = 0  # the ask behind it, whose answer shows that the supervisor watches
        self._timer: Cancellable | None = None  # runs while the supervisor is not there

    @property
    def down(self) -> Down | None:
        """The Down, if it has come."""
        return self._down

    @property
    def is_alive(self) -> bool:
        """It is watched, and its end is not known."""
        return not self._is_over

    def cancel(self) -> None:
        """Watch no more: after this no Down comes; one that has come stays."""
        with self._lock:
            was_over, self.is_cancelled = self._is_over, True
        if was_over:
            return
        self._later(0.0, self._withdraw)
        self._changed()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.cancel()

    # -- for who makes it ---------------------------------------------------------------------

    @property
    def is_settled(self) -> bool:
        """It is watched, or that is over already."""
        return self.incarnation != "" or self._is_over

    def watch(self, supervisor: str) -> None:
        """Have the supervisor watch; ``is_settled`` says when it does."""
        self.supervisor = supervisor
        self._carrier.later(0.0, self._ask)

    def no_such_actor(self) -> None:
        """There is no supervisor to ask."""
        self._carrier.later(0.0, lambda: self._end("", _now("noproc")))

    def outcome(self) -> Down:
        """The Down, when it is over.  Raises HoldfastError if that is by being cancelled."""
        if self._down is None:
            raise HoldfastError(f"the monitor of {self.name!r} is cancelled: make another")
        return self._down

    # -- inside: called by the carrier --------------------------------------------------------

    def _changed(self) -> None:
        """It is settled, or over; for those who wait otherwise than by the driver."""

    @property
    def _is_over(self) -> bool:
        return self._down is not None or self.is_cancelled or self.error is not None

    def _ask(self) -> None:
        """Ask for the end of the life, and behind that something that is answered at once."""
        if self._is_over:
            return
        self._abandon()
        wait = AwaitEnd(self.name, self.incarnation)
        try:
            # Not to be repeated by the link: a break is to be noticed here.
            self._wait = self._send(wait, self._answered, idempotent=False)
            self._probe = self._send(GetChild(self.name), self._probed, idempotent=True)
        except HoldfastError as error:
            self._fail(error)

    def _answered(self, outcome: Any) -> None:
        self._wait = 0
        if isinstance(outcome, ActorDied):
            if self.incarnation and self._timer is None:
                self._timer = self._later(REACH, self._unreached)
            self._later(0.0, self._ask)
        elif isinstance(outcome, HoldfastError):
            self._fail(outcome)
        else:
            ended = read_reply(outcome, Ended)
            self._end(ended.incarnation, ended.exit)

    def _probed(self, outcome: Any) -> None:
        self._probe = 0
        if self._is_over:
            return
        self._stop_timer()
        if isinstance(outcome, HoldfastError):
            self._fail(outcome)
        elif not self.incarnation:
            self.incarnation = read_reply(outcome, ChildIs).incarnation
            self._changed()

    def _unreached(self) -> None:
        self._timer = None
        self._abandon()
        self._end(self.incarnation, _now("noconnection"))

    def _fail(self, error: HoldfastError) -> None:
        if self.incarnation:
            self._end(self.incarnation, _now("noconnection"))
        else:
            with self._lock:
                self.error = error
            self._changed()

    def _end(self, incarnation: str, exit: LastExit) -> None:
        self._stop_timer()
        with self._lock:
            if self._is_over:
                return
            self.incarnation = incarnation
            self._down = Down(self.id, self.name, incarnation, exit)
        self._on_down(self)
        self._changed()

    def _withdraw(self) -> None:
        self._stop_timer()
        wait = self._wait
        self._abandon()
        if wait:
            with suppress(HoldfastError):  # closed, or refused for good: it is forgotten anyway
                self._send(Forget(wait), lambda _: None, idempotent=False)

    def _send(self, message: object, on_reply: Callable[[Any], None], *, idempotent: bool) -> int:
        return self._carrier.send_ask(self.supervisor, message, on_reply, idempotent=idempotent)

    def _abandon(self) -> None:
        asked, self._wait, self._probe = (self._wait, self._probe), 0, 0
        with suppress(HoldfastError):  # closed
            for ident in filter(None, asked):
                self._carrier.abandon(self.supervisor, ident)

    def _later(self, delay: float, callback: Callable[[], None]) -> Cancellable | None:
        with suppress(HoldfastError):  # closed: nothing comes any more
            return self._carrier.later(delay, callback)
        return None

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class WaitingMonitor(Monitor):
    """A monitor that a thread waits for."""

    def __init__(self, name: str, driver: Driver) -> None:
        super().__init__(name, driver)
        self._driver = driver

    def wait(self, timeout: float | None = None) -> Down:
        """The Down; waits for it, without ``timeout`` for ever.

        Raises AskTimeout (a TimeoutError, and a pykka.Timeout), and watches on; HoldfastError
        when the monitor is cancelled.
        """
        if not self._driver.wait_until(lambda: self._is_over, timeout):
            raise overdue(self, timeout)
        return self.outcome()


# -- making them -----------------------------------------------------------------------------


def waiting(name: str, driver: Driver, timeout: float) -> WaitingMonitor:
    """A monitor of ``name``, once the supervisor watches."""
    monitor = WaitingMonitor(name, driver)
    begin(monitor, driver, timeout)
    return monitor


def begin(monitor: Monitor, driver: Driver, timeout: float) -> None:
    """Find the supervisor and wait until it watches.

    Raises AskTimeout, or what it refuses with.
    """
    left = driver.remaining()
    timeout = timeout if left is None else min(timeout, left)
    until = time.monotonic() + timeout
    try:
        monitor.watch(run(driver, supervisor_of(monitor.name, timeout)))
    except UnknownActorError:
        monitor.no_such_actor()
    if not driver.wait_until(lambda: monitor.is_settled, max(0.0, until - time.monotonic())):
        monitor.cancel()
        raise overdue(monitor, timeout)
    if monitor.error is not None:
        raise monitor.error


def overdue(monitor: Monitor, timeout: float | None) -> AskTimeout:
    """The error of who has waited in vain."""
    return AskTimeout(f"no word of {monitor.name!r} within {timeout} s, or the hub was closed")


def state_of(name: str, timeout: float) -> Steps[ChildStatus]:
    """What its supervisor says of an actor.  Raises UnknownActorError."""
    until = time.monotonic() + timeout
    supervisor = yield from supervisor_of(name, timeout)
    rest = max(0.0, until - time.monotonic())
    return read_reply((yield Ask(supervisor, GetChild(name), rest)), ChildIs).status


def run(driver: Driver, steps: Steps[T]) -> T:
    """Take the steps, all of them asks, waiting for each; what they return."""
    try:
        step = next(steps)
        while True:
            assert isinstance(step, Ask)
            ref = RemoteRef(step.to, driver)
            step = steps.send(ref.ask(step.message, timeout=step.timeout, idempotent=True))
    except StopIteration as end:
        value: T = end.value
        return value


def _now(kind: str) -> LastExit:
    return LastExit(kind, None, None, time.time())

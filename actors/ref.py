"""A reference to an actor in another process: a pykka ActorRef whose inbox encodes and sends.

``tell``, ``ask`` and ``stop`` mean what pykka users know.  What differs: messages are values that
msgspec encodes and arrive as such (never pickled); ``tell`` waits in this process until the actor
has acknowledged it; ``ask`` may raise ActorDied.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import pykka
from pykka._envelope import Envelope
from pykka._types import OptExcInfo
from pykka.messages import _ActorStop

from holdfast.actors.failures import RemoteActorDied, unanswered
from holdfast.actors.reactor import Cancellable

if TYPE_CHECKING:
    from holdfast.actors.messages.supervisor import ChildStatus
    from holdfast.actors.monitors import WaitingMonitor

__all__ = ["Driver", "Reference", "RemoteFuture", "RemoteRef"]

_Nothing = object()
FAIL: Final = 0.05  # seconds that on_restarting="fail" waits for the actor to be there


class Driver(Protocol):
    """What carries messages out of this process: the mailbox's pump or a thread."""

    def send_tell(self, to: str, message: object) -> None:
        """Queue until acknowledged."""

    def send_ask(
        self,
        to: str,
        message: object,
        on_reply: Callable[[Any], None],
        *,
        idempotent: bool,
        timeout: float | None = None,
    ) -> int:
        """Queue a question that is of use for ``timeout`` seconds; its id."""

    def send_stop(self, to: str, on_reply: Callable[[Any], None]) -> None:
        """Queue pykka's stop."""

    def abandon(self, to: str, ident: int) -> None:
        """Nobody waits for the answer any more."""

    def wait(self, to: str, is_done: Callable[[], bool], timeout: float | None) -> bool:
        """Until ``is_done``, or ``timeout`` seconds; whether it was."""

    def wait_until(self, is_done: Callable[[], bool], timeout: float | None) -> bool:
        """As ``wait``, for what an answer of whomever, or a ``later``, makes true."""

    def later(self, delay: float, callback: Callable[[], None]) -> Cancellable:
        """Call back in ``delay`` seconds, where replies are called back too."""

    def is_up(self, to: str) -> bool:
        """Whether the actor has welcomed this process on the present connection."""

    def remaining(self) -> float | None:
        """Seconds left of the ask on whose behalf this process works; None for no bound."""


class RemoteFuture(pykka.Future[Any]):
    """The reply of another process; waiting for it drives what carries it."""

    def __init__(self) -> None:
        super().__init__()
        self._value: Any = _Nothing
        self._driver: Driver | None = None
        self._to = ""
        self._ident = 0
        self._timeout: float | None = None

    @property
    def is_done(self) -> bool:
        """The reply is here."""
        return self._value is not _Nothing

    def sent(self, driver: Driver, to: str, ident: int, timeout: float | None = None) -> None:
        """Where the reply will come from, and how long it is waited for by default."""
        self._driver, self._to, self._ident = driver, to, ident
        self._timeout = timeout

    def get(self, *, timeout: float | None = None) -> Any:
        """The reply.

        Raises AskTimeout (a pykka.Timeout), RemoteActorDied (a pykka.ActorDeadError), or what
        the handler raised, as a HoldfastError.
        """
        if self._get_hook is not None:  # pykka's filter(), map() and the like
            return super().get(timeout=timeout)
        if timeout is None:
            timeout = self._timeout
        if self._value is _Nothing:
            assert self._driver is not None
            if not self._driver.wait(self._to, lambda: self._value is not _Nothing, timeout):
                self._driver.abandon(self._to, self._ident)
                raise unanswered(self._to, timeout)
        if isinstance(self._value, BaseException):
            raise self._value
        return self._value

    def set(self, value: Any = None) -> None:
        """The reply, or the exception that came instead of one."""
        self._value = value

    def set_exception(self, exc_info: OptExcInfo | None = None) -> None:
        """The exception of ``exc_info``."""
        self._value = exc_info[1] if exc_info is not None else None


class _RemoteActor(pykka.Actor):
    """What a reference says of the class of an actor that lives elsewhere."""

    @staticmethod
    def _create_actor_inbox() -> Any:
        raise TypeError("the actor lives in another process")

    @staticmethod
    def _create_future() -> pykka.Future[Any]:
        return RemoteFuture()

    def _start_actor_loop(self) -> None:
        raise TypeError("the actor lives in another process")


class _RemoteInbox:
    """pykka's inbox, at the sending side."""

    def __init__(self, to: str, driver: Driver) -> None:
        self._to = to
        self._driver = driver

    def put(self, envelope: Envelope[Any], /) -> None:
        # pykka's tell; whatever wants an answer goes through RemoteRef.ask.
        self._driver.send_tell(self._to, envelope.message)

    def get(self) -> Envelope[Any]:
        raise TypeError("the actor lives in another process")

    def empty(self) -> bool:
        return True


class Reference:
    """What travels inside messages as the name of an actor."""

    name: str


class RemoteRef(pykka.ActorRef[Any], Reference):
    """A reference to the actor ``name``; it stays good across the actor's restarts."""

    def __init__(self, name: str, driver: Driver) -> None:
        self.name = name
        self._driver = driver
        self.actor_class = _RemoteActor
        self.actor_urn = f"urn:holdfast:{name}"
        self.actor_inbox = _RemoteInbox(name, driver)
        # Never set here: whether it lives is its supervisor's knowledge, and it comes back.
        self.actor_stopped = threading.Event()

    def __str__(self) -> str:
        return f"{self.name} ({self.actor_urn})"

    def tell(self, message: Any) -> None:
        """Send a message without waiting for anything but room in the outbox.

        It is kept here and sent again until the actor has handled it.  Raises OutboxFullError,
        FrameError, TypeError for what cannot travel.
        """
        self._driver.send_tell(self.name, message)

    def ask(
        self,
        message: Any,
        *,
        block: bool = True,
        timeout: float | None = None,
        idempotent: bool | None = None,
        on_restarting: Literal["wait", "fail"] = "wait",
    ) -> Any:
        """Send a message and wait for its reply; with ``block=False`` a future of it.

        ``idempotent`` ones are asked again after each restart of the actor, until the timeout; by
        default those whose class says ``idempotent = True``.  ``on_restarting="fail"`` raises
        ActorDied(started=False) within 50 ms when the actor is not there.  An ask that is made
        while an ask is handled takes no longer than that one may.

        Raises AskTimeout (a pykka.Timeout), RemoteActorDied (a pykka.ActorDeadError), or what the
        handler raised, as a HoldfastError.
        """
        driver = self._driver
        left = driver.remaining()
        if left is not None:
            timeout = left if timeout is None else min(timeout, left)
        if on_restarting == "fail" and not driver.is_up(self.name):
            driver.wait(self.name, lambda: driver.is_up(self.name), min(timeout or FAIL, FAIL))
            if not driver.is_up(self.name):
                raise RemoteActorDied(self.name, started=False)
        if idempotent is None:
            idempotent = bool(getattr(message, "idempotent", False))
        future = RemoteFuture()
        if isinstance(message, _ActorStop):  # pykka's stop() asks with it
            ident = 0
            driver.send_stop(self.name, future.set)
        else:
            ident = driver.send_ask(
                self.name, message, future.set, idempotent=idempotent, timeout=timeout
            )
        future.sent(driver, self.name, ident, timeout)
        return future.get(timeout=timeout) if block else future

    def proxy(self) -> Any:
        """The actor's public methods and attributes; asks it what they are.

        Raises as ``ask`` does.
        """
        from holdfast.actors.proxy import RemoteProxy  # it needs references itself

        return RemoteProxy(self)

    def state(self, *, timeout: float = 30.0) -> ChildStatus:
        """What its supervisor says of it now: state, pid, incarnation, restarts, last exit.

        ``mailbox``, ``handled`` and ``children`` are as last heard of.  Raises UnknownActorError
        for a name that is in no supervisor, else as ``ask`` does.
        """
        from holdfast.actors import monitors  # it needs references itself

        return monitors.run(self._driver, monitors.state_of(self.name, timeout))

    def monitor(self, *, timeout: float = 30.0) -> WaitingMonitor:
        """Watch its present life, which is not harmed by that; ``wait`` for the Down.

        Returns once the supervisor watches.  Without a life to watch the Down is there at once,
        its reason ``noproc``.  Raises as ``ask`` does.
        """
        from holdfast.actors import monitors

        return monitors.waiting(self.name, self._driver, timeout)

    def ask_all(self, messages: Sequence[Any], *, timeout: float | None = None) -> list[Any]:
        """The replies to all messages, in order, in about one round trip.

        Raises as ``ask`` does, for the first that fails.
        """
        futures = [self.ask(message, block=False, timeout=timeout) for message in messages]
        return [future.get() for future in futures]

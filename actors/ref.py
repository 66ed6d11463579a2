"""A reference to an actor in another process: a pykka ActorRef whose inbox encodes and sends.

``tell``, ``ask`` and ``stop`` mean what pykka users know.  What differs: messages are values that
msgspec encodes and arrive as such (never pickled); ``tell`` waits in this process until the actor
has acknowledged it; ``ask`` may raise ActorDied.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol

import pykka
from pykka._envelope import Envelope
from pykka._types import OptExcInfo
from pykka.messages import _ActorStop

from holdfast.actors.failures import AskTimeout

__all__ = ["Driver", "RemoteFuture", "RemoteRef"]

_Nothing = object()


class Driver(Protocol):
    """What carries messages out of this process: the mailbox's pump or a thread."""

    def send_tell(self, to: str, message: object) -> None:
        """Queue until acknowledged."""

    def send_ask(
        self, to: str, message: object, on_reply: Callable[[Any], None], *, idempotent: bool
    ) -> int:
        """Queue a question; its id."""

    def send_stop(self, to: str, on_reply: Callable[[Any], None]) -> None:
        """Queue pykka's stop."""

    def abandon(self, to: str, ident: int) -> None:
        """Nobody waits for the answer any more."""

    def wait(self, to: str, is_done: Callable[[], bool], timeout: float | None) -> bool:
        """Until ``is_done``, or ``timeout`` seconds; whether it was."""


class RemoteFuture(pykka.Future[Any]):
    """The reply of another process; waiting for it drives what carries it."""

    def __init__(self) -> None:
        super().__init__()
        self._value: Any = _Nothing
        self._driver: Driver | None = None
        self._to = ""
        self._ident = 0

    def sent(self, driver: Driver, to: str, ident: int) -> None:
        """Where the reply will come from."""
        self._driver, self._to, self._ident = driver, to, ident

    def get(self, *, timeout: float | None = None) -> Any:
        """The reply.

        Raises AskTimeout (a pykka.Timeout), RemoteActorDied (a pykka.ActorDeadError), or what
        the handler raised, as a HoldfastError.
        """
        try:
            return super().get(timeout=timeout)
        except NotImplementedError:
            pass
        if self._value is _Nothing:
            assert self._driver is not None
            if not self._driver.wait(self._to, lambda: self._value is not _Nothing, timeout):
                self._driver.abandon(self._to, self._ident)
                raise AskTimeout(
                    f"{self._to!r} did not answer within {timeout} s; it may still handle the "
                    "message: raise the timeout, or look at it with `holdfast status`"
                )
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
        future = envelope.reply_to
        if future is None:
            self._driver.send_tell(self._to, envelope.message)
            return
        assert isinstance(future, RemoteFuture)
        ident = 0
        if isinstance(envelope.message, _ActorStop):
            self._driver.send_stop(self._to, future.set)
        else:
            ident = self._driver.send_ask(self._to, envelope.message, future.set, idempotent=False)
        future.sent(self._driver, self._to, ident)

    def get(self) -> Envelope[Any]:
        raise TypeError("the actor lives in another process")

    def empty(self) -> bool:
        return True


class RemoteRef(pykka.ActorRef[Any]):
    """A reference to the actor ``name``; it stays good across the actor's restarts."""

    def __init__(self, name: str, driver: Driver) -> None:
        self.name = name
        self.actor_class = _RemoteActor
        self.actor_urn = f"urn:holdfast:{name}"
        self.actor_inbox = _RemoteInbox(name, driver)
        # Never set here: whether it lives is its supervisor's knowledge, and it comes back.
        self.actor_stopped = threading.Event()

    def __str__(self) -> str:
        return f"{self.name} ({self.actor_urn})"

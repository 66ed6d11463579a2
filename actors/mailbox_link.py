"""An outgoing link as the actor behind a mailbox uses it: replies come back as messages."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from holdfast.actors.failures import AskTimeout
from holdfast.actors.link import Link
from holdfast.actors.link_socket import LinkSocket
from holdfast.actors.reactor import Timer
from holdfast.errors import HoldfastError

__all__ = ["Answered", "Home", "MailboxLink"]


class Answered(msgspec.Struct, frozen=True):
    """The answer to an ask of this actor.

    ``outcome`` is the reply or the HoldfastError that came instead; ``context`` is what the
    actor gave along with the ask.
    """

    context: Any
    outcome: Any


class Home(Protocol):
    """What the link needs of the mailbox it belongs to."""

    name: str
    incarnation: str

    def deliver(self, message: object) -> None:
        """Queue a message for the actor."""

    def later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Call back from inside the mailbox."""


class MailboxLink:
    """Sends without waiting; nothing here blocks or calls a handler.

    ``guard`` is held while the link is touched.
    """

    def __init__(self, link: Link, wire: LinkSocket, home: Home, *, guard: threading.RLock) -> None:
        self.link = link
        self.told_at = 0.0  # when a handler's tell was sent at once (monotonic seconds)
        self._wire = wire
        self._home = home
        self._guard = guard

    def tell(self, message: object) -> None:
        """Send until acknowledged.  Raises FrameError when it is too large."""
        with self._guard:
            self.link.tell(message)

    def ask(self, message: object, *, context: Any, timeout: float | None = None) -> None:
        """Ask, again after every restart of the other side; Answered comes as a message."""
        timer: Timer | None = None

        def answered(outcome: Any) -> None:
            if timer is not None:
                timer.cancel()
            self._home.deliver(Answered(context, outcome))

        with self._guard:
            ident = self.link.ask(message, answered, idempotent=True)
        if timeout is not None:

            def give_up() -> None:
                self.link.abandon(ident)
                text = f"{self.link.to!r} did not answer within {timeout} s"
                self._home.deliver(Answered(context, AskTimeout(text)))

            timer = self._home.later(timeout, give_up)

    def command(self, message: object, *, context: Any) -> None:
        """Have it carried out exactly once; Answered comes as a message."""
        with self._guard:
            self.link.command(
                message, lambda outcome: self._home.deliver(Answered(context, outcome))
            )

    def question(
        self,
        message: object,
        on_reply: Callable[[Any], None],
        *,
        idempotent: bool,
        deadline: float,
    ) -> int:
        """As ``ask``, for who calls back from inside the mailbox; its id, for ``abandon``."""
        with self._guard:
            return self.link.ask(message, on_reply, idempotent=idempotent, deadline=deadline)

    def order(self, message: object, on_reply: Callable[[Any], None]) -> None:
        """As ``command``, likewise."""
        with self._guard:
            self.link.command(message, on_reply)

    def abandon(self, ident: int) -> None:
        """Nobody waits for the answer to that question any more."""
        with self._guard:
            self.link.abandon(ident)

    @property
    def refused(self) -> HoldfastError | None:
        """Why the other side takes nothing of this life any more; None as long as it does."""
        return self.link.refused

    def flush(self) -> None:
        """Send what can be sent now."""
        with self._guard:
            self._wire.flush()

"""An outgoing link as the actor behind a mailbox uses it: replies come back as messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from holdfast.actors.failures import AskTimeout
from holdfast.actors.link import Link
from holdfast.actors.link_socket import LinkSocket
from holdfast.actors.reactor import Timer

__all__ = ["Answered", "MailboxLink"]


class Answered(msgspec.Struct, frozen=True):
    """The answer to an ask of this actor.

    ``outcome`` is the reply or the HoldfastError that came instead; ``context`` is what the
    actor gave along with the ask.
    """

    context: Any
    outcome: Any


class _Home(Protocol):
    """What the link needs of the mailbox it belongs to."""

    def deliver(self, message: object) -> None: ...

    def later(self, delay: float, callback: Callable[[], None]) -> Timer: ...


class MailboxLink:
    """Sends without waiting; nothing here blocks or calls a handler."""

    def __init__(self, link: Link, wire: LinkSocket, home: _Home) -> None:
        self.link = link
        self._wire = wire
        self._home = home

    def tell(self, message: object) -> None:
        """Send until acknowledged.  Raises FrameError when it is too large."""
        self.link.tell(message)

    def ask(self, message: object, *, context: Any, timeout: float | None = None) -> None:
        """Ask, again after every restart of the other side; Answered comes as a message."""
        timer: Timer | None = None

        def answered(outcome: Any) -> None:
            if timer is not None:
                timer.cancel()
            self._home.deliver(Answered(context, outcome))

        ident = self.link.ask(message, answered, idempotent=True)
        if timeout is not None:

            def give_up() -> None:
                self.link.abandon(ident)
                text = f"{self.link.to!r} did not answer within {timeout} s"
                self._home.deliver(Answered(context, AskTimeout(text)))

            timer = self._home.later(timeout, give_up)

    def command(self, message: object, *, context: Any) -> None:
        """Have it carried out exactly once; Answered comes as a message."""
        self.link.command(message, lambda outcome: self._home.deliver(Answered(context, outcome)))

    def flush(self) -> None:
        """Send what can be sent now."""
        self._wire.flush()

    def let_go(self) -> None:
        """In a fork: close its copy of the socket; the conversation is not its own."""
        if self._wire.sock is not None:
            self._wire.sock.close()

    def close(self) -> None:
        """Close for good."""
        self._wire.close()

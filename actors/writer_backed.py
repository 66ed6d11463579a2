"""What log, sessions and checkpoints have in common: their senders' marks are the writer's.

A sender that resumes is welcomed with the mark that the writer has committed, after everything
that an earlier incarnation of the actor had sent.  No state of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import msgspec

from holdfast.actors.answers import origin_of, refuse
from holdfast.actors.burial import poison_error
from holdfast.actors.delivery import Delivery, Departed, Joined
from holdfast.actors.host import HostedActor
from holdfast.actors.mailbox_link import MailboxLink
from holdfast.actors.messages import writer
from holdfast.storage.ports import NoDatabaseError, Reader

__all__ = ["Greeting", "WriterBackedActor"]


class Greeting(msgspec.Struct, frozen=True):
    """The context of an ask for a mark: a sender that resumes waits for it."""

    delivery: Delivery


class WriterBackedActor(HostedActor):
    """Reads the database itself, writes through the writer, never waits for either."""

    refuses_tells = True

    STREAM: ClassVar[str]  # the numbering that senders use towards this actor

    def __init__(self, *, open_reader: Callable[[], Reader]) -> None:
        super().__init__()
        self._open_reader = open_reader
        self._reader: Reader | None = None
        self.writer: MailboxLink  # made in on_start, since making it sends

    def on_start(self) -> None:
        """Connect to the writer."""
        self.writer = self.mailbox.link("writer")

    def on_stop(self) -> None:
        """Let go of the database, so that the writer can empty its log."""
        if self._reader is not None:
            self._reader.close()

    @property
    def reader(self) -> Reader | None:
        """A reading side, or None as long as the writer has not made the database."""
        if self._reader is None:
            try:
                self._reader = self._open_reader()
            except NoDatabaseError:
                return None
        return self._reader

    @property
    def delivery(self) -> Delivery:
        """The message in hand, which came by socket."""
        delivery = self.mailbox.current
        assert delivery is not None
        return delivery

    def unburden(self, delivery: Delivery) -> None:
        """A command takes its number all the same, or the next one would leave a gap."""
        origin = origin_of(delivery, self.STREAM)
        if origin is None:
            super().unburden(delivery)
        else:
            answer = refuse(origin, poison_error(self.mailbox, delivery))
            self.writer.ask(answer, context=None)
            super().unburden(delivery)

    def greet(self, message: Joined | Departed) -> None:
        """Ask the writer how far a sender has come, or let it forget one."""
        sender, incarnation = message.sender, message.incarnation
        if isinstance(message, Departed):
            self.writer.ask(writer.Forget(sender, incarnation), context=None)
        else:
            mark = writer.GetMark(sender, incarnation, self.STREAM)
            self.writer.ask(mark, context=Greeting(self.delivery))

    @staticmethod
    def greeted(context: Greeting, outcome: Any) -> None:
        """Let the sender begin after its mark."""
        if isinstance(outcome, writer.MarkIs):
            mark = outcome.mark
            context.delivery.welcome(mark.number, mark.duplicates, mark.dropped)
        else:
            context.delivery.refuse(outcome)

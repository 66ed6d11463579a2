"""One message in the receiver's hands, and the way to answer it.

Lost with the receiver's process; its sender sends it again, or hears of the death.
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from holdfast.actors.recorder import Suspect
from holdfast.errors import HoldfastError

if TYPE_CHECKING:
    from holdfast.actors.intake import Intake

__all__ = ["LATER", "Delivery", "Departed", "Joined", "Later"]


class Later:
    """The type of LATER."""


LATER: Final = Later()  # a handler returns it when it answers through its Delivery later


class Joined(msgspec.Struct, frozen=True):
    """A sender that resumes; it sends nothing numbered until its delivery is welcomed."""

    sender: str
    incarnation: str
    first: int


class Departed(msgspec.Struct, frozen=True):
    """A sender said goodbye: what was kept of it may be forgotten."""

    sender: str
    incarnation: str


class Delivery:
    """One message in the receiver's hands, and the way to answer it.

    It is the ``reply_to`` of pykka's envelope: pykka calls ``set`` with what the handler
    returned and ``set_exception`` with what it raised.
    """

    # What most deliveries have is the class's: making one is a tenth of handling a tell.
    count = 1
    redelivered = False
    skip = 0  # so many of ``count`` were taken in before, on another connection
    poison: Suspect | None = None  # the evidence that it kills whoever handles it
    raw = b""  # the encoded message, of poison only
    deadline: float | None = None  # monotonic; nobody waits for the answer after it
    acked = 0  # the sender holds the results of commands up to here
    deferred = False  # a tell whose handler acknowledges it later

    def __init__(
        self,
        intake: Intake,
        kind: Literal["tell", "command", "ask", "joined", "departed"],
        number: int,
        message: Any,
    ) -> None:
        self.intake = intake
        self.kind = kind
        self.number = number  # of the first message in a tell; the id of an ask
        self.message = message
        self.position = intake.position  # among the frames of its connection

    @property
    def sender(self) -> str:
        """Who sent it."""
        return self.intake.sender

    @property
    def incarnation(self) -> str:
        """Which life of the sender sent it."""
        return self.intake.incarnation

    def set(self, value: Any = None) -> None:
        """Answer; LATER answers nothing yet."""
        if value is not LATER:
            self.intake.answer(self, value)

    def set_exception(
        self,
        exc_info: tuple[type[BaseException] | None, BaseException | None, TracebackType | None]
        | None = None,
    ) -> None:
        """Answer with an exception, by default the one being handled."""
        error = (exc_info or sys.exc_info())[1]
        self.intake.fail(self, error or RuntimeError("the handler failed without an exception"))

    def done(self, mark: int | None = None, duplicates: int = 0, dropped: int = 0) -> None:
        """A tell is handled: acknowledge up to ``mark`` (or its last number); free its place."""
        last = self.number + self.count - 1
        self.intake.acknowledge(last if mark is None else mark, duplicates, dropped, self.count)

    def refuse(self, error: HoldfastError) -> None:
        """End the sender's connection with ``error``; its link is of no use after that."""
        self.intake.refuse(error)

    def set_aside(self) -> None:
        """An ask that is answered much later: its place in the mailbox is free at once."""
        self.intake.free(self)

    def welcome(self, mark: int, duplicates: int, dropped: int = 0) -> None:
        """Answer Joined: what is at or below ``mark`` need not come again."""
        self.intake.welcome(mark, duplicates, dropped)

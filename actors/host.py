"""A pykka actor as the only inhabitant of a process: its loop runs on the main thread.

The boundary to pykka, whose messages and futures have no types; nothing else here is ``Any``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, ClassVar, TypeVar

import msgspec
import pykka

from holdfast.actors.burial import Burial, Held, bury, is_buried, poison_error
from holdfast.actors.delivery import LATER, Delivery, Later
from holdfast.actors.mailbox import Answered, Mailbox, Poisoned
from holdfast.errors import HoldfastError, StorageError

__all__ = ["LATER", "Delivery", "Errand", "HostedActor", "Later", "construct", "run"]

A = TypeVar("A", bound="HostedActor")


class Errand(msgspec.Struct, frozen=True):
    """What the process has to do between two messages of its actor."""

    run: Callable[[], None]


class HostedActor(pykka.Actor):
    """pykka's Actor with a mailbox for an inbox.

    A handler that answers later takes ``self.mailbox.current`` and returns LATER.
    """

    mailbox: Mailbox
    # Of holdfast's own: a tell that is refused ends its sender's connection and nothing else.  By
    # pykka's rule, which the classes of users have, it would end the actor.
    refuses_tells: ClassVar[bool] = False
    # Named so that no attribute of a user's class is in their way.
    _holdfast_failure: BaseException | None = None
    _holdfast_held: Held | None = None  # since the first tell that was poison

    @staticmethod
    def _create_actor_inbox() -> Any:
        raise TypeError("a hosted actor is made by its process: start it from the config")

    @staticmethod
    def _create_future() -> Any:
        return pykka.ThreadingFuture()

    def _start_actor_loop(self) -> None:
        raise TypeError("a hosted actor is started by its supervisor, not by start()")

    def _handle_receive(self, message: Any) -> Any:
        match message:
            case Poisoned():
                self.bury(message)
            case Errand(run=do):
                do()
            case Answered(context=Burial()):
                if is_buried(self.mailbox, message.context, message.outcome):
                    self.unburden(message.context.poisoned.delivery)
            case _:
                self._stay_behind()
                if self.refuses_tells:
                    return self._receive_or_refuse(message)
                return super()._handle_receive(message)
        return None

    def _receive_or_refuse(self, message: Any) -> Any:
        try:
            return super()._handle_receive(message)
        except StorageError:  # not the fault of the message
            raise
        except HoldfastError as error:
            current = self.mailbox.current
            if current is None or current.kind != "tell":
                raise
            current.deferred = True  # it is not acknowledged
            current.refuse(error)
            return None

    def _holdfast_shows_life(self) -> bool:
        """Asked before each sign of life: whether what works beside its handlers does."""
        return True

    def _stay_behind(self) -> None:
        """A tell in hand is not acknowledged before the letters that were told before it."""
        if self._holdfast_held is not None and self.mailbox.current is not None:
            self._holdfast_held.stay_behind(self.mailbox.current)

    def bury(self, poisoned: Poisoned) -> None:
        """Have a message that kills its receiver kept as a dead letter."""
        delivery = poisoned.delivery
        if delivery.kind == "tell" and not delivery.deferred:
            self._holdfast_held = self._holdfast_held or Held()
            self._holdfast_held.bury(delivery)
        bury(self.mailbox, poisoned)

    def unburden(self, delivery: Delivery) -> None:
        """The letter is kept: let its sender go on."""
        if delivery.kind == "tell":
            assert self._holdfast_held is not None
            self._holdfast_held.kept(delivery)
        else:
            error = poison_error(self.mailbox, delivery)
            delivery.set_exception((type(error), error, None))

    def _stop(self) -> None:
        raised = sys.exc_info()[1]  # pykka stops an actor whose handler raised SystemExit
        self._holdfast_failure = raised
        self.mailbox.end(failed=raised is not None)
        super()._stop()

    def _handle_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._holdfast_failure = exception_value
        self.mailbox.end(failed=True)
        super()._handle_failure(exception_type, exception_value, traceback)


def construct(
    cls: type[A], *, mailbox: Mailbox, given: dict[str, Any] | None = None, **kwargs: Any
) -> A:
    """Make the actor with ``mailbox`` as its inbox; ``kwargs`` go to its constructor.

    ``given`` are attributes that the constructor finds set.
    """
    actor = cls.__new__(cls)
    actor.mailbox = mailbox
    for attribute, value in (given or {}).items():
        setattr(actor, attribute, value)
    actor._create_actor_inbox = lambda: mailbox  # type: ignore[method-assign]  # pykka's hook takes no arguments
    actor.__init__(**kwargs)  # type: ignore[misc]  # __new__ came first so that the hook is there
    return actor


def run(actor: HostedActor) -> BaseException | None:
    """Run pykka's loop here until the actor stops; the exception that killed it, if one did."""
    actor._actor_loop()
    actor.mailbox.close()
    return actor._holdfast_failure

"""Calls of a hub taken by an actor: each step is sent, and its answer comes as a message.

Nothing waits: any number of calls are under way at once.  Lost with the process: all of them; what
a command has told the writer by then may be carried out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from loguru import logger

from holdfast.actors.calls import Ask, Command, Now, Step, Steps
from holdfast.actors.failures import AskTimeout
from holdfast.actors.mailbox import Mailbox
from holdfast.actors.mailbox_link import MailboxLink
from holdfast.errors import HoldfastError, RemoteError

__all__ = ["Call", "Stepped", "Stepping"]

TICK: Final = 0.05  # seconds between two looks at what is late

Done = Callable[[Any], None]


class Call:
    """A call under way: the steps, and which of them is waited for."""

    __slots__ = (
        "deadline",
        "due",
        "ident",
        "is_over",
        "link",
        "number",
        "on_done",
        "steps",
        "waits_for",
    )

    def __init__(self, steps: Steps[Any], on_done: Done, deadline: float | None) -> None:
        self.steps = steps
        self.on_done = on_done
        self.deadline = deadline  # of all steps together; monotonic seconds
        self.number = 0  # of the step, from 1
        self.is_over = False  # ``on_done`` was called
        self.waits_for = ""  # an actor
        self.due = 0.0  # when that is too late
        self.link: MailboxLink | None = None
        self.ident: int | None = None  # of an ask; a command has none, and cannot be taken back

    def over(self, outcome: Any) -> None:
        """Hand it over."""
        self.is_over = True
        self.on_done(outcome)


class Stepped(msgspec.Struct, frozen=True):
    """The answer to a step, to be given to ``Stepping.go_on``."""

    call: Call
    number: int
    outcome: Any


class _Tick(msgspec.Struct, frozen=True):
    """Look at what is late."""


class Stepping:
    """The calls of one actor."""

    TICK = _Tick  # the message after which ``look`` wants to be called

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._waiting: dict[Call, None] = {}
        self._is_armed = False

    def __len__(self) -> int:
        return len(self._waiting)

    def begin(self, steps: Steps[Any], on_done: Done, *, within: float | None) -> Call:
        """Take the steps; ``on_done`` gets the value or the exception, perhaps before this returns.

        ``within`` seconds bound all of them together, None only each by itself.
        """
        now = self._mailbox.monotonic()
        call = Call(steps, on_done, None if within is None else now + within)
        self._take(call, None)
        return call

    def go_on(self, stepped: Stepped) -> None:
        """A step was answered.  Raises what a link was refused with: this life is of no use."""
        call = stepped.call
        if call not in self._waiting or call.number != stepped.number:
            return  # nobody waits for it any more
        refused = None if call.link is None else call.link.refused
        self._take(call, stepped.outcome)
        if refused is not None:
            raise refused

    def cancel(self, call: Call) -> None:
        """Let go of it; ``on_done`` is not called."""
        if self._waiting.pop(call, self) is None:
            self._abandon(call)
        call.steps.close()

    def look(self) -> None:
        """Give up what is late."""
        self._is_armed = False
        now = self._mailbox.monotonic()
        for call in [call for call in self._waiting if call.due <= now]:
            self._abandon(call)
            doubt = "" if call.ident is not None else "; it may still be carried out"
            text = f"{call.waits_for!r} did not answer in time{doubt}"
            self._take(call, AskTimeout(text))
        self._arm()

    def _take(self, call: Call, given: Any) -> None:
        """Run the steps until one has to be waited for, or the last."""
        self._waiting.pop(call, None)
        while True:
            try:
                if isinstance(given, BaseException):
                    step = call.steps.throw(given)
                else:
                    step = call.steps.send(given)
            except StopIteration as end:
                call.over(end.value)
                return
            except HoldfastError as error:
                call.over(error)
                return
            except Exception as error:
                # As of an ask: it is the asker's, and the actor lives.
                logger.opt(exception=error).error("a request could not be handled")
                name = self._mailbox.name
                call.over(RemoteError(name, type(error).__name__, str(error)))
                return
            if isinstance(step, Now):
                given = self._mailbox.monotonic()
                continue
            try:
                self._send(call, step)
            except HoldfastError as error:
                given = error  # the steps may know what to do
            else:
                return

    def _send(self, call: Call, step: Step) -> None:
        if not isinstance(step, Ask | Command):
            raise TypeError(f"an actor cannot wait for {type(step).__name__}")
        now = self._mailbox.monotonic()
        call.number += 1
        call.waits_for = step.to
        call.due = now + step.timeout
        if call.deadline is not None:
            call.due = min(call.due, call.deadline)
        number, deliver = call.number, self._mailbox.deliver

        def answered(outcome: Any) -> None:
            deliver(Stepped(call, number, outcome))

        call.link = self._mailbox.link(step.to)
        call.ident = None
        if isinstance(step, Ask):
            call.ident = call.link.question(
                step.message, answered, idempotent=step.idempotent, deadline=call.due
            )
        else:
            call.link.order(step.message, answered)
        self._waiting[call] = None
        self._arm()

    def _abandon(self, call: Call) -> None:
        if call.ident is not None and call.link is not None:
            call.link.abandon(call.ident)

    def _arm(self) -> None:
        if self._waiting and not self._is_armed:
            self._is_armed = True
            self._mailbox.after(TICK, _Tick())

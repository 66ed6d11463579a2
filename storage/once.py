"""Commands that are carried out once, their outcome kept for their repeats.

Works within the caller's transaction.  A command that is refused takes its number all the same:
the refusal is the outcome that is kept.

A savepoint costs a third of what a command costs, on any backend.  Most refused commands are
refused before they change anything, so there is none until one was not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, TypeVar

from holdfast.errors import Conflict, InvalidInputError, NotFoundError
from holdfast.storage.commands import Once, OnceOutcome
from holdfast.storage.marks import Marks, Refused, reopened
from holdfast.storage.records import AnswerKept, KeepAnswer

__all__ = ["CAUTIOUS", "HalfDone", "Handler", "OnceOnly", "Undo"]

CAUTIOUS: Final = 1_000  # commands in savepoints, after one that was refused halfway

T = TypeVar("T")

# Does what a command of its type says; what it has changed is undone when it raises.
Handler = Callable[[Any], OnceOutcome]


class HalfDone(Exception):  # no error of anybody: it never leaves the storage
    """A command was refused after it had changed something, outside of a savepoint.

    The transaction is to be taken back and begun again, cautiously.
    """


class Undo(Protocol):
    """What a transaction of the backend knows of being taken back."""

    @property
    def refusals(self) -> tuple[type[Exception], ...]:
        """What it raises because of a value: that command is refused, others are not affected."""

    def changes(self) -> int:
        """A count that has grown when something may have to be taken back."""

    def is_lost(self) -> bool:
        """Whether an error has taken the whole transaction back."""

    def begin(self) -> None:
        """A savepoint, one at a time."""

    def keep(self) -> None:
        """What was done since it began."""

    def take_back(self) -> None:
        """What was done since it began; the transaction is not lost."""


class Sequencer(Protocol):
    """What gives events their numbers."""

    last_seq: int


class OnceOnly:
    """``handlers`` by type of command; KeepAnswer has none, it only moves the mark."""

    def __init__(
        self,
        undo: Undo,
        *,
        marks: Marks,
        events: Sequencer,
        handlers: Mapping[type, Handler],
    ) -> None:
        self._undo = undo
        self._refusals: tuple[type[Exception], ...] = (Conflict, NotFoundError, *undo.refusals)
        self._marks = marks
        self._events = events
        self._handlers = handlers
        self._cautious = 0  # commands that are still to be in savepoints

    def run(self, command: Once) -> OnceOutcome:
        """The outcome, the first one for a repeat.

        Raises InvalidInputError, Conflict, NotFoundError, ExpiredError; the backend's error when
        the transaction is in doubt.
        """
        origin = command.origin
        outcome: OnceOutcome | Refused
        if origin is None:
            outcome = self._done(command)
        else:
            state = self._marks.state(origin, gaps=True)
            if origin.first <= state.number:
                outcome = self._marks.kept(origin)
            else:
                outcome = self._done(command)
                state.number = origin.first
                self._marks.move(origin, state)
                self._marks.keep(origin, outcome)
        if isinstance(outcome, Refused):
            raise reopened(outcome)
        return outcome

    @property
    def is_cautious(self) -> bool:
        """Whether the next command is in a savepoint."""
        return self._cautious > 0

    def be_cautious(self, commands: int) -> None:
        """At least so many commands are in savepoints: none of them raises HalfDone."""
        self._cautious = max(CAUTIOUS, commands)

    def attempt(self, command: object, work: Callable[[], T]) -> T:
        """The outcome of work of which nothing is kept for repeats.

        Raises InvalidInputError, Conflict, NotFoundError; the backend's error when the
        transaction is in doubt.
        """
        outcome = self._carry_out(command, work)
        if isinstance(outcome, Refused):
            raise reopened(outcome)
        return outcome

    def _done(self, command: Once) -> OnceOutcome | Refused:
        if isinstance(command, KeepAnswer):
            return AnswerKept(command.answer)
        handler = self._handlers[type(command)]
        return self._carry_out(command, lambda: handler(command))

    def _carry_out(self, command: object, work: Callable[[], T]) -> T | Refused:
        if not self._cautious:
            return self._dare(command, work)
        self._cautious -= 1
        undo, last_seq = self._undo, self._events.last_seq
        undo.begin()
        try:
            outcome = work()
        except self._refusals as error:
            if undo.is_lost():
                raise
            undo.take_back()
            self._events.last_seq = last_seq
            return _refusal(error, type(command).__name__)
        undo.keep()
        return outcome

    def _dare(self, command: object, work: Callable[[], T]) -> T | Refused:
        """Without a savepoint.  Raises HalfDone."""
        undo, last_seq = self._undo, self._events.last_seq
        before = undo.changes()
        try:
            outcome = work()
        except self._refusals as error:
            if undo.is_lost():
                raise
            if undo.changes() != before:
                raise HalfDone from error
            self._events.last_seq = last_seq
            return _refusal(error, type(command).__name__)
        return outcome


def _refusal(error: Exception, what: str) -> Refused:
    """What is kept: our own words as they are, others with the command's name before them."""
    if isinstance(error, Conflict):
        return Refused(str(error), (error.what, error.expected, error.current))
    if isinstance(error, NotFoundError):
        return Refused(str(error), is_missing=True)
    if isinstance(error, InvalidInputError):
        return Refused(str(error))
    return Refused(f"{what}: {error}")

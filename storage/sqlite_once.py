"""Commands that are carried out once, their outcome kept for their repeats.

Works within the caller's transaction.  A command that is refused takes its number all the same:
the refusal is the outcome that is kept.

A savepoint copies every page that is changed in it, a third of what a command costs.  Most refused
commands are refused before they change anything, so there is none until one was not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import apsw

from holdfast.errors import Conflict, InvalidInputError, NotFoundError
from holdfast.storage.commands import Once, OnceOutcome
from holdfast.storage.records import AnswerKept, KeepAnswer
from holdfast.storage.sqlite_connection import REFUSALS, refused
from holdfast.storage.sqlite_events import EventTable
from holdfast.storage.sqlite_marks import Marks, Refused, reopened

__all__ = ["HalfDone", "Handler", "OnceOnly"]

CAUTIOUS: Final = 1_000  # commands in savepoints, after one that was refused halfway

# Does what a command of its type says; what it has changed is undone when it raises.
Handler = Callable[[Any], OnceOutcome]


class HalfDone(Exception):  # no error of anybody: it never leaves the storage
    """A command was refused after it had changed something, outside of a savepoint.

    The transaction is to be taken back and begun again, cautiously.
    """


class OnceOnly:
    """``handlers`` by type of command; KeepAnswer has none, it only moves the mark."""

    def __init__(
        self,
        connection: apsw.Connection,
        *,
        marks: Marks,
        events: EventTable,
        handlers: Mapping[type, Handler],
    ) -> None:
        self._connection = connection
        self._marks = marks
        self._events = events
        self._handlers = handlers
        self._cautious = 0  # commands that are still to be in savepoints

    def run(self, command: Once) -> OnceOutcome:
        """The outcome, the first one for a repeat.

        Raises InvalidInputError, Conflict, NotFoundError, ExpiredError; apsw.Error when the
        transaction is in doubt.
        """
        origin = command.origin
        outcome: OnceOutcome | Refused
        if origin is None:
            outcome = self._carry_out(command)
        else:
            state = self._marks.state(origin, gaps=True)
            if origin.first <= state.number:
                outcome = self._marks.kept(origin)
            else:
                outcome = self._carry_out(command)
                state.number = origin.first
                self._marks.move(origin, state)
                self._marks.keep(origin, outcome)
        if isinstance(outcome, Refused):
            raise reopened(outcome)
        return outcome

    def be_cautious(self, commands: int) -> None:
        """At least so many commands are in savepoints: none of them raises HalfDone."""
        self._cautious = max(CAUTIOUS, commands)

    def _carry_out(self, command: Once) -> OnceOutcome | Refused:
        if isinstance(command, KeepAnswer):
            return AnswerKept(command.answer)
        if not self._cautious:
            return self._dare(command)
        self._cautious -= 1
        execute, last_seq = self._connection.execute, self._events.last_seq
        execute("SAVEPOINT command")
        try:
            outcome = self._handlers[type(command)](command)
        except (Conflict, NotFoundError, *REFUSALS) as error:
            if not self._connection.in_transaction:
                raise
            execute("ROLLBACK TO command")
            execute("RELEASE command")
            self._events.last_seq = last_seq
            return _refusal(error, type(command).__name__)
        execute("RELEASE command")
        return outcome

    def _dare(self, command: Once) -> OnceOutcome | Refused:
        """Without a savepoint.  Raises HalfDone."""
        connection, last_seq = self._connection, self._events.last_seq
        before = connection.total_changes()
        try:
            outcome: OnceOutcome = self._handlers[type(command)](command)
        except (Conflict, NotFoundError, *REFUSALS) as error:
            if not connection.in_transaction:
                raise
            if connection.total_changes() != before:
                raise HalfDone from error
            self._events.last_seq = last_seq
            return _refusal(error, type(command).__name__)
        return outcome


def _refusal(error: Exception, what: str) -> Refused:
    """What is kept: our own words as they are, SQLite's with the command's name before them."""
    if isinstance(error, Conflict):
        return Refused(str(error), (error.what, error.expected, error.current))
    if isinstance(error, NotFoundError):
        return Refused(str(error), is_missing=True)
    if isinstance(error, InvalidInputError):
        return Refused(str(error))
    return Refused(str(refused(error, what)))

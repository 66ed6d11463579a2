"""The query actor: reads the database for everybody who looks further back than the log's ring.

Owns nothing but a read-only connection and its page cache.  Lost when its process dies: nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, assert_never

from holdfast.actors.host import HostedActor
from holdfast.actors.messages.query import (
    CountEvents,
    DeadLetterIs,
    DeadLettersAre,
    DroppedAre,
    Found,
    GetDeadLetter,
    ListDeadLetters,
    ListDropped,
    Number,
    QueryEvents,
    Reply,
    Request,
)
from holdfast.actors.replies import REPLY_BYTES, fitting
from holdfast.errors import InvalidInputError
from holdfast.storage.ports import NoDatabaseError, Reader

__all__ = ["QueryActor"]

MAX_LIMIT: Final = 10_000  # events read for one reply, so that others are not kept waiting


class QueryActor(HostedActor):
    """Every question is one statement, finished before the next: readers never pin the log."""

    def __init__(self, *, open_reader: Callable[[], Reader]) -> None:
        super().__init__()
        self._open_reader = open_reader
        self._reader: Reader | None = None

    def on_stop(self) -> None:
        """Let go of the database, so that the writer can empty its log."""
        if self._reader is not None:
            self._reader.close()

    def on_receive(self, message: Request) -> Reply:
        """Answer at once."""
        reader = self._opened()
        match message:
            case QueryEvents():
                return self._found(reader, message)
            case CountEvents(filter=wanted):
                return Number(0 if reader is None else reader.count(wanted))
            case ListDeadLetters(limit=limit):
                return self._letters(reader, _bounded(limit))
            case GetDeadLetter(id=id):
                return DeadLetterIs(None if reader is None else reader.dead_letter(id))
            case ListDropped(limit=limit):
                if reader is None:
                    return DroppedAre([], 0)
                return DroppedAre(reader.dropped(_bounded(limit)), reader.count_dropped())
            case _:
                assert_never(message)

    @staticmethod
    def _found(reader: Reader | None, query: QueryEvents) -> Found:
        limit = _bounded(query.limit)
        if reader is None:
            return Found([])
        events = reader.events(query.filter, limit, query.reverse)
        sent = fitting(events)
        return Found(sent, more=len(sent) < len(events) or limit < query.limit)

    @staticmethod
    def _letters(reader: Reader | None, limit: int) -> DeadLettersAre:
        if reader is None:
            return DeadLettersAre([])
        letters = reader.dead_letters(limit, REPLY_BYTES // 2)  # the last may be as long again
        return DeadLettersAre(letters, more=len(letters) < reader.count_dead_letters())

    def _opened(self) -> Reader | None:
        """The reader, or None as long as the writer has not made the database."""
        if self._reader is None:
            try:
                self._reader = self._open_reader()
            except NoDatabaseError:
                return None
        return self._reader


def _bounded(limit: int) -> int:
    if limit < 1:
        raise InvalidInputError(f"limit = {limit}: expected at least 1")
    return min(limit, MAX_LIMIT)

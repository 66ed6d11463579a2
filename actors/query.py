"""The query actor: reads the database for everybody who looks further back than the log's ring.

Owns nothing but a read-only connection and its page cache.  Lost when its process dies: nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from holdfast.actors.event_answers import answer_about_events
from holdfast.actors.host import HostedActor
from holdfast.actors.loss_answers import answer_about_losses
from holdfast.actors.messages.query import (
    CountEvents,
    CountGroups,
    FindAround,
    FindBelow,
    GetChain,
    GetDeadLetter,
    GetPayloads,
    GetPosition,
    GetSizes,
    ListDeadLetters,
    ListDropped,
    ListSubscribers,
    QueryEvents,
    ReadOn,
    ReadStream,
    Reply,
    Request,
    SearchText,
    SizesAre,
)
from holdfast.actors.state_answers import answer_about_state
from holdfast.actors.subscriber_answers import answer_subscribers
from holdfast.actors.text_answers import answer_search
from holdfast.actors.tree_answers import answer_about_trees
from holdfast.clock import Clock
from holdfast.storage.ports import NoDatabaseError, Reader

__all__ = ["QueryActor"]


class QueryActor(HostedActor):
    """Every question is a statement or two, finished before the next: readers never pin the log."""

    refuses_tells = True

    def __init__(self, *, open_reader: Callable[[], Reader], clock: Clock) -> None:
        super().__init__()
        self._open_reader = open_reader
        self._clock = clock
        self._reader: Reader | None = None

    def reconfigure(self, open_reader: Callable[[], Reader]) -> None:
        """Read through another connection from the next question on."""
        self.on_stop()
        self._open_reader, self._reader = open_reader, None

    def on_stop(self) -> None:
        """Let go of the database, so that the writer can empty its log."""
        if self._reader is not None:
            self._reader.close()

    def on_receive(self, message: Request) -> Reply:
        """Answer at once; how is in a module for each concern."""
        reader = self._opened()
        match message:
            case QueryEvents() | CountEvents() | GetPosition() | GetPayloads() | ReadStream():
                return answer_about_events(reader, message)
            case GetChain() | FindAround() | FindBelow() | CountGroups():
                return answer_about_trees(reader, message)
            case SearchText():
                return answer_search(reader, message)
            case ListDeadLetters() | GetDeadLetter() | ListDropped():
                return answer_about_losses(reader, message)
            case GetSizes():
                return SizesAre(None if reader is None else reader.sizes(self._clock.time_us()))
            case ReadOn() | ListSubscribers():
                return answer_subscribers(reader, message)
            case _:  # the many of relational state
                return answer_about_state(reader, message, self._clock.time_us())

    def _opened(self) -> Reader | None:
        """The reader, or None as long as the writer has not made the database."""
        if self._reader is None:
            try:
                self._reader = self._open_reader()
            except NoDatabaseError:
                return None
        return self._reader

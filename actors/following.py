"""Where a subscriber stands, and the steps that take it on: history, then what comes.

Lost with the subscriber's process, unless its position is kept under a name.  It moves on only
when a page is there, so a step that fails or is cancelled skips nothing.

One question to the log, asked again and again, does for both: the log answers from its ring or
waits, and sends a subscriber that the ring does not reach back to (any more) to the database, up
to the event that is the newest just then.
"""

from __future__ import annotations

import random
from datetime import datetime
from typing import Final

import msgspec

from holdfast.actors.calls import Ask, Steps
from holdfast.actors.event_calls import LANE, Event, fetched, filter_of, readable
from holdfast.actors.messages import log, query
from holdfast.errors import InvalidInputError
from holdfast.storage.records import EventFilter

__all__ = ["PAGE", "Following", "Start", "following_of"]

PAGE: Final = 500  # events in a page
MAX_PAGE: Final = 1_000  # at most
WAIT: Final = 10.0  # seconds that the log waits for an event before it says that there is none

Start = int | str | datetime  # a number, "first", "now"; the time of an event


class Following:
    """The position of one subscriber, and its next pages."""

    def __init__(
        self,
        wanted: EventFilter,
        *,
        position: int | None,
        since_us: int | None = None,
        page: int,
        timeout: float,
    ) -> None:
        """``position`` None: the newest event at the first look, or what ``since_us`` says."""
        self.position = position
        self._wanted = wanted
        self._since_us = since_us
        self._page = page
        self._timeout = timeout
        self._id = random.getrandbits(48)  # of this subscription, among those of its process
        self._until: int | None = None  # the database is read up to there

    @property
    def reached(self) -> int:
        """The position; 0 when there is none yet."""
        return self.position or 0

    def begin(self) -> Steps[int]:
        """Take the position, if there is none yet."""
        if self.position is None:
            reply = yield Ask(LANE, log.Fetch(self._id, self._at(None)), self._timeout)
            position: int = reply.upto
            if self._since_us is not None:
                moment = EventFilter(since_us=self._since_us, after=0, before=position + 1)
                found = yield Ask("query", query.QueryEvents(moment, 1), self._timeout)
                if found.events:
                    position = found.events[0].seq - 1
            self.position = position
        return self.position

    def next_page(self) -> Steps[list[Event]]:
        """The events that come next; empty when there were none for a while."""
        position = yield from self.begin()
        if self._until is None:
            fetch = log.Fetch(self._id, self._at(position), self._page, self._wait)
            reply = yield Ask(LANE, fetch, self._timeout)
            if reply.covered:
                self.position = reply.upto
                return fetched(reply)
            self._until = max(position, reply.upto)
        return (yield from self._from_database(position, self._until))

    def _from_database(self, position: int, until: int) -> Steps[list[Event]]:
        wanted = msgspec.structs.replace(self._at(position), before=until + 1)
        reply = yield Ask("query", query.QueryEvents(wanted, self._page), self._timeout)
        page = [readable(event, reply.epoch) for event in reply.events]
        if len(page) < self._page and not reply.more:
            self.position, self._until = until, None
        else:
            self.position = page[-1].seq
        return page

    def _at(self, position: int | None) -> EventFilter:
        return msgspec.structs.replace(self._wanted, after=position)

    @property
    def _wait(self) -> float:
        """So that the answer comes long before the ask is given up."""
        return min(WAIT, self._timeout / 2)


def following_of(
    *,
    types: tuple[str, ...] | list[str] | str,
    session: str | None,
    source: str | None,
    start: Start,
    max_in_flight: int,
    timeout: float,
) -> Following:
    """A subscriber as a caller describes it.  Raises InvalidInputError."""
    if max_in_flight < 1:
        raise InvalidInputError(f"max_in_flight = {max_in_flight}: expected at least 1")
    if not timeout > 0:
        raise InvalidInputError(f"timeout = {timeout}: expected seconds > 0")
    wanted = filter_of(types, session, source)
    wanted.check()
    position, since_us = _start_of(start)
    return Following(
        wanted,
        position=position,
        since_us=since_us,
        page=min(max_in_flight, MAX_PAGE),
        timeout=timeout,
    )


def _start_of(start: Start) -> tuple[int | None, int | None]:
    """The position or the time that a caller's ``start`` means."""
    match start:
        case "first":
            return 0, None
        case "now":
            return None, None
        case datetime():
            return None, int(start.timestamp()) * 1_000_000 + start.microsecond
        case int() if not isinstance(start, bool) and start >= 0:
            return start, None
    raise InvalidInputError(
        f'start = {start!r}: expected "first", "now", the number of an event, or a datetime'
    )

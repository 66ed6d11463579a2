"""Where a subscriber stands, and the steps that take it on: history, then what comes.

Lost with the subscriber's process, unless it has a name.  It moves on only when a page is there,
so a step that fails or is cancelled skips nothing.

One question to the log, asked again and again, does for both: the log answers from its ring or
waits, and sends a subscriber that the ring does not reach back to (any more) to the database, up
to the event that is the newest just then.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec

from holdfast.actors.calls import Ask, Steps
from holdfast.actors.event_calls import LANE
from holdfast.actors.event_conditions import Types, filter_of, position_of
from holdfast.actors.messages import log, query
from holdfast.actors.opened_events import fetched_events, opened_events
from holdfast.actors.readable_events import Event
from holdfast.actors.subscriber_calls import Acknowledging
from holdfast.actors.token_bucket import TokenBucket, bucket_of
from holdfast.clock import Clock
from holdfast.errors import InvalidInputError
from holdfast.storage.cursors import Cursor
from holdfast.storage.filters import EventFilter

__all__ = ["PAGE", "Following", "Gap", "OnGap", "Start", "following_of"]

PAGE: Final = 500  # events in a page
MAX_PAGE: Final = 1_000  # at most
WAIT: Final = 10.0  # seconds that the log waits for an event before it says that there is none
# Numbers that one question to the database is about: bounds the time that it takes, when few of
# them match and no index helps.
SPAN: Final = 100_000

Start = int | str | datetime  # a number, "first", "now" or a cursor; the time of an event


class Gap(msgspec.Struct, frozen=True):
    """The events with these numbers were deleted before the subscriber came to them.

    Nobody knows any more which of them it had asked for.
    """

    first: int
    last: int


OnGap = Callable[[Gap], object]


class Following:
    """The position of one subscriber, and its next pages."""

    def __init__(
        self,
        wanted: EventFilter,
        *,
        start: Start,
        page: int,
        timeout: float,
        acknowledging: Acknowledging | None = None,
        bucket: TokenBucket | None = None,
        on_gap: OnGap | None = None,
        payloads: bool = True,
    ) -> None:
        self.acknowledging = acknowledging  # of a named one
        self.bucket = bucket  # of one with a rate
        self.timeout = timeout
        self.missed = 0  # events that were deleted before it came to them
        self._start = start
        self._position: int | None = None
        self._wanted = wanted
        self._page = page
        self._on_gap = on_gap
        self._payloads = payloads  # the data that is stored apart, too
        self._id = random.getrandbits(48)  # of this subscription, among those of its process
        self._until: int | None = None  # the database is read up to there
        self._is_idle = False  # the log had nothing, the last time

    @property
    def position(self) -> int:
        """All that is asked for up to there has been in a page; 0 before it has begun."""
        return self._position or 0

    def begin(self) -> Steps[int]:
        """Take the position, if there is none yet."""
        if self._position is None:
            position: int | None = None
            match self._start:
                case "first":
                    position = 0
                case "now":
                    pass
                case datetime():
                    position = yield from self._position_at(self._start)
                case _:
                    position = yield from position_of(self._start, self.timeout)
            if self.acknowledging is not None:
                position = yield from self.acknowledging.register(position)
            elif position is None:
                position = yield from self._newest()
            self._position = position
        return self._position

    def next_page(self) -> Steps[list[Event]]:
        """The events that come next; empty when there were none for a while."""
        position = yield from self.begin()
        if self.acknowledging is not None:
            self.acknowledging.pass_over(position, is_idle=self._is_idle)
            yield from self.acknowledging.commit()
        if self._until is None:
            fetch = log.Fetch(self._id, self._behind(position), self._page, self._wait)
            reply = yield Ask(LANE, fetch, self.timeout)
            if reply.covered:
                page = yield from fetched_events(reply, self._payloads, self.timeout)
                self._look_for_holes(position, page, reply.upto)
                self._position, self._is_idle = reply.upto, not page
                return page
            self._until = max(position, reply.upto)
        return (yield from self._from_database(position, self._until))

    def leave(self) -> Steps[None]:
        """Have the log let go of a question whose answer nobody waits for any more."""
        yield Ask(LANE, log.Fetch(self._id, self._behind(self.position), 1), self.timeout)

    def _from_database(self, position: int, until: int) -> Steps[list[Event]]:
        last = min(until, position + SPAN)
        wanted = msgspec.structs.replace(self._behind(position), before=last + 1)
        reply = yield Ask("query", query.ReadOn(wanted, self._page), self.timeout)
        page = yield from opened_events(reply.events, reply.epoch, self._payloads, self.timeout)
        if len(page) >= self._page or reply.more:
            last = page[-1].seq
        if reply.oldest > position + 1:
            self._tell_of(Gap(position + 1, reply.oldest - 1))
            last, position = max(last, reply.oldest - 1), reply.oldest - 1
        self._look_for_holes(position, page, last)
        self._position = last
        if last >= until:
            self._until = None
        return page

    def _look_for_holes(self, position: int, page: list[Event], upto: int) -> None:
        """Only who asks for everything can tell what is missing in between."""
        if self._wanted != EventFilter():
            return
        for event in page:
            if event.seq > position + 1:
                self._tell_of(Gap(position + 1, event.seq - 1))
            position = event.seq
        if upto > position:
            self._tell_of(Gap(position + 1, upto))

    def _tell_of(self, gap: Gap) -> None:
        self.missed += gap.last - gap.first + 1
        if self._on_gap is not None:
            self._on_gap(gap)

    def _position_at(self, moment: datetime) -> Steps[int]:
        """Before the first event asked for of that time or a later one; else the newest one."""
        newest = yield from self._newest()
        since = filter_of(since=moment).since_us
        conditions = {"since_us": since, "after": 0, "before": newest + 1}
        wanted = msgspec.structs.replace(self._wanted, **conditions)
        found = yield Ask("query", query.QueryEvents(wanted, 1), self.timeout)
        return found.events[0].seq - 1 if found.events else newest

    def _newest(self) -> Steps[int]:
        reply = yield Ask(LANE, log.Fetch(self._id, EventFilter()), self.timeout)
        newest: int = reply.upto
        return newest

    def _behind(self, position: int) -> EventFilter:
        return msgspec.structs.replace(self._wanted, after=position)

    @property
    def _wait(self) -> float:
        """So that the answer comes long before the ask is given up."""
        return min(WAIT, self.timeout / 2)


def following_of(
    *,
    start: Start,
    name: str | None,
    change_filter: bool,
    max_in_flight: int,
    rate: float | None,
    burst: int | None,
    on_gap: OnGap | None,
    timeout: float,
    owner: str,
    clock: Clock,
    types: Types = (),
    session: str | None = None,
    source: str | None = None,
    subject: str | None = None,
    correlation: str | None = None,
    payloads: bool = True,
) -> Following:
    """A subscriber as a caller describes it.  Raises InvalidInputError."""
    if max_in_flight < 1:
        raise InvalidInputError(f"max_in_flight = {max_in_flight}: expected at least 1")
    if not timeout > 0:
        raise InvalidInputError(f"timeout = {timeout}: expected seconds > 0")
    if name is None and change_filter:
        raise InvalidInputError("change_filter: only a subscriber with a name has a filter to keep")
    wanted = filter_of(types, session, source, subject=subject, correlation=correlation)
    wanted.check()
    _check(start)
    bucket = bucket_of(rate, burst, clock)
    page = min(max_in_flight, MAX_PAGE, MAX_PAGE if bucket is None else bucket.burst)
    named = None
    if name is not None:
        named = Acknowledging(name, wanted, owner, change_filter, max_in_flight, timeout)
    return Following(
        wanted,
        start=start,
        page=page,
        bucket=bucket,
        timeout=timeout,
        acknowledging=named,
        on_gap=on_gap,
        payloads=payloads,
    )


def _check(start: object) -> None:
    match start:
        case "first" | "now" | datetime():
            return
        case str():
            Cursor.parse(start)
            return
        case int() if not isinstance(start, bool) and start >= 0:
            return
    raise InvalidInputError(
        f'start = {start!r}: expected "first", "now", a number, a cursor or a datetime'
    )

"""Events as a synchronous program uses them: emit, query, follow.

Emitted events wait in this process until the writer has committed them; they are lost when it dies
before that.  ``Hub.flush`` says when they are safe.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from holdfast.actors import (
    event_calls,
    stream_calls,
    subscriber_calls,
    text_calls,
    tree_calls,
)
from holdfast.actors.calls import Blocking, Runner, blocking
from holdfast.actors.event_calls import Event, EventCounters
from holdfast.actors.event_conditions import Selection
from holdfast.actors.event_encoding import EventEncoder
from holdfast.actors.following import PAGE, OnGap, Start, following_of
from holdfast.actors.hub_subscriptions import Subscription
from holdfast.actors.stream_calls import Expected
from holdfast.actors.threaded import ThreadedDriver
from holdfast.clock import Clock

__all__ = ["Event", "HubEvents"]


class HubEvents(Blocking, EventCounters):
    """``hub.events``."""

    def __init__(
        self, driver: ThreadedDriver, runner: Runner, *, source: str, clock: Clock
    ) -> None:
        Blocking.__init__(self, runner)
        self._driver = driver
        self._wire = driver.open("log", pack=event_calls.pack, omit=event_calls.omit)
        EventCounters.__init__(self, self._wire.link)
        self._clock = clock
        self._source = source
        self._encoder = EventEncoder(source=source, clock=clock)

    def emit(
        self,
        type: str,
        data: object = None,
        *,
        session: str | None = None,
        source: str | None = None,
        subject: str | None = None,
        correlation: str | None = None,
        cause: str | Event | None = None,
        key: str | None = None,
        time_us: int | None = None,
        timeout: float | None = None,
    ) -> None:
        """Hand an event over; it is committed exactly once as long as this process lives.

        ``key`` is unique per source: a second event with it is not stored.  ``cause`` is the event
        that led to this one, or its key: this one stands below it, and has its ``correlation``
        unless it is given one.  Waits only when the outbox is full and its policy is
        to wait, at most ``timeout`` seconds (None: those of the policy).  Raises
        InvalidInputError, OutboxFullError; then nothing is queued.
        """
        raw = self._encoder.encode(
            type, data, session, source, subject, correlation, cause, key, time_us
        )
        self._driver.offer(self._wire, raw, timeout)
        if key is not None:
            self._encoder.remember(key, cause, correlation)

    def append(
        self,
        stream: str,
        events: Sequence[tuple[str, object]],
        *,
        expected_version: Expected = "any",
        session: str | None = None,
        source: str | None = None,
        correlation: str | None = None,
        cause: str | Event | None = None,
        timeout: float = 30.0,
    ) -> int:
        """Append all of ``(type, data)`` to a stream, or nothing; its new version, after COMMIT.

        ``expected_version`` is the number of events appended to it before, "none" or 0 for a
        stream that is not there yet, or "any".  Appended exactly once as long as this process
        lives.  Raises Conflict, with both versions; InvalidInputError.
        """
        call = stream_calls.append_stream(
            self._encoder,
            stream,
            events,
            expected_version,
            session,
            source,
            correlation,
            cause,
            timeout,
        )
        return self._runner.run(call)

    read_stream = blocking(stream_calls.read_stream)
    stream_version = blocking(stream_calls.stream_version)
    query = blocking(event_calls.query_events)
    count = blocking(event_calls.count_events)
    tail = blocking(event_calls.tail_events)
    get = blocking(event_calls.get_event)
    cursor = blocking(event_calls.cursor_of_newest)
    chain = blocking(tree_calls.chain_of)
    tree = blocking(tree_calls.tree_around)
    aggregate = blocking(tree_calls.aggregate_events)
    search = blocking(text_calls.search_events)

    def subscribe(
        self,
        *,
        start: Start = "now",
        name: str | None = None,
        max_in_flight: int = PAGE,
        rate: float | None = None,
        burst: int | None = None,
        on_gap: OnGap | None = None,
        change_filter: bool = False,
        timeout: float = 30.0,
        **selection: Unpack[Selection],
    ) -> Subscription:
        """Every committed event that matches, each once and in order: history, then live.

        The selection is ``types`` (globs), ``session``, ``source``, ``subject``, ``correlation``.
        ``start`` is "first", "now" (this call), the number of an event, excluded, a cursor or a
        datetime.  Under a ``name`` the position is kept in the database: it goes on where
        acknowledgements end, takes the name over from an earlier consumer, and has at most
        ``max_in_flight`` events out that are not acknowledged.
        ``rate`` is how many are handed out a second, ``burst`` (a second's worth) at once.
        ``on_gap`` is called with a Gap for events that were deleted before they came.
        ``timeout`` bounds each answer, across restarts too; what raises AskTimeout can go on.
        """
        following = following_of(
            start=start,
            name=name,
            change_filter=change_filter,
            max_in_flight=max_in_flight,
            rate=rate,
            burst=burst,
            on_gap=on_gap,
            timeout=timeout,
            owner=self._source,
            clock=self._clock,
            **selection,
        )
        return Subscription(following, driver=self._driver, runner=self._runner)

    subscribers = blocking(subscriber_calls.list_subscribers)
    unsubscribe = blocking(subscriber_calls.remove_subscriber)

    def follow(
        self,
        *,
        after: int | str | None = None,
        timeout: float = 30.0,
        **selection: Unpack[Selection],
    ) -> Subscription:
        """Every committed event that matches, as they come, without end.

        Behind number or cursor ``after``; without it, from now on.  ``subscribe`` can do more.
        """
        start: Start = "now" if after is None else after
        return self.subscribe(start=start, timeout=timeout, **selection)

"""Events as a synchronous program uses them: emit, query, follow.

Emitted events wait in this process until the writer has committed them; they are lost when it dies
before that.  ``Hub.flush`` says when they are safe.
"""

from __future__ import annotations

from holdfast.actors import event_calls
from holdfast.actors.calls import Blocking, Runner, blocking
from holdfast.actors.event_calls import Event, EventCounters
from holdfast.actors.event_encoding import EventEncoder
from holdfast.actors.following import PAGE, Start, following_of
from holdfast.actors.hub_subscriptions import Subscription
from holdfast.actors.threaded import ThreadedDriver
from holdfast.actors.token_bucket import bucket_of
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

    query = blocking(event_calls.query_events)
    count = blocking(event_calls.count_events)
    tail = blocking(event_calls.tail_events)
    get = blocking(event_calls.get_event)
    cursor = blocking(event_calls.cursor_of_newest)

    def subscribe(
        self,
        *,
        types: tuple[str, ...] | list[str] | str = (),
        session: str | None = None,
        source: str | None = None,
        start: Start = "now",
        max_in_flight: int = PAGE,
        rate: float | None = None,
        burst: int | None = None,
        timeout: float = 30.0,
    ) -> Subscription:
        """Every committed event that matches: those there are, then those that come.

        Each once and in order, whoever is killed.  ``start`` is "first", "now" (this call), the
        number of an event (the next one is the first) or a datetime.  Up to ``max_in_flight``
        events wait here.  ``rate`` is how many are handed out a second, after a quiet time
        ``burst`` (a second's worth) at once.  ``timeout`` bounds how long the daemon may take to
        answer, also across restarts; what raises AskTimeout can go on.
        """
        bucket = bucket_of(rate, burst, self._clock)
        following = following_of(
            types=types,
            session=session,
            source=source,
            start=start,
            max_in_flight=max_in_flight if bucket is None else min(max_in_flight, bucket.burst),
            timeout=timeout,
        )
        return Subscription(following, driver=self._driver, runner=self._runner, bucket=bucket)

    def follow(
        self,
        *,
        types: tuple[str, ...] | list[str] | str = (),
        session: str | None = None,
        source: str | None = None,
        after: int | None = None,
        timeout: float = 30.0,
    ) -> Subscription:
        """Every committed event that matches, as they come, without end.

        From the event after number ``after``; without it, from now on.  ``subscribe`` can do more.
        """
        start: Start = "now" if after is None else after
        return self.subscribe(
            types=types, session=session, source=source, start=start, timeout=timeout
        )

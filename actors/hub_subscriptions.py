"""Subscriptions as a synchronous program uses them: iterators over events.

Kept in this process only: the events of a page that were not handed out yet.  They are fetched
again from the position, which is where the last one that was handed out stands; a named one goes
on behind what was acknowledged.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from types import TracebackType
from typing import Self

from holdfast.actors.calls import Runner
from holdfast.actors.event_calls import Event
from holdfast.actors.failures import AskTimeout
from holdfast.actors.following import Following
from holdfast.actors.subscriber_calls import nameless
from holdfast.actors.threaded import ThreadedDriver
from holdfast.errors import HoldfastError

__all__ = ["Subscription"]


class Subscription:
    """Every event asked for, in order, each once; ``next`` waits for the next one, without end.

    Several threads may share one; each event goes to one of them.
    """

    def __init__(
        self,
        following: Following,
        *,
        driver: ThreadedDriver,
        runner: Runner,
    ) -> None:
        self._following = following
        self._driver = driver
        self._runner = runner
        self._page: deque[Event] = deque()  # come and not handed out
        self._turn = threading.Lock()  # one thread at a time takes the next event
        self._acked = threading.Condition()  # guards what is in flight
        self._handed_out = 0  # the number of the last one
        self._is_closed = False
        runner.run(following.begin())

    @property
    def position(self) -> int:
        """Events up to this number were handed out or not asked for: go on behind it."""
        return self._handed_out if self._page else self._following.position

    @property
    def missed(self) -> int:
        """Events that were deleted before this subscription came to them."""
        return self._following.missed

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        with self._turn:
            self._wait_for_acknowledgement()
            while not (self._page or self._is_closed):
                self._page.extend(self._next_page())
            self._slow_down()
            if self._is_closed:
                raise StopIteration
            event = self._page.popleft()
            self._handed_out = event.seq
            if self._following.acknowledging is not None:
                with self._acked:
                    self._following.acknowledging.hand_out(event.seq)
            return event

    def ack(self, event: Event | int, *, wait: bool = True) -> None:
        """Acknowledge this event, or number, and all before it, for a subscription with a name.

        They do not come again, whoever consumes under that name.  Committed when it returns;
        without ``wait`` together with the next one that waits, when more events are fetched, or
        at ``close``.  Raises Conflict when another consumer has taken the name over.
        """
        acknowledging = self._following.acknowledging
        if acknowledging is None:
            raise nameless()
        with self._acked:
            acknowledging.note(event.seq if isinstance(event, Event) else event)
            self._acked.notify_all()
        if wait:
            self._runner.run(acknowledging.commit())

    def close(self) -> None:
        """Commit what was acknowledged; end the iteration, for who waits in it within 10 s."""
        self._is_closed = True
        with self._acked:
            self._acked.notify_all()
        if self._following.acknowledging is not None:
            self._runner.run(self._following.acknowledging.commit())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is None:
            self.close()
        else:
            with suppress(HoldfastError):  # what is not committed comes again
                self.close()

    def _next_page(self) -> list[Event]:
        try:
            return self._runner.run(self._following.next_page())
        except AskTimeout:
            self._driver.pause(0.0)  # raises when the hub was closed meanwhile
            raise

    def _wait_for_acknowledgement(self) -> None:
        acknowledging = self._following.acknowledging
        if acknowledging is None:
            return
        with self._acked:
            is_there = self._acked.wait_for(
                lambda: self._is_closed or not acknowledging.is_full, self._following.timeout
            )
            if not is_there:
                raise acknowledging.unacknowledged()

    def _slow_down(self) -> None:
        bucket = self._following.bucket
        if bucket is not None:
            while (seconds := bucket.take()) > 0:
                self._driver.pause(seconds)

"""Subscriptions as a synchronous program uses them: iterators over events.

Kept in this process only: the events of a page that were not handed out yet.  They are fetched
again from the position, which is where the last one that was handed out stands.
"""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType
from typing import Self

from holdfast.actors.calls import Runner
from holdfast.actors.event_calls import Event
from holdfast.actors.failures import AskTimeout
from holdfast.actors.following import Following
from holdfast.actors.threaded import ThreadedDriver
from holdfast.actors.token_bucket import TokenBucket

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
        bucket: TokenBucket | None,
    ) -> None:
        self._following = following
        self._driver = driver
        self._runner = runner
        self._bucket = bucket
        self._page: deque[Event] = deque()  # come and not handed out
        self._turn = threading.Lock()  # one thread at a time takes the next event
        self._handed_out = 0  # the number of the last one
        self._is_closed = False
        runner.run(following.begin())

    @property
    def position(self) -> int:
        """Events up to this number were handed out or not asked for: go on behind it."""
        return self._handed_out if self._page else self._following.reached

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        with self._turn:
            while not (self._page or self._is_closed):
                self._page.extend(self._next_page())
            self._slow_down()
            if self._is_closed:
                raise StopIteration
            event = self._page.popleft()
            self._handed_out = event.seq
            return event

    def close(self) -> None:
        """End the iteration, for who waits in it within 10 seconds."""
        self._is_closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _next_page(self) -> list[Event]:
        try:
            return self._runner.run(self._following.next_page())
        except AskTimeout:
            self._driver.pause(0.0)  # raises when the hub was closed meanwhile
            raise

    def _slow_down(self) -> None:
        if self._bucket is not None:
            while (seconds := self._bucket.take()) > 0:
                self._driver.pause(seconds)

"""Batches of records on their way: tried until the collector has them, or will never take them.

Kept in this process: the batch in hand.  What was not acknowledged by the time that it dies is
read again by its next life.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Final

import msgspec
from loguru import logger

from holdfast.otel.collector import Accepted, Away, Collector, Refused
from holdfast.otel.figures import Figures

__all__ = ["GivenUp", "Sending", "Stopped"]

FIRST: Final = 0.5  # seconds between the first two tries
FACTOR: Final = 2.0
LOOK: Final = 1.0  # seconds between two looks at how many events wait meanwhile
MOST_AFTER: Final = 3_600.0  # seconds that a collector may ask to be left alone


class Stopped(Exception):
    """The process is to end."""


class GivenUp(Exception):
    """The collector is away, and more events wait for it than may."""


class Sending(msgspec.Struct):
    """``is_too_far_behind`` is asked while the collector is away."""

    collector: Collector
    figures: Figures
    stop: threading.Event
    backoff_max: float
    is_too_far_behind: Callable[[], bool]
    pause: float = 0.0  # seconds; 0 while the collector answers
    next_try: float = 0.0  # on the monotonic clock

    def send(self, path: str, body: bytes) -> Accepted | Refused:
        """Once it is answered for good.  Raises Stopped, GivenUp."""
        while True:
            self._wait()
            self.figures.requests += 1
            match self.collector.post(path, body):
                case Away(said=said, after=after):
                    self._put_off(said, after)
                case answer:
                    self._note_that_it_answers()
                    return answer

    def _wait(self) -> None:
        while (rest := self.next_try - time.monotonic()) > 0:
            if self.is_too_far_behind():
                raise GivenUp
            if self.stop.wait(min(rest, LOOK)):
                break
        if self.stop.is_set():
            raise Stopped

    def _put_off(self, said: str, after: float) -> None:
        self.figures.failures += 1
        if not self.pause:
            logger.warning("the collector does not take events: {}; trying on", said)
        self.figures.away = True
        self.pause = min(self.backoff_max, self.pause * FACTOR or FIRST)
        # Between the half and all of it, so that many daemons do not come back at once.
        pause = self.pause * random.uniform(0.5, 1.0)
        self.next_try = time.monotonic() + max(pause, min(after, MOST_AFTER))

    def _note_that_it_answers(self) -> None:
        if self.pause:
            logger.info("the collector answers again")
        self.figures.away = False
        self.pause = self.next_try = 0.0

"""Retention on its way through the writer: a slice between two groups, then a pause.

Owns who waits for a round to end.  Lost when the writer's process dies: nothing; a slice is one
transaction, and whoever waited asks again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec
from loguru import logger

from holdfast.actors.delivery import Delivery
from holdfast.actors.messages.writer import Pruned
from holdfast.actors.reactor import Timer
from holdfast.errors import DiskFullError, UnreachableError
from holdfast.storage.ports import Database
from holdfast.storage.retention_records import Deletions

__all__ = ["RetainDue", "Retaining"]

SLICE: Final = 0.004  # seconds: with its COMMIT well within the 20 ms that a sender may notice
FIRST: Final = 30.0  # seconds after the start, which has other things to do; or a period
FULL: Final = (
    1.0  # seconds until what a full disk, or a server that is away, did not take is tried again
)


class RetainDue(msgspec.Struct, frozen=True):
    """It is time for a slice, or for a round to begin."""


class Retaining:
    """Without rules it never runs.  ``after`` delivers a message to the writer later."""

    def __init__(
        self,
        *,
        database: Database,
        period: float,
        after: Callable[[float, object], Timer],
        monotonic: Callable[[], float],
        tell: Callable[[list[tuple[int, int]]], None],
    ) -> None:
        self._database = database
        self._period = period
        self._after = after
        self._monotonic = monotonic
        self._tell = tell  # the log which events are gone
        self._timer: Timer | None = None  # for the next RetainDue, of which there is one
        self._asked: deque[Delivery] = deque()  # for rounds, or plans, of their own
        self._is_under_way = False  # a round, or a plan
        self._current: Delivery | None = None  # who asked for it
        self._deletions: dict[tuple[str, str], Deletions] = {}  # of it
        self._warned_full = False

    def start(self) -> None:
        """Let the first round begin soon."""
        if self._database.retention.rules:
            self._tell([])  # an earlier life may have had no time to tell of its last slice
            self._call(min(FIRST, self._period))

    def reconfigure(self, period: float) -> None:
        """The rules may be others now; a round under way begins again with them."""
        self._period = period
        if self._database.retention.rules:
            self._call(0.0)
        elif self._timer is not None and not self._is_under_way:
            self._timer.cancel()

    def take(self, delivery: Delivery) -> None:
        """Answer a Prune when its round, which begins after those under way, has ended."""
        if not self._database.retention.rules:
            delivery.set(Pruned(0, []))
            return
        delivery.set_aside()
        self._asked.append(delivery)
        if not self._is_under_way:
            self._call(0.0)

    def work(self, *, is_busy: bool) -> None:
        """A slice.  ``is_busy``: others have something to do too."""
        began = self._monotonic()
        if not self._is_under_way:
            self._is_under_way = True
            self._current = self._asked.popleft() if self._asked else None
        try:
            is_done = self._go_on()
        except (DiskFullError, UnreachableError) as error:
            if not self._warned_full:
                self._warned_full = True
                logger.warning("retention: {}; trying again and again", error)
            self._call(FULL)
            return
        self._warned_full = False
        if is_done:
            self._end()
        if is_done and not self._asked:
            self._call(self._period)
        else:  # half of the time belongs to what is to be stored
            self._call(self._monotonic() - began if is_busy else 0.0)

    def _call(self, delay: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._after(delay, RetainDue())

    def _go_on(self) -> bool:
        """One slice of the round or plan under way; whether it was the last."""
        if self._current is not None and self._current.message.is_plan:
            planned = self._database.plan_retention(SLICE)
            self._add(planned or [])
            return planned is not None
        slice = self._database.retain(SLICE)
        self._add(slice.deletions)
        if slice.gone:
            self._tell(slice.gone)
        return slice.is_done

    def _add(self, deletions: list[Deletions]) -> None:
        for each in deletions:
            key = (each.rule, each.reason)
            before = self._deletions.get(key)
            self._deletions[key] = each if before is None else before.plus(each)

    def _end(self) -> None:
        found = list(self._deletions.values())
        self._deletions.clear()
        self._is_under_way = False
        if self._current is not None:
            self._current.set(Pruned(len(self._database.retention.rules), found))
        if self._current is None or not self._current.message.is_plan:
            for each in found:
                logger.info(
                    "retention: {} events of {!r} deleted, for their {}",
                    each.count,
                    each.rule,
                    each.reason,
                )
        self._current = None

"""Events from the log to the collector, in order: a thread that follows, sends, acknowledges.

Its place is that of the named subscriber "otel", in the database.  It moves on only behind what the
collector has, or what is recorded as lost by an event; so a crash repeats and never skips.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Final, Literal

import msgspec
from loguru import logger
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from holdfast.actors.following import Following, Gap, following_of
from holdfast.actors.hub import Event, Hub
from holdfast.clock import SystemClock
from holdfast.errors import HoldfastError
from holdfast.otel.causes import Causes
from holdfast.otel.collector import LOGS, SPANS, Accepted, Collector
from holdfast.otel.figures import Figures
from holdfast.otel.records import (
    LOST,
    LOST_SOURCE,
    is_of_a_loss,
    log_record,
    logs_request,
    span_of,
    spans_request,
)
from holdfast.otel.sending import GivenUp, Sending, Stopped
from holdfast.otel.traces import trace_id
from holdfast.storage.cursors import Cursor
from holdfast.supervisors.otel_settings import OtelSettings

__all__ = ["NAME", "Exporting"]

NAME: Final = "otel"  # of the subscriber
AGAIN: Final = 1.0  # seconds until events are read again that could not be
TIMEOUT: Final = 30.0  # seconds for each answer of the daemon

Reason = Literal["pruned", "given_up", "refused"]


class Item(msgspec.Struct):
    """An event, and what is exported of it."""

    event: Event
    log: LogRecord | None
    span: Span | None


class Exporting:
    """``run`` is the thread's; ``stop`` ends it, and ``figures`` tell of it."""

    def __init__(
        self,
        hub: Hub,
        collector: Collector,
        settings: OtelSettings,
        *,
        stop: threading.Event,
        figures: Figures,
    ) -> None:
        self._hub = hub
        self._settings = settings
        self._stop = stop
        self._figures = figures
        self._causes = Causes(self._cause_of)
        self._gaps: list[Gap] = []  # found and not recorded yet
        self._acked = 0
        self._sending = Sending(
            collector, figures, stop, settings.backoff_max, self._is_too_far_behind
        )

    def run(self) -> None:
        """Until it is stopped; whatever fails of the daemon is tried again."""
        while not self._stop.is_set():
            try:
                self._follow()
            except Stopped:
                return
            except HoldfastError as error:
                if self._stop.is_set():  # the hub was closed
                    return
                logger.warning("events cannot be read: {}; trying on", error)
                self._stop.wait(AGAIN)

    def _follow(self) -> None:
        self._gaps.clear()
        following = self._following()
        self._acked = self._hub._runner.run(following.begin())
        while not self._stop.is_set():
            page = self._hub._runner.run(following.next_page())
            while self._gaps:
                gap = self._gaps[0]
                self._record("pruned", gap.first, gap.last, gap.last - gap.first + 1)
                self._gaps.pop(0)
            for batch in self._batches(page):
                self._export(batch)
                self._acknowledge(following, batch)
            self._acked = max(self._acked, following.position)
            self._look_behind()
            if len(page) < self._settings.batch_events:
                self._stop.wait(self._settings.interval)

    def _following(self) -> Following:
        wanted = self._settings.types
        types = () if "*" in wanted else tuple(dict.fromkeys((*wanted, LOST)))
        return following_of(
            start=self._settings.start,
            name=NAME,
            change_filter=True,
            max_in_flight=self._settings.batch_events,
            rate=None,
            burst=None,
            on_gap=self._gaps.append,
            timeout=TIMEOUT,
            owner=LOST_SOURCE,
            clock=SystemClock(),
            types=types,
            payloads=False,
        )

    def _acknowledge(self, following: Following, batch: list[Item]) -> None:
        acknowledging = following.acknowledging
        assert acknowledging is not None
        for item in batch:
            acknowledging.hand_out(item.event.seq)
        acknowledging.note(batch[-1].event.seq)
        self._acked = self._hub._runner.run(acknowledging.commit())

    def _batches(self, page: list[Event]) -> Iterator[list[Item]]:
        batch: list[Item] = []
        size = 0
        for event in page:
            item = self._item(event)
            size += sum(each.ByteSize() for each in (item.log, item.span) if each is not None)
            batch.append(item)
            if size >= self._settings.batch_bytes:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def _item(self, event: Event) -> Item:
        settings = self._settings
        trace = trace_id(event)
        log = span = None
        if settings.logs:
            log = log_record(
                event, trace, observed_ns=time.time_ns(), data_bytes=settings.data_bytes
            )
        if settings.spans:
            span = span_of(event, trace, self._causes.time_of(trace, event))
            self._causes.note(trace, event)
        return Item(event, log, span)

    def _export(self, batch: list[Item]) -> None:
        """Have the collector have it, or record what it will not have."""
        refused: set[int] = set()
        try:
            if self._settings.logs:
                refused |= self._send(batch, LOGS)
            if self._settings.spans:
                refused |= self._send(batch, SPANS)
        except GivenUp:
            self._give_up([item.event for item in batch])
            return
        # What tells of a loss makes no further one, or there would be no end of them.
        lost = [item.event for item in batch if item.event.seq in refused]
        if lost := [event for event in lost if not is_of_a_loss(event)]:
            self._record("refused", lost[0].seq, lost[-1].seq, len(lost))

    def _send(self, batch: list[Item], path: str) -> set[int]:
        """The numbers of those that the collector refuses: halves are tried, and halves of them."""
        refused: set[int] = set()
        waiting = [batch]
        while waiting:
            part = waiting.pop()
            answer = self._sending.send(path, self._request(part, path))
            if isinstance(answer, Accepted):
                self._count(part, path, answer)
            elif len(part) > 1:
                waiting += [part[len(part) // 2 :], part[: len(part) // 2]]
            else:
                refused.add(part[0].event.seq)
                logger.warning("event {} is refused: {}", part[0].event.seq, answer.said)
        return refused

    def _request(self, part: list[Item], path: str) -> bytes:
        daemon, service = part[0].event.daemon, self._settings.service_name
        if path == LOGS:
            return logs_request([each.log for each in part if each.log], daemon, service)
        return spans_request([each.span for each in part if each.span], daemon, service)

    def _count(self, part: list[Item], path: str, answer: Accepted) -> None:
        figures = self._figures
        rejected = min(max(0, answer.rejected), len(part))  # whatever it says
        figures.rejected += rejected
        if path == LOGS:
            figures.logs += len(part) - rejected
        else:
            figures.spans += len(part) - rejected
        if rejected or answer.said:
            logger.warning("the collector rejects {} records: {}", rejected, answer.said)

    def _give_up(self, events: list[Event]) -> None:
        """One that tells of an earlier loss is contained in the one that tells of this."""
        told = [event.data for event in events if is_of_a_loss(event)]
        first = min([events[0].seq, *(each["first"] for each in told)])
        count = sum(each["count"] for each in told)
        new = len(events) - len(told)
        self._record("given_up", first, events[-1].seq, new, told=count)

    def _record(self, reason: Reason, first: int, last: int, count: int, told: int = 0) -> None:
        """As an event, committed before the place moves on; its key keeps it from coming twice."""
        figures = self._figures
        setattr(figures, reason, getattr(figures, reason) + count)
        logger.warning(
            "events {} to {} are not exported, {} of them: {}", first, last, count, reason
        )
        data = {"reason": reason, "first": first, "last": last, "count": count}
        self._hub.events.emit(LOST, data, source=LOST_SOURCE, key=f"otel {reason} {first} {last}")
        self._hub.flush(timeout=TIMEOUT)

    def _cause_of(self, event: Event) -> Event | None:
        chain = self._hub.events.chain(event, limit=2, timeout=TIMEOUT)
        return chain[0] if len(chain) == 2 else None

    def _look_behind(self) -> None:
        newest = Cursor.parse(self._hub.events.cursor(timeout=TIMEOUT)).seq
        self._figures.behind = max(0, newest - self._acked)

    def _is_too_far_behind(self) -> bool:
        try:
            self._look_behind()
        except HoldfastError:
            return False
        return 0 < self._settings.max_behind < self._figures.behind

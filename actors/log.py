"""The log actor: the last ``capacity`` events, in memory, and the way of events to the writer.

Lost when its process dies: nothing accepted; senders hold what is not committed yet, and the ring
is read again from the database.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any, Final, assert_never

import msgspec
from loguru import logger

from holdfast.actors.intake import Delivery, Departed, Joined
from holdfast.actors.mailbox_link import Answered
from holdfast.actors.messages import log, writer
from holdfast.actors.replies import fitting
from holdfast.actors.ring import Ring
from holdfast.actors.writer_backed import Greeting, WriterBackedActor
from holdfast.errors import GapError, HoldfastError, StorageError
from holdfast.storage.ports import Reader
from holdfast.storage.records import Appended, EventFilter, Origin, RawEvent, StoredEvent

__all__ = ["LogActor"]

RETRY: Final = 0.25  # seconds until what the database refused (a full disk) is tried again
DRAIN: Final = 3.0  # seconds a stop waits for the commits under way; shutdown is 5 by default


class _Pending(msgspec.Struct, frozen=True):
    """A frame that was passed on to the writer and is not committed yet."""

    delivery: Delivery
    relay: writer.Relay
    events: list[RawEvent]

    @property
    def sender(self) -> tuple[str, str]:
        return self.delivery.sender, self.delivery.incarnation


class _CatchUp(msgspec.Struct, frozen=True):
    """The writer has committed what the log before this one had sent."""


class _Retry(msgspec.Struct, frozen=True):
    """Try again what the database refused."""


class LogActor(WriterBackedActor):
    """Accepts events, passes them on untouched, and learns their numbers from the writer."""

    STREAM = "log"

    def __init__(self, *, open_reader: Callable[[], Reader], capacity: int, daemon: str) -> None:
        super().__init__(open_reader=open_reader)
        self._ring = Ring(capacity=capacity, daemon=daemon)
        self._daemon = daemon
        # Passed on, in that order, which is the order they are committed in; by identity.
        self._pending: dict[int, _Pending] = {}
        self._refused: set[int] = set()  # those of them to be tried again

    def on_start(self) -> None:
        """Read the newest events; the rest comes when the writer has answered."""
        super().on_start()
        if self.reader is not None:
            self._refill(self.reader)
        self.writer.ask(writer.GetPosition(), context=_CatchUp())

    def on_stop(self) -> None:
        """Wait for the commits under way, so that senders hear of them; then let go."""
        self.mailbox.drain(lambda: not self._pending, self.on_receive, Answered, DRAIN)
        super().on_stop()

    def on_receive(self, message: Any) -> Any:
        """Requests of other actors, and what the mailbox and the writer answer."""
        match message:
            case log.EmitFrame(raw=raw, events=events):
                self._accept(raw, events)
            case log.Tail(limit=limit, visibility=visibility):
                return self._tail(limit, visibility)
            case log.Query():
                return self._query(message)
            case log.Count(filter=wanted):
                count = sum(1 for _ in self._ring.matching(wanted, reverse=False))
                return log.Counted(count, covered=self._reaches(wanted))
            case log.Barrier():
                return log.Passed()
            case log.Advance(last_seq=last_seq):
                self._fill_up_to(last_seq)
                return log.Passed()
            case log.Stats():
                waiting = sum(len(frame.events) for frame in self._pending.values())
                ring = self._ring
                return log.LogStats(len(ring), ring.capacity, waiting, ring.last_seq)
            case Answered(context=context, outcome=outcome):
                self._answered(context, outcome)
            case Joined() | Departed():
                self.greet(message)
            case _Retry():
                again = [frame for key, frame in self._pending.items() if key in self._refused]
                self._refused.clear()
                for frame in again:
                    self._pass_on(frame)
            case _:
                logger.warning("unknown message {!r}", message)
        return None

    # -- the way in ---------------------------------------------------------------------------

    def _accept(self, raw: msgspec.Raw, events: list[RawEvent]) -> None:
        delivery = self.delivery
        delivery.deferred = True
        origin = Origin(delivery.sender, delivery.incarnation, self.STREAM, delivery.number)
        self._pass_on(_Pending(delivery, writer.Relay(origin, raw), events))

    def _pass_on(self, pending: _Pending) -> None:
        self._pending[id(pending)] = pending
        self.writer.ask(pending.relay, context=pending)

    # -- what the writer answers --------------------------------------------------------------

    def _answered(self, context: _Pending | Greeting | _CatchUp | None, outcome: Any) -> None:
        match context:
            case _Pending():
                if isinstance(outcome, Appended):
                    self._committed(context, outcome)
                else:
                    self._not_committed(context, outcome)
            case Greeting():
                self.greeted(context, outcome)
            case _CatchUp():
                if isinstance(outcome, writer.PositionIs):
                    self._fill_up_to(outcome.position.last_seq)
                else:
                    self.writer.ask(writer.GetPosition(), context=context)
            case None:
                pass
            case _:
                assert_never(context)

    def _committed(self, pending: _Pending, outcome: Appended) -> None:
        del self._pending[id(pending)]
        events = pending.events
        if outcome.skipped or outcome.repeated or outcome.refused:
            left_out = {index for index, _ in (*outcome.repeated, *outcome.refused)}
            left_out.update(range(outcome.skipped))
            events = [event for index, event in enumerate(events) if index not in left_out]
        self._fill_up_to(outcome.first_seq - 1)
        self._ring.append(outcome.first_seq, events)
        for index, reason in outcome.refused:
            logger.warning("event {} of {} refused: {}", index, pending.sender, reason)
        pending.delivery.done(outcome.mark, outcome.duplicates)

    def _not_committed(self, pending: _Pending, error: HoldfastError) -> None:
        """A full disk passes: try again, in order.  Anything else is the sender's to know.

        What the sender sent after a frame that waits for the disk is refused as a gap.
        """
        waits = isinstance(error, GapError) and any(
            other.sender == pending.sender and other.delivery.number < pending.delivery.number
            for other in self._pending.values()
        )
        if not (waits or isinstance(error, StorageError)):
            del self._pending[id(pending)]
            logger.warning("frame of {} refused: {}", pending.sender, error)
            pending.delivery.refuse(error)
            return
        if not self._refused:
            logger.warning("events cannot be committed, trying again: {}", error)
            self.mailbox.after(RETRY, _Retry())
        self._refused.add(id(pending))

    # -- the ring -----------------------------------------------------------------------------

    def _fill_up_to(self, last_seq: int) -> None:
        """Read from the database what was committed and did not come by here."""
        if last_seq <= self._ring.last_seq:
            return
        reader = self.reader
        if reader is None:
            raise StorageError(f"event {last_seq} is committed, but there is no database to read")
        if last_seq - self._ring.last_seq < self._ring.capacity:
            self._ring.add_rows(reader.range(self._ring.last_seq, last_seq))
        if self._ring.last_seq < last_seq:
            self._refill(reader)

    def _refill(self, reader: Reader) -> None:
        rows = reader.newest(self._ring.capacity)
        self._ring.refill(rows, rows[-1][0] if rows else reader.last_seq())

    # -- questions ----------------------------------------------------------------------------

    def _tail(self, limit: int, visibility: log.Visibility) -> log.Events:
        uncommitted = self._uncommitted() if visibility == "memory" else []
        events = [*self._ring.newest(max(0, limit)), *uncommitted][-max(1, limit) :]
        newest_first = fitting(events[::-1])
        return log.Events(newest_first[::-1], covered=True)

    def _query(self, query: log.Query) -> log.Events:
        wanted, limit = query.filter, max(1, query.limit)
        matching = self._ring.matching(wanted, reverse=query.reverse)
        waiting: list[StoredEvent] = []
        if query.visibility == "memory":
            waiting = [event for event in self._uncommitted() if wanted.matches(event)]
        if query.reverse:
            found = waiting[::-1][:limit]
            found += islice(matching, limit - len(found))
            covered = len(found) >= limit or self._reaches(wanted)
        else:
            found = list(islice(matching, limit))
            found += waiting[: limit - len(found)]
            covered = self._reaches(wanted)
        sent = fitting(found) if covered else []
        return log.Events(sent, covered=covered and len(sent) == len(found))

    def _reaches(self, wanted: EventFilter) -> bool:
        """Whether the ring holds every event that could match."""
        oldest_wanted = 1 if wanted.after is None else wanted.after + 1
        return self._ring.first_seq <= oldest_wanted

    def _uncommitted(self) -> list[StoredEvent]:
        return [
            StoredEvent(0, self._daemon, *event)
            for pending in self._pending.values()
            for event in pending.events[pending.delivery.skip :]
        ]

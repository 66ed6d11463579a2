"""The log actor: the last ``capacity`` events, in memory, and the way of events to the writer.

Lost when its process dies: nothing accepted; senders hold what is not committed yet, and the ring
is read again from the database.  Loose events, which their senders had no room for and whose loss
is recorded, are gone.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any, Final, assert_never

import msgspec
from loguru import logger

from holdfast.actors.blocks import Block
from holdfast.actors.delivery import Delivery, Departed, Joined
from holdfast.actors.fetches import Expire, Fetches, Serve
from holdfast.actors.heap import give_back
from holdfast.actors.mailbox import Poisoned
from holdfast.actors.mailbox_link import Answered
from holdfast.actors.messages import log, writer
from holdfast.actors.overload import Overload, Thresholds
from holdfast.actors.pressure import LookForCalm, Pressure
from holdfast.actors.refilling import Refilling
from holdfast.actors.relays import Frame, Relays
from holdfast.actors.replies import fitting
from holdfast.actors.ring import Ring
from holdfast.actors.writer_backed import Greeting, WriterBackedActor
from holdfast.errors import ExpiredError, GapError, HoldfastError, PoisonError, StorageError
from holdfast.storage.ports import Reader
from holdfast.storage.records import (
    Appended,
    EventFilter,
    Origin,
    RawEvent,
    StoredEvent,
)

__all__ = ["LogActor"]

RETRY: Final = 0.25  # seconds until what the database refused (a full disk) is tried again
DRAIN: Final = 3.0  # seconds a stop waits for the commits under way; shutdown is 5 by default
QUIET: Final = 1.0  # seconds without a commit until free memory goes back to the system


class _CatchUp(msgspec.Struct, frozen=True):
    """The writer has committed what the log, or the one before it, had sent."""


class _Retry(msgspec.Struct, frozen=True):
    """Try again what the database refused."""


class _FillMore(msgspec.Struct, frozen=True):
    """Read another slice of older events into the ring."""


class _Tidy(msgspec.Struct, frozen=True):
    """``settled`` frames were settled when this was set up; if no more are, it is quiet."""

    settled: int


class LogActor(WriterBackedActor):
    """Accepts events, passes them on untouched, and learns their numbers from the writer."""

    STREAM = "log"

    def __init__(
        self,
        *,
        open_reader: Callable[[], Reader],
        capacity: int,
        daemon: str,
        thresholds: Thresholds,
    ) -> None:
        super().__init__(open_reader=open_reader)
        self._ring = Ring(capacity=capacity, daemon=daemon)
        self._daemon = daemon
        self._relays = Relays(hand_limit=thresholds.hand_limit)
        self._pressure = Pressure(
            overload=Overload(thresholds),
            relays=self._relays,
            mailbox=self.mailbox,
            stream=self.STREAM,
            hand_over=self._hand_over,
        )
        self._refilling = Refilling(
            ring=self._ring,
            reader=lambda: self.reader,
            more_later=lambda: self.mailbox.after(0.0, _FillMore()),
            tell=lambda data: self._pressure.tell("log:damaged", data),
        )
        self._fetches = Fetches(
            ring=self._ring,
            daemon=daemon,
            monotonic=self.mailbox.monotonic,
            after=self.mailbox.after,
        )
        self._poisoned: dict[int, Frame] = {}  # by identity of the delivery
        self._writer_life = ""  # the life of the writer that was asked where it stands
        self._is_refused = False  # the database took nothing the last time
        self._is_tidy = True  # nothing was settled since the heap was given back

    def reconfigure(self, *, capacity: int, thresholds: Thresholds) -> None:
        """Other bounds from now on; a ring that has grown fills up from the database."""
        self._ring.resize(capacity)
        self._refilling.resume()
        self._relays.hand_limit = thresholds.hand_limit
        self._pressure.adopt(thresholds)
        self._hand_over()

    def on_start(self) -> None:
        """Read the newest events; the rest comes when the writer has answered."""
        super().on_start()
        self._refilling.begin()
        self._catch_up()

    def on_stop(self) -> None:
        """Wait for the commits under way, so that senders hear of them; then let go."""
        self.mailbox.drain(lambda: not self._relays, self.on_receive, Answered, DRAIN)
        super().on_stop()

    def on_receive(self, message: Any) -> Any:
        """Requests of other actors, and what the mailbox and the writer answer."""
        match message:
            case log.EmitFrame(raw=raw):
                self._accept(Block(raw))
            case log.OmitFrame(count=count, events=events):
                self._omit(count, events)
            case Answered(context=context, outcome=outcome):
                self._answered(context, outcome)
            case Joined() | Departed():
                if isinstance(message, Departed):
                    self._fetches.forget(message.sender, message.incarnation)
                self.greet(message)
            case log.Barrier():
                return log.Passed()
            case log.Advance(last_seq=last_seq):
                self._fill_up_to(last_seq, is_sure=False)
                return log.Passed()
            case log.Forget(spans=spans):
                self._forget(spans)
                return log.Passed()
            case _Retry():
                for frame in self._relays.take_refused():
                    self._pass_on(frame)
            case LookForCalm():
                self._pressure.look_for_calm()
            case log.Fetch():
                return self._fetches.take(message, self.delivery)
            case Serve():
                self._fetches.serve()
            case Expire():
                self._fetches.expire()
            case _Tidy(settled=settled):
                self._tidy(settled)
            case _FillMore():
                self._fill_more()
                if self._refilling.is_under_way:  # by timer: sockets are looked at in between
                    self.mailbox.after(0.0, message)
            case log.Tail() | log.Query() | log.Count() | log.Stats():
                return self._reply(message)
            case _:
                logger.warning("unknown message {!r}", message)
        return None

    # -- the way in ---------------------------------------------------------------------------

    def _accept(self, block: Block) -> None:
        delivery = self.delivery
        relay = writer.Relay(self._origin(delivery), msgspec.Raw(block.raw))
        frame = Frame(relay, delivery.count, block, delivery)
        if self._pressure.is_dropping:
            self._pressure.dropped += frame.count - delivery.skip
            frame.bury("overload:drop")
        self._add(frame)

    def _omit(self, count: int, events: list[RawEvent]) -> None:
        delivery = self.delivery
        skip = writer.Skip(self._origin(delivery), count, "ring_only")
        self._add(Frame(skip, count, None, delivery, loose=events))

    def _origin(self, delivery: Delivery) -> Origin:
        """Where a tell stands, which is acknowledged when it is settled."""
        delivery.deferred = True
        return Origin(delivery.sender, delivery.incarnation, self.STREAM, delivery.number)

    def _add(self, frame: Frame) -> None:
        self._relays.add(frame)
        self._pressure.look()
        self._hand_over()

    def _hand_over(self) -> None:
        while (frame := self._relays.take()) is not None:
            self._pass_on(frame)

    def _pass_on(self, frame: Frame) -> None:
        self.writer.ask(frame.message, context=frame)

    def bury(self, poisoned: Poisoned) -> None:
        """A frame that kills the log leaves a tombstone, once its letter is kept."""
        delivery = poisoned.delivery
        if delivery.kind == "tell":
            skip = writer.Skip(self._origin(delivery), delivery.count, "poison")
            frame = self._poisoned[id(delivery)] = Frame(skip, delivery.count, None, delivery)
            frame.is_held = True
            self._relays.add(frame)
            self._hand_over()
        super().bury(poisoned)

    def unburden(self, delivery: Delivery) -> None:
        """The letter is kept."""
        frame = self._poisoned.pop(id(delivery), None)
        if frame is None:
            super().unburden(delivery)
        elif self._relays.release(frame):
            self._pass_on(frame)

    # -- what the writer answers --------------------------------------------------------------

    def _answered(self, context: Frame | Greeting | _CatchUp | None, outcome: Any) -> None:
        if self.writer.link.life != self._writer_life:
            self._catch_up()  # another life of it, and so another epoch
        match context:
            case Frame():
                if isinstance(outcome, Appended):
                    self._committed(context, outcome)
                else:
                    self._not_committed(context, outcome)
                self._pressure.look()
                self._hand_over()
            case Greeting():
                self.greeted(context, outcome)
            case _CatchUp():
                if isinstance(outcome, writer.PositionIs):
                    self._ring.epoch = outcome.position.epoch
                    self._fill_up_to(outcome.position.last_seq)
                else:
                    self._catch_up()
            case None:
                pass
            case _:
                assert_never(context)

    def _tidy(self, settled: int) -> None:
        """After a second of quiet give back what the burst before it took."""
        if settled == self._relays.settled:
            self._is_tidy = True
            if self._reader is not None:
                self._reader.shrink()  # a refill reads some 16 MiB of pages
            give_back()
        else:
            self.mailbox.after(QUIET, _Tidy(self._relays.settled))

    def _committed(self, frame: Frame, outcome: Appended) -> None:
        self._relays.settle(frame)
        if self._is_tidy:
            self._is_tidy = False
            self.mailbox.after(QUIET, _Tidy(self._relays.settled))
        if self._is_refused:
            self._is_refused = False
            logger.info("events are committed again")
        self._fill_up_to(outcome.first_seq - 1)
        if frame.block is not None:
            self._ring.append(outcome.first_seq, frame.block.as_stored(outcome))
        self._ring.remember(frame.loose)
        self._fetches.grown()
        for index, reason in outcome.refused:
            logger.warning("event {} of {} refused: {}", index, frame.sender, reason)
        if frame.delivery is not None:
            frame.delivery.done(outcome.mark, outcome.duplicates, outcome.dropped)

    def _not_committed(self, frame: Frame, error: HoldfastError) -> None:
        """A full disk passes: try again, in order.  Anything else is the sender's to know.

        What the sender sent after a frame that waits for the disk is refused as a gap, or, when
        that was its very first, as of a sender that nobody knows.
        """
        waits = isinstance(error, (GapError, ExpiredError)) and (
            self._relays.is_behind_another(frame)
        )
        if waits or isinstance(error, StorageError):
            if self._relays.put_off(frame):
                self.mailbox.after(RETRY, _Retry())
            if not self._is_refused:
                self._is_refused = True
                logger.warning("events cannot be committed, trying again and again: {}", error)
            return
        if isinstance(error, PoisonError) and frame.block is not None:
            # It killed the writer, and is a dead letter there; its sender goes on.
            self._pressure.dropped += frame.count - (frame.delivery.skip if frame.delivery else 0)
            self._relays.bury(frame, "poison")
            self._pass_on(frame)
            return
        self._relays.settle(frame)
        logger.warning("frame of {} refused: {}", frame.sender, error)
        if frame.delivery is not None:
            frame.delivery.refuse(error)

    # -- the ring -----------------------------------------------------------------------------

    def _fill_up_to(self, last_seq: int, *, is_sure: bool = True) -> None:
        """Read from the database what was committed and did not come by here."""
        if self._refilling.fill_up_to(last_seq, is_sure=is_sure):
            self._fetches.grown()

    def _catch_up(self) -> None:
        """Learn where the database stands, after all that was sent before."""
        self._writer_life = self.writer.link.life
        self.writer.ask(writer.GetPosition(), context=_CatchUp())

    def _forget(self, spans: list[tuple[int, int]]) -> None:
        if spans:
            self._fill_up_to(
                spans[-1][1], is_sure=False
            )  # what is on its way here is not to come after this
            self._ring.forget(spans)
        else:
            self._refilling.begin()

    def _fill_more(self) -> None:
        """One slice of older events; after the last one what that took is given back."""
        self._refilling.go_on()
        if not self._refilling.is_under_way and self._is_tidy:
            self._is_tidy = False
            self.mailbox.after(QUIET, _Tidy(self._relays.settled))

    # -- questions ----------------------------------------------------------------------------

    def _reply(self, message: log.Tail | log.Query | log.Count | log.Stats) -> log.Reply:
        match message:
            case log.Tail(limit=limit, visibility=visibility):
                return self._tail(limit, visibility)
            case log.Query():
                return self._query(message)
            case log.Count(filter=wanted):
                if not self._reaches(wanted):
                    return log.Counted(0, covered=False)
                return log.Counted(self._ring.count(wanted), covered=True)
            case log.Stats():
                ring, relays = self._ring, self._relays
                filled = (len(ring), ring.capacity, relays.events, ring.last_seq)
                state = (self._pressure.mode, relays.load, self._pressure.dropped)
                return log.LogStats(*filled, *state, len(self._fetches), self._refilling.damaged)
            case _:
                assert_never(message)

    def _tail(self, limit: int, visibility: log.Visibility) -> log.Events:
        while self._refilling.is_under_way and limit > len(self._ring):
            self._fill_more()
        events = self._ring.newest(max(0, limit))
        if visibility == "memory":
            merged = self._ring.with_loose(events, EventFilter(), reverse=False)
            events = [*merged, *self._uncommitted()]
        newest_first = fitting(events[-max(1, limit) :][::-1])
        return log.Events(newest_first[::-1], covered=True, epoch=self._ring.epoch)

    def _query(self, query: log.Query) -> log.Events:
        wanted, limit = query.filter, min(max(1, query.limit), 2**53)
        if not query.reverse and not self._reaches(wanted):
            return log.Events([], covered=False)
        matching = self._ring.matching(wanted, reverse=query.reverse)
        waiting: list[StoredEvent] = []
        if query.visibility == "memory":
            matching = self._ring.with_loose(matching, wanted, reverse=query.reverse)
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
        covered = covered and len(sent) == len(found)
        return log.Events(sent, covered=covered, epoch=self._ring.epoch)

    def _reaches(self, wanted: EventFilter) -> bool:
        """Whether the ring holds every event that could match."""
        oldest_wanted = 1 if wanted.after is None else wanted.after + 1
        return self._ring.first_seq <= oldest_wanted

    def _uncommitted(self) -> list[StoredEvent]:
        return [StoredEvent(0, self._daemon, *event) for event in self._relays.uncommitted()]

"""The writer actor: the only connection that writes to the database, and the sequencer.

Owns no state of its own.  Lost when its process dies: nothing acknowledged, since every answer
waits for the COMMIT of its group; whoever was not answered sends again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, assert_never

import msgspec
from loguru import logger

from holdfast.actors.announcing import Announcing
from holdfast.actors.answers import numbered, origin_of, refuse
from holdfast.actors.burial import poison_error
from holdfast.actors.capturing import capture
from holdfast.actors.delivery import Delivery, Departed, Joined
from holdfast.actors.expiry import EXPIRE, Expiry, ItemsDue
from holdfast.actors.host import HostedActor
from holdfast.actors.log_keeping import CheckpointDone, LogKeeping
from holdfast.actors.mailbox import Answered, Batch
from holdfast.actors.messages.writer import (
    BeginCapture,
    Captured,
    EndCapture,
    Forget,
    Forgotten,
    GetCapture,
    GetMark,
    GetPosition,
    MarkIs,
    Pace,
    PositionIs,
    Prune,
    Question,
    Stats,
    Sync,
)
from holdfast.actors.outage import Outage, TryAgain
from holdfast.actors.pacing import Pacing, Rested
from holdfast.actors.retaining import RetainDue, Retaining
from holdfast.actors.syncing import DiskDone, SyncDue, Syncing
from holdfast.actors.writer_figures import figures
from holdfast.clock import Clock
from holdfast.errors import DiskFullError, HoldfastError, StorageError, UnreachableError
from holdfast.storage.commands import Command, Outcome, tells_of_events
from holdfast.storage.ports import Database
from holdfast.storage.retention_records import Retention

__all__ = ["BATCH_LIMIT", "WriterActor"]

BATCH_LIMIT: Final = 2_000  # events and commands in one transaction: some 20 ms of work
STREAM: Final = "writer"  # the numbering that senders use towards this actor
# Seconds.  Commits wait for a slice and what it has to write, and get the rest of the time.
CHORE_SLICE: Final = 0.004
CHORE_PAUSE: Final = 0.016
OPEN_AGAIN: Final = 0.5  # seconds until a database on a full disk is opened again


class _OpenDue(msgspec.Struct, frozen=True):
    """The disk was full when the database was to be opened: try again."""


class _ChoreDue(msgspec.Struct, frozen=True):
    """There is something that has time, and has been some time for it."""


class WriterActor(HostedActor):
    """Everything that is ready goes into one transaction; answers follow its COMMIT.

    ``sync_interval`` seconds after a commit at the latest, it is on the disk.
    """

    refuses_tells = True

    def __init__(
        self,
        *,
        open_database: Callable[[], Database],
        sync_interval: float,
        retention_period: float,
        outage_timeout: float = 0.0,
        clock: Clock,
    ) -> None:
        super().__init__()
        self._open_database = open_database
        self._syncing = Syncing(
            begin=lambda: self._database.begin_sync(),
            on_full=lambda error: self._log.on_full(error),
            interval=sync_interval,
            box=self.mailbox,
            clock=clock,
        )
        self._log = LogKeeping(database=lambda: self._database, box=self.mailbox, clock=clock)
        self._retention_period = retention_period
        self._retained_at = 0  # groups committed when retention had its last slice
        self._clock = clock
        self._groups = 0
        self._commands = 0
        self._announcing = Announcing(self.mailbox)
        self._pacing = Pacing(after=self.mailbox.after, clock=clock)
        self._is_open = False
        self._held: list[Delivery] = []  # what came before that, in order
        self._outage = Outage(patience=outage_timeout, after=self.mailbox.after, clock=clock)

    def reconfigure(
        self,
        *,
        open_database: Callable[[], Database],
        payload_bytes: int,
        retention: Retention,
        retention_period: float,
        sync_interval: float,
    ) -> None:
        """From now on; ``open_database`` where it could not be opened yet."""
        self._open_database = open_database
        self._syncing.interval, self._retention_period = sync_interval, retention_period
        if self._is_open:
            self._database.reconfigure(payload_bytes=payload_bytes, retention=retention)
            self._retaining.reconfigure(retention_period)

    def on_start(self) -> None:
        """Open, which raises the epoch: no earlier writer can commit any more."""
        self._open()

    def _open(self) -> None:
        """Open it, or wait until the disk has room, unanswered, or until the server is there."""
        try:
            self._database = self._open_database()
        except DiskFullError as error:
            self._log.warn_of_full_disk(error)
            self.mailbox.after(OPEN_AGAIN, _OpenDue())
            return
        except UnreachableError as error:
            held, self._held = self._held, []
            self._outage.begin(error, [], held)
            return
        self._log.has_room()
        self._is_open = True
        self._retaining = Retaining(
            database=self._database,
            period=self._retention_period,
            after=self.mailbox.after,
            monotonic=self._clock.monotonic,
            tell=self._tell_of_deletions,
        )
        self._retaining.start()
        self._chores_later()
        self._expiry = Expiry(after=self.mailbox.after, clock=self._clock)
        self._expiry.look_in(0.0)
        held, self._held = self._held, []
        self._go_on(held)

    def on_stop(self) -> None:
        """Leave one file that needs no recovery."""
        if self._is_open:
            self._log.stop()
            self._syncing.stop()
            self._database.close()

    def unburden(self, delivery: Delivery) -> None:
        """A command takes its number all the same, or the next one would leave a gap."""
        origin = origin_of(delivery, STREAM)
        if origin is not None and self._is_open and not self._outage.is_on:
            with suppress(UnreachableError):  # then the next one leaves a gap, as after a full disk
                self._database.apply([refuse(origin, poison_error(self.mailbox, delivery))])
        super().unburden(delivery)

    def on_receive(self, message: Any) -> Any:
        """A Batch of deliveries, or the timer's message."""
        match message:
            case Batch(items=items) if self._outage.is_on:
                self._wait(self._pacing.take() + items)
            case Batch(items=items) if not self._is_open:
                self._held += items
            case Batch(items=items) if self._pacing.holds(items):
                pass
            case Batch(items=items):
                self._pacing.timed(self._work_through, items)
            case Rested():
                if held := self._pacing.take():
                    self.on_receive(Batch(held))
            case _OpenDue():
                self._open()
            case TryAgain():
                self._try_again()
            case Answered(context=context):
                self._announcing.answered(context)
            case _ if self._outage.is_on:
                self._outage.put_off(message)
            case _:
                self._when_due(message)

    def _when_due(self, message: Any) -> None:
        """What timers ask for."""
        match message:
            case SyncDue():
                self._syncing.due()
            case DiskDone():
                self._syncing.done(message)
            case CheckpointDone():
                self._log.done(message)
            case RetainDue():
                self._retain()
            case _ChoreDue():
                self._do_chores()
            case ItemsDue():
                if self._expiry.is_due(message):
                    self._expire()
            case _:
                logger.warning("unknown message {!r}", message)

    def _wait(self, items: list[Delivery]) -> None:
        """While the server is away: what needs it not is answered, all else in its order later."""
        asked = [item for item in items if isinstance(item.message, Stats)]
        self._outage.hold([item for item in items if item not in asked])
        for delivery in asked:
            self._answer(delivery)

    def _try_again(self) -> None:
        if not self._is_open:
            self._open()
            return
        try:
            self._database.position()
        except UnreachableError as error:
            self._outage.begin(error, [], [])
            return
        self._go_on([])

    def _go_on(self, held: list[Delivery]) -> None:
        """The database is there: with what came before it was, and during an outage."""
        waited, late = self._outage.over()
        self._work_through(held + waited)
        for message in late:
            self.on_receive(message)

    def _work_through(self, items: list[Delivery]) -> None:
        """In order: runs of commands as one transaction each, what is only asked between them."""
        group: list[Delivery] = []
        for at, delivery in enumerate(items):
            if isinstance(delivery.message, Command):
                group.append(delivery)
                continue
            try:
                self._commit(group, is_last=False)
                group = []
                self._answer(delivery)
            except UnreachableError as error:
                self._outage.begin(error, group, items[at:])
                return
        try:
            self._commit(group, is_last=True)
        except UnreachableError as error:
            self._outage.begin(error, group, [])

    def _commit(self, group: list[Delivery], *, is_last: bool) -> None:
        """Raises UnreachableError; none of them is answered then."""
        if not group:
            return
        outcomes = self._database.apply([numbered(each, STREAM) for each in group])
        if is_last:  # killed before the answers, it is not by one of these
            self.mailbox.absolve()
        for delivery, outcome in zip(group, outcomes, strict=True):
            _reply(delivery, outcome)
            self._expiry.note(delivery.message)
            if tells_of_events(outcome):
                self._announcing.added(self._database.last_seq)
        if any(not isinstance(outcome, StorageError) for outcome in outcomes):
            self._log.has_room()
        self._groups += 1
        self._commands += len(group)
        self._syncing.later()
        self._log.look(is_pressed=any(isinstance(each, DiskFullError) for each in outcomes))

    def _expire(self) -> None:
        try:
            (outcome,) = self._database.apply([EXPIRE])
        except UnreachableError as error:  # the next command finds out, too
            self._expiry.looked(error)
            return
        self._expiry.looked(outcome)
        if tells_of_events(outcome):
            self._announcing.added(self._database.last_seq)
            self._syncing.later()

    def _retain(self) -> None:
        """A slice of what retention has to do, and what follows every commit."""
        is_busy, self._retained_at = self._groups > self._retained_at, self._groups
        self._retaining.work(is_busy=is_busy)
        self._log.look(is_hurried=True)

    def _tell_of_deletions(self, spans: list[tuple[int, int]]) -> None:
        self._announcing.deleted(spans)
        self._syncing.later()

    def _chores_later(self) -> None:
        if self._database.has_chores:
            self.mailbox.after(CHORE_PAUSE, _ChoreDue())

    def _do_chores(self) -> None:
        """A slice of what has time, and what follows every commit."""
        try:
            self._database.work_off(CHORE_SLICE)
        except DiskFullError as error:
            self._log.warn_of_full_disk(error)
        except UnreachableError as error:
            self._outage.begin(error, [], [])
        self._syncing.later()
        self._log.look()
        self._chores_later()

    def _answer(self, delivery: Delivery) -> None:
        """A full disk is the asker's to know; any other fault of the disk ends this process."""
        try:
            self._answer_at_once(delivery)
        except DiskFullError as error:
            delivery.set_exception((type(error), error, None))

    def _answer_at_once(self, delivery: Delivery) -> None:
        message: Question | Joined | Departed = delivery.message
        match message:
            case GetMark(sender=sender, incarnation=incarnation, stream=stream):
                delivery.set(MarkIs(self._database.mark(sender, incarnation, stream)))
            case GetPosition():
                delivery.set(PositionIs(self._database.position()))
            case Sync():
                self._syncing.ask(delivery)
            case Forget(sender=sender, incarnation=incarnation):
                self._database.forget(sender, incarnation)
                delivery.set(Forgotten())
            case Joined(sender=sender, incarnation=incarnation):
                mark = self._database.mark(sender, incarnation, STREAM)
                delivery.welcome(mark.number, mark.duplicates, mark.dropped)
            case Prune():
                self._retaining.take(delivery)
            case Departed(sender=sender, incarnation=incarnation):
                self._database.forget(sender, incarnation)
            case Stats():
                database = self._database if self._is_open else None
                delivery.set(figures(database, self._groups, self._commands, self._outage))
            case BeginCapture() | EndCapture() | GetCapture():
                capture(self._database, delivery)
            case Pace():
                self._pacing.set(message)
                delivery.set(Captured())
            case _:
                assert_never(message)


def _reply(delivery: Delivery, outcome: Outcome | HoldfastError) -> None:
    if isinstance(outcome, HoldfastError):
        delivery.set_exception((type(outcome), outcome, None))
    else:
        delivery.set(outcome)

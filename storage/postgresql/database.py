"""The PostgreSQL database, writing side: group commit, exactly once, one writer at a time.

What ``apply`` answered is on the server's disk.  What it has not answered yet is stored as a whole
or not at all; its senders still hold it.

When the connection is lost there is a new one at once if the server lets us in, and otherwise with
the next call.  All is read again then, and a group whose COMMIT was not answered is found, or is
known not to be there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar, cast

import psycopg

from holdfast.clock import Clock
from holdfast.errors import (
    FencedError,
    HoldfastError,
    SchemaError,
    StorageError,
    UnknownError,
    UnreachableError,
)
from holdfast.storage.commands import Command, Outcome
from holdfast.storage.delivering import Deliveries, apply_singly
from holdfast.storage.marks import MAX_SENDERS, Marks
from holdfast.storage.migrating.postgresql_capture import (
    begin_steps,
    captured,
    end_steps,
    length,
)
from holdfast.storage.once import HalfDone, OnceOnly
from holdfast.storage.payloads import PAYLOAD_BYTES
from holdfast.storage.ports import Durability, Wal
from holdfast.storage.postgresql.concerns import forget_sender, handlers_of
from holdfast.storage.postgresql.connection import (
    REFUSALS,
    is_lost,
    named,
    storage_error,
    unreachable,
)
from holdfast.storage.postgresql.doubt import Doubt, LostError, Settled
from holdfast.storage.postgresql.events import EventTable
from holdfast.storage.postgresql.losses import LossTable
from holdfast.storage.postgresql.marks import PostgresqlSenders
from holdfast.storage.postgresql.once import PostgresqlUndo
from holdfast.storage.postgresql.payloads import PayloadTable
from holdfast.storage.postgresql.retention import PostgresqlRetention
from holdfast.storage.postgresql.session import Session, open_session, require_fsync
from holdfast.storage.postgresql.state import StateTables
from holdfast.storage.postgresql.text_index import TextIndex
from holdfast.storage.records import Mark, Position
from holdfast.storage.retention import RetentionTable
from holdfast.storage.retention_records import Deletions, Retention, Slice

__all__ = ["PostgresqlDatabase"]

T = TypeVar("T")

_KEEP_ALL: Final = Retention()


class PostgresqlDatabase:
    """Implements ``holdfast.storage.ports.Database``.

    ``home`` says whose the daemon is: a session of the same home is ended, one of another home
    refuses this one.  Raises AlreadyRunningError, ConfigError, UnreachableError, SchemaError,
    StorageError.
    """

    def __init__(
        self,
        dsn: str,
        *,
        daemon: str,
        durability: Durability,
        clock: Clock,
        home: str,
        max_senders: int = MAX_SENDERS,
        payload_bytes: int = PAYLOAD_BYTES,
        retention: Retention = _KEEP_ALL,
        full_text: bool = False,
    ) -> None:
        self.where: Final = named(dsn)
        self._dsn = dsn
        self._daemon = daemon
        self._durability = durability
        self._clock = clock
        self._home = home
        self._max_senders = max_senders
        self._payload_bytes = payload_bytes
        self._rules = retention
        self._has_text = full_text
        self._session: Session | None = None  # None: lost, and not opened again yet
        self._epoch: int | None = None
        self._doubt: Doubt | None = None
        # Of the last call of ``apply``, if it raised, what is committed of it all the same.
        self._settled: list[Settled] = []
        self._open()

    def _open(self) -> Session:
        """Become the writer, again, and believe only the tables."""
        try:
            session = open_session(
                self._dsn,
                daemon=self._daemon,
                home=self._home,
                where=self.where,
                epoch=self._epoch,
            )
            try:
                if self._durability == "disk":
                    require_fsync(session.connection, self.where)
                self._open_tables(session)
            except BaseException:
                session.connection.close()
                raise
        except psycopg.Error as error:
            raise storage_error(error, self.where) from error
        if self._doubt is not None:  # nobody else has counted: the epoch was ours until now
            if session.commits == self._doubt.commits:
                self._settled += self._doubt.settled
            self._doubt = None
        self._session, self._epoch = session, session.epoch
        self._last_seq = self._events.last_seq
        return session

    def _connected(self) -> Session:
        """The session, a new one if it was lost.

        Raises UnreachableError for whatever keeps the server from letting us in again: it is
        somebody else's to change, and worth waiting for.
        """
        if self._session is not None:
            return self._session
        try:
            return self._open()
        except (FencedError, SchemaError):
            raise
        except StorageError as error:
            text = str(error)
            raise UnreachableError(text) if self._doubt is None else UnknownError(text) from error

    def _open_tables(self, session: Session) -> None:
        connection, daemon = session.connection, self._daemon
        self._payloads = PayloadTable(connection, daemon, limit=self._payload_bytes)
        self._text = TextIndex(connection, daemon)
        self._events = EventTable(connection, daemon, payloads=self._payloads, text=self._text)
        self._text.open(is_wanted=self._has_text, last_seq=self._events.last_seq)
        self._state = StateTables(connection, daemon, events=self._events, clock=self._clock)
        losses = LossTable(connection, daemon)
        self._marks = Marks(
            PostgresqlSenders(connection, daemon),
            limit=self._max_senders,
            note_lost=partial(losses.note_restored, self._clock.time_us),
        )
        self._once = OnceOnly(
            PostgresqlUndo(connection),
            marks=self._marks,
            events=self._events,
            handlers=handlers_of(
                connection, daemon, state=self._state, events=self._events, clock=self._clock
            ),
        )
        self._retention = RetentionTable(
            PostgresqlRetention(connection, daemon), retention=self._rules, clock=self._clock
        )
        self._deliveries = Deliveries(
            marks=self._marks,
            once=self._once,
            events=self._events,
            losses=losses,
            clock=self._clock,
        )

    @property
    def last_seq(self) -> int:
        """The number of the newest event ever committed; 0 before the first."""
        return self._last_seq

    @property
    def wal(self) -> Wal:
        """The server maintains its own."""
        return Wal(0, 0, 0)

    def position(self) -> Position:
        """Where the database stands."""
        return Position(self._last_seq, self._connected().epoch)

    def mark(self, sender: str, incarnation: str, stream: str) -> Mark:
        """How far a sender's numbers are committed; zeroes for an unknown one."""
        self._connected()
        return self._marks.mark(sender, incarnation, stream)

    def apply(self, commands: Sequence[Command]) -> list[Outcome | HoldfastError]:
        """Commit the commands in order as one transaction; an outcome or an error for each.

        Raises UnreachableError, UnknownError: nothing has an outcome then.  Call it again with
        the same commands, or some of them, in order, and others behind them.
        """
        self._connected()
        found = self._found(commands)
        commands = commands[len(found) :]
        try:
            outcomes = self._apply(commands) if commands else []
        except UnreachableError:
            self._settled = [*zip(commands, found, strict=False), *self._settled]
            raise
        self._settled.clear()
        return found + outcomes

    def _found(self, commands: Sequence[Command]) -> list[Outcome | HoldfastError]:
        """The outcomes of those that the last call, which raised, had committed."""
        settled, self._settled = iter(self._settled), []
        outcomes: list[Outcome | HoldfastError] = []
        for command in commands:
            outcome = next((outcome for known, outcome in settled if known == command), None)
            if outcome is None:
                break
            outcomes.append(outcome)
        return outcomes

    def _apply(self, commands: Sequence[Command]) -> list[Outcome | HoldfastError]:
        try:
            return self._apply_together(commands)
        except psycopg.Error as error:
            if len(commands) == 1:
                return [storage_error(error, self.where)]
        return apply_singly(commands, self._apply_one)

    def _apply_one(self, commands: Sequence[Command]) -> list[Outcome | HoldfastError]:
        outcomes = self._apply(commands)
        self._settled += zip(commands, outcomes, strict=True)
        return outcomes

    def _apply_together(self, commands: Sequence[Command]) -> list[Outcome | HoldfastError]:
        """Again after a refusal, cautiously; and once, if the connection was lost."""
        for _ in range(2):
            before = len(self._settled)
            with suppress(LostError):
                try:
                    return self._transact(lambda: self._run_all(commands), commands)
                except HalfDone:
                    self._once.be_cautious(len(commands))
                    self._events.is_cautious = True
                    return self._transact(lambda: self._run_all(commands), commands)
            self._connected()
            if len(self._settled) > before:  # committed after all
                outcomes = [outcome for _, outcome in self._settled[before:]]
                del self._settled[before:]
                return outcomes
        raise unreachable(self.where)

    def _run_all(self, commands: Sequence[Command]) -> list[Outcome | HoldfastError]:
        self._state.expect(commands if self._connected().connection.is_pipelined else [])
        return [self._deliveries.run(command) for command in commands]

    def forget(self, sender: str, incarnation: str) -> None:
        """Drop marks and kept results of a sender that is gone for good."""
        self._do(lambda: self._forget(sender, incarnation))

    def _forget(self, sender: str, incarnation: str) -> None:
        self._marks.forget(sender, incarnation)
        forget_sender(self._connected().connection, self._daemon, sender, incarnation)

    def begin_sync(self) -> None:
        """Nothing to wait for."""

    def sync(self) -> None:
        """Everything committed is on the server's disk: no COMMIT returns earlier."""

    @property
    def retention(self) -> Retention:
        """What is kept of the events."""
        return self._rules

    def reconfigure(self, *, payload_bytes: int, retention: Retention) -> None:
        """From now on, on the next connection too."""
        self._payload_bytes, self._rules = payload_bytes, retention
        if self._session is not None:
            self._payloads.limit = payload_bytes
            self._retention.reconfigure(retention)

    def retain(self, seconds: float) -> Slice:
        """Delete what is to be deleted, for about so long: a slice of a round over all rules."""
        return self._do(lambda: self._retention.slice(seconds))

    def plan_retention(self, seconds: float) -> list[Deletions] | None:
        """What a round would delete now; None when so many seconds were not enough: go on."""
        return self._do(lambda: self._retention.plan(seconds))

    @property
    def has_chores(self) -> bool:
        """Whether ``work_off`` has something to do."""
        return self._text.has_work

    def work_off(self, seconds: float) -> None:
        """For about so long do some of what has time."""
        self._do(lambda: self._text.work(seconds))

    def cut_checkpoint_short(self) -> None:
        """There is none."""

    def begin_checkpoint(self) -> None:
        """Nothing that takes long."""

    def checkpoint(self, *, is_hurried: bool = False, is_pressed: bool = False) -> Wal:
        """The server maintains its log."""
        return self.wal

    def begin_capture(self, swap: str) -> None:
        """Keep a log of what changes from now on, for a migration; again does nothing."""
        if self._do(lambda: captured(self._connected().connection, self._daemon)) != swap:
            self.end_capture()
            self._run_steps(begin_steps(self._daemon, swap))

    def end_capture(self) -> None:
        """Keep no log any more."""
        self._run_steps(end_steps(self._daemon))

    def capture(self) -> tuple[str, int]:
        """The swap that there is a log for, and how long it is."""
        return self._do(lambda: length(self._connected().connection, self._daemon))

    def _run_steps(self, steps: Sequence[str]) -> None:
        for step in steps:
            self._do(partial(self._run_step, step))

    def _run_step(self, step: str) -> None:
        self._connected().connection.run(step)

    def close(self) -> None:
        """End the session.  Again does nothing."""
        if self._session is not None:
            self._session.connection.close()

    def _do(self, work: Callable[[], T]) -> T:
        """Work that may be done again, in a transaction.  Raises UnreachableError, StorageError."""
        try:
            try:
                return self._transact(work)
            except LostError:
                return self._transact(work)
        except LostError as error:
            raise unreachable(self.where) from error
        except psycopg.Error as error:
            raise storage_error(error, self.where) from error

    def _transact(self, work: Callable[[], T], commands: Sequence[Command] = ()) -> T:
        """Do the work in one transaction of this epoch, or nothing of it.

        Raises HalfDone, LostError, psycopg.Error; ``_doubt`` is there when it may be committed.
        The work of ``commands`` results in their outcomes.
        """
        session, is_committing = self._connected(), False
        is_pipelined = bool(commands) and not (self._once.is_cautious or self._events.is_wary)
        try:
            session.begin(is_pipelined=is_pipelined)
            result = work()
            self._marks.flush()
            self._events.flush()
            self._text.flush(self._events.last_seq)
            session.hold()
            is_committing = True
            session.commit()
        except BaseException as error:
            if not is_lost(session.connection, error):
                self._take_back(session)
                if is_pipelined and isinstance(error, REFUSALS):
                    raise HalfDone from error  # whose it is only asking one by one tells
                raise
            session.connection.close()
            self._session = None
            if is_committing and commands:
                outcomes = cast("list[Outcome | HoldfastError]", result)
                settled = list(zip(commands, outcomes, strict=True))
                self._doubt = Doubt(session.commits, settled)
            raise LostError from error
        self._last_seq = self._events.last_seq
        self._events.is_cautious = False
        return result

    def _take_back(self, session: Session) -> None:
        """End the transaction, and believe only the tables again."""
        try:
            session.rollback()
            self._marks.load()
            self._events.load()
            self._retention.forget()
            self._text.load()
        except psycopg.Error:  # lost by now: all is read again with the next session
            session.connection.close()
            self._session = None

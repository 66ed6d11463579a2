"""The sessions actor: what each conversation knows, until it has been idle for too long.

Lost when its process dies: at most a second of unforced puts and touches, unless the front has
them, and the cache of metadata; forced changes (durability "committed") and ends: nothing
acknowledged.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec

from holdfast.actors import session_answers
from holdfast.actors.answers import origin_of, recall, refuse
from holdfast.actors.cache_answers import answer_about_cache
from holdfast.actors.delivery import Delivery, Departed, Joined
from holdfast.actors.host import LATER
from holdfast.actors.mailbox_link import Answered
from holdfast.actors.messages import barrier, cache, sessions, writer
from holdfast.actors.metadata_cache import MetadataCache
from holdfast.actors.replies import REPLY_BYTES
from holdfast.actors.session_book import SessionBook
from holdfast.actors.session_cache import SteadyClock, size_of
from holdfast.actors.session_front import FillDue, SessionFronting
from holdfast.actors.session_rules import Decision, SessionRules, check_id
from holdfast.actors.session_waiting import SessionWaiting
from holdfast.actors.session_writing import Forced, SessionWriting, WriteDue, Written
from holdfast.actors.unwritten import Batch, Pending
from holdfast.actors.writer_backed import Greeting, WriterBackedActor
from holdfast.clock import Clock
from holdfast.errors import HoldfastError, InvalidInputError, UnreachableError
from holdfast.storage.ports import Reader
from holdfast.storage.session_ports import SessionFront
from holdfast.storage.session_records import Session

__all__ = ["SessionLimits", "SessionsActor"]

SWEEP: Final = 0.5  # seconds between looks for what is over; its end is told right after
SLICE: Final = 0.005  # seconds, when there was more than one sweep takes: others are heard

_Question = sessions.GetItems | sessions.List | barrier.Collect
_QUESTIONS: Final = (sessions.GetItems, sessions.List, barrier.Collect)


class SessionLimits(msgspec.Struct, frozen=True):
    """``[actors.sessions]``: bounds of the memory, of the database (0: none), of the cache."""

    ttl: float
    ttl_jitter: float
    maxsize: int
    max_bytes: int
    store_max_sessions: int
    store_max_bytes: int
    cache_ttl: float
    cache_maxsize: int
    cache_max_bytes: int
    cache_refresh_ahead: float


class _Behind(msgspec.Struct, frozen=True):
    """A question that is answered when everything before it is committed."""

    delivery: Delivery
    message: Any


class _CatchUp(msgspec.Struct, frozen=True):
    """The writer has committed what the sessions actor before this one had sent."""


class _SweepDue(msgspec.Struct, frozen=True):
    """Look for what has expired."""


class SessionsActor(WriterBackedActor):
    """Memory, perhaps something in front of the database, the database; each session by its times.

    Memory and the database are bounded.
    """

    STREAM = "sessions"

    def __init__(
        self,
        *,
        open_reader: Callable[[], Reader],
        front: SessionFront,
        limits: SessionLimits,
        incarnation: str,
        clock: Clock,
    ) -> None:
        super().__init__(open_reader=open_reader)
        self._limits, self._now_us = limits, SteadyClock(clock)
        self._book = SessionBook(
            maxsize=limits.maxsize,
            max_bytes=limits.max_bytes,
            reader=lambda: self.reader,
            front=front,
            now_us=self._now_us,
        )
        self._front = front
        self._fronting = SessionFronting(
            front=front,
            book=self._book,
            reader=lambda: self.reader,
            after=self.mailbox.after,
            now_us=self._now_us,
        )
        self._rules = SessionRules(
            ttl=limits.ttl, jitter=limits.ttl_jitter, incarnation=incarnation, now_us=self._now_us
        )
        self._metadata = MetadataCache(
            ttl=limits.cache_ttl,
            maxsize=limits.cache_maxsize,
            max_bytes=limits.cache_max_bytes,
            refresh_ahead=limits.cache_refresh_ahead,
            now_us=self._now_us,
        )
        self._waiting = SessionWaiting(name=incarnation, clock=clock)
        # What came before the writer had committed all of an earlier life: a change that is
        # decided on what is about to be overwritten would be lost, or would lose that.
        self._early: list[tuple[Delivery, Any]] = []
        self._writes = SessionWriting(
            mailbox=self.mailbox, book=self._book, front=self._fronting, made=self._made
        )

    def reconfigure(self, limits: SessionLimits) -> None:
        """Other bounds from now on; a ttl is that of what is put from now on."""
        self._limits = limits
        self._book.resize(limits.maxsize, limits.max_bytes)
        self._rules.ttl, self._rules.jitter = limits.ttl, limits.ttl_jitter
        self._metadata.reconfigure(
            ttl=limits.cache_ttl,
            maxsize=limits.cache_maxsize,
            max_bytes=limits.cache_max_bytes,
            refresh_ahead=limits.cache_refresh_ahead,
        )

    def on_start(self) -> None:
        """Ask the writer whether it is done with an earlier incarnation."""
        super().on_start()
        self.writer.ask(writer.GetPosition(), context=_CatchUp())
        self._fronting.start()
        self.mailbox.after(SWEEP, _SweepDue())

    def on_stop(self) -> None:
        """Write what is unwritten and wait for its commit."""
        self._writes.finish(self.on_receive)
        self._front.close()
        super().on_stop()

    def on_receive(self, message: Any) -> Any:
        """Requests of programs, timers, and what the writer answers."""
        match message:
            case sessions.Get(id=id):
                return sessions.SessionIs(self._book.live(id))
            case Answered(context=context, outcome=outcome):
                self._answered(context, outcome)
            case Joined() | Departed():
                self.greet(message)
            case WriteDue():
                self._writes.due()
            case _SweepDue():
                self._sweep()
            case FillDue():
                self._fronting.fill(message)
            case _:
                return self._request(self.delivery, message)
        return None

    def _request(self, delivery: Delivery, message: Any) -> Any:
        match message:
            case sessions.GetMany(ids=ids):
                return self._many(ids)
            case sessions.Stats():
                return self._stats()
            case sessions.Renew(ticket=ticket):
                return self._waiting.renew(ticket)
            case sessions.GiveUp(ticket=ticket):
                return self._waiting.give_up(ticket)
            case cache.CachePut() | cache.CacheGet() | cache.CacheDelete() | cache.CacheLoad():
                return answer_about_cache(self._metadata, self._waiting, delivery, message)
        if not self._book.is_settled:
            self._early.append((delivery, message))
            return LATER
        match message:
            case sessions.Load(id=id, timeout=timeout):
                session = self._book.live(check_id(id))
                if session is not None:
                    return sessions.SessionIs(session)
                return self._waiting.join(("session", id), delivery, timeout)
            case sessions.GetItems() | sessions.List() | barrier.Collect():
                return self._find(delivery, message)
            case barrier.Restore():
                return self._restore(delivery, message)
            case _:
                return self._change(delivery, message)

    # -- reading ------------------------------------------------------------------------------

    def _many(self, ids: list[str]) -> sessions.SessionsAre:
        """As many as one reply holds; at least one."""
        self._book.fetch(ids)
        found: list[Session | None] = []
        size = 0
        for id in ids:
            session = self._book.live(id)
            if session is not None:
                size += size_of(session)
                if size > REPLY_BYTES and found:
                    return sessions.SessionsAre(found, more=True)
            found.append(session)
        return sessions.SessionsAre(found)

    def _find(self, delivery: Delivery, message: _Question) -> Any:
        unwritten = self._book.unwritten
        match message:
            case sessions.GetItems(id=id):
                is_current = id not in unwritten
            case sessions.List():
                is_current = not len(unwritten)
            case barrier.Collect():
                is_current = False
        return self._found(message, 0) if is_current else self._behind(delivery, message)

    def _found(self, message: _Question, mark: int) -> sessions.Reply:
        match message:
            case sessions.GetItems(id=id):
                is_there = self._book.live(id) is not None
                return session_answers.items(self.reader if is_there else None, message)
            case sessions.List():
                return session_answers.listed(self.reader, message, self._now_us())
            case barrier.Collect():
                return session_answers.collected(self.reader, self._now_us(), mark)

    def _stats(self) -> sessions.SessionsStats:
        stored = None if self.reader is None else self.reader.session_totals()
        front, book, metadata = self._front.state, self._book, self._metadata
        return sessions.SessionsStats(
            cached=len(book),
            maxsize=self._limits.maxsize,
            unwritten=len(book.unwritten),
            bytes=book.bytes,
            max_bytes=self._limits.max_bytes,
            stored=stored.count if stored else 0,
            stored_bytes=stored.bytes if stored else 0,
            cache_entries=len(metadata),
            cache_bytes=metadata.bytes,
            loads=self._waiting.loads,
            waiting=self._waiting.waiting,
            damaged=book.damaged,
            front=front.kind,
            front_problem=front.problem,
            front_failures=front.failures,
            recovered=self._fronting.recovered,
            reads=sessions.Reads(book.hits, book.misses, metadata.hits, metadata.misses),
        )

    # -- changes ------------------------------------------------------------------------------

    def _change(self, delivery: Delivery, message: sessions.Change | sessions.PutMany) -> Any:
        origin = origin_of(delivery, self.STREAM)
        if origin is not None and delivery.skip:
            return self._writes.write(recall(origin), Forced(delivery))
        try:
            if self._is_on_its_way(message):
                return self._behind(delivery, message)
            decisions, answer = self._decided(message)
        except HoldfastError as error:
            if origin is None:
                raise
            return self._writes.write(refuse(origin, error), Forced(delivery))
        for decision in decisions:
            self._book.remember(decision.id, decision.after)
        changes = {decision.id: _pending(decision) for decision in decisions}
        is_forced = origin is not None or any(decision.is_forced for decision in decisions)
        if is_forced or self._fronting.is_needed(changes):
            return self._writes.force(delivery, origin, changes, answer)
        self._writes.later(changes)
        return answer

    def _is_on_its_way(self, message: sessions.Change | sessions.PutMany) -> bool:
        """Whether an item of the same key is, so that nobody can say its number yet."""
        if not isinstance(message, sessions.Append) or message.key is None:
            return False
        return self._book.unwritten.has_key(message.id, message.key)

    def _decided(
        self, message: sessions.Change | sessions.PutMany
    ) -> tuple[list[Decision], sessions.Reply]:
        """What changes, and the answer; nothing is done yet."""
        if isinstance(message, sessions.PutMany):
            self._book.fetch([put.id for put in message.puts])
            return self._rules.decide_all(message, self._book.live)
        before = self._book.live(check_id(message.id))
        if isinstance(message, sessions.Append) and message.key and before and self.reader:
            item = self.reader.session_item(message.id, before.created_us, message.key)
            if item is not None:
                return [], sessions.Appended(item.number, repeated=True)
        decision = self._rules.decide(message, before)
        return [decision] if decision.is_changed else [], decision.answer

    def _restore(self, delivery: Delivery, message: barrier.Restore) -> Any:
        """Put back what lived and is not there any more."""
        origin = origin_of(delivery, self.STREAM)
        if origin is not None and delivery.skip:
            return self._writes.write(recall(origin), Forced(delivery))
        try:
            part = session_answers.reopened(message)
        except InvalidInputError as error:
            if origin is None:
                raise
            return self._writes.write(refuse(origin, error), Forced(delivery))
        now = self._now_us()
        changes: Batch = {}
        for session in part.sessions:
            if session.expires_us > now and self._book.live(session.id) is None:
                revived = self._rules.revived(session)
                self._book.remember(session.id, revived)
                changes[session.id] = Pending(revived)
        skipped = len(part.sessions) - len(changes)
        return self._writes.force(
            delivery, origin, changes, barrier.Restored(len(changes), skipped)
        )

    def _made(self, session: Session) -> None:
        """Whoever waits for the session to be made has it."""
        self._waiting.finish(("session", session.id), sessions.SessionIs(session))

    # -- the database -------------------------------------------------------------------------

    def _behind(self, delivery: Delivery, message: Any) -> Any:
        """Handle it when everything before it is committed."""
        self._writes.write_behind()
        self.writer.ask(writer.GetPosition(), context=_Behind(delivery, message))
        return LATER

    def _sweep(self) -> None:
        """End what is over, and what is beyond the limits; pass on loads whose maker is gone."""
        limits, more = self._limits, False
        if self._book.is_settled:
            try:
                more = self._book.end_expired()
                if limits.store_max_sessions or limits.store_max_bytes:
                    bounds = (limits.store_max_sessions, limits.store_max_bytes)
                    more = self._book.end_surplus(*bounds) or more
            except UnreachableError:  # the next sweep finds them
                more = False
            self._writes.tell_ends()
        self._waiting.look()
        if self._book.is_settled and not more:
            self._fronting.tick()
        self.mailbox.after(SLICE if more else SWEEP, _SweepDue())

    def _answered(self, context: Any, outcome: Any) -> None:
        match context:
            case Forced() | Written():
                self._writes.written(context, outcome)
            case _Behind(delivery=delivery, message=message):
                if isinstance(outcome, HoldfastError):
                    delivery.set_exception((type(outcome), outcome, None))
                elif isinstance(message, _QUESTIONS):
                    mark = outcome.position.last_seq
                    self._answer(delivery, lambda: self._found(message, mark))
                else:
                    self._answer(delivery, lambda: self._request(delivery, message))
            case Greeting():
                self.greeted(context, outcome)
            case _CatchUp():
                self._settle()
            case _:
                pass

    def _settle(self) -> None:
        """Everything that an earlier life had sent is committed: changes may be decided now."""
        self._book.settle()
        self._fronting.settle()
        early, self._early = self._early, []
        for delivery, message in early:
            self._answer(delivery, partial(self._request, delivery, message))

    @staticmethod
    def _answer(delivery: Delivery, work: Callable[[], Any]) -> None:
        """Answer what had to wait; LATER answers nothing yet."""
        try:
            delivery.set(work())
        except HoldfastError as error:
            delivery.set_exception((type(error), error, None))


def _pending(decision: Decision) -> Pending:
    return Pending(decision.after, decision.with_data, [*decision.items], [*decision.events])

"""The sessions actor: what each conversation knows, until it has been idle for too long.

Lost when its process dies: at most a second of unforced puts and touches; forced ones (durability
"committed") and deletions: nothing acknowledged.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import msgspec
from loguru import logger

from holdfast.actors.answers import origin_of, recall, refuse, reopen_refusal
from holdfast.actors.delivery import Delivery, Departed, Joined
from holdfast.actors.host import LATER
from holdfast.actors.mailbox_link import Answered
from holdfast.actors.messages import sessions, writer
from holdfast.actors.session_cache import SessionCache, SteadyClock
from holdfast.actors.unwritten import Batch, Unwritten
from holdfast.actors.writer_backed import Greeting, WriterBackedActor
from holdfast.clock import Clock
from holdfast.errors import Conflict, HoldfastError, InvalidInputError
from holdfast.storage import jsontext
from holdfast.storage.ports import Reader
from holdfast.storage.records import AnswerKept, Event, KeepAnswer
from holdfast.storage.session_records import Session, SessionsStored, StoreSessions

__all__ = ["SessionsActor"]

WRITE_BEHIND: Final = 1.0  # seconds until an unforced change is on its way to the database
SWEEP: Final = 1.0  # seconds between looks for what has expired
SWEPT: Final = 1_000  # sessions that only the database holds, ended in one sweep
DRAIN: Final = 3.0  # seconds a stop waits for the last changes to be written
MAX_ID: Final = 1_024  # characters

_Kept = sessions.Versioned | sessions.Deleted


class _Forced(msgspec.Struct, frozen=True):
    """A change whose sender waits for COMMIT; ``before`` is put back when it fails."""

    delivery: Delivery
    id: str
    before: Session | None
    after: Session | None


class _CatchUp(msgspec.Struct, frozen=True):
    """The writer has committed what the sessions actor before this one had sent."""


class _WriteDue(msgspec.Struct, frozen=True):
    """Unforced changes have waited long enough."""


class _SweepDue(msgspec.Struct, frozen=True):
    """Look for what has expired."""


class SessionsActor(WriterBackedActor):
    """Memory in front, the database behind; both bounded by time, the first by number too."""

    STREAM = "sessions"

    def __init__(
        self,
        *,
        open_reader: Callable[[], Reader],
        ttl: float,
        maxsize: int,
        incarnation: str,
        clock: Clock,
    ) -> None:
        super().__init__(open_reader=open_reader)
        self._ttl = ttl
        self._maxsize = maxsize
        self._incarnation = incarnation  # in every version: none is given twice, ever
        self._versions = 0
        self._now_us = SteadyClock(clock)
        self._cache = SessionCache(maxsize=maxsize, now_us=self._now_us)
        self._unwritten = Unwritten()
        self._in_flight = 0  # writes without an answer
        self._write_is_due = False

    def on_start(self) -> None:
        """Read what lives; once more when the writer is done with an earlier incarnation."""
        super().on_start()
        self._refill()
        self.writer.ask(writer.GetPosition(), context=_CatchUp())
        self.mailbox.after(SWEEP, _SweepDue())

    def on_stop(self) -> None:
        """Write what is unwritten and wait for its commit."""
        self._write_behind()
        if not self.mailbox.drain(
            lambda: not (self._in_flight or len(self._unwritten)), self.on_receive, Answered, DRAIN
        ):
            logger.warning("{} sessions were not written before the stop", len(self._unwritten))
        super().on_stop()

    def on_receive(self, message: Any) -> Any:
        """Requests of programs, timers, and what the writer answers."""
        match message:
            case sessions.Get(id=id):
                return sessions.SessionIs(self._live(id))
            case sessions.Put() | sessions.Touch() | sessions.Delete():
                return self._change(message)
            case sessions.Stats():
                cached, unwritten = len(self._cache), len(self._unwritten)
                return sessions.SessionsStats(cached, self._maxsize, unwritten)
            case Answered(context=context, outcome=outcome):
                self._answered(context, outcome)
            case Joined() | Departed():
                self.greet(message)
            case _WriteDue():
                self._write_is_due = False
                self._write_behind()
            case _SweepDue():
                self._sweep()
                self.mailbox.after(SWEEP, message)
            case _:
                logger.warning("unknown message {!r}", message)
        return None

    # -- changes ------------------------------------------------------------------------------

    def _change(self, message: sessions.Put | sessions.Touch | sessions.Delete) -> Any:
        delivery = self.delivery
        origin = origin_of(delivery, self.STREAM)
        if origin is not None and delivery.skip:
            return self._force(recall(origin), _Forced(delivery, message.id, None, None))
        try:
            before = self._live(_checked_id(message.id))
            after, answer = self._decide(message, before)
        except HoldfastError as error:
            if origin is None:
                raise
            return self._force(refuse(origin, error), _Forced(delivery, message.id, None, None))
        self._remember(message.id, after)
        forced = isinstance(message, sessions.Delete) or (
            isinstance(message, sessions.Put) and message.durability == "committed"
        )
        if not (forced or origin is not None):
            self._write_later(message.id, after)
            return answer
        self._unwritten.supersede(message.id)
        kept = "" if isinstance(answer, sessions.SessionIs) else _encode(answer)
        put, delete = ([after], []) if after is not None else ([], [message.id])
        store = StoreSessions(origin, put, delete, [], kept)
        return self._force(store, _Forced(delivery, message.id, before, after))

    def _decide(
        self, message: sessions.Put | sessions.Touch | sessions.Delete, before: Session | None
    ) -> tuple[Session | None, sessions.Reply]:
        """What the session becomes, and the answer.  Raises Conflict, InvalidInputError."""
        match message:
            case sessions.Delete():
                return None, sessions.Deleted(before is not None)
            case sessions.Touch():
                if before is None:
                    return None, sessions.SessionIs(None)
                touched = self._dated(before)
                return touched, sessions.SessionIs(touched)
            case sessions.Put():
                session = self._made(message, before)
                return session, sessions.Versioned(session.version)

    def _made(self, put: sessions.Put, before: Session | None) -> Session:
        for name, value in (("ttl", put.ttl), ("max_age", put.max_age)):
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise InvalidInputError(f"{name} = {value}: expected seconds > 0")
        jsontext.decode(put.data)
        current = "" if before is None else before.version
        if put.expected_version is not None and put.expected_version != current:
            raise Conflict(
                f"session {put.id!r}", expected=put.expected_version, current=current or None
            )
        self._versions += 1
        now = self._now_us()
        session = Session(
            id=put.id,
            data=put.data,
            version=f"{self._incarnation}-{self._versions}",
            created_us=now if before is None else before.created_us,
            touched_us=now,
            expires_us=now,
            ttl=self._ttl if put.ttl is None else put.ttl,
            max_age=put.max_age,
        )
        return self._dated(session)

    def _dated(self, session: Session) -> Session:
        """The session as touched now."""
        now = self._now_us()
        end = now + round(session.ttl * 1_000_000)
        if session.max_age is not None:
            end = min(end, session.created_us + round(session.max_age * 1_000_000))
        return msgspec.structs.replace(session, touched_us=now, expires_us=end)

    # -- memory -------------------------------------------------------------------------------

    def _live(self, id: str) -> Session | None:
        """The session, from memory or from the database; None when its time is over."""
        session = self._cache.get(id)
        if session is not None:
            return session
        if id in self._unwritten:
            session = self._unwritten.get(id)
        elif self.reader is not None:
            session = self.reader.session(id)
        if session is None or session.expires_us <= self._now_us():
            return None
        self._remember(id, session)
        return session

    def _remember(self, id: str, session: Session | None) -> None:
        if session is None:
            self._cache.pop(id, None)
        else:
            self._cache[id] = session

    def _refill(self) -> None:
        if self.reader is None:
            return
        now = self._now_us()
        for session in reversed(self.reader.sessions(self._maxsize)):
            if session.expires_us > now and session.id not in self._unwritten:
                self._cache[session.id] = session

    # -- the database -------------------------------------------------------------------------

    def _force(self, store: StoreSessions | KeepAnswer, context: _Forced) -> Any:
        self._in_flight += 1
        self.writer.ask(store, context=context)
        return LATER

    def _write_later(self, id: str, session: Session | None) -> None:
        if session is not None:  # else it was a touch of nothing
            self._unwritten.add(id, session)
            self._arm()

    def _arm(self) -> None:
        if not self._write_is_due:
            self._write_is_due = True
            self.mailbox.after(WRITE_BEHIND, _WriteDue())

    def _write_behind(self) -> None:
        while self._unwritten.is_due:
            batch = self._unwritten.take()
            put = [session for session in batch.changes.values() if session is not None]
            delete = [id for id, session in batch.changes.items() if session is None]
            self._in_flight += 1
            self.writer.ask(StoreSessions(None, put, delete, batch.events), context=batch)

    def _sweep(self) -> None:
        """Delete what has ended, in memory and behind it, and tell of it once."""
        now = self._now_us()
        ended = self._cache.take_expired()
        if self.reader is not None:
            ended += self.reader.expired_sessions(now, SWEPT)
        for session in ended:
            if not self._is_over(session.id, now):
                continue
            self._unwritten.add(session.id, None, _expiry(session, now))
            self._arm()

    def _is_over(self, id: str, now: int) -> bool:
        """False when it lives on, or is being deleted already."""
        if id in self._unwritten:
            newest = self._unwritten.get(id)
            return newest is not None and newest.expires_us <= now
        return id not in self._cache

    def _answered(
        self, context: _Forced | Batch | Greeting | _CatchUp | None, outcome: Any
    ) -> None:
        match context:
            case _Forced():
                self._in_flight -= 1
                self._forced(context, outcome)
            case Batch():
                self._in_flight -= 1
                if isinstance(outcome, SessionsStored):
                    self._unwritten.written(context)
                else:
                    logger.warning("sessions cannot be written, trying again: {}", outcome)
                    self._unwritten.failed(context)
                    self._arm()
            case Greeting():
                self.greeted(context, outcome)
            case _CatchUp():
                self._refill()
            case None:
                pass

    def _forced(self, context: _Forced, outcome: Any) -> None:
        delivery = context.delivery
        if isinstance(outcome, SessionsStored):
            if outcome.answer:
                delivery.set(msgspec.json.decode(outcome.answer, type=_Kept))
            else:
                delivery.set(sessions.SessionIs(context.after))
            return
        if isinstance(outcome, AnswerKept):
            outcome = reopen_refusal(self.mailbox.name, outcome.answer)
        elif self._cache.get(context.id) is context.after:
            self._remember(context.id, context.before)  # nothing of it is stored
        delivery.set_exception((type(outcome), outcome, None))


def _encode(answer: sessions.Reply) -> str:
    return msgspec.json.encode(answer).decode()


def _checked_id(id: str) -> str:
    if not id or len(id) > MAX_ID or "\0" in id:
        raise InvalidInputError(f"id = {id[:80]!r}: expected 1 to {MAX_ID} characters without NUL")
    return id


def _expiry(session: Session, now: int) -> Event:
    """Told once: its key is the version that ended."""
    aged = session.max_age is not None and (
        session.created_us + round(session.max_age * 1_000_000) <= now
    )
    data = {"id": session.id, "version": session.version, "reason": "age" if aged else "idle"}
    return Event(
        time_us=now,
        type="session:expired",
        source="sessions",
        session=session.id,
        key=f"expired:{session.version}",
        data=jsontext.encode(data),
    )

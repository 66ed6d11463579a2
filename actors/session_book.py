"""Where each session stands: in memory, on its way to the database, in front of that, or there.

Owns the memory of the sessions actor; lost with its process is what ``Unwritten`` says, unless a
front has it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from loguru import logger

from holdfast.actors.session_cache import SessionCache, SteadyClock
from holdfast.actors.session_lifetimes import Reason, end_of, is_held, reason_of
from holdfast.actors.session_remains import Remains
from holdfast.actors.unwritten import Batch, Pending, Unwritten, utf8_size
from holdfast.errors import DamagedError, StorageError, UnreachableError
from holdfast.storage.ports import Reader
from holdfast.storage.session_ports import FrontChange, SessionFront
from holdfast.storage.session_records import Session

__all__ = ["SWEPT", "SessionBook"]

SWEPT: Final = 1_000  # sessions ended in one sweep: some 15 ms
SURPLUS: Final = 100  # of those that the limits end, with their data to measure them
WARM: Final = 1_000  # sessions read at the start; the others come when they are asked for


class SessionBook:
    """Memory, a front, the database; ``reader`` gives its reading side, once there is one.

    Until ``is_settled`` the writer may be about to commit what an earlier life of the actor sent:
    what is read is not kept, and nothing is ended.
    """

    def __init__(
        self,
        *,
        maxsize: int,
        max_bytes: int,
        reader: Callable[[], Reader | None],
        front: SessionFront,
        now_us: SteadyClock,
    ) -> None:
        self._cache = SessionCache(maxsize=maxsize, max_bytes=max_bytes, now_us=now_us)
        self._reader = reader
        self._front = front
        self._absent: set[str] = set()  # the front was asked for these, and has none of them
        self._now_us = now_us
        self.unwritten = Unwritten()
        self.remains = Remains()
        self.is_settled = False
        self.damaged = 0  # attempts to read what cannot be read
        self.hits = self.misses = 0  # of what was asked for, in memory or not

    def __len__(self) -> int:
        return len(self._cache)

    def resize(self, maxsize: int, max_bytes: int) -> None:
        """Hold so much in memory from now on."""
        self._cache.resize(maxsize, max_bytes)

    @property
    def bytes(self) -> int:
        """What the sessions in memory take, nearly."""
        return round(self._cache.currsize)

    def live(self, id: str) -> Session | None:
        """The session; None when its time is over, and then it ends here, if it has not yet."""
        session = self._cache.get(id)
        if session is not None:
            self.hits += 1
            return session
        self.misses += 1
        session = self._newest(id)
        if session is None:
            return None
        if session.expires_us > self._now_us():
            if self.is_settled:
                self._cache.keep(session)
            return session
        if self.is_settled:
            self.end(session, reason_of(session))
        return None

    def fetch(self, ids: Sequence[str]) -> None:
        """Have those that are in front in memory: many at a time cost little more than one."""
        if not (self._front.is_open and self.is_settled):
            return
        wanted = [id for id in ids if id not in self._cache and id not in self.unwritten]
        found = self._front.read(wanted)
        self._absent = set(wanted) - found.keys()
        for session in found.values():
            if session.expires_us > self._now_us():
                self._cache.keep(session)

    def committed(self, id: str) -> Session | None:
        """As the database has it, of one that is not on its way there; its time may be over."""
        session = self._cache.get(id)
        reader = self._reader()
        if session is not None or reader is None:
            return session
        try:
            return reader.session(id)
        except StorageError as error:  # what is not known is not in front either
            logger.warning("session {!r} cannot be read for what is in front: {}", id, error)
            return None

    def remember(self, id: str, session: Session | None) -> None:
        """The state of a session from now on, as far as memory goes."""
        if session is None:
            self._cache.pop(id, None)
        else:
            self._cache.keep(session)

    def end(self, session: Session, reason: Reason) -> None:
        """Delete it, and tell of it in the same transaction, with the next write."""
        self._cache.pop(session.id, None)
        told = end_of(session, reason, self._now_us())
        self.unwritten.add(session.id, Pending(None, events=[told]))

    def settle(self) -> None:
        """What an earlier life sent is committed: from here on the database is as it was left."""
        self.is_settled = True
        now = self._now_us()
        for session in reversed(self._read(lambda reader: reader.sessions(WARM))):
            if session.expires_us > now and session.id not in self.unwritten:
                self._cache.keep(session)

    def recover(self) -> bool:
        """What an earlier life left in front is on its way to the database, as if it came now.

        False when the database cannot be read; then nothing has happened.
        """
        now = self._now_us()
        try:
            reader = self._reader()
            if reader is None:
                return False
            found = list(self.remains.found(reader, self.unwritten))
        except StorageError as error:
            logger.warning("what was left in front is not compared yet: {}", error)
            return False
        self.remains = Remains()
        for left in found:
            session = left.session
            if left.before is not None:  # an end that was on its way when its actor died
                over = left.before.expires_us <= now
                self.end(left.before, reason_of(left.before) if over else "limit")
            self._cache.pop(session.id, None)
            self.unwritten.add(session.id, Pending(session, left.with_data, left.items))
            if session.expires_us > now:
                self._cache.keep(session)
            else:
                self.end(session, reason_of(session))
        return True

    def end_expired(self) -> bool:
        """End what is over, in memory and behind it; whether there is more."""
        unwritten = self.unwritten
        over = self._cache.take_expired(SWEPT)
        self._absent = {session.id for session in over}  # what is over, the database says as well
        for session in over:
            self.live(session.id)
        if len(over) == SWEPT:
            return True
        now = self._now_us()
        stored = self._read(lambda reader: reader.expired_sessions(now, SWEPT))
        # Those on their way are in the database yet.
        new = [session for session in stored if session.id not in unwritten]
        self._absent = {session.id for session in new}
        for session in new:
            try:
                self.live(session.id)
            except DamagedError as error:
                self._note_damage(error)
        return len(stored) == SWEPT and bool(new)

    def end_surplus(self, max_count: int, max_bytes: int) -> bool:
        """End the least recently used beyond the limits (0: none); whether some were.

        What is in use, or was used since the database heard of it, stays.
        """
        reader = self._reader()
        if reader is None:
            return False
        totals, now = reader.session_totals(), self._now_us()
        count = totals.count - max_count if max_count else 0
        size = totals.bytes - max_bytes if max_bytes else 0
        if count <= 0 and size <= 0:
            return False
        ended = False
        idle = self._read(lambda reader: reader.idle_sessions(SURPLUS))
        self._absent = {session.id for session in idle}
        for session in idle:
            if count <= 0 and size <= 0:
                break
            newest = self._cache.get(session.id) or self._newest(session.id)
            if newest is not None and newest.created_us == session.created_us:
                if newest.touched_us > session.touched_us or is_held(newest, now):
                    continue
                self.end(newest, "limit")
                ended = True
            count -= 1
            size -= utf8_size(session.data) + session.item_bytes
        return ended

    def take_back(self, sent: Batch, had_waited: Batch) -> None:
        """A change that was not to wait is refused: nothing of it counts."""
        orphans = self.unwritten.take_back(sent, had_waited)
        for id in sent:
            self._cache.pop(id, None)
        for item in orphans:
            try:
                session = self._newest(item.session)
            except UnreachableError:  # nobody can say whether it lives: it was not to be lost
                logger.warning("an item of session {!r} is lost with its change", item.session)
                continue
            if session is not None and session.created_us == item.created_us:
                self.unwritten.add(item.session, Pending(session, with_data=False, items=[item]))

    def _read(self, read: Callable[[Reader], list[Session]]) -> list[Session]:
        """Of many at once, without which it works on: none where rows cannot be read."""
        try:
            reader = self._reader()
            return [] if reader is None else read(reader)
        except DamagedError as error:
            self._note_damage(error)
        except UnreachableError as error:
            logger.warning("sessions are not read from the database: {}", error)
        return []

    def _note_damage(self, error: DamagedError) -> None:
        if not self.damaged:
            logger.error("there are sessions that cannot be read: {}", error)
        self.damaged += 1

    def _newest(self, id: str) -> Session | None:
        """Its state outside of memory; its time may be over."""
        if id in self.unwritten:
            return self.unwritten.get(id)
        is_in_front = self._front.is_open and self.is_settled
        if id in self._absent:  # one of many that were asked for: each would cost an exchange
            self._absent.discard(id)
            is_in_front = False
        if is_in_front and (found := self._front.read([id])):
            return found[id]
        reader = self._reader()
        stored = None if reader is None else reader.session(id)
        if reader is not None and self.remains:
            return self.remains.newest(id, stored, reader)
        if is_in_front and stored is not None and stored.expires_us > self._now_us():
            self._front.write(FrontChange(put=[stored]), self._now_us())
        return stored

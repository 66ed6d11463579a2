"""Keeps what is in front of the database in step with it, and fills it again when it was away.

Owns which changes are being committed, and how far the filling has come; lost with the process,
and begun anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

import msgspec
from loguru import logger

from holdfast.actors.session_book import SessionBook
from holdfast.actors.session_cache import SteadyClock
from holdfast.actors.session_remains import Remains
from holdfast.actors.unwritten import Batch, Pending
from holdfast.errors import DamagedError, StorageError
from holdfast.storage.ports import Reader
from holdfast.storage.session_ports import FrontChange, Left, SessionFront
from holdfast.storage.session_records import Session, SessionItem

__all__ = ["FillDue", "SessionFronting"]

FILLED: Final = 100  # sessions written in one step of the filling: some 5 ms
FULL: Final = 1024 * 1024  # characters of data in one exchange, which has to end in time
PAUSE: Final = 0.005  # seconds between two steps: others are heard
RETRY: Final = 1.0  # seconds after the database could not be read


class FillDue(msgspec.Struct, frozen=True):
    """Go on with the filling; of the one that was begun as the ``number``th."""

    number: int


class SessionFronting:
    """``after`` delivers a message in so many seconds."""

    def __init__(
        self,
        *,
        front: SessionFront,
        book: SessionBook,
        reader: Callable[[], Reader | None],
        after: Callable[[float, object], object],
        now_us: SteadyClock,
    ) -> None:
        self._front = front
        self._book = book
        self._unwritten = book.unwritten
        self._reader = reader
        self._after = after
        self._now_us = now_us
        self._committing: Counter[str] = Counter()  # ids of changes whose senders wait for COMMIT
        self._has_looked = False  # what earlier lives left is known
        self._left = Left()  # ... until it is dealt with
        self._has_begun = False  # the filling, since it was opened
        self._fillings = 0  # begun
        self._next: str | None = None  # the filling goes on behind this id; None: it does not
        self.recovered = 0  # sessions of earlier lives that the database did not have

    def is_needed(self, ids: Iterable[str]) -> bool:
        """Whether changes that may wait have to be committed all the same.

        In front goes only what stands by itself: one on top of a change that may yet be refused
        would carry that along.
        """
        return self._front.is_open and any(id in self._committing for id in ids)

    # -- changes ------------------------------------------------------------------------------

    def waits(self, changes: Batch) -> None:
        """Changes that wait for the database are in front before they are acknowledged."""
        change = FrontChange()
        for id, pending in changes.items() if self._front.is_open else ():
            _owe(change, id, pending)
        self._write(change)

    def sends(self, changes: Batch) -> None:
        """Changes whose senders wait are on their way."""
        self._committing.update(changes.keys())

    def committed(self, sent: Batch) -> None:
        """They are in the database."""
        self._done(sent)
        change = FrontChange()
        for id, pending in sent.items():
            change.paid_items.extend(pending.items)
            if id not in self._committing:
                self._add(change, id, with_data=pending.with_data)
            elif pending.session is not None:  # the next one settles what is owed
                (change.put if pending.with_data else change.use).append(pending.session)
        self._write(change)

    def refused(self, sent: Batch) -> None:
        """They are not, and will not be."""
        self._done(sent)
        change = FrontChange()
        for id in sent:
            if id not in self._committing:
                self._add(change, id, with_data=False)
        self._write(change)

    def written(self, batch: Batch) -> None:
        """What had waited is in the database; in front it has been all along."""
        change = FrontChange()
        for id, pending in batch.items():
            change.paid_items.extend(pending.items)
            if id in self._unwritten or id in self._committing:
                continue
            change.paid.append(id)
            if pending.session is None:
                change.drop.append(id)
        self._write(change)

    def _done(self, sent: Batch) -> None:
        self._committing.subtract(sent.keys())
        for id in sent:
            if self._committing[id] <= 0:
                del self._committing[id]

    def _add(self, change: FrontChange, id: str, *, with_data: bool) -> None:
        """The session as it is now."""
        if id in self._unwritten:
            session = self._unwritten.get(id)
            if session is not None:  # else its end is on its way
                change.put.append(session)
                change.owed.append(id)
                change.owed_items.extend(self._unwritten.items_of(id))
            return
        session = self._book.committed(id)
        change.paid.append(id)
        if session is None:
            change.drop.append(id)
        else:
            (change.put if with_data else change.use).append(session)

    def _write(self, change: FrontChange) -> None:
        """With the data where it is not there yet."""
        if not self._front.is_open or change == FrontChange():
            return
        lacking = self._front.write(change, self._now_us())
        if lacking and self._front.is_open:
            given = {session.id: session for session in change.use}
            whole = FrontChange()
            size = 0
            for id in lacking:
                session = self._whole(given[id])
                if session is not None:
                    whole.put.append(session)
                    size += len(session.data)
                if size > FULL:
                    self._front.write(whole, self._now_us())
                    whole, size = FrontChange(), 0
            self._front.write(whole, self._now_us())

    def _whole(self, session: Session) -> Session | None:
        """With its data, which an outline has not."""
        if session.data:
            return session
        if session.id in self._unwritten:
            return None  # it changed meanwhile, and was written then
        return self._book.committed(session.id)

    # -- coming and going ---------------------------------------------------------------------

    def start(self) -> None:
        """Before anything is read: what an earlier life left is to be known."""
        self._open()

    def settle(self) -> None:
        """Nothing of an earlier life is on its way any more."""
        self._go_on()

    def tick(self) -> None:
        """Look whether it is there; if it is not, try to reach it."""
        if self._front.is_open:
            self._front.look()
        else:
            self._open()
        self._go_on()

    def _open(self) -> None:
        if not self._front.open():
            return
        self._has_begun = False
        if not self._has_looked:
            self._left = self._front.left()
            self._has_looked = self._front.is_open
            self._book.remains = Remains(self._left)

    def _go_on(self) -> None:
        """What was left first: what is not needed of it is deleted after that."""
        if self._has_looked and self._recover() and self._front.is_open and not self._has_begun:
            self._has_begun = True
            self._begin()

    def _recover(self) -> bool:
        """Once in a life."""
        if self._left == Left():
            return True
        before = len(self._unwritten)
        if not self._book.recover():
            return False
        self._left = Left()
        self.recovered += len(self._unwritten) - before
        logger.info("{} sessions that an earlier life had not written", self.recovered)
        return True

    def _begin(self) -> None:
        """Write everything that lives, first what only this process has."""
        change, size = FrontChange(), 0
        for id in {id for id, _ in self._unwritten.all()} - self._committing.keys():
            pending = Pending(self._unwritten.get(id), items=self._unwritten.items_of(id))
            _owe(change, id, pending)
            size += pending.size
            if size > FULL:
                self._write(change)
                change, size = FrontChange(), 0
        self._write(change)
        self._pay(self._front.left())
        self._fillings += 1
        self._next = ""
        self._after(PAUSE, FillDue(self._fillings))

    def _pay(self, left: Left) -> None:
        """What is called owed there and is not."""
        here = {_name_of(item) for _, each in self._unwritten.all() for item in each.items}
        paid = [id for id in left.ids if id not in self._unwritten]
        paid_items = [item for item in left.items if _name_of(item) not in here]
        self._write(FrontChange(paid=paid, paid_items=paid_items))

    def fill(self, due: FillDue) -> None:
        """A step of it.  When all is there, what does not belong there is removed."""
        if due.number != self._fillings or not self._front.is_open:
            return
        if self._next is None:
            if self._front.tidy():
                self._after(PAUSE, due)
            return
        try:
            self._next = self._fill_some(self._next)
        except DamagedError as error:
            logger.error("not all sessions are in front, some cannot be read: {}", error)
            self._next = None
        except StorageError as error:
            logger.warning("sessions cannot be read, trying again: {}", error)
            self._after(RETRY, due)
            return
        if self._next is None and self._front.is_open:
            self._front.filled()
        self._after(PAUSE, due)

    def _fill_some(self, after: str) -> str | None:
        """Behind that id; where to go on."""
        reader = self._reader()
        if reader is None:
            return None
        page = reader.list_sessions(self._now_us(), after, "", None, FILLED)
        use = [s for s in page if s.id not in self._committing and s.id not in self._unwritten]
        self._write(FrontChange(use=use))
        return page[-1].id if len(page) == FILLED else None


def _owe(change: FrontChange, id: str, pending: Pending) -> None:
    """As it stands, not in the database yet; an end leaves with the row."""
    if pending.session is not None:
        (change.put if pending.with_data else change.use).append(pending.session)
        change.owed.append(id)
        change.owed_items.extend(pending.items)


def _name_of(item: SessionItem) -> tuple[str, int, int]:
    return item.session, item.created_us, item.number

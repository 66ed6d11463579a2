"""Changes of sessions on their way to the writer: at once, or behind; each carried out once.

Owns what is known of the writes under way.  The answers come back as ``Answered`` messages whose
contexts are below.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec
from loguru import logger

from holdfast.actors.answers import reopen_refusal
from holdfast.actors.delivery import LATER, Delivery, Later
from holdfast.actors.mailbox import Mailbox
from holdfast.actors.mailbox_link import Answered
from holdfast.actors.messages import sessions
from holdfast.actors.session_book import SessionBook
from holdfast.actors.session_front import SessionFronting
from holdfast.actors.unwritten import Batch, Pending, store_of
from holdfast.storage.records import AnswerKept, KeepAnswer, Origin
from holdfast.storage.session_records import Session, SessionsStored, StoreSessions

__all__ = ["Forced", "SessionWriting", "WriteDue", "Written"]

# Seconds that a stop waits: to know what is committed, and for the last changes to be written.
SETTLE, DRAIN = 1.0, 3.0
WRITE_BEHIND: Final = 1.0  # seconds until an unforced change is on its way to the database

_reopened: Final = msgspec.json.Decoder(sessions.Reply).decode  # an answer that was kept


class Forced(msgspec.Struct, frozen=True):
    """A change whose sender waits for COMMIT, and what of it had waited before."""

    delivery: Delivery
    answer: Any = None
    sent: Batch = {}
    had_waited: Batch = {}


class Written(msgspec.Struct, frozen=True):
    """A batch that was written behind."""

    batch: Batch


class WriteDue(msgspec.Struct, frozen=True):
    """Unforced changes have waited long enough."""


class SessionWriting:
    """Through the actor's link to the writer.  ``made`` hears of each session that was put."""

    def __init__(
        self,
        *,
        mailbox: Mailbox,
        book: SessionBook,
        front: SessionFronting,
        made: Callable[[Session], None],
    ) -> None:
        self._mailbox = mailbox
        self._book = book
        self._front = front
        self._unwritten = book.unwritten
        self._made = made
        self._in_flight = 0  # writes without an answer
        self._is_due = False  # a timer runs
        self._is_failing = False  # the last batch was not stored

    @property
    def is_done(self) -> bool:
        """Everything is written."""
        return not (self._in_flight or len(self._unwritten))

    def later(self, changes: Batch) -> None:
        """Changes whose senders do not wait."""
        for id, pending in changes.items():
            self._unwritten.add(id, pending)
            self._tell_of(pending)
        self._front.waits(changes)
        self._arm()

    def force(
        self, delivery: Delivery, origin: Origin | None, changes: Batch, answer: sessions.Reply
    ) -> Later:
        """Changes at once; the answer follows COMMIT."""
        if self._unwritten.is_large:  # one frame has to hold it all
            self.write_behind()
        sent, had_waited = self._unwritten.overtake(changes)
        self._front.sends(sent)
        kept = "" if origin is None else msgspec.json.encode(answer).decode()
        store = store_of(sent, origin, kept)
        return self.write(store, Forced(delivery, answer, sent, had_waited))

    def write(self, store: StoreSessions | KeepAnswer, context: Forced | Written) -> Later:
        """By the sender's number, or as a command of this actor's own: once, and in order."""
        self._in_flight += 1
        link = self._mailbox.link("writer")
        if store.origin is None:
            link.command(store, context=context)
        else:
            link.ask(store, context=context)
        return LATER

    def tell_ends(self) -> None:
        """Ends do not wait as other changes may, unless the disk has no room for them."""
        if self._unwritten.has_ends and not self._is_failing:
            self.write_behind()

    def due(self) -> None:
        """The time is over that changes may wait."""
        self._is_due = False
        self.write_behind()

    def write_behind(self) -> None:
        """Send all that waits."""
        while self._unwritten.is_due:
            batch = self._unwritten.take()
            self.write(store_of(batch), Written(batch))

    def finish(self, handle: Callable[[Any], Any]) -> None:
        """The last act: what an earlier life left is taken over, and all is written.

        ``handle`` gets the writer's answers.
        """
        drain = partial(self._mailbox.drain, handle=handle, wanted=Answered)
        drain(lambda: self._book.is_settled, timeout=SETTLE)
        self.write_behind()
        if not drain(lambda: self.is_done, timeout=DRAIN):
            left = len(self._unwritten)
            logger.warning("{} sessions were not written before the stop", left)

    def written(self, context: Forced | Written, outcome: Any) -> None:
        """What became of a write."""
        self._in_flight -= 1
        if isinstance(context, Forced):
            self._forced(context, outcome)
            return
        self._is_failing = not isinstance(outcome, SessionsStored)
        if not self._is_failing:
            self._unwritten.written(context.batch)
            self._front.written(context.batch)
            return
        logger.warning("sessions cannot be written, trying again: {}", outcome)
        self._unwritten.failed(context.batch)
        self._arm()

    def _forced(self, context: Forced, outcome: Any) -> None:
        delivery = context.delivery
        if isinstance(outcome, SessionsStored):
            self._unwritten.written(context.sent)
            self._front.committed(context.sent)
            for pending in context.sent.values():
                self._tell_of(pending)
            delivery.set(_reopened(outcome.answer) if outcome.answer else context.answer)
            return
        if isinstance(outcome, AnswerKept):
            outcome = reopen_refusal(self._mailbox.name, outcome.answer)
        if context.sent:
            self._book.take_back(context.sent, context.had_waited)
            self._front.refused(context.sent)
            self._arm()
        delivery.set_exception((type(outcome), outcome, None))

    def _arm(self) -> None:
        if self._unwritten.is_large and not self._is_failing:
            self.write_behind()
        elif self._unwritten.is_due and not self._is_due:
            self._is_due = True
            self._mailbox.after(WRITE_BEHIND, WriteDue())

    def _tell_of(self, pending: Pending) -> None:
        if pending.session is not None and pending.with_data:
            self._made(pending.session)

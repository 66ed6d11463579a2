"""What a state actor tells the world by itself: one event each, through the log.

An event waits in the actor's outbox until it is committed, and is lost with its process; beyond
``OUTBOX`` of them they are only counted, and the next one says how many.
"""

from __future__ import annotations

from typing import Final

import msgspec

from holdfast.actors.mailbox import Mailbox
from holdfast.actors.messages.log import Emit
from holdfast.storage import jsontext
from holdfast.storage.records import Event

__all__ = ["Notices"]

OUTBOX: Final = 1_000  # events that wait for the log

_encode: Final = msgspec.msgpack.Encoder().encode


class Notices:
    """The events of one actor; the connection to the log is made with the first."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._dropped = 0  # since the last that was sent

    def emit(
        self,
        type: str,
        data: dict[str, object],
        *,
        subject: str | None = None,
        session: str | None = None,
    ) -> None:
        """Tell of something once."""
        link = self._mailbox.link("log")
        if link.link.queued >= OUTBOX:
            self._dropped += 1
            return
        if self._dropped:
            data = data | {"notices_dropped_before": self._dropped}
            self._dropped = 0
        event = Event(
            time_us=self._mailbox.time_us(),
            type=type,
            source=self._mailbox.name,
            subject=subject,
            session=session,
            data=jsontext.encode(data),
        )
        link.tell(Emit(msgspec.Raw(_encode([event]))))

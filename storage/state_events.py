"""The change feed: one event for every change, stored in the transaction that makes it.

Types are ``state:entity:created|updated|deleted``, ``state:relationship:created|updated|deleted``
and ``state:queue:pushed|popped|expired|deleted``; the source is ``state``, the subject the id of
the entity (of a relationship: the one it starts from; of a queue: its namespace).
"""

from __future__ import annotations

from typing import Final

import msgspec

from holdfast.storage.records import RawEvent

__all__ = ["SOURCE", "StateEvents", "json_text"]

SOURCE: Final = "state"

_encode: Final = msgspec.json.Encoder().encode


def json_text(text: str) -> msgspec.Raw:
    """JSON text as a value in the data of an event."""
    return msgspec.Raw(text.encode())


class StateEvents:
    """The events of one command, and the time of its changes; the first one's number will be
    ``first_seq``."""

    def __init__(self, now_us: int, *, first_seq: int) -> None:
        self.now_us: Final = now_us
        self._first_seq = first_seq
        self.events: list[RawEvent] = []

    @property
    def next_seq(self) -> int:
        """The number of the next event: an identity that is never given twice."""
        return self._first_seq + len(self.events)

    def tell(self, type: str, subject: str, data: dict[str, object]) -> None:
        """One more."""
        text = _encode(data).decode()
        self.events.append(
            (self.now_us, type, SOURCE, subject, None, None, None, None, 0, None, text)
        )

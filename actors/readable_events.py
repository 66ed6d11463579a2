"""An event as programs read it: data decoded, with an id and a cursor."""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.errors import InvalidInputError
from holdfast.storage.cursors import Cursor
from holdfast.storage.payloads import Payload

__all__ = ["Event"]


class Event(msgspec.Struct, frozen=True):
    """A committed event; ``data`` is decoded.  ``seq`` is 0 while it is in memory only.

    ``epoch`` is that of the database when it was read, 0 for unknown; it makes no difference
    between two events.  ``payload`` says what the data is that is stored apart because it is
    large; ``data`` holds it all the same, or None where it was asked not to, or where retention
    deleted the event since it was found.
    """

    seq: int
    daemon: str
    time_us: int
    type: str
    source: str
    subject: str | None
    session: str | None
    correlation: str | None
    cause: str | None
    root: str | None
    depth: int
    key: str | None
    data: Any
    epoch: int = 0
    payload: Payload | None = None

    @property
    def id(self) -> str:
        """What an effect names as its ``cause``: the key, or ``daemon/seq`` where there is none.

        Raises InvalidInputError for an event that has neither yet.
        """
        if self.key is not None:
            return self.key
        if not self.seq:
            raise InvalidInputError(
                f"event {self.type!r}: it has no key and is not committed, so nothing names it yet"
            )
        return f"{self.daemon}/{self.seq}"

    @property
    def cursor(self) -> str:
        """The position behind it, for ``after=``.  Raises InvalidInputError, as ``id``."""
        if not self.seq:
            raise InvalidInputError(f"event {self.type!r}: not committed, so it has no cursor yet")
        return str(Cursor(self.epoch, self.seq))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Event):
            return NotImplemented
        return _compared(self) == _compared(other)

    def __hash__(self) -> int:
        return hash((self.daemon, self.seq, self.time_us))


def _compared(event: Event) -> tuple[Any, ...]:
    *fields, _epoch, payload = msgspec.structs.astuple(event)
    return (*fields, payload)

"""Events as programs read them: data decoded, with an id and a cursor.  Nothing is kept here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from holdfast.actors.messages import log
from holdfast.errors import InvalidInputError
from holdfast.storage import jsontext
from holdfast.storage.cursors import Cursor
from holdfast.storage.records import RawEvent, StoredEvent

__all__ = ["Event", "fetched", "readable"]

_decode: Final[Callable[[msgspec.Raw], list[RawEvent]]] = msgspec.msgpack.Decoder(
    list[RawEvent]
).decode


class Event(msgspec.Struct, frozen=True):
    """A committed event; ``data`` is decoded.  ``seq`` is 0 while it is in memory only.

    ``epoch`` is that of the database when it was read, 0 for unknown; it makes no difference
    between two events.
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
        return msgspec.structs.astuple(self)[:-1] == msgspec.structs.astuple(other)[:-1]

    def __hash__(self) -> int:
        return hash((self.daemon, self.seq, self.time_us))


def readable(event: StoredEvent, epoch: int = 0) -> Event:
    """As a program sees it."""
    fields: list[Any] = [*msgspec.structs.astuple(event), epoch]
    fields[-2] = jsontext.decode(event.data)
    return Event(*fields)


def fetched(reply: log.Fetched) -> list[Event]:
    """The events of an answer."""
    return [
        Event(seq, reply.daemon, *raw[:-1], jsontext.decode(raw[-1]), reply.epoch)
        for seq, raw in zip(reply.seqs, _decode(reply.events), strict=True)
    ]

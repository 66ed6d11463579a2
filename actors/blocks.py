"""Events in a row, kept encoded until somebody asks for one of them.

The log passes most events on and never looks at them: encoded they take their own bytes and no
time.  A plain value; whoever owns it says what is lost with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from holdfast.actors.wire import array_length, decode_bodies
from holdfast.storage.records import RawEvent

__all__ = ["Block"]

FEW: Final = 8  # up to one event in so many is decoded by itself, which takes twice as long each

# What a filter looks at: time_us, type, source, session.
Mentioned = tuple[int, str, str, str | None]

_decode: Final[Callable[[bytes | msgspec.Raw], list[RawEvent]]] = msgspec.msgpack.Decoder(
    list[RawEvent]
).decode
_decode_one: Final[Callable[[msgspec.Raw], RawEvent]] = msgspec.msgpack.Decoder(RawEvent).decode
_encode: Final = msgspec.msgpack.Encoder().encode


class Block:
    """``count`` events as a msgpack array, as their sender encoded it."""

    __slots__ = ("_mentions", "count", "raw")

    def __init__(self, raw: bytes | msgspec.Raw) -> None:
        """Raises FrameError when ``raw`` is no array; what is in it is not looked at."""
        self.raw = raw
        self.count = array_length(memoryview(raw))
        self._mentions: list[Mentioned] | None = None

    @property
    def size(self) -> int:
        """Bytes."""
        return len(memoryview(self.raw))

    @classmethod
    def of(cls, events: Sequence[RawEvent]) -> Block:
        """The block that holds ``events``."""
        return cls(_encode(events))

    def events(self) -> list[RawEvent]:
        """All of them, decoded; not kept.  Raises msgspec's errors when there are none in it."""
        return _decode(self.raw)

    def some(self, indexes: Sequence[int]) -> list[RawEvent]:
        """Those at the indexes, decoded."""
        if len(indexes) * FEW > self.count:
            events = self.events()
            return [events[index] for index in indexes]
        bodies = decode_bodies(self.raw)
        return [_decode_one(bodies[index]) for index in indexes]

    def bodies(self) -> list[msgspec.Raw]:
        """Each of them by itself, still encoded; not kept."""
        return decode_bodies(self.raw)

    def mentions(self) -> list[Mentioned]:
        """What a filter looks at, of each event; kept, at some 100 bytes an event."""
        if self._mentions is None:
            # Names repeat: one copy of each, not one for every event.
            one: dict[str, str] = {}
            same = one.setdefault
            self._mentions = [
                (
                    event[0],
                    same(event[1], event[1]),
                    same(event[2], event[2]),
                    None if event[4] is None else same(event[4], event[4]),
                )
                for event in self.events()
            ]
        return self._mentions

    def without(self, indexes: set[int]) -> Block:
        """The events but for those; this block when there are none of those in it."""
        if not indexes:
            return self
        return Block.of([event for at, event in enumerate(self.events()) if at not in indexes])

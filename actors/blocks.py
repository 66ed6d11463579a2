"""Events in a row, kept encoded until somebody asks for one of them.

The log passes most events on and never looks at them: encoded they take their own bytes and no
time.  A plain value; whoever owns it says what is lost with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeVar, cast

import msgspec

from holdfast.actors.wire import array_length, decode_bodies
from holdfast.storage.filters import Mentioned
from holdfast.storage.records import Appended, RawEvent, Row

__all__ = ["Block"]

_T = TypeVar("_T")

FEW: Final = 8  # up to one event in so many is decoded by itself, which takes twice as long each

# One for all blocks: large data is rare.
_NO_PAYLOADS: Final[Mapping[int, str]] = MappingProxyType({})

_decode: Final[Callable[[bytes | msgspec.Raw], list[RawEvent]]] = msgspec.msgpack.Decoder(
    list[RawEvent]
).decode
_decode_one: Final[Callable[[msgspec.Raw], RawEvent]] = msgspec.msgpack.Decoder(RawEvent).decode
_encode: Final = msgspec.msgpack.Encoder().encode


class Block:
    """``count`` events as a msgpack array, as their sender encoded it."""

    __slots__ = ("_mentions", "count", "payloads", "raw")

    def __init__(
        self, raw: bytes | msgspec.Raw, payloads: Mapping[int, str] = _NO_PAYLOADS
    ) -> None:
        """Raises FrameError when ``raw`` is no array; what is in it is not looked at.

        ``payloads``: by index, where the data is of those events whose data is not here.
        """
        self.raw = raw
        self.payloads = payloads
        self.count = array_length(memoryview(raw))
        self._mentions: list[Mentioned] | None = None

    @property
    def size(self) -> int:
        """Bytes."""
        return len(memoryview(self.raw))

    @classmethod
    def of(cls, events: Sequence[RawEvent], payloads: Mapping[int, str] = _NO_PAYLOADS) -> Block:
        """The block that holds ``events``."""
        return cls(_encode(events), payloads)

    @classmethod
    def of_rows(cls, rows: Sequence[Row]) -> Block:
        """The block that holds the events of ``rows``."""
        payloads = {index: ref for index, row in enumerate(rows) if (ref := row[13]) is not None}
        return cls.of([row[2:13] for row in rows], payloads)

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
        """What a filter looks at, of each event; kept, at some 120 bytes an event."""
        if self._mentions is None:
            # Names repeat: one copy of each, not one for every event.
            one: dict[str | None, str | None] = {}
            same = cast(Callable[[_T, _T], _T], one.setdefault)
            self._mentions = [
                (
                    event[0],
                    same(event[1], event[1]),
                    same(event[2], event[2]),
                    same(event[3], event[3]),
                    same(event[4], event[4]),
                    same(event[5], event[5]),
                )
                for event in self.events()
            ]
        return self._mentions

    def without(self, indexes: set[int]) -> Block:
        """The events but for those; this block when there are none of those in it."""
        if not indexes:
            return self
        left = [at for at in range(self.count) if at not in indexes]
        refs = {new: ref for new, at in enumerate(left) if (ref := self.payloads.get(at))}
        events = self.events()
        return Block.of([events[at] for at in left], refs)

    def as_stored(self, outcome: Appended) -> Block:
        """Those of the events that this commit stored, large data left out as in the database."""
        left_out = {index for index, _ in (*outcome.repeated, *outcome.refused)}
        left_out.update(range(outcome.skipped))
        if not outcome.payloads:
            return self.without(left_out)
        refs = dict(outcome.payloads)
        events = [
            (*event[:-1], "null") if at in refs else event for at, event in enumerate(self.events())
        ]
        return Block.of(events, refs).without(left_out)

"""Turns what ``emit`` is given into the bytes that travel, a ``storage.records.Event``.

Kept: where own events stand below which root, for the newest 10,000 that have a key; and the
encoded names of events, since nearly every event has those of another.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from typing import Final

import msgspec

from holdfast.actors.readable_events import Event
from holdfast.clock import Clock
from holdfast.errors import InvalidInputError
from holdfast.storage import jsontext

__all__ = ["EventEncoder"]

MAX_NAME: Final = 1024  # characters of a type, source, session, key ...
MAX_EVENT: Final = 1024 * 1024  # bytes of one event
CAUSES: Final = 10_000  # own events remembered by key, so that effects know root and depth
NAMES: Final = 1_000  # combinations of names remembered; all are forgotten when there are more

_FIELDS: Final = ("type", "source", "subject", "session", "correlation", "cause", "key")

# An event is put together by hand: as a tuple, its names and its text would be encoded anew each
# time, at twice the cost.  In msgpack: an array of 11, int64; text of up to 2^16 and 2^32 bytes.
_HEAD: Final = struct.Struct(">BBq")
_TEXT16: Final = struct.Struct(">BH")
_TEXT32: Final = struct.Struct(">BI")
_encode = msgspec.msgpack.Encoder().encode
_NO_CAUSE_NO_KEY: Final = _encode((None, None, 0, None))[1:]


# Root, depth, and correlation of an event that may be a cause.
_Place = tuple[str, int, str | None]


class EventEncoder:
    """One for each hub; its ``source`` is that of the events that name none."""

    def __init__(self, *, source: str, clock: Clock) -> None:
        self._source = source
        self._time_us = clock.time_us
        # By key, oldest first.  A cachetools LRUCache takes five times as long to put.
        self._causes: OrderedDict[str, _Place] = OrderedDict()
        self._names: dict[tuple[str | None, ...], bytes] = {}

    def encode(
        self,
        type: str,
        data: object,
        session: str | None,
        source: str | None,
        subject: str | None,
        correlation: str | None,
        cause: str | Event | None,
        key: str | None,
        time_us: int | None,
    ) -> bytes:
        """The fields of an Event as the log and the writer pass them on.

        Raises InvalidInputError.
        """
        text = jsontext.encode_utf8(data)
        if cause is None and key is None:
            rest = _NO_CAUSE_NO_KEY
        else:
            rest, inherited = self._encoded_place(type, cause, key)
            correlation = inherited if correlation is None else correlation
        try:
            names = self._names.get((type, source, subject, session, correlation))
        except TypeError:  # not hashable, so no text either
            names = None
        if names is None:
            names = self._encoded_names(type, source, subject, session, correlation)
        if time_us is None:
            time_us = self._time_us()
        size = len(text)
        head = _TEXT16.pack(0xDA, size) if size < 65_536 else _TEXT32.pack(0xDB, size)
        try:
            began = _HEAD.pack(0x9B, 0xD3, time_us)
        except struct.error:
            raise InvalidInputError(
                f"event {type!r}: time_us = {time_us!r}: expected microseconds as a whole number"
            ) from None
        raw = b"".join((began, names, rest, head, text))
        if len(raw) > MAX_EVENT:
            raise InvalidInputError(
                f"event {type!r}: data is {size} bytes of JSON, at most {MAX_EVENT} are "
                "accepted: store it elsewhere and refer to it"
            )
        return raw

    def remember(self, key: str, cause: str | Event | None, correlation: str | None) -> None:
        """The event ``key`` is on its way: its effects will know where they stand."""
        if cause is None:
            place: _Place = (key, 0, correlation)
        else:
            root, depth, inherited = self._place_below(cause)
            place = (root, depth, inherited if correlation is None else correlation)
        causes = self._causes
        causes[key] = place
        if len(causes) > CAUSES:
            causes.popitem(last=False)

    def _encoded_names(self, type: str, source: str | None, *names: str | None) -> bytes:
        own = self._source if source is None else source
        _check(type, own, *names)
        encoded = _encoded(type, (type, own, *names))
        if len(self._names) >= NAMES:
            self._names.clear()
        self._names[type, source, *names] = encoded
        return encoded

    def _encoded_place(
        self, type: str, cause: str | Event | None, key: str | None
    ) -> tuple[bytes, str | None]:
        """The fields from cause to key; the correlation that comes from the cause."""
        name = cause.id if isinstance(cause, Event) else cause
        _check("-", "-", None, None, None, name, key)
        if cause is None:
            return _encoded(type, (None, None, 0, key)), None
        root, depth, correlation = self._place_below(cause)
        return _encoded(type, (name, root, depth, key)), correlation

    def _place_below(self, cause: str | Event) -> _Place:
        """Where an effect stands: one below its cause.

        Of a cause that is only named, and was not emitted here, no more is known than its name.
        """
        if isinstance(cause, Event):
            root = cause.id if cause.root is None else cause.root
            return root, cause.depth + 1, cause.correlation
        root, depth, correlation = self._causes.get(cause, (cause, 0, None))
        return root, depth + 1, correlation


def _encoded(type: str, values: tuple[str | int | None, ...]) -> bytes:
    """The values without the head of the array, which is one byte for up to 15 of them.

    A subclass of text is the text it is: msgspec refuses it, but the names remembered of an equal
    text would be found for it.
    """
    plain = [str.__str__(value) if isinstance(value, str) else value for value in values]
    try:
        return _encode(plain)[1:]
    except UnicodeEncodeError as error:
        raise InvalidInputError(f"event {type!r}: {error}: names are Unicode text") from error


def _check(*names: str | None) -> None:
    """Type and source, then the optional ones, in the order of the fields of an event."""
    for value in names:  # without their fields: nearly always nothing is wrong
        if value is not None and (
            not isinstance(value, str) or not 0 < len(value) <= MAX_NAME or "\0" in value
        ):
            field = _FIELDS[next(index for index, name in enumerate(names) if name is value)]
            shown = repr(value) if len(repr(value)) < 80 else repr(value)[:80] + "..."
            raise InvalidInputError(
                f"{field} = {shown}: expected text of 1 to {MAX_NAME} characters without NUL"
            )
    if names[0] is None or names[1] is None:
        raise InvalidInputError("type = None: expected text like 'tool:call'")

"""Streams of events with versions: what appends to one, the outcome, and what is read of it.

An event of a stream is an event like others, with the stream's name as its ``subject``; its
version counts from 1 in its stream without a gap, whatever retention has deleted since.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from holdfast.storage.records import Origin, RawEvent, StoredEvent

__all__ = ["AppendStream", "StreamAppended", "StreamPart"]


class AppendStream(msgspec.Struct, frozen=True, array_like=True, tag="append_stream"):
    """Store all the events as the next ones of a stream, or none.  Outcome: StreamAppended.

    ``expected`` is the version of the stream before, 0 for a stream that is not there yet; None
    takes any.  Another one is a Conflict.
    """

    origin: Origin | None
    stream: str
    expected: int | None
    events: Sequence[RawEvent]


class StreamAppended(msgspec.Struct, frozen=True, array_like=True, tag="stream_appended"):
    """The last of the events has this ``version``, the first this ``first_seq``."""

    version: int
    first_seq: int
    stored: int


class StreamPart(msgspec.Struct, frozen=True, array_like=True):
    """Events of a stream that has this ``version``, each with its own."""

    version: int
    events: list[tuple[int, StoredEvent]]

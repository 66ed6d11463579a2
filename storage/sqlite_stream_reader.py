"""Streams, reading side."""

from __future__ import annotations

from typing import Final, cast

from holdfast.storage.records import Row, StoredEvent
from holdfast.storage.sqlite_reading import Reading, check_limit
from holdfast.storage.stream_records import StreamPart

__all__ = ["StreamReading"]

_EVENTS: Final = """
SELECT version, events.seq, daemon, time_us, type, source, subject, session, correlation, cause,
       root, depth, key, data, payload
FROM stream_events JOIN events ON events.seq = stream_events.seq
WHERE stream = ? AND version > ? ORDER BY version LIMIT ?
"""


class StreamReading(Reading):
    """Implements ``holdfast.storage.reader_ports.StreamReader``."""

    def stream(self, name: str, after_version: int, limit: int) -> StreamPart:
        """The stream's version, and its events behind ``after_version`` that are still there."""
        check_limit(limit)
        # The version last: what was appended in between is no more than it says.
        rows = cast("list[tuple[int, *Row]]", self._read(_EVENTS, (name, after_version, limit)))
        events = [(row[0], StoredEvent(*row[1:])) for row in rows]
        sql = "SELECT coalesce(max(version), 0) FROM streams WHERE name = ?"
        return StreamPart(self._number(sql, (name,)), events)

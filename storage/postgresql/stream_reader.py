"""Streams, reading side."""

from __future__ import annotations

from typing import Final

from holdfast.storage.postgresql.reading import Reading, check_limit
from holdfast.storage.records import StoredEvent
from holdfast.storage.stream_records import StreamPart

__all__ = ["StreamReading"]

_EVENTS: Final = """
SELECT s.version, e.seq, e.daemon, time_us, type, source, subject, session, correlation, cause,
       root, depth, key, data, payload
FROM stream_events AS s JOIN events AS e ON e.daemon = s.daemon AND e.seq = s.seq
WHERE s.daemon = %s AND s.stream = %s AND s.version > %s ORDER BY s.version LIMIT %s
"""
_VERSION: Final = "SELECT coalesce(max(version), 0) FROM streams WHERE daemon = %s AND name = %s"


class StreamReading(Reading):
    """Implements ``holdfast.storage.reader_ports.StreamReader``."""

    def stream(self, name: str, after_version: int, limit: int) -> StreamPart:
        """The stream's version, and its events behind ``after_version`` that are still there."""
        check_limit(limit)
        # The version last: what was appended in between is no more than it says.
        rows = self._read(_EVENTS, (self._daemon, name, after_version, limit))
        events = [(row[0], StoredEvent(*row[1:])) for row in rows]
        return StreamPart(self._number(_VERSION, (self._daemon, name)), events)

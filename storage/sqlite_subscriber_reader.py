"""Named subscribers and what subscribers read, reading side."""

from __future__ import annotations

from typing import Final, cast

from holdfast.storage.filters import EventFilter
from holdfast.storage.records import StoredEvent
from holdfast.storage.sqlite_event_reader import EventReading
from holdfast.storage.subscriber_records import Subscriber

__all__ = ["SubscriberReading"]

_SUBSCRIBER: Final = "name, acked, filter, generation, owner, created_us, updated_us"

_Row = tuple[str, int, str, int, str, int, int]


class SubscriberReading(EventReading):
    """Implements ``holdfast.storage.reader_ports.SubscriberReader``."""

    def read_on(self, filter: EventFilter, limit: int) -> tuple[int, list[StoredEvent]]:
        """Of one moment: the oldest number that is kept, and the first events asked for."""
        # Two statements in one transaction, or retention could delete between them.
        self._connection.execute("BEGIN")
        try:
            oldest = self._number("SELECT min(seq) FROM events") or self.last_seq() + 1
            return oldest, self.events(filter, limit)
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def subscribers(self) -> list[Subscriber]:
        """All named ones, by name."""
        rows = self._read(f"SELECT {_SUBSCRIBER} FROM subscribers ORDER BY name")
        return [Subscriber(*row) for row in cast("list[_Row]", rows)]

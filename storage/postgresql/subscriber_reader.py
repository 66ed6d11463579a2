"""Named subscribers and what subscribers read, reading side."""

from __future__ import annotations

from typing import Final

from holdfast.storage.filters import EventFilter
from holdfast.storage.postgresql.event_reader import EventReading
from holdfast.storage.postgresql.snapshots import Snapshots
from holdfast.storage.records import StoredEvent
from holdfast.storage.subscriber_records import Subscriber

__all__ = ["SubscriberReading"]

_SUBSCRIBER: Final = "name, acked, filter, generation, owner, created_us, updated_us"
_OLDEST: Final = "SELECT min(seq) FROM events WHERE daemon = %s"


class SubscriberReading(EventReading, Snapshots):
    """Implements ``holdfast.storage.reader_ports.SubscriberReader``."""

    def read_on(self, filter: EventFilter, limit: int) -> tuple[int, list[StoredEvent]]:
        """Of one moment: the oldest number that is kept, and the first events asked for."""
        with self.snapshot():  # or retention could delete between them
            oldest = self._number(_OLDEST, (self._daemon,)) or self.last_seq() + 1
            return oldest, self.events(filter, limit)

    def subscribers(self) -> list[Subscriber]:
        """All named ones, by name."""
        sql = f"SELECT {_SUBSCRIBER} FROM subscribers WHERE daemon = %s ORDER BY name"
        return [Subscriber(*row) for row in self._read(sql, (self._daemon,))]

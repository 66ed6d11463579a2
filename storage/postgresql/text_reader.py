"""Full-text search: there is none on PostgreSQL."""

from __future__ import annotations

from holdfast.errors import InvalidInputError
from holdfast.storage.filters import EventFilter
from holdfast.storage.postgresql.reading import Reading
from holdfast.storage.records import StoredEvent

__all__ = ["TextReading"]


class TextReading(Reading):
    """Implements ``holdfast.storage.reader_ports.TextReader``."""

    def text_from(self) -> int | None:
        """There is no index."""
        return None

    def search(
        self, text: str, filter: EventFilter, limit: int, reverse: bool = True
    ) -> list[StoredEvent]:
        """Nobody gets here: ``text_from`` said that there is no index."""
        raise InvalidInputError("full-text search: not on PostgreSQL")

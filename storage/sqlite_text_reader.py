"""Full-text search, from the database."""

from __future__ import annotations

from typing import Final, cast

import apsw

from holdfast.errors import StorageError
from holdfast.storage.event_sql import conditions, join
from holdfast.storage.filters import EventFilter
from holdfast.storage.full_text import check_text, refused
from holdfast.storage.records import Row, StoredEvent
from holdfast.storage.sqlite_event_reader import EVENT
from holdfast.storage.sqlite_reading import Reading, check_limit

__all__ = ["TextReading"]

_FROM: Final = "SELECT coalesce((SELECT value FROM meta WHERE name = 'full_text_from'), 0)"


class TextReading(Reading):
    """Implements ``holdfast.storage.reader_ports.TextReader``."""

    def text_from(self) -> int | None:
        """Events from that number on can be searched; None when there is no index."""
        return self._number(_FROM) or None

    def search(
        self, text: str, filter: EventFilter, limit: int, reverse: bool = True
    ) -> list[StoredEvent]:
        """Events whose data matches, in order of their numbers or the newest first."""
        filter.check()
        check_limit(limit)
        check_text(text)
        found = [("events_text MATCH ?", (text,)), *conditions(filter)]
        # By the index's own numbers: it reads only what is in the range.
        if filter.after is not None:
            found.append(("events_text.rowid > ?", (filter.after,)))
        if filter.before is not None:
            found.append(("events_text.rowid < ?", (filter.before,)))
        where, values = join(found)
        sql = (
            f"SELECT {EVENT} FROM events_text CROSS JOIN events ON seq = events_text.rowid"
            f" WHERE {where} ORDER BY events_text.rowid {'DESC' if reverse else 'ASC'} LIMIT ?"
        )
        try:
            rows = cast("list[Row]", self._read(sql, (*values, limit)))
        except StorageError as error:
            if isinstance(error.__cause__, apsw.SQLError):
                raise refused(text, error.__cause__) from None
            raise
        return [StoredEvent(*row) for row in rows]

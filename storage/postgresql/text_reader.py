"""Full-text search, from the database.

The index finds what is asked for, or where it cannot tell what may be that; then FTS5 itself looks
at those texts, a page at a time (``holdfast.storage.full_text``).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Final, cast

import msgspec

from holdfast.storage.filters import EventFilter
from holdfast.storage.full_text import Words
from holdfast.storage.postgresql.event_reader import EVENT
from holdfast.storage.postgresql.event_sql import conditions, join
from holdfast.storage.postgresql.payload_reader import PayloadReading
from holdfast.storage.postgresql.reading import check_limit
from holdfast.storage.postgresql.text_index import UNLISTED, UNPLACED
from holdfast.storage.postgresql.text_queries import Condition, translated
from holdfast.storage.records import Row, StoredEvent

__all__ = ["TextReading"]

_FROM: Final = """
SELECT coalesce((SELECT value::bigint FROM meta WHERE daemon = %s AND name = 'full_text_from'), 0)
"""
_COLUMNS: Final = ", ".join(f"e.{column}" for column in EVENT.split(", "))
_PAGE: Final = 100  # events at least whose texts are looked at together
_UNSURE: Final = f"{UNPLACED} | {UNLISTED}"

_Found = tuple[StoredEvent, bool]  # and whether its text is to be looked at


class TextReading(PayloadReading):
    """Implements ``holdfast.storage.reader_ports.TextReader``."""

    _words: Words | None = None  # from the first search on

    def text_from(self) -> int | None:
        """Events from that number on can be searched; None when there is no index."""
        return self._number(_FROM, (self._daemon,)) or None

    def search(
        self, text: str, filter: EventFilter, limit: int, reverse: bool = True
    ) -> list[StoredEvent]:
        """Events whose data matches, in order of their numbers or the newest first."""
        filter.check()
        check_limit(limit)
        end = time.monotonic() + self._statement_timeout
        words = self._words = self._words or Words()
        words.check(text)
        condition = translated(text, words.of_query)
        found: list[StoredEvent] = []
        while condition is not None and len(found) < limit:
            wanted = limit - len(found)
            size = wanted if condition.is_exact else max(wanted, _PAGE)
            page = self._page(condition, filter, size, reverse)
            unsure = [event for event, is_unsure in page if is_unsure]
            matching = words.matching(text, self._texts(unsure)) if unsure else set()
            found += (each for each, unsure in page if not unsure or each.seq in matching)
            if len(page) < size:
                break
            edge = {"before" if reverse else "after": page[-1][0].seq}
            filter = msgspec.structs.replace(filter, **edge)
            if self._statement_timeout and time.monotonic() > end:
                raise self._too_slow()
        return found[:limit]

    def _page(
        self, condition: Condition, filter: EventFilter, limit: int, reverse: bool
    ) -> list[_Found]:
        """The next events that may be found."""
        if condition.is_exact:
            unsure, asked = (
                f"t.words @@ ($${_UNSURE}$$)::tsquery",
                (f"{condition.exact} | {UNPLACED} & {condition.loose} | {UNLISTED}"),
            )
        else:
            unsure, asked = "true", f"{condition.loose} | {UNLISTED}"
        wanted = [("t.words @@ %s::tsquery", (asked,)), *conditions(filter)]
        # By the index's own numbers, which are what it is sorted by.
        if filter.after is not None:
            wanted.append(("t.seq > %s", (filter.after,)))
        if filter.before is not None:
            wanted.append(("t.seq < %s", (filter.before,)))
        where, values = join(wanted)
        sql = (
            f"SELECT {_COLUMNS}, {unsure} FROM events_text AS t"
            " JOIN events AS e ON e.daemon = t.daemon AND e.seq = t.seq"
            f" WHERE t.daemon = %s AND {where}"
            f" ORDER BY t.seq {'DESC' if reverse else 'ASC'} LIMIT %s"
        )
        rows = cast("list[Row]", self._read(sql, (self._daemon, *values, limit)))
        return [(StoredEvent(*row[:-1]), bool(row[-1])) for row in rows]

    def _texts(self, events: Sequence[StoredEvent]) -> Iterator[tuple[int, str]]:
        """With their numbers; one in memory at a time."""
        for event in events:
            if event.payload is None:
                yield event.seq, event.data
            elif (text := self.payloads([event.payload], 1)[0]) is not None:
                yield event.seq, text

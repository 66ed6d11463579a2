"""Dead letters and losses, reading side."""

from __future__ import annotations

from typing import Final, cast

from holdfast.storage.records import DeadLetter, Dropped
from holdfast.storage.sqlite_reading import Reading, check_limit

__all__ = ["LossReading"]

_LETTER: Final = (
    "id, actor, sender, incarnation, stream, number, kind, reason, deaths, time_us, body"
)
# Lengths first: they stand in the row's head, while bodies of megabytes would have to be read.
_NEWEST_LETTERS: Final = f"""
WITH newest AS (SELECT id, length(body) AS size FROM dead_letters ORDER BY id DESC LIMIT ?),
     summed AS (SELECT id, sum(size) OVER (ORDER BY id DESC) - size AS before FROM newest)
SELECT {_LETTER} FROM dead_letters
WHERE id IN (SELECT id FROM summed WHERE before <= ?) ORDER BY id DESC
"""
_DROPPED: Final = "id, time_us, sender, incarnation, stream, first, last, count, reason"
_LetterRow = tuple[int, str, str, str, str, int, str, str, int, int, bytes]
_DroppedRow = tuple[int, int, str | None, str | None, str | None, int | None, int | None, int, str]


class LossReading(Reading):
    """Implements ``holdfast.storage.reader_ports.LossReader``."""

    def dead_letter(self, id: int) -> DeadLetter | None:
        """The one of that id."""
        found = self._letters(f"SELECT {_LETTER} FROM dead_letters WHERE id = ?", (id,))
        return found[0] if found else None

    def dead_letters(self, limit: int, max_bytes: int) -> list[DeadLetter]:
        """The newest ones, newest first; the one whose body passes ``max_bytes`` is the last."""
        check_limit(limit)
        return self._letters(_NEWEST_LETTERS, (limit, max_bytes))

    def count_dead_letters(self) -> int:
        """How many there are."""
        return self._number("SELECT count(*) FROM dead_letters")

    def dropped(self, limit: int) -> list[Dropped]:
        """The newest losses, newest first."""
        check_limit(limit)
        sql = f"SELECT {_DROPPED} FROM dropped ORDER BY id DESC LIMIT ?"
        return [Dropped(*row) for row in cast("list[_DroppedRow]", self._read(sql, (limit,)))]

    def count_dropped(self) -> int:
        """How many numbers all losses together stand for."""
        return self._number("SELECT coalesce(sum(count), 0) FROM dropped")

    def _letters(self, sql: str, values: tuple[int, ...]) -> list[DeadLetter]:
        return [DeadLetter(*row) for row in cast("list[_LetterRow]", self._read(sql, values))]

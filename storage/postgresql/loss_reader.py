"""Dead letters and losses, reading side."""

from __future__ import annotations

from typing import Final

from holdfast.storage.postgresql.reading import Reading, check_limit
from holdfast.storage.records import DeadLetter, Dropped

__all__ = ["LossReading"]

_LETTER: Final = (
    "id, actor, sender, incarnation, stream, number, kind, reason, deaths, time_us, body"
)
# Lengths first: bodies of megabytes would have to be read.
_NEWEST_LETTERS: Final = f"""
WITH newest AS (SELECT id, octet_length(body) AS size FROM dead_letters
                WHERE daemon = %(daemon)s ORDER BY id DESC LIMIT %(limit)s),
     summed AS (SELECT id, sum(size) OVER (ORDER BY id DESC) - size AS before FROM newest)
SELECT {_LETTER} FROM dead_letters WHERE daemon = %(daemon)s
    AND id IN (SELECT id FROM summed WHERE before <= %(bytes)s) ORDER BY id DESC
"""
_DROPPED: Final = "id, time_us, sender, incarnation, stream, first, last, count, reason"


class LossReading(Reading):
    """Implements ``holdfast.storage.reader_ports.LossReader``."""

    def dead_letter(self, id: int) -> DeadLetter | None:
        """The one of that id."""
        sql = f"SELECT {_LETTER} FROM dead_letters WHERE daemon = %s AND id = %s"
        found = self._read(sql, (self._daemon, id))
        return DeadLetter(*found[0]) if found else None

    def dead_letters(self, limit: int, max_bytes: int) -> list[DeadLetter]:
        """The newest ones, newest first; the one whose body passes ``max_bytes`` is the last."""
        check_limit(limit)
        values = {"daemon": self._daemon, "limit": limit, "bytes": max_bytes}
        return [DeadLetter(*row) for row in self._read(_NEWEST_LETTERS, values)]

    def count_dead_letters(self) -> int:
        """How many there are."""
        return self._number("SELECT count(*) FROM dead_letters WHERE daemon = %s", (self._daemon,))

    def dropped(self, limit: int) -> list[Dropped]:
        """The newest losses, newest first."""
        check_limit(limit)
        sql = f"SELECT {_DROPPED} FROM dropped WHERE daemon = %s ORDER BY id DESC LIMIT %s"
        return [Dropped(*row) for row in self._read(sql, (self._daemon, limit))]

    def count_dropped(self) -> int:
        """How many numbers all losses together stand for."""
        sql = "SELECT coalesce(sum(count), 0)::bigint FROM dropped WHERE daemon = %s"
        return self._number(sql, (self._daemon,))

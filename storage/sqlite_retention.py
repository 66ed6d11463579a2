"""What retention asks of SQLite's tables, and does to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

import apsw
import msgspec

from holdfast.storage.retention_records import Deletions
from holdfast.storage.tallies import Found, Kept

__all__ = ["SqliteRetention"]

PAGES: Final = 16  # given back to the file system in a step
# Free pages that are kept for what comes next: they would only be asked for again.
FREE_PAGES: Final = 512  # 4 MiB
FREE_SHARE: Final = 10  # or one in so many of the file's, if that is more

# Bytes of an event's texts; of a payload what it is unpacked, which stands behind its hash.
SIZE: Final = (
    "octet_length(data) + octet_length(type) + octet_length(source)"
    " + coalesce(octet_length(subject), 0) + coalesce(octet_length(session), 0)"
    " + coalesce(octet_length(correlation), 0) + coalesce(octet_length(cause), 0)"
    " + coalesce(octet_length(root), 0) + coalesce(octet_length(key), 0)"
    " + coalesce(CAST(substr(payload, 66) AS INTEGER), 0)"
)
_OLD: Final = """
SELECT seq, type, time_us FROM events INDEXED BY events_by_time
WHERE time_us < ? AND (time_us, type, seq) > (?, ?, ?) ORDER BY time_us, type, seq LIMIT ?
"""
_ROWS: Final = f"""
SELECT seq, type, time_us, {SIZE} FROM events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?
"""
_ROW: Final = f"SELECT seq, type, time_us, {SIZE} FROM events WHERE seq = ?"
_NOTE: Final = """
INSERT INTO deleted (day, rule, reason, count, bytes, first_seq, last_seq)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (day, rule, reason) DO UPDATE SET
    count = count + excluded.count, bytes = bytes + excluded.bytes,
    first_seq = min(first_seq, excluded.first_seq), last_seq = max(last_seq, excluded.last_seq)
"""
# A trigger notes the highest number that was deleted; told beforehand, it has nothing to do.
_DELETED: Final = "UPDATE meta SET value = ?1 WHERE name = 'deleted_seq' AND value < ?1"
# One statement: each copies every page that it changes, for the case that it fails.
_DELETE: Final = "DELETE FROM events WHERE seq IN (SELECT value FROM json_each(?))"

_json: Final = msgspec.json.Encoder().encode


class SqliteRetention:
    """Implements ``holdfast.storage.tallies.RetentionRows``."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def retained(self) -> Sequence[Kept]:
        """What it wrote down last."""
        rows = self._connection.execute("SELECT * FROM retained").fetchall()
        return cast("list[Kept]", rows)

    def save(self, rows: Sequence[Kept]) -> None:
        """Write down that instead."""
        self._connection.execute("DELETE FROM retained")
        self._connection.executemany(
            "INSERT INTO retained (rule, counted_seq, oldest_seq, count, bytes)"
            " VALUES (?, ?, ?, ?, ?)",
            rows,
        )

    def events(self, after: int, until: int, limit: int) -> Sequence[Found]:
        """The first events with ``after < seq <= until``."""
        return [Found(*row) for row in self._connection.execute(_ROWS, (after, until, limit))]

    def old(
        self, cutoff_us: int, behind: tuple[int, str, int], limit: int
    ) -> Sequence[tuple[int, str, int]]:
        """Events from before that moment, behind the given one."""
        rows = self._connection.execute(_OLD, (cutoff_us, *behind, limit)).fetchall()
        return cast("list[tuple[int, str, int]]", rows)

    def looked_up(self, seqs: Sequence[int]) -> Sequence[Found]:
        """The events of these numbers that are there."""
        rows = (self._connection.execute(_ROW, (seq,)).fetchone() for seq in seqs)
        return [Found(*row) for row in rows if row is not None]

    def delete(self, seqs: Sequence[int]) -> None:
        """Those events, and what belongs to them."""
        self._connection.execute(_DELETED, (max(seqs),))
        self._connection.execute(_DELETE, (_json(seqs).decode(),))

    def note(self, day: str, deletions: Deletions) -> None:
        """Add to what was deleted on a day."""
        each = deletions
        values = (each.rule, each.reason, each.count, each.bytes, each.first_seq, each.last_seq)
        self._connection.execute(_NOTE, (day, *values))

    def acknowledged(self) -> int | None:
        """The lowest number that a named subscriber has acknowledged."""
        acked: int | None = self._connection.execute("SELECT min(acked) FROM subscribers").get
        return acked

    def give_back(self) -> bool:
        """Some free pages, but for what the next events will need."""
        pragma = self._connection.pragma
        free, pages = cast(int, pragma("freelist_count")), cast(int, pragma("page_count"))
        if free - PAGES <= max(FREE_PAGES, pages // FREE_SHARE):
            return False
        self._connection.execute(f"PRAGMA incremental_vacuum({PAGES})").fetchall()
        return True

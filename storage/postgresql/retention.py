"""What retention asks of PostgreSQL's tables, and does to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from holdfast.storage.postgresql.connection import Connection
from holdfast.storage.retention_records import Deletions
from holdfast.storage.tallies import Found, Kept

__all__ = ["PostgresqlRetention"]

# Bytes of an event's texts; of a payload what it is unpacked, which stands behind its hash.
_SIZE: Final = (
    "octet_length(data) + octet_length(type) + octet_length(source)"
    " + coalesce(octet_length(subject), 0) + coalesce(octet_length(session), 0)"
    " + coalesce(octet_length(correlation), 0) + coalesce(octet_length(cause), 0)"
    " + coalesce(octet_length(root), 0) + coalesce(octet_length(key), 0)"
    " + coalesce(substr(payload, 66)::bigint, 0)"
)
_FOUND: Final = f"SELECT seq, type, time_us, {_SIZE} FROM events WHERE daemon = %s"
_OLD: Final = """
SELECT seq, type, time_us FROM events
WHERE daemon = %s AND time_us < %s AND (time_us, type, seq) > (%s, %s, %s)
ORDER BY time_us, type, seq LIMIT %s
"""
_NOTE: Final = """
INSERT INTO deleted AS d (daemon, day, rule, reason, count, bytes, first_seq, last_seq)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (daemon, day, rule, reason) DO UPDATE SET
    count = d.count + excluded.count, bytes = d.bytes + excluded.bytes,
    first_seq = least(d.first_seq, excluded.first_seq),
    last_seq = greatest(d.last_seq, excluded.last_seq)
"""
_SAVE: Final = """
INSERT INTO retained (daemon, rule, counted_seq, oldest_seq, count, bytes)
VALUES (%s, %s, %s, %s, %s, %s)
"""


class PostgresqlRetention:
    """Implements ``holdfast.storage.tallies.RetentionRows``."""

    def __init__(self, connection: Connection, daemon: str) -> None:
        self._connection = connection
        self._daemon = daemon

    def retained(self) -> Sequence[Kept]:
        """What it wrote down last."""
        sql = "SELECT rule, counted_seq, oldest_seq, count, bytes FROM retained WHERE daemon = %s"
        return cast("list[Kept]", self._connection.rows(sql, (self._daemon,)))

    def save(self, rows: Sequence[Kept]) -> None:
        """Write down that instead."""
        self._connection.run("DELETE FROM retained WHERE daemon = %s", (self._daemon,))
        self._connection.many(_SAVE, [(self._daemon, *row) for row in rows])

    def events(self, after: int, until: int, limit: int) -> Sequence[Found]:
        """The first events with ``after < seq <= until``."""
        sql = f"{_FOUND} AND seq > %s AND seq <= %s ORDER BY seq LIMIT %s"
        rows = self._connection.rows(sql, (self._daemon, after, until, limit))
        return [Found(*row) for row in rows]

    def old(
        self, cutoff_us: int, behind: tuple[int, str, int], limit: int
    ) -> Sequence[tuple[int, str, int]]:
        """Events from before that moment, behind the given one."""
        rows = self._connection.rows(_OLD, (self._daemon, cutoff_us, *behind, limit))
        return cast("list[tuple[int, str, int]]", rows)

    def looked_up(self, seqs: Sequence[int]) -> Sequence[Found]:
        """The events of these numbers that are there."""
        rows = self._connection.rows(f"{_FOUND} AND seq = ANY(%s)", (self._daemon, list(seqs)))
        found = {row[0]: Found(*row) for row in rows}
        return [found[seq] for seq in seqs if seq in found]

    def delete(self, seqs: Sequence[int]) -> None:
        """Those events, and what belongs to them; a trigger notes the newest number."""
        sql = "DELETE FROM events WHERE daemon = %s AND seq = ANY(%s)"
        self._connection.run(sql, (self._daemon, list(seqs)))

    def note(self, day: str, deletions: Deletions) -> None:
        """Add to what was deleted on a day."""
        each = deletions
        values = (each.rule, each.reason, each.count, each.bytes, each.first_seq, each.last_seq)
        self._connection.run(_NOTE, (self._daemon, day, *values))

    def acknowledged(self) -> int | None:
        """The lowest number that a named subscriber has acknowledged."""
        sql = "SELECT min(acked) FROM subscribers WHERE daemon = %s"
        acked: int | None = self._connection.value(sql, (self._daemon,))
        return acked

    def give_back(self) -> bool:
        """The server's autovacuum does."""
        return False

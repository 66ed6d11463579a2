"""How large the database is, read in microseconds however large it is."""

from __future__ import annotations

from typing import Final

from holdfast.storage.postgresql.events import LAST_SEQ
from holdfast.storage.postgresql.reading import Reading
from holdfast.storage.size_records import DAY_US, LEAST_US, Sizes

__all__ = ["SizeReading"]

# Of the events from a moment on, the first one, by the index on their times.
_FIRST: Final = """
SELECT seq, time_us FROM events WHERE daemon = %s AND time_us >= %s ORDER BY time_us LIMIT 1
"""
# Of all daemons together: the server keeps no sizes by row.
_TABLES: Final = """
SELECT relname, pg_total_relation_size(oid) FROM pg_class
WHERE relnamespace = 'holdfast'::regnamespace AND relkind = 'r' ORDER BY 2 DESC, 1
"""
_HAS_DAEMON: Final = """
SELECT count(*) FROM pg_attribute
WHERE attrelid = ('holdfast.' || quote_ident(%s))::regclass AND attname = 'daemon'
"""

_OFF: Final = {
    "fsync": "fsync is off: power loss takes what was acknowledged, and may damage the database",
    "full_page_writes": "full_page_writes is off: power loss may damage the database",
    "autovacuum": "autovacuum is off: what is deleted never becomes free again",
}
_SETTINGS: Final = """
SELECT name, setting FROM pg_settings
WHERE name IN ('fsync', 'full_page_writes', 'autovacuum', 'max_connections')
"""
_CONNECTIONS: Final = "SELECT coalesce(sum(numbackends), 0)::bigint FROM pg_stat_database"


class SizeReading(Reading):
    """Implements ``holdfast.storage.reader_ports.SizeReader``."""

    def sizes(self, now_us: int) -> Sizes:
        """As of the last commit.  What is free on the server's disk nobody outside can tell."""
        last = self._number(LAST_SEQ, {"daemon": self._daemon}) or 0
        sql = "SELECT coalesce(sum(count), 0)::bigint FROM deleted WHERE daemon = %s"
        deleted = self._number(sql, (self._daemon,))
        events = last - deleted  # nothing else deletes
        daily = self._per_day(last, now_us)
        size = self._number("SELECT pg_database_size(current_database())")
        return Sizes(
            path=self.where,
            file=size,
            wal=0,
            free=0,
            events=events,
            deleted=deleted,
            events_per_day=daily,
            bytes_per_day=daily * size // events if events > 0 else 0,
            disk_free=0,
            disk_size=0,
            backend="postgresql",
            version=self._connection.info.parameter_status("server_version") or "",
            cautions=self._cautions(),
        )

    def _cautions(self) -> list[str]:
        """What the server's settings cost, and how near it is to letting nobody in."""
        found = {name: value for name, value in self._read(_SETTINGS)}
        told = [text for name, text in _OFF.items() if found[name] == "off"]
        taken, most = self._number(_CONNECTIONS), int(found["max_connections"])
        if taken * 10 > most * 9:
            told.append(f"{taken} of the {most} connections that max_connections allows are taken")
        return told

    def tables(self) -> list[tuple[str, int, int]]:
        """Name, this daemon's rows, and bytes with indexes of all daemons; reads it all."""
        found = []
        for name, size in self._read(_TABLES):
            mine = " WHERE daemon = %s" if self._number(_HAS_DAEMON, (name,)) else ""
            sql = f'SELECT count(*) FROM "{name}"{mine}'  # a name of our own schema
            rows = self._number(sql, (self._daemon,) if mine else ())
            found.append((name, rows, size))
        return found

    def _per_day(self, last: int, now_us: int) -> int:
        """Events by their numbers: their order in time is nearly that of their commits."""
        rows = self._read(_FIRST, (self._daemon, now_us - DAY_US))
        if not rows:
            return 0
        seq, time_us = rows[0]
        span = max(now_us - time_us, LEAST_US)
        return int((last - seq + 1) * DAY_US // span)

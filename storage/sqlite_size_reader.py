"""How large the database is, read in microseconds however large it is."""

from __future__ import annotations

import os
from typing import Final, cast

import apsw

from holdfast.storage.size_records import DAY_US, LEAST_US, Sizes
from holdfast.storage.sqlite_events import LAST_SEQ
from holdfast.storage.sqlite_reading import Reading

__all__ = ["SizeReading"]


# Of the events from a moment on, the first one, by the index on their times.
_FIRST: Final = "SELECT seq, time_us FROM events WHERE time_us >= ? ORDER BY time_us LIMIT 1"


class SizeReading(Reading):
    """Implements ``holdfast.storage.reader_ports.SizeReader``."""

    def sizes(self, now_us: int) -> Sizes:
        """As of the last commit."""
        page, free = self._number("PRAGMA page_size"), self._number("PRAGMA freelist_count")
        used = (self._number("PRAGMA page_count") - free) * page
        deleted = self._number("SELECT coalesce(sum(count), 0) FROM deleted")
        last = self._number(LAST_SEQ)
        events = last - deleted  # nothing else deletes
        daily = self._per_day(last, now_us)
        disk = os.statvfs(self.path)
        return Sizes(
            path=self.path,
            file=os.stat(self.path).st_size,
            wal=_size(f"{self.path}-wal"),
            free=free * page,
            events=events,
            deleted=deleted,
            events_per_day=daily,
            bytes_per_day=daily * used // events if events > 0 else 0,
            disk_free=disk.f_bavail * disk.f_frsize,
            disk_size=disk.f_blocks * disk.f_frsize,
            version=apsw.sqlite_lib_version(),
        )

    def tables(self) -> list[tuple[str, int, int]]:
        """Name, rows and bytes of each table with its indexes, the largest first; reads it all."""
        sql = """
        SELECT tbl_name, sum(pgsize) FROM dbstat JOIN sqlite_schema USING (name)
        GROUP BY tbl_name ORDER BY 2 DESC, 1
        """
        found = []
        for name, size in cast("list[tuple[str, int]]", self._read(sql)):
            rows = self._number(f'SELECT count(*) FROM "{name}"')  # a name of our own schema
            found.append((name, rows, size))
        return found

    def _per_day(self, last: int, now_us: int) -> int:
        """Events by their numbers: their order in time is nearly that of their commits."""
        rows = cast("list[tuple[int, int]]", self._read(_FIRST, (now_us - DAY_US,)))
        if not rows:
            return 0
        seq, time_us = rows[0]
        span = max(now_us - time_us, LEAST_US)
        return (last - seq + 1) * DAY_US // span


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0

"""Sessions, reading side."""

from __future__ import annotations

from typing import Final

from holdfast.storage.postgresql.reading import Reading, check_limit
from holdfast.storage.prefixes import end_of
from holdfast.storage.session_records import Session, SessionTotals, StoredItem

__all__ = ["SessionReading"]

_SESSION: Final = (
    "id, data, version, created_us, touched_us, expires_us, ttl, max_age, owner, holders, items,"
    " item_bytes"
)
# The same without the data, which may be long.
_OUTLINE: Final = _SESSION.replace("data", "''::text", 1)
_ITEM: Final = "number, time_us, key, data"
_ITEM_OF_KEY: Final = f"""
SELECT {_ITEM} FROM session_items WHERE daemon = %(daemon)s AND session = %(id)s AND key = %(key)s
    AND EXISTS (SELECT 1 FROM sessions
                WHERE daemon = %(daemon)s AND id = %(id)s AND created_us = %(created_us)s)
"""


class SessionReading(Reading):
    """Implements ``holdfast.storage.reader_ports.SessionReader``."""

    def session(self, id: str) -> Session | None:
        """As it was last written; it may have expired since."""
        found = self._sessions(f"SELECT {_SESSION} FROM sessions WHERE daemon = %s AND id = %s", id)
        return found[0] if found else None

    def sessions(self, limit: int) -> list[Session]:
        """The newest touched ones, newest first."""
        check_limit(limit)
        order = "ORDER BY touched_us DESC, id DESC LIMIT %s"
        return self._sessions(f"SELECT {_SESSION} FROM sessions WHERE daemon = %s {order}", limit)

    def expired_sessions(self, now_us: int, limit: int) -> list[Session]:
        """Those whose time is over at ``now_us``, longest over first, without their data."""
        check_limit(limit)
        sql = (
            f"SELECT {_OUTLINE} FROM sessions WHERE daemon = %s AND expires_us <= %s"
            " ORDER BY expires_us, id LIMIT %s"
        )
        return self._sessions(sql, now_us, limit)

    def idle_sessions(self, limit: int) -> list[Session]:
        """Those not touched for longest, that one first."""
        check_limit(limit)
        order = "ORDER BY touched_us, id LIMIT %s"
        return self._sessions(f"SELECT {_SESSION} FROM sessions WHERE daemon = %s {order}", limit)

    def list_sessions(
        self, now_us: int, after: str, prefix: str, owner: str | None, limit: int
    ) -> list[Session]:
        """Those that live at ``now_us``, in order of their ids after ``after``, without data."""
        check_limit(limit)
        wanted = ["daemon = %s", "expires_us > %s", "id > %s"]
        values: list[str | int] = [now_us, after]
        if prefix:
            wanted.append("id >= %s")
            values.append(prefix)
            if (end := end_of(prefix)) is not None:
                wanted.append("id < %s")
                values.append(end)
        if owner is not None:
            wanted.append("owner = %s")
            values.append(owner)
        sql = f"SELECT {_OUTLINE} FROM sessions WHERE {' AND '.join(wanted)} ORDER BY id LIMIT %s"
        return self._sessions(sql, *values, limit)

    def session_items(
        self, id: str, after: int, limit: int, reverse: bool = False
    ) -> list[StoredItem]:
        """Those with higher numbers than ``after``, in order; or the newest of them, newest first.

        Fewer than ``limit`` are all.
        """
        check_limit(limit)
        order = "DESC" if reverse else "ASC"
        sql = (
            f"SELECT {_ITEM} FROM session_items WHERE daemon = %s AND session = %s AND number > %s"
            f" ORDER BY number {order} LIMIT %s"
        )
        return [StoredItem(*row) for row in self._read(sql, (self._daemon, id, after, limit))]

    def session_item(self, id: str, created_us: int, key: str) -> StoredItem | None:
        """The item of that key, of the session that was created then."""
        values = {"daemon": self._daemon, "id": id, "created_us": created_us, "key": key}
        found = self._read(_ITEM_OF_KEY, values)
        return StoredItem(*found[0]) if found else None

    def session_totals(self) -> SessionTotals:
        """How many sessions there are, and how large."""
        sql = "SELECT count, bytes FROM session_totals WHERE daemon = %s"
        rows = self._read(sql, (self._daemon,))
        return SessionTotals(*rows[0]) if rows else SessionTotals(0, 0)

    def _sessions(self, sql: str, *values: str | int) -> list[Session]:
        return [Session(*row) for row in self._read(sql, (self._daemon, *values))]

"""Sessions, reading side."""

from __future__ import annotations

from typing import Final, cast

from holdfast.storage.prefixes import end_of
from holdfast.storage.session_records import Session, SessionTotals, StoredItem
from holdfast.storage.sqlite_reading import Reading, check_limit

__all__ = ["SessionReading"]

_SESSION: Final = (
    "id, data, version, created_us, touched_us, expires_us, ttl, max_age, owner, holders, items,"
    " item_bytes"
)
# The same without the data, which may be long.
_OUTLINE: Final = _SESSION.replace("data", "''", 1)
_ITEM: Final = "number, time_us, key, data"


class SessionReading(Reading):
    """Implements ``holdfast.storage.reader_ports.SessionReader``."""

    def session(self, id: str) -> Session | None:
        """As it was last written; it may have expired since."""
        found = self._sessions(f"SELECT {_SESSION} FROM sessions WHERE id = ?", (id,))
        return found[0] if found else None

    def sessions(self, limit: int) -> list[Session]:
        """The newest touched ones, newest first."""
        check_limit(limit)
        sql = f"SELECT {_SESSION} FROM sessions ORDER BY touched_us DESC LIMIT ?"
        return self._sessions(sql, (limit,))

    def expired_sessions(self, now_us: int, limit: int) -> list[Session]:
        """Those whose time is over at ``now_us``, longest over first, without their data."""
        check_limit(limit)
        sql = (
            f"SELECT {_OUTLINE} FROM sessions WHERE expires_us <= ? ORDER BY expires_us, id LIMIT ?"
        )
        return self._sessions(sql, (now_us, limit))

    def idle_sessions(self, limit: int) -> list[Session]:
        """Those not touched for longest, that one first."""
        check_limit(limit)
        sql = f"SELECT {_SESSION} FROM sessions ORDER BY touched_us, id LIMIT ?"
        return self._sessions(sql, (limit,))

    def list_sessions(
        self, now_us: int, after: str, prefix: str, owner: str | None, limit: int
    ) -> list[Session]:
        """Those that live at ``now_us``, in order of their ids after ``after``, without data."""
        check_limit(limit)
        wanted = ["expires_us > ?", "id > ?"]
        values: list[str | int] = [now_us, after]
        if prefix:
            wanted.append("id >= ?")
            values.append(prefix)
            if (end := end_of(prefix)) is not None:
                wanted.append("id < ?")
                values.append(end)
        if owner is not None:
            wanted.append("owner = ?")
            values.append(owner)
        sql = f"SELECT {_OUTLINE} FROM sessions WHERE {' AND '.join(wanted)} ORDER BY id LIMIT ?"
        return self._sessions(sql, (*values, limit))

    def session_items(
        self, id: str, after: int, limit: int, reverse: bool = False
    ) -> list[StoredItem]:
        """Those with higher numbers than ``after``, in order; or the newest of them, newest first.

        Fewer than ``limit`` are all.
        """
        check_limit(limit)
        order = "DESC" if reverse else "ASC"
        sql = (
            f"SELECT {_ITEM} FROM session_items WHERE session = ? AND number > ?"
            f" ORDER BY number {order} LIMIT ?"
        )
        return [StoredItem(*row) for row in self._items(sql, (id, after, limit))]

    def session_item(self, id: str, created_us: int, key: str) -> StoredItem | None:
        """The item of that key, of the session that was created then."""
        sql = (
            f"SELECT {_ITEM} FROM session_items WHERE session = ?1 AND key = ?3"
            " AND EXISTS (SELECT 1 FROM sessions WHERE id = ?1 AND created_us = ?2)"
        )
        found = self._items(sql, (id, created_us, key))
        return StoredItem(*found[0]) if found else None

    def session_totals(self) -> SessionTotals:
        """How many sessions there are, and how large."""
        ((count, size),) = self._read("SELECT count, bytes FROM session_totals")
        return SessionTotals(cast(int, count), cast(int, size))

    def _sessions(self, sql: str, values: tuple[str | int, ...]) -> list[Session]:
        rows = self._read(sql, values)
        return [Session(*row) for row in rows]  # type: ignore[arg-type]  # the table is STRICT

    def _items(
        self, sql: str, values: tuple[str | int, ...]
    ) -> list[tuple[int, int, str | None, str]]:
        return cast("list[tuple[int, int, str | None, str]]", self._read(sql, values))

"""Sessions, reading side."""

from __future__ import annotations

from typing import Final, cast

from holdfast.storage.session_records import Session
from holdfast.storage.sqlite_reading import Reading, check_limit

__all__ = ["SessionReading"]

_SESSION: Final = "id, data, version, created_us, touched_us, expires_us, ttl, max_age"
_SessionRow = tuple[str, str, str, int, int, int, float, float | None]


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
        """Those whose time is over at ``now_us``, longest over first."""
        check_limit(limit)
        sql = (
            f"SELECT {_SESSION} FROM sessions WHERE expires_us <= ? ORDER BY expires_us, id LIMIT ?"
        )
        return self._sessions(sql, (now_us, limit))

    def _sessions(self, sql: str, values: tuple[str | int, ...]) -> list[Session]:
        return [Session(*row) for row in cast("list[_SessionRow]", self._read(sql, values))]

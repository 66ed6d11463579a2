"""Tables: what sessions hold besides their data.

``session_totals`` has one row, which triggers keep: to count a million rows takes a tenth of a
second.
"""

from __future__ import annotations

from typing import Final

__all__ = ["MIGRATION"]

_BYTES: Final = "octet_length({0}.data) + {0}.item_bytes"
_NEW, _OLD = _BYTES.format("new"), _BYTES.format("old")


def _readable(column: str) -> str:
    """SQL for microseconds since 1970 as ISO time."""
    seconds = f"strftime('%Y-%m-%dT%H:%M:%S', {column} / 1000000, 'unixepoch')"
    return f"{seconds} || printf('.%06dZ', {column} % 1000000)"


# holders: who has it in use, and until when.  items: the number of the newest item.
MIGRATION: Final = f"""
ALTER TABLE sessions ADD COLUMN owner TEXT;
ALTER TABLE sessions ADD COLUMN holders TEXT NOT NULL DEFAULT '{{}}' CHECK (json_valid(holders));
ALTER TABLE sessions ADD COLUMN items INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN item_bytes INTEGER NOT NULL DEFAULT 0;
CREATE INDEX sessions_by_owner ON sessions (owner, id) WHERE owner IS NOT NULL;

CREATE TABLE session_items (
    session     TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    number      INTEGER NOT NULL CHECK (number > 0),
    time_us     INTEGER NOT NULL,
    key         TEXT,
    data        TEXT NOT NULL CHECK (json_valid(data)),
    PRIMARY KEY (session, number)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX session_items_by_key ON session_items (session, key) WHERE key IS NOT NULL;

CREATE TABLE session_totals (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    count       INTEGER NOT NULL,
    bytes       INTEGER NOT NULL
) STRICT;
INSERT INTO session_totals (id, count, bytes)
    SELECT 1, count(*), coalesce(sum(octet_length(data)), 0) FROM sessions;
CREATE TRIGGER sessions_are_counted AFTER INSERT ON sessions BEGIN
    UPDATE session_totals SET count = count + 1, bytes = bytes + {_NEW};
END;
CREATE TRIGGER sessions_are_counted_down AFTER DELETE ON sessions BEGIN
    UPDATE session_totals SET count = count - 1, bytes = bytes - ({_OLD});
END;
CREATE TRIGGER sessions_are_measured AFTER UPDATE OF data, item_bytes ON sessions
WHEN {_NEW} <> {_OLD} BEGIN
    UPDATE session_totals SET bytes = bytes + {_NEW} - ({_OLD});
END;

DROP VIEW sessions_readable;
CREATE VIEW sessions_readable AS
    SELECT id, {_readable("created_us")} AS created, {_readable("touched_us")} AS touched,
           {_readable("expires_us")} AS expires, version, owner, holders, items, data
    FROM sessions;
CREATE VIEW session_items_readable AS
    SELECT session, number, {_readable("time_us")} AS time, key, data FROM session_items;
"""

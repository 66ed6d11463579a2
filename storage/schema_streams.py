"""Tables: payloads, streams and retention of events.

``payloads`` holds the data of large events, each text once; ``events.payload`` points at it, and
``events.data`` is ``null`` then.  A trigger deletes what nothing points at any more: nobody counts.
``body`` is the JSON text in UTF-8, as it is (codec ``plain``) or compressed (``zstd``).

``streams`` has the version of each stream, that is how many events were ever appended to it;
``stream_events`` says which event is which version, for those that are still there.

``retained`` is what retention knows of the events up to ``counted_seq`` that a rule is about;
``deleted`` says what it deleted, one row for each day, rule and reason.
"""

from __future__ import annotations

from typing import Final

__all__ = ["MIGRATION"]

_PAYLOADS: Final = """
CREATE TABLE payloads (
    ref         TEXT PRIMARY KEY,
    bytes       INTEGER NOT NULL,
    codec       TEXT NOT NULL CHECK (codec IN ('plain', 'zstd')),
    body        BLOB NOT NULL
) STRICT;
ALTER TABLE events ADD COLUMN payload TEXT;
CREATE INDEX events_by_payload ON events (payload) WHERE payload IS NOT NULL;
CREATE TRIGGER payloads_end_with_their_last_event AFTER DELETE ON events
WHEN old.payload IS NOT NULL
BEGIN
    DELETE FROM payloads WHERE ref = old.payload
        AND NOT EXISTS (SELECT 1 FROM events WHERE payload = old.payload);
END;
"""

_STREAMS: Final = """
CREATE TABLE streams (
    name        TEXT PRIMARY KEY CHECK (length(name) > 0),
    version     INTEGER NOT NULL CHECK (version > 0)
) STRICT, WITHOUT ROWID;
CREATE TABLE stream_events (
    seq         INTEGER PRIMARY KEY REFERENCES events (seq) ON DELETE CASCADE,
    stream      TEXT NOT NULL REFERENCES streams (name),
    version     INTEGER NOT NULL CHECK (version > 0),
    UNIQUE (stream, version)
) STRICT;
"""

_RETENTION: Final = """
CREATE TABLE retained (
    rule        TEXT PRIMARY KEY,
    counted_seq INTEGER NOT NULL,
    oldest_seq  INTEGER NOT NULL,
    count       INTEGER NOT NULL,
    bytes       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE deleted (
    day         TEXT NOT NULL,
    rule        TEXT NOT NULL,
    reason      TEXT NOT NULL CHECK (reason IN ('age', 'count', 'bytes')),
    count       INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,
    first_seq   INTEGER NOT NULL,
    last_seq    INTEGER NOT NULL,
    PRIMARY KEY (day, rule, reason)
) STRICT, WITHOUT ROWID;
"""

MIGRATION: Final = _PAYLOADS + _STREAMS + _RETENTION

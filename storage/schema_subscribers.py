"""Tables: named subscribers."""

from __future__ import annotations

from typing import Final

__all__ = ["MIGRATION"]

# acked: all events up to that number are acknowledged, or not asked for; retention keeps what is
# behind it.  filter: what is asked for, a JSON object.  generation: of the consumers with this
# name the last one, which alone may acknowledge; owner: who that is.
MIGRATION: Final = """
CREATE TABLE subscribers (
    name       TEXT PRIMARY KEY CHECK (length(name) > 0),
    acked      INTEGER NOT NULL CHECK (acked >= 0),
    filter     TEXT NOT NULL CHECK (json_valid(filter)),
    generation INTEGER NOT NULL,
    owner      TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE VIEW subscribers_readable AS
    SELECT name, acked, (SELECT max(seq) FROM events) - acked AS behind, filter, owner,
           strftime('%Y-%m-%d %H:%M:%f', updated_us / 1e6, 'unixepoch') AS updated
    FROM subscribers;
"""

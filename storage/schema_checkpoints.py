"""Tables: parts, parents and owners of checkpoints.

``checkpoints.state`` is JSON text that has null where a large value was; ``pieces`` says which:
``[[path, [hash, ...], tail], ...]``, NULL where nothing was cut.  The text of such a value is that
of its parts, in order, then the tail.  ``size`` counts the bytes of the whole.

``checkpoint_parts.refs`` counts the checkpoints that name a part: at 0 it is deleted, but not
before ``held_us``, since a large state is put part by part.  ``codec`` 1 is zstd, 0 plain.  The
counts have a table apart from the data: a put touches as many counts as it has parts, and these
are 700 to a page.
"""

from __future__ import annotations

from typing import Final

__all__ = ["MIGRATION"]

MIGRATION: Final = """
DROP VIEW checkpoints_readable;
ALTER TABLE checkpoints RENAME TO checkpoints_before;
CREATE TABLE checkpoints (
    agent        TEXT NOT NULL CHECK (length(agent) > 0),
    id           INTEGER NOT NULL,
    created_us   INTEGER NOT NULL,
    state        TEXT NOT NULL CHECK (json_valid(state)),
    pieces       TEXT CHECK (json_valid(pieces)),
    size         INTEGER NOT NULL,
    parent_agent TEXT,
    parent_id    INTEGER,
    PRIMARY KEY (agent, id)
) STRICT;
INSERT INTO checkpoints
    SELECT agent, id, created_us, state, NULL, length(CAST(state AS BLOB)),
           CASE WHEN id > 1 THEN agent END, CASE WHEN id > 1 THEN id - 1 END
    FROM checkpoints_before;
DROP TABLE checkpoints_before;

CREATE TABLE checkpoint_parts (
    id           INTEGER PRIMARY KEY,
    hash         BLOB NOT NULL UNIQUE CHECK (length(hash) = 16),
    refs         INTEGER NOT NULL CHECK (refs >= 0),
    held_us      INTEGER NOT NULL
) STRICT;
CREATE INDEX checkpoint_parts_unused ON checkpoint_parts (held_us) WHERE refs = 0;
CREATE TABLE checkpoint_data (
    id           INTEGER PRIMARY KEY,
    size         INTEGER NOT NULL,
    codec        INTEGER NOT NULL,
    data         BLOB NOT NULL
) STRICT;

CREATE TABLE checkpoint_pins (
    agent        TEXT NOT NULL,
    name         TEXT NOT NULL CHECK (length(name) > 0),
    id           INTEGER NOT NULL,
    PRIMARY KEY (agent, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX checkpoint_pins_by_id ON checkpoint_pins (agent, id);

-- Who writes a thread, and who did and lost it while it lived.
CREATE TABLE checkpoint_threads (
    agent        TEXT PRIMARY KEY,
    sender       TEXT NOT NULL,
    incarnation  TEXT NOT NULL,
    fence        INTEGER NOT NULL,
    is_present   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX checkpoint_threads_by_owner ON checkpoint_threads (sender, incarnation);
CREATE TABLE checkpoint_evicted (
    sender       TEXT NOT NULL,
    incarnation  TEXT NOT NULL,
    agent        TEXT NOT NULL,
    PRIMARY KEY (sender, incarnation, agent)
) STRICT, WITHOUT ROWID;

CREATE TABLE checkpoint_participants (
    name         TEXT PRIMARY KEY,
    boot         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE VIEW checkpoints_readable AS
    SELECT agent, id,
           strftime('%Y-%m-%dT%H:%M:%S', (created_us - created_us_rest) / 1000000, 'unixepoch')
               || printf('.%06dZ', created_us_rest) AS created,
           size AS bytes, parent_agent, parent_id,
           (SELECT group_concat(name, ', ') FROM checkpoint_pins AS pin
            WHERE pin.agent = each.agent AND pin.id = each.id) AS pins,
           pieces IS NOT NULL AS is_cut, state
    FROM (SELECT *, (created_us % 1000000 + 1000000) % 1000000 AS created_us_rest
          FROM checkpoints) AS each;
"""

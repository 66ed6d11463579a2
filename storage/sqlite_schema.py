"""The tables of a holdfast database: a public interface, read by any SQLite viewer.

Every change to it is one more migration, run in one transaction; a file of a newer holdfast is
refused.  Times are integer microseconds since 1970 UTC; the ``*_readable`` views show them as
text.

Every event is in one index, because each costs a tenth of the writer's rate; in the others are
only those that have what is indexed:

* ``events_by_time`` (time_us, type) appends at its right end, finds a time range, and is the
  table that a search by type reads instead of the events, at a thirtieth of their size;
* ``events_by_session``, ``events_by_subject`` and ``events_by_correlation`` find the events of one
  of them in order of ``seq``;
* ``events_by_root`` finds the events that a first cause led to;
* ``events_by_key`` makes a key unique per source, and finds a key of whatever source.

``senders.dropped`` counts the numbers at or below the mark that a row of ``dropped`` stands for:
what a sender emitted is its mark, less duplicates, less these, in ``events``.

A filter by source alone, or by sequence numbers, reads the table in order.
"""

from __future__ import annotations

from typing import Final

import apsw

from holdfast.errors import SchemaError
from holdfast.storage import (
    schema_checkpoints,
    schema_queues,
    schema_sessions,
    schema_state,
    schema_streams,
    schema_subscribers,
    schema_trees,
)
from holdfast.storage.database_file import APPLICATION_ID, PAGE_SIZE
from holdfast.storage.ports import NoDatabaseError
from holdfast.storage.readable import readable

__all__ = [
    "APPLICATION_ID",
    "MIGRATIONS",
    "VERSION",
    "check_version",
    "has_table",
    "migrate",
    "template",
]

_EVENTS: Final = """
CREATE TABLE events (
    seq         INTEGER PRIMARY KEY,
    daemon      TEXT NOT NULL,
    time_us     INTEGER NOT NULL,
    type        TEXT NOT NULL CHECK (length(type) > 0),
    source      TEXT NOT NULL CHECK (length(source) > 0),
    subject     TEXT,
    session     TEXT,
    correlation TEXT,
    cause       TEXT,
    root        TEXT,
    depth       INTEGER NOT NULL CHECK (depth >= 0),
    key         TEXT,
    data        TEXT NOT NULL CHECK (json_valid(data))
) STRICT;
CREATE INDEX events_by_time ON events (time_us, type);
CREATE INDEX events_by_session ON events (session) WHERE session IS NOT NULL;
CREATE UNIQUE INDEX events_by_key ON events (source, key) WHERE key IS NOT NULL;
"""

_STATE: Final = """
CREATE TABLE sessions (
    id          TEXT PRIMARY KEY CHECK (length(id) > 0),
    data        TEXT NOT NULL CHECK (json_valid(data)),
    version     TEXT NOT NULL,
    created_us  INTEGER NOT NULL,
    touched_us  INTEGER NOT NULL,
    expires_us  INTEGER NOT NULL,
    ttl         REAL NOT NULL,
    max_age     REAL
) STRICT;
CREATE INDEX sessions_by_touch ON sessions (touched_us);
CREATE INDEX sessions_by_expiry ON sessions (expires_us);

CREATE TABLE checkpoints (
    agent       TEXT NOT NULL CHECK (length(agent) > 0),
    id          INTEGER NOT NULL,
    created_us  INTEGER NOT NULL,
    state       TEXT NOT NULL CHECK (json_valid(state)),
    PRIMARY KEY (agent, id)
) STRICT;
"""

# A row of ``dropped`` stands for ``count`` numbers, ``first`` to ``last``, that the mark passed
# without an event: one that the table refused, or a tombstone for many.
# turn: counts up with every use, so that the least recently used sender is known.
# pruned: results up to this number are gone.
_DELIVERY: Final = """
CREATE TABLE senders (
    sender      TEXT NOT NULL,
    incarnation TEXT NOT NULL,
    stream      TEXT NOT NULL,
    mark        INTEGER NOT NULL,
    duplicates  INTEGER NOT NULL,
    pruned      INTEGER NOT NULL,
    turn        INTEGER NOT NULL,
    PRIMARY KEY (sender, incarnation, stream)
) STRICT, WITHOUT ROWID;

CREATE TABLE results (
    sender      TEXT NOT NULL,
    incarnation TEXT NOT NULL,
    stream      TEXT NOT NULL,
    number      INTEGER NOT NULL,
    result      BLOB NOT NULL,
    PRIMARY KEY (sender, incarnation, stream, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE dropped (
    id          INTEGER PRIMARY KEY,
    time_us     INTEGER NOT NULL,
    sender      TEXT,
    incarnation TEXT,
    stream      TEXT,
    first       INTEGER,
    last        INTEGER,
    count       INTEGER NOT NULL CHECK (count > 0),
    reason      TEXT NOT NULL
) STRICT;

CREATE TABLE meta (
    name        TEXT PRIMARY KEY,
    value       ANY NOT NULL
) STRICT, WITHOUT ROWID;
-- The newest number is the newest row's, or what the newest deleted row had.
INSERT INTO meta (name, value) VALUES ('epoch', 0), ('deleted_seq', 0), ('synced_seq', 0);
CREATE TRIGGER events_numbers_stay_used AFTER DELETE ON events
WHEN old.seq > (SELECT value FROM meta WHERE name = 'deleted_seq')
BEGIN
    UPDATE meta SET value = old.seq WHERE name = 'deleted_seq';
END;
"""

_VIEWS: Final = f"""
CREATE VIEW events_readable AS
    SELECT seq, {readable("time_us")} AS time, type, source, session, subject, key, data
    FROM events;
CREATE VIEW sessions_readable AS
    SELECT id, {readable("created_us")} AS created, {readable("touched_us")} AS touched,
           {readable("expires_us")} AS expires, version, data
    FROM sessions;
CREATE VIEW checkpoints_readable AS
    SELECT agent, id, {readable("created_us")} AS created, length(state) AS bytes, state
    FROM checkpoints;
CREATE VIEW dropped_readable AS
    SELECT {readable("time_us")} AS time, sender, stream, first, last, count, reason
    FROM dropped;
"""

# AUTOINCREMENT: an id that somebody noted never comes to mean another letter.
# message: the body as JSON text, for people; NULL where JSON cannot hold it.
_DEAD_LETTERS: Final = f"""
ALTER TABLE senders ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0;

CREATE TABLE dead_letters (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    time_us     INTEGER NOT NULL,
    actor       TEXT NOT NULL,
    sender      TEXT NOT NULL,
    incarnation TEXT NOT NULL,
    stream      TEXT NOT NULL,
    number      INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    reason      TEXT NOT NULL,
    deaths      INTEGER NOT NULL CHECK (deaths >= 0),
    body        BLOB NOT NULL,
    message     TEXT CHECK (json_valid(message)),
    UNIQUE (actor, sender, incarnation, kind, number)
) STRICT;
CREATE VIEW dead_letters_readable AS
    SELECT id, {readable("time_us")} AS time, actor, sender, kind, number, reason, deaths,
           length(body) AS bytes, message
    FROM dead_letters;
"""

# Step n leads from version n to n + 1.
MIGRATIONS: Final = (
    _EVENTS + _STATE + _DELIVERY + _VIEWS,
    _DEAD_LETTERS,
    schema_state.MIGRATION,
    schema_queues.MIGRATION,
    schema_sessions.MIGRATION,
    schema_checkpoints.MIGRATION,
    schema_streams.MIGRATION,
    schema_trees.MIGRATION,
    schema_subscribers.MIGRATION,
)
VERSION: Final = len(MIGRATIONS)


def check_version(connection: apsw.Connection, path: str) -> int:
    """The version of the file, which holdfast knows.

    Raises NoDatabaseError when nothing is in it yet, SchemaError when it is not ours or newer.
    """
    application_id = connection.pragma("application_id")
    version = connection.pragma("user_version")
    if application_id == 0 and version == 0:
        tables = connection.execute("SELECT count(*) FROM sqlite_schema").get
        if tables == 0:
            raise NoDatabaseError(f"{path}: no database yet; it appears when the writer starts")
    if application_id != APPLICATION_ID or not isinstance(version, int):
        raise SchemaError(
            f"{path}: an SQLite database of another program (application_id {application_id}); "
            f"give holdfast a path of its own"
        )
    if version > VERSION:
        raise SchemaError(
            f"{path}: schema version {version}, but this holdfast knows up to {VERSION}; "
            f"start it with the newer holdfast that wrote it"
        )
    return version


def migrate(connection: apsw.Connection, version: int) -> bool:
    """Bring the file from ``version`` to VERSION, one transaction a step; whether there was one."""
    for step in range(version, VERSION):
        _take_step(connection, step)
    return version < VERSION


def _take_step(connection: apsw.Connection, step: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(MIGRATIONS[step])
        _number_step(connection, step)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _number_step(connection: apsw.Connection, step: int) -> None:
    """Within the step's transaction: a file says what it is from its first step on."""
    connection.pragma("application_id", APPLICATION_ID)
    connection.pragma("user_version", step + 1)


def template(version: int = VERSION) -> apsw.Connection:
    """An empty database of that version in memory, to compare with."""
    connection = apsw.Connection(":memory:")
    connection.pragma("page_size", PAGE_SIZE)
    connection.pragma("auto_vacuum", "INCREMENTAL")
    for step in MIGRATIONS[:version]:
        connection.execute("BEGIN")
        connection.execute(step)
        connection.execute("COMMIT")
    return connection


def has_table(connection: apsw.Connection, name: str) -> bool:
    """Whether it is there: databases of an older schema have fewer."""
    sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?"
    return connection.execute(sql, (name,)).get is not None

"""Tables: events and their payloads, senders, losses, and what retention knows.

As in SQLite (``holdfast.storage.sqlite_schema``), but that every table begins with the daemon, and
that an index of the events that have a value holds their numbers too: nothing else is the order
of a table here.

``daemons`` has what SQLite keeps in its file's lock and in ``meta``: who writes for a daemon, and
how often it has committed.  A transaction begins by raising ``commits`` where the epoch is its
own: so it holds the row, is fenced, and can be found again when the answer to its COMMIT is lost.
"""

from __future__ import annotations

from typing import Final

from holdfast.storage.postgresql.readable import readable

__all__ = ["TABLES"]

# home: whose the daemon is, machine and data directory.  pid, started: the server's session.
_DAEMONS: Final = """
CREATE TABLE daemons (
    daemon      text COLLATE "C" PRIMARY KEY CHECK (daemon <> ''),
    epoch       bigint NOT NULL,
    commits     bigint NOT NULL,
    home        text NOT NULL,
    pid         integer NOT NULL,
    started     text NOT NULL
) WITH (fillfactor = 20);
CREATE TABLE meta (
    daemon      text COLLATE "C" NOT NULL,
    name        text COLLATE "C" NOT NULL,
    value       text NOT NULL,
    PRIMARY KEY (daemon, name)
);
"""

# Rows up to a page stay in one piece and as they are: to compress each would cost more than to
# write it, and what is larger is in ``payloads``.
_EVENTS: Final = """
CREATE TABLE events (
    daemon      text COLLATE "C" NOT NULL,
    seq         bigint NOT NULL,
    time_us     bigint NOT NULL,
    type        text COLLATE "C" NOT NULL CHECK (type <> ''),
    source      text COLLATE "C" NOT NULL CHECK (source <> ''),
    subject     text COLLATE "C",
    session     text COLLATE "C",
    correlation text COLLATE "C",
    cause       text COLLATE "C",
    root        text COLLATE "C",
    depth       bigint NOT NULL CHECK (depth >= 0),
    key         text COLLATE "C",
    data        text COLLATE "C" NOT NULL CHECK (data::json IS NOT NULL),
    payload     text COLLATE "C",
    PRIMARY KEY (daemon, seq)
) WITH (toast_tuple_target = 8160);
ALTER TABLE events ALTER data SET STORAGE EXTERNAL;
CREATE INDEX events_by_time ON events (daemon, time_us, type, seq);
CREATE INDEX events_by_session ON events (daemon, session, seq) WHERE session IS NOT NULL;
CREATE INDEX events_by_subject ON events (daemon, subject, seq) WHERE subject IS NOT NULL;
CREATE INDEX events_by_correlation ON events (daemon, correlation, seq)
    WHERE correlation IS NOT NULL;
CREATE INDEX events_by_root ON events (daemon, root, seq) WHERE root IS NOT NULL;
CREATE UNIQUE INDEX events_by_key ON events (daemon, key, source) WHERE key IS NOT NULL;
CREATE INDEX events_by_payload ON events (daemon, payload) WHERE payload IS NOT NULL;

CREATE TABLE payloads (
    daemon      text COLLATE "C" NOT NULL,
    ref         text COLLATE "C" NOT NULL,
    bytes       bigint NOT NULL,
    codec       text NOT NULL CHECK (codec IN ('plain', 'zstd')),
    body        bytea NOT NULL,
    PRIMARY KEY (daemon, ref)
);
ALTER TABLE payloads ALTER body SET STORAGE EXTERNAL;

-- The newest number is the newest row's, or what the newest deleted row had.  A payload ends with
-- its last event.
CREATE FUNCTION note_deleted_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO meta AS m (daemon, name, value)
        SELECT daemon, 'deleted_seq', max(seq)::text FROM gone GROUP BY daemon
        ON CONFLICT (daemon, name) DO UPDATE SET value = excluded.value
        WHERE excluded.value::bigint > m.value::bigint;
    DELETE FROM payloads AS p
        USING (SELECT DISTINCT daemon, payload FROM gone WHERE payload IS NOT NULL) AS g
        WHERE p.daemon = g.daemon AND p.ref = g.payload AND NOT EXISTS (
            SELECT 1 FROM events AS e WHERE e.daemon = g.daemon AND e.payload = g.payload);
    RETURN NULL;
END $$;
CREATE TRIGGER events_numbers_stay_used AFTER DELETE ON events
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION note_deleted_events();
"""

_DELIVERY: Final = """
CREATE TABLE senders (
    daemon      text COLLATE "C" NOT NULL,
    sender      text COLLATE "C" NOT NULL,
    incarnation text COLLATE "C" NOT NULL,
    stream      text COLLATE "C" NOT NULL,
    mark        bigint NOT NULL,
    duplicates  bigint NOT NULL,
    dropped     bigint NOT NULL,
    pruned      bigint NOT NULL,
    turn        bigint NOT NULL,
    PRIMARY KEY (daemon, sender, incarnation, stream)
) WITH (fillfactor = 50);
CREATE TABLE results (
    daemon      text COLLATE "C" NOT NULL,
    sender      text COLLATE "C" NOT NULL,
    incarnation text COLLATE "C" NOT NULL,
    stream      text COLLATE "C" NOT NULL,
    number      bigint NOT NULL,
    result      bytea NOT NULL,
    PRIMARY KEY (daemon, sender, incarnation, stream, number)
);
CREATE TABLE dropped (
    daemon      text COLLATE "C" NOT NULL,
    id          bigint NOT NULL,
    time_us     bigint NOT NULL,
    sender      text COLLATE "C",
    incarnation text COLLATE "C",
    stream      text COLLATE "C",
    first       bigint,
    last        bigint,
    count       bigint NOT NULL CHECK (count > 0),
    reason      text COLLATE "C" NOT NULL,
    PRIMARY KEY (daemon, id)
);
CREATE TABLE dead_letters (
    daemon      text COLLATE "C" NOT NULL,
    id          bigint NOT NULL,
    time_us     bigint NOT NULL,
    actor       text COLLATE "C" NOT NULL,
    sender      text COLLATE "C" NOT NULL,
    incarnation text COLLATE "C" NOT NULL,
    stream      text COLLATE "C" NOT NULL,
    number      bigint NOT NULL,
    kind        text COLLATE "C" NOT NULL,
    reason      text COLLATE "C" NOT NULL,
    deaths      bigint NOT NULL CHECK (deaths >= 0),
    body        bytea NOT NULL,
    message     text COLLATE "C" CHECK (message IS NULL OR message::json IS NOT NULL),
    PRIMARY KEY (daemon, id),
    UNIQUE (daemon, actor, sender, incarnation, kind, number)
);
"""

_RETENTION: Final = """
CREATE TABLE retained (
    daemon      text COLLATE "C" NOT NULL,
    rule        text COLLATE "C" NOT NULL,
    counted_seq bigint NOT NULL,
    oldest_seq  bigint NOT NULL,
    count       bigint NOT NULL,
    bytes       bigint NOT NULL,
    PRIMARY KEY (daemon, rule)
);
CREATE TABLE deleted (
    daemon      text COLLATE "C" NOT NULL,
    day         text COLLATE "C" NOT NULL,
    rule        text COLLATE "C" NOT NULL,
    reason      text COLLATE "C" NOT NULL CHECK (reason IN ('age', 'count', 'bytes')),
    count       bigint NOT NULL,
    bytes       bigint NOT NULL,
    first_seq   bigint NOT NULL,
    last_seq    bigint NOT NULL,
    PRIMARY KEY (daemon, day, rule, reason)
);
"""

_VIEWS: Final = f"""
CREATE VIEW events_readable AS
    SELECT e.daemon, seq, {readable("time_us")} AS time, type, source, session, subject,
           correlation, cause, key,
           CASE codec WHEN 'plain' THEN convert_from(body, 'UTF8') ELSE data END AS data,
           payload, p.bytes AS payload_bytes
    FROM events AS e LEFT JOIN payloads AS p ON p.daemon = e.daemon AND p.ref = e.payload;
CREATE VIEW event_links AS
    SELECT effect.daemon, effect.seq, effect.type, effect.source, effect.depth, effect.root,
           effect.cause, cause.seq AS cause_seq, cause.type AS cause_type,
           cause.source AS cause_source
    FROM events AS effect
    LEFT JOIN events AS cause ON cause.daemon = effect.daemon AND cause.key = effect.cause
    WHERE effect.cause IS NOT NULL;
CREATE VIEW events_by_day AS
    SELECT daemon, left({readable("time_us")}, 10) AS day, type, count(*) AS count
    FROM events GROUP BY 1, 2, 3;
CREATE VIEW dropped_readable AS
    SELECT daemon, {readable("time_us")} AS time, sender, stream, first, last, count, reason
    FROM dropped;
CREATE VIEW dead_letters_readable AS
    SELECT daemon, id, {readable("time_us")} AS time, actor, sender, kind, number, reason, deaths,
           octet_length(body) AS bytes, message
    FROM dead_letters;
"""

TABLES: Final = _DAEMONS + _EVENTS + _DELIVERY + _RETENTION + _VIEWS

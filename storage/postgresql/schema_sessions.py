"""Tables: sessions and their items.

``session_totals`` has a row for each daemon, which triggers keep, one call for a statement: to
count a million rows takes a tenth of a second, and to count row by row makes a version of the
total for each.  Who copies sessions from another database leaves it out: copying them counts them.
"""

from __future__ import annotations

from typing import Final

from holdfast.storage.postgresql.readable import readable

__all__ = ["TABLES"]

# holders: who has it in use, and until when.  items: the number of the newest item.
# EXTERNAL: what is written every second is not worth compressing.
_SESSIONS: Final = """
CREATE TABLE sessions (
    daemon      text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL CHECK (id <> ''),
    data        text COLLATE "C" NOT NULL CHECK (data::json IS NOT NULL),
    version     text COLLATE "C" NOT NULL,
    created_us  bigint NOT NULL,
    touched_us  bigint NOT NULL,
    expires_us  bigint NOT NULL,
    ttl         double precision NOT NULL,
    max_age     double precision,
    owner       text COLLATE "C",
    holders     text COLLATE "C" NOT NULL DEFAULT '{}' CHECK (holders::json IS NOT NULL),
    items       bigint NOT NULL DEFAULT 0,
    item_bytes  bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (daemon, id)
);
ALTER TABLE sessions ALTER data SET STORAGE EXTERNAL;
CREATE INDEX sessions_by_touch ON sessions (daemon, touched_us, id);
CREATE INDEX sessions_by_expiry ON sessions (daemon, expires_us, id);
CREATE INDEX sessions_by_owner ON sessions (daemon, owner, id) WHERE owner IS NOT NULL;

CREATE TABLE session_items (
    daemon      text COLLATE "C" NOT NULL,
    session     text COLLATE "C" NOT NULL,
    number      bigint NOT NULL CHECK (number > 0),
    time_us     bigint NOT NULL,
    key         text COLLATE "C",
    data        text COLLATE "C" NOT NULL CHECK (data::json IS NOT NULL),
    PRIMARY KEY (daemon, session, number),
    FOREIGN KEY (daemon, session) REFERENCES sessions (daemon, id) ON DELETE CASCADE
);
ALTER TABLE session_items ALTER data SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX session_items_by_key ON session_items (daemon, session, key)
    WHERE key IS NOT NULL;
"""

_TOTALS: Final = """
CREATE TABLE session_totals (
    daemon      text COLLATE "C" PRIMARY KEY,
    count       bigint NOT NULL,
    bytes       bigint NOT NULL
) WITH (fillfactor = 20);

CREATE FUNCTION count_sessions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO session_totals AS t (daemon, count, bytes)
        SELECT daemon, count(*), sum(octet_length(data) + item_bytes) FROM fresh GROUP BY daemon
        ON CONFLICT (daemon) DO UPDATE
        SET count = t.count + excluded.count, bytes = t.bytes + excluded.bytes;
    RETURN NULL;
END $$;
CREATE FUNCTION count_sessions_down() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE session_totals AS t SET count = t.count - g.count, bytes = t.bytes - g.bytes
        FROM (SELECT daemon, count(*), sum(octet_length(data) + item_bytes) AS bytes
              FROM gone GROUP BY daemon) AS g
        WHERE t.daemon = g.daemon;
    RETURN NULL;
END $$;
CREATE FUNCTION measure_sessions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE session_totals AS t SET bytes = t.bytes + g.bytes
        FROM (SELECT daemon, sum(bytes) AS bytes
              FROM (SELECT daemon, octet_length(data) + item_bytes AS bytes FROM fresh
                    UNION ALL
                    SELECT daemon, -(octet_length(data) + item_bytes) FROM gone) AS each
              GROUP BY daemon) AS g
        WHERE t.daemon = g.daemon AND g.bytes <> 0;
    RETURN NULL;
END $$;
CREATE TRIGGER sessions_are_counted AFTER INSERT ON sessions
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION count_sessions();
CREATE TRIGGER sessions_are_counted_down AFTER DELETE ON sessions
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION count_sessions_down();
CREATE TRIGGER sessions_are_measured AFTER UPDATE ON sessions
    REFERENCING OLD TABLE AS gone NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION measure_sessions();
"""

_VIEWS: Final = f"""
CREATE VIEW sessions_readable AS
    SELECT daemon, id, {readable("created_us")} AS created, {readable("touched_us")} AS touched,
           {readable("expires_us")} AS expires, version, owner, holders, items, data
    FROM sessions;
CREATE VIEW session_items_readable AS
    SELECT daemon, session, number, {readable("time_us")} AS time, key, data FROM session_items;
"""

TABLES: Final = _SESSIONS + _TOTALS + _VIEWS

"""Tables: how events are found by subject, correlation and cause; what viewers see of that.

``cause`` is the key of another event, of whatever source: that is why ``events_by_key`` begins
with the key.  ``event_links`` shows every effect beside its cause.
"""

from __future__ import annotations

from typing import Final

from holdfast.storage.readable import readable

__all__ = ["MIGRATION"]

MIGRATION: Final = f"""
DROP INDEX events_by_key;
CREATE UNIQUE INDEX events_by_key ON events (key, source) WHERE key IS NOT NULL;
CREATE INDEX events_by_subject ON events (subject) WHERE subject IS NOT NULL;
CREATE INDEX events_by_correlation ON events (correlation) WHERE correlation IS NOT NULL;
CREATE INDEX events_by_root ON events (root) WHERE root IS NOT NULL;

-- A payload that is not compressed is shown; of the others, what it is and how long.
DROP VIEW events_readable;
CREATE VIEW events_readable AS
    SELECT seq, {readable("time_us")} AS time, type, source, session, subject, correlation, cause,
           key, CASE codec WHEN 'plain' THEN CAST(body AS TEXT) ELSE data END AS data,
           payload, payloads.bytes AS payload_bytes
    FROM events LEFT JOIN payloads ON payload = ref;
CREATE VIEW event_links AS
    SELECT effect.seq, effect.type, effect.source, effect.depth, effect.root,
           effect.cause, cause.seq AS cause_seq, cause.type AS cause_type,
           cause.source AS cause_source
    FROM events AS effect LEFT JOIN events AS cause ON cause.key = effect.cause
    WHERE effect.cause IS NOT NULL;
CREATE VIEW events_by_day AS
    SELECT date(time_us / 1000000, 'unixepoch') AS day, type, count(*) AS count
    FROM events GROUP BY 1, 2;
"""

"""Tables: named subscribers."""

from __future__ import annotations

from typing import Final

from holdfast.storage.postgresql.readable import readable

__all__ = ["TABLES"]

# acked: all events up to that number are acknowledged, or not asked for; retention keeps what is
# behind it.  filter: what is asked for, a JSON object.  generation: of the consumers with this
# name the last one, which alone may acknowledge; owner: who that is.
TABLES: Final = f"""
CREATE TABLE subscribers (
    daemon     text COLLATE "C" NOT NULL,
    name       text COLLATE "C" NOT NULL CHECK (name <> ''),
    acked      bigint NOT NULL CHECK (acked >= 0),
    filter     text COLLATE "C" NOT NULL CHECK (filter::json IS NOT NULL),
    generation bigint NOT NULL,
    owner      text COLLATE "C" NOT NULL,
    created_us bigint NOT NULL,
    updated_us bigint NOT NULL,
    PRIMARY KEY (daemon, name)
) WITH (fillfactor = 50);
CREATE VIEW subscribers_readable AS
    SELECT daemon, name, acked,
           (SELECT max(seq) FROM events AS e WHERE e.daemon = s.daemon) - acked AS behind,
           filter, owner, {readable("updated_us")} AS updated
    FROM subscribers AS s;
"""

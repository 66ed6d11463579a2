"""Tables: checkpoints, their parts, names and owners.

As in SQLite (``holdfast.storage.schema_checkpoints``), but that every table begins with the
daemon: no part is shared between daemons.
"""

from __future__ import annotations

from typing import Final

from holdfast.storage.postgresql.readable import readable

__all__ = ["TABLES"]

# EXTERNAL: what pays to be compressed is, by the program that puts it.
_CHECKPOINTS: Final = """
CREATE TABLE checkpoints (
    daemon       text COLLATE "C" NOT NULL,
    agent        text COLLATE "C" NOT NULL CHECK (agent <> ''),
    id           bigint NOT NULL,
    created_us   bigint NOT NULL,
    state        text COLLATE "C" NOT NULL CHECK (state::json IS NOT NULL),
    pieces       text COLLATE "C" CHECK (pieces IS NULL OR pieces::json IS NOT NULL),
    size         bigint NOT NULL,
    parent_agent text COLLATE "C",
    parent_id    bigint,
    PRIMARY KEY (daemon, agent, id)
);
ALTER TABLE checkpoints ALTER state SET STORAGE EXTERNAL;
"""

_PARTS: Final = """
CREATE TABLE checkpoint_parts (
    daemon       text COLLATE "C" NOT NULL,
    id           bigint NOT NULL,
    hash         bytea NOT NULL CHECK (octet_length(hash) = 16),
    refs         bigint NOT NULL CHECK (refs >= 0),
    held_us      bigint NOT NULL,
    PRIMARY KEY (daemon, id),
    UNIQUE (daemon, hash)
);
CREATE INDEX checkpoint_parts_unused ON checkpoint_parts (daemon, held_us) WHERE refs = 0;
CREATE TABLE checkpoint_data (
    daemon       text COLLATE "C" NOT NULL,
    id           bigint NOT NULL,
    size         bigint NOT NULL,
    codec        bigint NOT NULL,
    data         bytea NOT NULL,
    PRIMARY KEY (daemon, id)
);
ALTER TABLE checkpoint_data ALTER data SET STORAGE EXTERNAL;
"""

# Who writes a thread, and who did and lost it while it lived.
_NAMES: Final = """
CREATE TABLE checkpoint_pins (
    daemon       text COLLATE "C" NOT NULL,
    agent        text COLLATE "C" NOT NULL,
    name         text COLLATE "C" NOT NULL CHECK (name <> ''),
    id           bigint NOT NULL,
    PRIMARY KEY (daemon, agent, name)
);
CREATE INDEX checkpoint_pins_by_id ON checkpoint_pins (daemon, agent, id);

CREATE TABLE checkpoint_threads (
    daemon       text COLLATE "C" NOT NULL,
    agent        text COLLATE "C" NOT NULL,
    sender       text COLLATE "C" NOT NULL,
    incarnation  text COLLATE "C" NOT NULL,
    fence        bigint NOT NULL,
    is_present   bigint NOT NULL,
    PRIMARY KEY (daemon, agent)
);
CREATE INDEX checkpoint_threads_by_owner ON checkpoint_threads (daemon, sender, incarnation);
CREATE TABLE checkpoint_evicted (
    daemon       text COLLATE "C" NOT NULL,
    sender       text COLLATE "C" NOT NULL,
    incarnation  text COLLATE "C" NOT NULL,
    agent        text COLLATE "C" NOT NULL,
    PRIMARY KEY (daemon, sender, incarnation, agent)
);

CREATE TABLE checkpoint_participants (
    daemon       text COLLATE "C" NOT NULL,
    name         text COLLATE "C" NOT NULL,
    boot         bigint NOT NULL,
    PRIMARY KEY (daemon, name)
);
"""

_VIEWS: Final = f"""
CREATE VIEW checkpoints_readable AS
    SELECT daemon, agent, id, {readable("created_us")} AS created, size AS bytes, parent_agent,
           parent_id,
           (SELECT string_agg(name, ', ') FROM checkpoint_pins AS pin
            WHERE pin.daemon = each.daemon AND pin.agent = each.agent AND pin.id = each.id) AS pins,
           pieces IS NOT NULL AS is_cut, state
    FROM checkpoints AS each;
"""

TABLES: Final = _CHECKPOINTS + _PARTS + _NAMES + _VIEWS

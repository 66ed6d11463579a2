"""Tables: entities, properties and relationships.

As in SQLite (``holdfast.storage.schema_state``), with three differences:

* There a key is of any type; here numbers are in ``key_number``, which holds each exactly, and
  texts in ``key_text``; ``rest`` is only of texts that go on behind their key, and ``whole`` is
  what ``like`` looks at then (``holdfast.storage.postgresql.keys``).
* There are no foreign keys: each would look up a row for every row that is written.  The one
  writer of a daemon removes with an entity what is its own.
* An entry of an index has at most some 2,700 bytes: rows with more than that in names and key are
  refused.
"""

from __future__ import annotations

from typing import Final

from holdfast.storage.postgresql.readable import readable

__all__ = ["TABLES"]

_ENTITIES: Final = """
CREATE TABLE entity_types (
    daemon      text COLLATE "C" NOT NULL,
    name        text COLLATE "C" NOT NULL CHECK (name <> ''),
    history     smallint NOT NULL DEFAULT 0 CHECK (history IN (0, 1)),
    keep        bigint CHECK (keep > 0),
    PRIMARY KEY (daemon, name)
);

CREATE TABLE entities (
    daemon      text COLLATE "C" NOT NULL,
    number      bigint NOT NULL,
    id          text COLLATE "C" NOT NULL CHECK (id <> ''),
    type        text COLLATE "C" NOT NULL,
    version     bigint NOT NULL CHECK (version > 0),
    created_us  bigint NOT NULL,
    updated_us  bigint NOT NULL CHECK (updated_us >= created_us),
    properties  text COLLATE "C" NOT NULL CHECK (properties::json IS NOT NULL),
    PRIMARY KEY (daemon, number),
    UNIQUE (daemon, id)
) WITH (fillfactor = 80);
CREATE INDEX entities_by_type ON entities (daemon, type, number);

CREATE TABLE properties (
    daemon      text COLLATE "C" NOT NULL,
    entity      bigint NOT NULL,
    name        text COLLATE "C" NOT NULL CHECK (name <> ''),
    type        text COLLATE "C" NOT NULL,
    kind        smallint NOT NULL CHECK (kind BETWEEN 0 AND 4),
    key_number  numeric NOT NULL,
    key_text    text COLLATE "C" NOT NULL,
    rest        text COLLATE "C" NOT NULL,
    whole       text COLLATE "C",
    PRIMARY KEY (daemon, entity, name)
);
CREATE INDEX properties_by_value
    ON properties (daemon, name, type, kind, key_number, key_text, rest, entity);

CREATE TABLE entity_tombstones (
    daemon      text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL,
    version     bigint NOT NULL,
    deleted_us  bigint NOT NULL,
    PRIMARY KEY (daemon, id)
);

CREATE TABLE entity_history (
    daemon      text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL,
    version     bigint NOT NULL,
    type        text COLLATE "C" NOT NULL,
    created_us  bigint NOT NULL,
    since_us    bigint NOT NULL,
    until_us    bigint NOT NULL CHECK (until_us >= since_us),
    properties  text COLLATE "C" NOT NULL CHECK (properties::json IS NOT NULL),
    PRIMARY KEY (daemon, id, version)
);
CREATE INDEX entity_history_by_time ON entity_history (daemon, id, since_us);
"""

_RELATIONSHIPS: Final = """
CREATE TABLE relationships (
    daemon        text COLLATE "C" NOT NULL,
    from_id       text COLLATE "C" NOT NULL,
    relation_type text COLLATE "C" NOT NULL CHECK (relation_type <> ''),
    to_id         text COLLATE "C" NOT NULL,
    version       bigint NOT NULL,
    created_us    bigint NOT NULL,
    updated_us    bigint NOT NULL,
    metadata      text COLLATE "C" NOT NULL CHECK (metadata::json IS NOT NULL),
    PRIMARY KEY (daemon, from_id, relation_type, to_id)
);
CREATE INDEX relationships_by_target ON relationships (daemon, to_id, relation_type, from_id);
CREATE INDEX relationships_by_type ON relationships (daemon, relation_type, from_id, to_id);
"""

# JSON functions take no NUL: people read the sign for what cannot be shown.
_VIEWS: Final = f"""
CREATE VIEW entities_readable AS
    SELECT daemon, id, type, version, {readable("created_us")} AS created,
           {readable("updated_us")} AS updated, properties
    FROM entities;
CREATE VIEW properties_readable AS
    SELECT e.daemon, e.id, e.type, p.key AS name, json_typeof(p.value) AS kind,
           p.value #>> '{{}}' AS value
    FROM entities AS e, json_each(replace(e.properties, '\\u0000', '\\ufffd')::json) AS p;
CREATE VIEW relationships_readable AS
    SELECT daemon, from_id, relation_type, to_id, {readable("created_us")} AS created, version,
           metadata
    FROM relationships;
CREATE VIEW entity_history_readable AS
    SELECT daemon, id, version, type, {readable("since_us")} AS since,
           {readable("until_us")} AS until, properties
    FROM entity_history;
"""

TABLES: Final = _ENTITIES + _RELATIONSHIPS + _VIEWS

"""Tables: entities, properties and relationships.

``entities.properties`` is the truth of an entity, one JSON object; a row of ``properties`` is what
questions look at: ``kind``, ``key`` and ``rest`` order the values of a name (storage/state_values).
``number`` is that of the event that told of the creation: it orders entities, and is never used
again.  So is the version of a relationship, of its last change.

* ``entities_by_type`` (type, number) walks a type in order of creation;
* ``properties_by_value`` finds and orders by a property, all values of one type together.

Each table and index that a change touches is a page of 8 KiB in its COMMIT, which is much of what
a change costs: there is none for the order of changes, which is sorted when it is asked for.

``entity_tombstones`` keeps the last version of a deleted id, so that none is ever given twice;
``entity_history`` the versions that were replaced, of types that keep them.
"""

from __future__ import annotations

from typing import Final

from holdfast.storage.readable import readable

__all__ = ["MIGRATION"]

MIGRATION: Final = f"""
CREATE TABLE entity_types (
    name        TEXT PRIMARY KEY CHECK (length(name) > 0),
    history     INTEGER NOT NULL DEFAULT 0 CHECK (history IN (0, 1)),
    keep        INTEGER CHECK (keep > 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE entities (
    number      INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE CHECK (length(id) > 0),
    type        TEXT NOT NULL REFERENCES entity_types (name),
    version     INTEGER NOT NULL CHECK (version > 0),
    created_us  INTEGER NOT NULL,
    updated_us  INTEGER NOT NULL CHECK (updated_us >= created_us),
    properties  TEXT NOT NULL CHECK (json_valid(properties))
) STRICT;
CREATE INDEX entities_by_type ON entities (type);

CREATE TABLE properties (
    entity      INTEGER NOT NULL REFERENCES entities (number) ON DELETE CASCADE,
    name        TEXT NOT NULL CHECK (length(name) > 0),
    type        TEXT NOT NULL,
    kind        INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 4),
    key         ANY NOT NULL,
    rest        ANY NOT NULL,
    PRIMARY KEY (entity, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX properties_by_value ON properties (name, type, kind, key, rest, entity);

CREATE TABLE entity_tombstones (
    id          TEXT PRIMARY KEY,
    version     INTEGER NOT NULL,
    deleted_us  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE entity_history (
    id          TEXT NOT NULL,
    version     INTEGER NOT NULL,
    type        TEXT NOT NULL,
    created_us  INTEGER NOT NULL,
    since_us    INTEGER NOT NULL,
    until_us    INTEGER NOT NULL CHECK (until_us >= since_us),
    properties  TEXT NOT NULL CHECK (json_valid(properties)),
    PRIMARY KEY (id, version)
) STRICT;
CREATE INDEX entity_history_by_time ON entity_history (id, since_us);

CREATE TABLE relationships (
    from_id       TEXT NOT NULL REFERENCES entities (id) ON DELETE CASCADE,
    relation_type TEXT NOT NULL CHECK (length(relation_type) > 0),
    to_id         TEXT NOT NULL REFERENCES entities (id) ON DELETE CASCADE,
    version       INTEGER NOT NULL,
    created_us    INTEGER NOT NULL,
    updated_us    INTEGER NOT NULL,
    metadata      TEXT NOT NULL CHECK (json_valid(metadata)),
    PRIMARY KEY (from_id, relation_type, to_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX relationships_by_target ON relationships (to_id, relation_type, from_id);
CREATE INDEX relationships_by_type ON relationships (relation_type, from_id, to_id);

CREATE VIEW entities_readable AS
    SELECT id, type, version, {readable("created_us")} AS created,
           {readable("updated_us")} AS updated, properties
    FROM entities;
CREATE VIEW properties_readable AS
    SELECT e.id, e.type, p.key AS name, p.type AS kind, p.value
    FROM entities AS e, json_each(e.properties) AS p;
CREATE VIEW relationships_readable AS
    SELECT from_id, relation_type, to_id, {readable("created_us")} AS created, version, metadata
    FROM relationships;
CREATE VIEW entity_history_readable AS
    SELECT id, version, type, {readable("since_us")} AS since, {readable("until_us")} AS until,
           properties
    FROM entity_history;
"""

"""Tables: queues of entities.

``number`` is that of the event that told of the push: it orders the items of a queue, and is never
used again.  ``queues.length`` counts them.
A queue whose namespace is the id of an entity is that entity's: it goes when the entity goes.
"""

from __future__ import annotations

from typing import Final

from holdfast.storage.readable import readable

__all__ = ["MIGRATION"]

MIGRATION: Final = f"""
CREATE TABLE queues (
    number      INTEGER PRIMARY KEY,
    namespace   TEXT NOT NULL CHECK (length(namespace) > 0),
    key         TEXT NOT NULL CHECK (length(key) > 0),
    length      INTEGER NOT NULL CHECK (length >= 0),
    UNIQUE (namespace, key)
) STRICT;

CREATE TABLE queue_items (
    number      INTEGER PRIMARY KEY,
    queue       INTEGER NOT NULL REFERENCES queues (number) ON DELETE CASCADE,
    pushed_us   INTEGER NOT NULL,
    expires_us  INTEGER,
    value       TEXT NOT NULL CHECK (json_valid(value))
) STRICT;
CREATE INDEX queue_items_by_queue ON queue_items (queue);
CREATE INDEX queue_items_by_expiry ON queue_items (expires_us) WHERE expires_us IS NOT NULL;

CREATE VIEW queues_readable AS
    SELECT q.namespace, q.key, i.number AS id, {readable("i.pushed_us")} AS pushed,
           {readable("i.expires_us")} AS expires, i.value
    FROM queues AS q JOIN queue_items AS i ON i.queue = q.number;
"""

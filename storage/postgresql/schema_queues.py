"""Tables: queues of entities, as in SQLite (``holdfast.storage.schema_queues``).

There are no foreign keys here: items go with their queue by the statement that removes it.
"""

from __future__ import annotations

from typing import Final

from holdfast.storage.postgresql.readable import readable

__all__ = ["TABLES"]

TABLES: Final = f"""
CREATE TABLE queues (
    daemon      text COLLATE "C" NOT NULL,
    number      bigint NOT NULL,
    namespace   text COLLATE "C" NOT NULL CHECK (namespace <> ''),
    key         text COLLATE "C" NOT NULL CHECK (key <> ''),
    length      bigint NOT NULL CHECK (length >= 0),
    PRIMARY KEY (daemon, number),
    UNIQUE (daemon, namespace, key)
) WITH (fillfactor = 50);

CREATE TABLE queue_items (
    daemon      text COLLATE "C" NOT NULL,
    number      bigint NOT NULL,
    queue       bigint NOT NULL,
    pushed_us   bigint NOT NULL,
    expires_us  bigint,
    value       text COLLATE "C" NOT NULL CHECK (value::json IS NOT NULL),
    PRIMARY KEY (daemon, number)
);
CREATE INDEX queue_items_by_queue ON queue_items (daemon, queue, number);
CREATE INDEX queue_items_by_expiry ON queue_items (daemon, expires_us, number)
    WHERE expires_us IS NOT NULL;

CREATE VIEW queues_readable AS
    SELECT q.daemon, q.namespace, q.key, i.number AS id, {readable("i.pushed_us")} AS pushed,
           {readable("i.expires_us")} AS expires, i.value
    FROM queues AS q JOIN queue_items AS i ON i.daemon = q.daemon AND i.queue = q.number;
"""

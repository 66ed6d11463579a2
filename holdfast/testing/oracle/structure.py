"""What has to hold of a database whoever wrote to it: SQLite's own checks, orphans, holes."""

from __future__ import annotations

import sqlite3
from typing import Final

from holdfast.testing.oracle.verdict import Verdict

__all__ = ["check_structure"]

# What points at nothing, by table.  Most of it foreign keys forbid: these are asked all the same,
# since they are off by default on every connection.
_ORPHANS: Final = {
    "properties": """
        SELECT entity FROM properties
        WHERE NOT EXISTS (SELECT 1 FROM entities WHERE number = properties.entity)""",
    "properties whose entity does not have them": """
        SELECT p.entity || ' ' || p.name FROM properties AS p
        JOIN entities AS e ON number = p.entity
        WHERE NOT EXISTS (SELECT 1 FROM json_each(e.properties) AS own WHERE own.key = p.name)""",
    "relationships": """
        SELECT from_id || ' ' || relation_type || ' ' || to_id FROM relationships
        WHERE NOT EXISTS (SELECT 1 FROM entities WHERE id = from_id)
           OR NOT EXISTS (SELECT 1 FROM entities WHERE id = to_id)""",
    "session items": """
        SELECT session || ' ' || number FROM session_items
        WHERE NOT EXISTS (SELECT 1 FROM sessions WHERE id = session_items.session)""",
    "queue items": """
        SELECT number FROM queue_items
        WHERE NOT EXISTS (SELECT 1 FROM queues WHERE number = queue_items.queue)""",
    "versions of streams": """
        SELECT seq FROM stream_events
        WHERE NOT EXISTS (SELECT 1 FROM events WHERE seq = stream_events.seq)""",
    "payloads": """
        SELECT ref FROM payloads
        WHERE NOT EXISTS (SELECT 1 FROM events WHERE payload = payloads.ref)""",
    "events without their payload": """
        SELECT seq FROM events WHERE payload IS NOT NULL
          AND NOT EXISTS (SELECT 1 FROM payloads WHERE ref = events.payload)""",
    "data of parts": """
        SELECT id FROM checkpoint_data
        WHERE NOT EXISTS (SELECT 1 FROM checkpoint_parts WHERE id = checkpoint_data.id)""",
    "parts without their data": """
        SELECT id FROM checkpoint_parts
        WHERE NOT EXISTS (SELECT 1 FROM checkpoint_data WHERE id = checkpoint_parts.id)""",
    "pins": """
        SELECT agent || ' ' || name FROM checkpoint_pins AS pin
        WHERE NOT EXISTS (SELECT 1 FROM checkpoints WHERE agent = pin.agent AND id = pin.id)""",
    "results": """
        SELECT sender || ' ' || stream || ' ' || number FROM results AS r
        WHERE NOT EXISTS (SELECT 1 FROM senders AS s WHERE s.sender = r.sender
                          AND s.incarnation = r.incarnation AND s.stream = r.stream)""",
}
_LENGTHS: Final = """
SELECT namespace, key, length, (SELECT count(*) FROM queue_items WHERE queue = queues.number)
FROM queues WHERE length <> (SELECT count(*) FROM queue_items WHERE queue = queues.number)
"""
# Numbers are given in the COMMIT and only retention takes rows away, which it counts.
_HOLES: Final = """
SELECT (SELECT count(*) FROM events),
       max((SELECT coalesce(max(seq), 0) FROM events),
           (SELECT value FROM meta WHERE name = 'deleted_seq')),
       (SELECT coalesce(sum(count), 0) FROM deleted)
"""
# A sender's numbers up to its mark are events, repeats of a key, or counted as dropped; commands
# have numbers too, of which nothing has to be left.
_NEGATIVE: Final = """
SELECT sender, stream, mark, duplicates, dropped FROM senders
WHERE mark < duplicates + dropped OR mark < 1
"""


def check_structure(viewer: sqlite3.Connection, verdict: Verdict) -> None:
    """Everything that needs no journal."""
    for (text,) in viewer.execute("PRAGMA integrity_check"):
        if text != "ok":
            verdict.add("integrity", text)
    for table, row, parent, _ in viewer.execute("PRAGMA foreign_key_check"):
        verdict.add("foreign_keys", f"row {row} of {table} points at nothing in {parent}")
    if verdict.found["integrity"]:
        return  # whatever else it says means nothing
    for what, sql in _ORPHANS.items():
        for (name,) in viewer.execute(sql):
            verdict.add("orphans", f"{what}: {name}")
    for namespace, key, length, items in viewer.execute(_LENGTHS):
        verdict.add("ledger", f"queue {namespace}/{key} says {length} items and has {items}")
    rows, newest, deleted = viewer.execute(_HOLES).fetchone()
    if rows + deleted != newest:
        verdict.add(
            "versions",
            f"{newest} numbers were given to events: {rows} are there, {deleted} were deleted",
        )
    for sender, stream, mark, duplicates, dropped in viewer.execute(_NEGATIVE):
        verdict.add(
            "ledger",
            f"{sender} to {stream}: mark {mark}, but {duplicates} duplicates and {dropped} dropped",
        )

"""What has to be true of a database after a power loss (scenario D2), decided from outside.

Owns what was committed and told so far in a recording.  A database is one of its states, bit for
bit: the content after some commit.  So a lost middle, a half transaction or a page of another
time is a content that never was.
"""

from __future__ import annotations

import hashlib
from typing import Final, cast

import apsw
import msgspec

from holdfast.testing.faults.recording import Fact, Told

__all__ = ["Found", "Looks", "Oracle", "content"]

SEEN: Final = 100  # contents that are remembered
# What a Fact is compared with: the numbers that the tables have.
_FACTS: Final = {
    "mark": "SELECT sender || ' ' || incarnation || ' ' || stream, mark FROM senders",
    "entity": """SELECT id, version FROM entities
        UNION ALL SELECT id, version FROM entity_tombstones""",
    "session": "SELECT id, CAST(substr(version, 1 + instr(version, ':')) AS INTEGER) FROM sessions",
    "checkpoint": "SELECT agent, max(id) FROM checkpoints GROUP BY agent",
    "stream": "SELECT name, version FROM streams",
    "subscriber": "SELECT name, acked FROM subscribers",
    "generation": "SELECT name, generation FROM subscribers",
    "seq": """SELECT '', max((SELECT coalesce(max(seq), 0) FROM events),
                             (SELECT value FROM meta WHERE name = 'deleted_seq'))""",
    "epoch": "SELECT '', value FROM meta WHERE name = 'epoch'",
    # What a program emitted as 0, 1, 2, ... with the type "n", up to where nothing is missing.
    "numbered": """SELECT source, min(CASE WHEN n <> place THEN place ELSE last END) FROM (
        SELECT source, CAST(data AS INTEGER) AS n,
               row_number() OVER (PARTITION BY source ORDER BY seq) - 1 AS place,
               count(*) OVER (PARTITION BY source) AS last
        FROM events WHERE type = 'n') GROUP BY source""",
}
# What must not be found: a row is the text of what is wrong.
_WRONG: Final = {
    "integrity": "SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'",
    "foreign keys": "SELECT \"table\" || ' ' || rowid FROM pragma_foreign_key_check",
    "sequence": """SELECT 'numbers up to ' || last || ', rows and deleted rows: ' || rows FROM (
        SELECT max((SELECT coalesce(max(seq), 0) FROM events),
                   (SELECT value FROM meta WHERE name = 'deleted_seq')) AS last,
               (SELECT count(*) FROM events) + (SELECT total(count) FROM deleted) AS rows)
        WHERE last <> rows""",
    "versions of streams": """SELECT stream FROM stream_events JOIN streams ON name = stream
        GROUP BY stream HAVING max(stream_events.version) <> streams.version
            OR count(*) <> 1 + max(stream_events.version) - min(stream_events.version)""",
    "versions of entities": """SELECT h.id FROM entity_history AS h JOIN entities AS e USING (id)
        GROUP BY h.id HAVING max(h.version) >= e.version""",
    "parts of checkpoints": """SELECT hex(hash) FROM checkpoint_parts
        LEFT JOIN checkpoint_data USING (id) WHERE data IS NULL""",
    "payloads": """SELECT payload FROM events WHERE payload IS NOT NULL
        AND payload NOT IN (SELECT ref FROM payloads)""",
    "items of queues": """SELECT namespace || '/' || key FROM queues
        WHERE length <> (SELECT count(*) FROM queue_items WHERE queue = queues.number)""",
    "emitted": """SELECT sender FROM senders WHERE stream = 'log' AND mark - duplicates - dropped
        <> (SELECT count(*) FROM events WHERE source = sender AND type = 'tool:call')
        AND EXISTS (SELECT 1 FROM events WHERE source = sender AND type = 'tool:call')""",
}


class Found(msgspec.Struct, frozen=True):
    """A database that was opened after a power loss."""

    content: bytes  # a hash; of a file without tables, that of nothing
    wrong: list[str]
    facts: dict[tuple[str, str], int]


def content(connection: apsw.Connection) -> bytes:
    """A hash of all pages as a reader sees them, whatever of it is in which file."""
    # SQLite serializes a page also where there is none yet, of one size or another.
    pages = connection.serialize("main") if connection.pragma("page_count") else b""
    return hashlib.sha1(pages, usedforsecurity=False).digest()


class Looks:
    """Reads all that the oracle wants to know, of the same content once."""

    def __init__(self) -> None:
        self._seen: dict[bytes, Found] = {}

    def look(self, connection: apsw.Connection) -> Found:
        """What is in this database.  Raises apsw.Error."""
        digest = content(connection)
        if digest not in self._seen:
            if len(self._seen) > SEEN:
                del self._seen[next(iter(self._seen))]
            self._seen[digest] = _look(connection, digest)
        return self._seen[digest]


def _look(connection: apsw.Connection, digest: bytes) -> Found:
    if not connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'meta'").get:
        return Found(digest, [], {})
    wrong = [
        f"{what}: {text}"
        for what, sql in _WRONG.items()
        for (text,) in connection.execute(sql).fetchall()
    ]
    facts: dict[tuple[str, str], int] = {}
    for kind, sql in _FACTS.items():
        for name, number in cast("list[tuple[str, int]]", connection.execute(sql).fetchall()):
            # A damaged table may hold anything.
            facts[kind, name] = max(number or 0, facts.get((kind, name), 0))
    return Found(digest, wrong, facts)


class Oracle:
    """Goes along with a recording, and judges what is found where it stands."""

    def __init__(self) -> None:
        self._commits: dict[bytes, int] = {}  # the newest commit that has this content
        self.commits = 0
        self._surely = 0  # commits that are on the disk, as somebody was told
        self.is_made = False  # somebody was told anything, so the database is there
        self.was_synced = False  # and it was on the disk
        self._told: dict[tuple[str, str], int] = {}
        self._on_disk: dict[tuple[str, str], int] = {}
        self.deepest = 0  # commits that one loss took at most

    def note_content(self, digest: bytes) -> None:
        """This is what the database holds now; a commit if it is not what it held before."""
        if self._commits.get(digest) != self.commits:
            self.commits += 1
            self._commits[digest] = self.commits

    def note_told(self, told: Told) -> None:
        """Somebody was told so."""
        self.is_made = True
        self.was_synced |= told.level == "disk"
        _raise(self._told, told.facts)
        if told.level == "disk":
            _raise(self._on_disk, told.facts)
            if told.is_all:
                self._surely = self.commits
                self._on_disk |= self._told

    def judge(self, found: Found) -> list[str]:
        """What is wrong with it, in words; nothing when D2 holds."""
        wrong = list(found.wrong)
        commit = self._commits.get(found.content)
        if commit is None:
            wrong.append("no commit left this content: part of one, or a middle, is lost")
        else:
            self.deepest = max(self.deepest, self.commits - commit)
            if commit < self._surely:
                wrong.append(
                    f"commit {self._surely} was told to be on the disk, and commit {commit} is the "
                    f"last that is there"
                )
        wrong += [
            f"{kind} {name}: {number} was told to be on the disk: {found.facts.get((kind, name))}"
            for (kind, name), number in self._on_disk.items()
            if found.facts.get((kind, name), 0) < number
        ]
        return wrong


def _raise(numbers: dict[tuple[str, str], int], facts: list[Fact]) -> None:
    for kind, name, number in facts:
        numbers[kind, name] = max(number, numbers.get((kind, name), 0))

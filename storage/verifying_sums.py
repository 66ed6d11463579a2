"""Checks of what has to add up between tables.  Each yields what is wrong, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast

import apsw

from holdfast.storage.parts import size_of
from holdfast.storage.sqlite_checkpoints import decode_pieces
from holdfast.storage.sqlite_events import LAST_SEQ
from holdfast.storage.sqlite_parts import names_in
from holdfast.storage.sqlite_schema import has_table

__all__ = ["check_checkpoints", "check_marks", "check_numbers", "check_sums"]

_GAPS: Final = """
SELECT before + 1, seq - 1 FROM
    (SELECT seq, lag(seq, 1, 0) OVER (ORDER BY seq) AS before FROM events)
WHERE seq > before + 1 ORDER BY seq LIMIT 5
"""

# Each finds rows that should not be: what is said of one, SQL, the table it needs.
_MARKS: Final = (
    (
        "the numbers of {} from {} to {}, which were dropped, are above its mark {}",
        "SELECT d.sender, d.first, d.last, s.mark FROM dropped AS d JOIN senders AS s"
        " USING (sender, incarnation, stream) WHERE d.last > s.mark",
        "senders",
    ),
    (
        "the answer {} to {} ({}) is above its mark {}",
        "SELECT r.number, r.sender, r.stream, s.mark FROM results AS r JOIN senders AS s"
        " USING (sender, incarnation, stream) WHERE r.number > s.mark",
        "results",
    ),
    (
        "subscriber {} has acknowledged up to {}, but the newest event is {}",
        f"SELECT name, acked, ({LAST_SEQ}) FROM subscribers WHERE acked > ({LAST_SEQ})",
        "subscribers",
    ),
    (
        "event {} is version {} of stream {}, which has only {}",
        "SELECT e.seq, e.version, e.stream, s.version FROM stream_events AS e JOIN streams AS s"
        " ON s.name = e.stream WHERE e.version > s.version",
        "stream_events",
    ),
)
_SUMS: Final = (
    (
        "session_totals says {} sessions of {} bytes, but there are {} of {}",
        "SELECT t.count, t.bytes, s.n, s.b FROM session_totals AS t,"
        " (SELECT count(*) AS n, coalesce(sum(octet_length(data) + item_bytes), 0) AS b"
        " FROM sessions) AS s WHERE t.count <> s.n OR t.bytes <> s.b",
        "session_totals",
    ),
    (
        "queue {} of {} says that it has {} items, but has {}",
        "SELECT key, namespace, length, n FROM (SELECT *, (SELECT count(*) FROM queue_items"
        " WHERE queue = q.number) AS n FROM queues AS q) WHERE n <> length",
        "queues",
    ),
    (
        "entity {} has {} properties, of which {} can be looked for",
        "SELECT id, n, m FROM (SELECT id, (SELECT count(*) FROM json_each(e.properties)) AS n,"
        " (SELECT count(*) FROM properties WHERE entity = e.number) AS m FROM entities AS e)"
        " WHERE n <> m",
        "entities",
    ),
)


def check_numbers(connection: apsw.Connection) -> Iterator[str]:
    """The numbers that are missing are those that retention has noted, or a repair."""
    last = cast(int, connection.execute(LAST_SEQ).get)
    events = cast(int, connection.execute("SELECT count(*) FROM events").get)
    deleted = 0
    if has_table(connection, "deleted"):
        deleted = connection.execute("SELECT coalesce(sum(count), 0) FROM deleted").get
    lost = connection.execute("SELECT value FROM meta WHERE name = 'lost_events'").get or 0
    if lost:
        yield f"note: a repair lost {lost} events"
    if last - events != deleted + lost:
        rows = connection.execute(_GAPS).fetchall()
        gaps = ", ".join(f"{first} to {until}" for first, until in rows) or "the newest"
        yield (
            f"{last - events} numbers up to {last} have no event, but retention has noted "
            f"{deleted} and repairs {lost}; the first that are missing: {gaps}"
        )
    synced = connection.execute("SELECT value FROM meta WHERE name = 'synced_seq'").get
    if synced is not None and cast(int, synced) > last:
        yield f"event {synced} was on the disk, but the newest is {last}"


def check_marks(connection: apsw.Connection) -> Iterator[str]:
    """Nothing is ahead of the marks that it came with."""
    yield from _wrong(connection, _MARKS)


def check_sums(connection: apsw.Connection) -> Iterator[str]:
    """Counts that are kept beside what they count."""
    yield from _wrong(connection, _SUMS)


def check_checkpoints(connection: apsw.Connection) -> Iterator[str]:
    """Every part that a checkpoint names is there, and is counted as often as it is named."""
    if not has_table(connection, "checkpoint_parts"):
        return
    rows = connection.execute(
        "SELECT hash, refs, coalesce(size, 0) FROM checkpoint_parts"
        " LEFT JOIN checkpoint_data USING (id)"
    ).fetchall()
    counted, sizes = {}, {}
    for name, refs, size in cast("list[tuple[bytes, int, int]]", rows):
        counted[name], sizes[name] = refs, size
    named: dict[bytes, int] = {}
    sql = "SELECT agent, id, octet_length(state), pieces, size FROM checkpoints"
    for row in connection.execute(sql):
        agent, id, text, encoded, size = cast("tuple[str, int, int, str | None, int]", row)
        try:
            pieces = decode_pieces(encoded)
        except ValueError as error:
            yield f"checkpoint {id} of {agent}: what it is made of cannot be read: {error}"
            continue
        names = names_in(pieces)
        for name in names:
            named[name] = named.get(name, 0) + 1
        if missing := sum(name not in counted for name in names):
            yield f"checkpoint {id} of {agent}: {missing} of its {len(names)} parts are missing"
        elif (there := size_of(text, pieces, sizes)) != size:
            yield f"checkpoint {id} of {agent}: it has {there} bytes where {size} were put"
    for name, refs in counted.items():
        if named.get(name, 0) != refs:
            yield f"part {name.hex()} is named {named.get(name, 0)} times, but counted as {refs}"
    sql = (
        "SELECT agent, name, id FROM checkpoint_pins AS p WHERE NOT EXISTS"
        " (SELECT 1 FROM checkpoints WHERE agent = p.agent AND id = p.id)"
    )
    for agent, name, id in connection.execute(sql):
        yield f"pin {name} of {agent} points to checkpoint {id}, which is not there"


def _wrong(connection: apsw.Connection, checks: tuple[tuple[str, str, str], ...]) -> Iterator[str]:
    for text, sql, table in checks:
        if has_table(connection, table):
            for row in connection.execute(sql):
                yield text.format(*row)

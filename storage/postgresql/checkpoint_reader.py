"""Checkpoints, reading side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from holdfast.storage.checkpoint_pieces import decode_pieces
from holdfast.storage.checkpoint_records import Checkpoint, Info, Owner, Part
from holdfast.storage.postgresql.parts import HERE
from holdfast.storage.postgresql.reading import Reading, check_limit
from holdfast.storage.postgresql.threads import OWNER, owner_of

__all__ = ["CheckpointReading"]

# Two characters 1 are how a NUL is stored, which no name has (``text``): they are read as one.
_PINS: Final = (
    "(SELECT string_agg(name, chr(1) || chr(1)) FROM checkpoint_pins AS pin"
    " WHERE pin.daemon = each.daemon AND pin.agent = each.agent AND pin.id = each.id)"
)
_INFO: Final = f"agent, id, created_us, size, parent_agent, parent_id, {_PINS}"
_NEVER: Final = 2**62  # an id that no checkpoint has
_OF_AGENT: Final = "FROM checkpoints AS each WHERE daemon = %s AND agent = %s"
_PINNED: Final = (
    "(SELECT id FROM checkpoint_pins WHERE daemon = each.daemon AND agent = each.agent"
    " AND name = %s)"
)
_HISTORY: Final = f"""
WITH RECURSIVE line AS (
    SELECT c.*, 1 AS turn FROM checkpoints AS c WHERE daemon = %s AND agent = %s AND id = %s
    UNION ALL
    SELECT c.*, turn + 1 FROM line JOIN checkpoints AS c
        ON c.daemon = line.daemon AND c.agent = line.parent_agent AND c.id = line.parent_id
    WHERE turn < %s
)
SELECT {_INFO} FROM line AS each ORDER BY turn LIMIT %s
"""
# Their order is that of the names asked for; ``total`` is what they and those before them take.
_PARTS: Final = """
SELECT hash, size, codec, data
FROM (SELECT p.hash, d.size, d.codec, d.data, turn, row_number() OVER before_it AS place,
             sum(octet_length(d.data)) OVER before_it AS total
      FROM unnest(%s::bytea[]) WITH ORDINALITY AS g (hash, turn)
      JOIN checkpoint_parts AS p ON p.daemon = %s AND p.hash = g.hash
      JOIN checkpoint_data AS d ON d.daemon = p.daemon AND d.id = p.id
      WINDOW before_it AS (ORDER BY turn)) AS each
WHERE place = 1 OR total <= %s ORDER BY turn
"""
# The primary key is searched once a thread, not read as a whole.
_THREADS: Final = """
WITH RECURSIVE thread (agent) AS (
    SELECT (SELECT min(agent) FROM checkpoints WHERE daemon = %(daemon)s AND agent > %(after)s)
    UNION ALL
    SELECT (SELECT min(c.agent) FROM checkpoints AS c
            WHERE c.daemon = %(daemon)s AND c.agent > thread.agent)
    FROM thread WHERE thread.agent IS NOT NULL
)
SELECT agent FROM thread WHERE agent IS NOT NULL LIMIT %(limit)s
"""


class CheckpointReading(Reading):
    """Implements ``holdfast.storage.reader_ports.CheckpointReader``."""

    def checkpoint(self, agent: str, id: int = 0, pin: str = "") -> Checkpoint | None:
        """The one of that id, or of that name, else the newest one of an agent."""
        where = ""
        values: list[str | int] = [self._daemon, agent]
        if pin:
            where = f"AND id = {_PINNED}"
            values.append(pin)
        elif id:
            where = "AND id = %s"
            values.append(id)
        sql = f"SELECT {_INFO}, state, pieces {_OF_AGENT} {where} ORDER BY id DESC LIMIT 1"
        rows = self._read(sql, values)
        return _checkpoint(rows[0]) if rows else None

    def checkpoints(self, agent: str, limit: int, before: int = 0) -> list[Checkpoint]:
        """The newest ones of an agent below ``before``, newest first; 0 is no bound."""
        return [_checkpoint(row) for row in self._list("state, pieces", agent, limit, before)]

    def checkpoint_infos(self, agent: str, limit: int, before: int = 0) -> list[Info]:
        """Likewise, without their states."""
        return [_info(row) for row in self._list("NULL", agent, limit, before)]

    def _list(self, more: str, agent: str, limit: int, before: int) -> list[tuple[Any, ...]]:
        check_limit(limit)
        sql = f"SELECT {_INFO}, {more} {_OF_AGENT} AND id < %s ORDER BY id DESC LIMIT %s"
        return self._read(sql, (self._daemon, agent, before or _NEVER, limit))

    def checkpoint_history(self, agent: str, id: int, limit: int) -> list[Info]:
        """The checkpoint, the one it came after, and so on, as far as they are there."""
        check_limit(limit)
        rows = self._read(_HISTORY, (self._daemon, agent, id, limit, limit))
        return [_info(row) for row in rows]

    def checkpoint_parts(self, names: Sequence[bytes], max_bytes: int) -> list[Part]:
        """Of those that are there, the first ones that together have ``max_bytes``, or one."""
        return [Part(*row) for row in self._read(_PARTS, (list(names), self._daemon, max_bytes))]

    def missing_checkpoint_parts(self, names: Sequence[bytes]) -> list[bytes]:
        """Those that are not there."""
        here = {name for (name,) in self._read(HERE, (self._daemon, list(names)))}
        return [name for name in names if name not in here]

    def checkpoint_owner(self, agent: str) -> Owner | None:
        """Who writes a thread."""
        rows = self._read(OWNER, (self._daemon, agent))
        return owner_of(rows[0]) if rows else None

    def checkpoint_threads(self, limit: int, after: str = "") -> list[str]:
        """The names of threads behind ``after``, in order."""
        check_limit(limit)
        values = {"daemon": self._daemon, "after": after, "limit": limit}
        return [agent for (agent,) in self._read(_THREADS, values)]

    def checkpoint_participants(self, boot: int) -> list[str]:
        """Who takes part in daemon checkpoints."""
        sql = (
            "SELECT name FROM checkpoint_participants WHERE daemon = %s AND boot = %s ORDER BY name"
        )
        return [name for (name,) in self._read(sql, (self._daemon, boot))]


def _info(row: tuple[Any, ...]) -> Info:
    agent, id, created_us, size, parent_agent, parent_id, pins = row[:7]
    return Info(agent, id, created_us, size, _parent(parent_agent, parent_id), _names(pins))


def _checkpoint(row: tuple[Any, ...]) -> Checkpoint:
    agent, id, created_us, size, parent_agent, parent_id, pins, state, pieces = row
    return Checkpoint(
        agent,
        id,
        created_us,
        state,
        decode_pieces(pieces),
        size,
        _parent(parent_agent, parent_id),
        _names(pins),
    )


def _parent(agent: str | None, id: int | None) -> tuple[str, int] | None:
    return None if agent is None or id is None else (agent, id)


def _names(pins: str | None) -> list[str]:
    return [] if pins is None else sorted(pins.split("\0"))

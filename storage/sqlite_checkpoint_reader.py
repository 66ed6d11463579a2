"""Checkpoints, reading side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, cast

from holdfast.storage.checkpoint_pieces import decode_pieces
from holdfast.storage.checkpoint_records import Checkpoint, Info, Owner, Part
from holdfast.storage.sqlite_reading import Reading, check_limit
from holdfast.storage.sqlite_threads import owner_in

__all__ = ["CheckpointReading"]

_PINS: Final = (
    "(SELECT group_concat(name, char(0)) FROM checkpoint_pins AS pin"  # no name has a NUL
    " WHERE pin.agent = each.agent AND pin.id = each.id)"
)
_INFO: Final = f"agent, id, created_us, size, parent_agent, parent_id, {_PINS}"
_InfoRow = tuple[str, int, int, int, str | None, int | None, str | None]
_AGENT: Final = "CAST(?1 AS TEXT)"  # for the reason that sqlite_checkpoints has
_NEVER: Final = 2**62  # an id that no checkpoint has


class CheckpointReading(Reading):
    """Implements ``holdfast.storage.reader_ports.CheckpointReader``."""

    def checkpoint(self, agent: str, id: int = 0, pin: str = "") -> Checkpoint | None:
        """The one of that id, or of that name, else the newest one of an agent."""
        where = ""
        values: tuple[str | int, ...] = (agent,)
        if pin:
            where = "AND id = (SELECT id FROM checkpoint_pins WHERE agent = ?1 AND name = ?2)"
            values = (agent, pin)
        elif id:
            where = "AND id = ?2"
            values = (agent, id)
        sql = (
            f"SELECT {_INFO}, state, pieces FROM checkpoints AS each WHERE agent = {_AGENT} {where}"
        )
        rows = self._read(f"{sql} ORDER BY id DESC LIMIT 1", values)
        return _checkpoint(rows[0]) if rows else None

    def checkpoints(self, agent: str, limit: int, before: int = 0) -> list[Checkpoint]:
        """The newest ones of an agent below ``before``, newest first; 0 is no bound."""
        check_limit(limit)
        sql = (
            f"SELECT {_INFO}, state, pieces FROM checkpoints AS each"
            " WHERE agent = ? AND id < ? ORDER BY id DESC LIMIT ?"
        )
        return [_checkpoint(row) for row in self._read(sql, (agent, before or _NEVER, limit))]

    def checkpoint_infos(self, agent: str, limit: int, before: int = 0) -> list[Info]:
        """Likewise, without their states."""
        check_limit(limit)
        sql = (
            f"SELECT {_INFO} FROM checkpoints AS each"
            " WHERE agent = ? AND id < ? ORDER BY id DESC LIMIT ?"
        )
        return [_info(row) for row in self._read(sql, (agent, before or _NEVER, limit))]

    def checkpoint_history(self, agent: str, id: int, limit: int) -> list[Info]:
        """The checkpoint, the one it came after, and so on, as far as they are there."""
        check_limit(limit)
        sql = f"SELECT {_INFO} FROM checkpoints AS each WHERE agent = ? AND id = ?"
        found: list[Info] = []
        place: tuple[str, int] | None = agent, id
        while place is not None and len(found) < limit:
            rows = self._read(sql, place)
            if not rows:
                break
            found.append(_info(rows[0]))
            place = found[-1].parent
        return found

    def checkpoint_parts(self, names: Sequence[bytes], max_bytes: int) -> list[Part]:
        """Of those that are there, the first ones that together have ``max_bytes``, or one."""
        sql = (
            "SELECT size, codec, data FROM checkpoint_data WHERE id ="
            " (SELECT id FROM checkpoint_parts WHERE hash = ?)"
        )
        found: list[Part] = []
        with self._one_snapshot():
            for name in names:
                rows = cast("list[tuple[int, int, bytes]]", self._read(sql, (name,)))
                for size, codec, data in rows:
                    max_bytes -= len(data)
                    if max_bytes < 0 and found:
                        return found
                    found.append(Part(name, size, codec, data))
        return found

    def missing_checkpoint_parts(self, names: Sequence[bytes]) -> list[bytes]:
        """Those that are not there."""
        sql = "SELECT id FROM checkpoint_parts WHERE hash = ?"
        with self._one_snapshot():
            return [name for name in names if not self._read(sql, (name,))]

    def checkpoint_owner(self, agent: str) -> Owner | None:
        """Who writes a thread."""
        return owner_in(self._connection, agent)

    def checkpoint_threads(self, limit: int, after: str = "") -> list[str]:
        """The names of threads behind ``after``, in order."""
        check_limit(limit)
        # The primary key is searched once a thread, not read as a whole.
        sql = "SELECT min(agent) FROM checkpoints WHERE agent > ?"
        found: list[str] = []
        while len(found) < limit:
            ((agent,),) = cast("list[tuple[str | None]]", self._read(sql, (after,)))
            if agent is None:
                break
            found.append(agent)
            after = agent
        return found

    def checkpoint_participants(self, boot: int) -> list[str]:
        """Who takes part in daemon checkpoints."""
        sql = "SELECT name FROM checkpoint_participants WHERE boot = ? ORDER BY name"
        return [cast(str, name) for (name,) in self._read(sql, (boot,))]

    @contextmanager
    def _one_snapshot(self) -> Iterator[None]:
        """Several statements, locked and unlocked for once; ended within the call, too."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("COMMIT")


def _info(row: tuple[object, ...]) -> Info:
    agent, id, created_us, size, parent_agent, parent_id, pins = cast(_InfoRow, row)
    return Info(agent, id, created_us, size, _parent(parent_agent, parent_id), _names(pins))


def _checkpoint(row: tuple[object, ...]) -> Checkpoint:
    agent, id, created_us, size, parent_agent, parent_id, pins = cast(_InfoRow, row[:7])
    state, pieces = cast("tuple[str, str | None]", row[7:])
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

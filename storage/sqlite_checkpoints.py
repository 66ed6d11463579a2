"""The tables of checkpoints, writing side.  Works within the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

import apsw
import msgspec

from holdfast.clock import Clock
from holdfast.errors import InvalidInputError
from holdfast.storage.checkpoint_records import (
    DAEMON,
    CheckpointPinned,
    CheckpointsPruned,
    CheckpointStored,
    CheckpointUnpinned,
    ClaimThread,
    EnrolParticipant,
    ForkCheckpoint,
    ParticipantEnrolled,
    PartsMissing,
    PartsStored,
    Piece,
    PinCheckpoint,
    PruneCheckpoints,
    StoreCheckpoint,
    StoreParts,
    ThreadClaimed,
    ThreadOwned,
    UnpinCheckpoint,
)
from holdfast.storage.records import Origin
from holdfast.storage.sqlite_parts import PartTable, names_in
from holdfast.storage.sqlite_threads import ThreadTable

__all__ = ["CheckpointTable", "decode_pieces"]

MAX_NAME: Final = 256  # characters of the name of a thread or a pin
HOLD_US: Final = 3_600_000_000  # microseconds that a part waits for its checkpoint
NEVER_US: Final = 2**62  # a time that nothing was made after
MOST_PRUNED: Final = 1_000  # checkpoints in one transaction

_PUT: Final = """
INSERT INTO checkpoints
    (agent, id, created_us, state, pieces, size, parent_agent, parent_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
# CAST: SQLite prepares a statement again, which takes longer than carrying it out, whenever a bare
# parameter is bound that it has looked at to make its plan.
_NEWEST: Final = "SELECT max(id) FROM checkpoints WHERE agent = CAST(? AS TEXT)"
_DOOMED: Final = """
SELECT id, pieces FROM checkpoints AS each
WHERE agent = ?1 AND id > ?2 AND created_us < ?3
    AND id < (SELECT min(id) FROM
        (SELECT id FROM checkpoints WHERE agent = ?1 ORDER BY id DESC LIMIT ?4))
    AND NOT (?5 AND EXISTS
        (SELECT 1 FROM checkpoint_pins AS pin WHERE pin.agent = ?1 AND pin.id = each.id))
ORDER BY id LIMIT ?6
"""

_WirePieces = list[tuple[list[str], list[str], str]]
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(_WirePieces).decode


class CheckpointTable:
    """States to resume from; every method raises InvalidInputError or apsw.Error.

    The caller undoes what was done by then.
    """

    def __init__(self, connection: apsw.Connection, *, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._parts = PartTable(connection)
        self._threads = ThreadTable(connection)

    def store(self, command: StoreCheckpoint) -> CheckpointStored | PartsMissing | ThreadOwned:
        """The row that makes it a checkpoint comes last."""
        agent, origin = _checked("agent", command.agent), command.origin
        if origin is not None:
            if origin.sender != "checkpoints":
                _check_is_not_the_daemons(agent)
            entered = self._threads.enter(
                agent, origin, takeover=command.takeover, evict=command.evict
            )
            if not isinstance(entered, int):
                return ThreadOwned(agent, entered)
        names = names_in(command.pieces)
        given = {part.name for part in command.parts}
        missing = self._parts.missing(name for name in names if name not in given)
        if missing:
            return PartsMissing(missing)
        self._parts.add(command.parts, held_us=0)
        self._parts.refer(names)
        id = self._newest(agent) + 1
        created_us = command.created_us or self._clock.time_us()
        pieces = _encode_pieces(command.pieces) if command.pieces else None
        size = command.size or len(command.state.encode())
        parent = (agent, id - 1) if id > 1 else (None, None)
        row = agent, id, created_us, command.state, pieces, size, *parent
        self._connection.execute(_PUT, row)
        return CheckpointStored(id)

    def store_parts(self, command: StoreParts) -> PartsStored:
        """For a checkpoint that names them within an hour."""
        self._parts.add(command.parts, held_us=self._clock.time_us() + HOLD_US)
        return PartsStored()

    def claim(self, command: ClaimThread) -> ThreadClaimed | ThreadOwned:
        """A sender writes from here on."""
        agent, origin = _checked("agent", command.agent), _named(command.origin)
        _check_is_not_the_daemons(agent)
        entered = self._threads.enter(agent, origin, takeover=command.takeover, evict=command.evict)
        if isinstance(entered, int):
            return ThreadClaimed(entered)
        return ThreadOwned(agent, entered)

    def fork(self, command: ForkCheckpoint) -> CheckpointStored:
        """Nothing is copied but the row: its parts have one more that names them."""
        to = _checked("new thread", command.to)
        _check_is_not_the_daemons(command.agent)
        _check_is_not_the_daemons(to)
        if self._newest(to):
            raise InvalidInputError(f"thread {to!r} has checkpoints: fork into a new one")
        state, pieces, size = self._found(command.agent, command.id)
        self._parts.refer(names_in(decode_pieces(pieces)))
        created_us = self._clock.time_us()
        row = to, 1, created_us, state, pieces, size, command.agent, command.id
        self._connection.execute(_PUT, row)
        return CheckpointStored(1)

    def pin(self, command: PinCheckpoint) -> CheckpointPinned:
        """A name points to one checkpoint of its thread."""
        name = _checked("pin", command.name)
        self._found(command.agent, command.id)
        where = command.agent, name
        before: int | None = self._connection.execute(
            "SELECT id FROM checkpoint_pins WHERE agent = ? AND name = ?", where
        ).get
        self._connection.execute(
            "INSERT OR REPLACE INTO checkpoint_pins (agent, name, id) VALUES (?, ?, ?)",
            (*where, command.id),
        )
        return CheckpointPinned(before or 0)

    def unpin(self, command: UnpinCheckpoint) -> CheckpointUnpinned:
        """The checkpoint stays, until it is pruned."""
        self._connection.execute(
            "DELETE FROM checkpoint_pins WHERE agent = ? AND name = ?",
            (command.agent, command.name),
        )
        return CheckpointUnpinned(self._connection.changes() > 0)

    def prune(self, command: PruneCheckpoints) -> CheckpointsPruned:
        """Rows first, then parts that nobody names: what remains has all its parts."""
        if command.keep_last < 1:
            raise InvalidInputError(f"keep_last = {command.keep_last}: expected 1 or more")
        limit = max(1, min(command.limit, MOST_PRUNED))
        now_us = self._clock.time_us()
        values = (
            command.agent,
            command.after,
            NEVER_US if command.age_us < 0 else now_us - command.age_us,
            command.keep_last,
            command.keep_pinned,
            limit,
        )
        doomed = cast(
            "list[tuple[int, str | None]]", self._connection.execute(_DOOMED, values).fetchall()
        )
        ids, freed = [id for id, _ in doomed], 0
        if command.dry_run:
            return CheckpointsPruned(ids, 0, len(doomed) == limit)
        for id, pieces in doomed:
            for table in ("checkpoints", "checkpoint_pins"):
                self._connection.execute(
                    f"DELETE FROM {table} WHERE agent = ? AND id = ?", (command.agent, id)
                )
            freed += self._parts.let_go(names_in(decode_pieces(pieces)), now_us=now_us)
        freed += self._parts.sweep(now_us)
        return CheckpointsPruned(ids, freed, len(doomed) == limit)

    def enrol(self, command: EnrolParticipant) -> ParticipantEnrolled:
        """Others than those of this boot take part no more."""
        if command.is_in:
            self._connection.execute(
                "INSERT OR REPLACE INTO checkpoint_participants (name, boot) VALUES (?, ?)",
                (_checked("participant", command.name), command.boot),
            )
        else:
            self._connection.execute(
                "DELETE FROM checkpoint_participants WHERE name = ?", (command.name,)
            )
        return ParticipantEnrolled()

    def _newest(self, agent: str) -> int:
        id: int | None = self._connection.execute(_NEWEST, (agent,)).get
        return id or 0

    def _found(self, agent: str, id: int) -> tuple[str, str | None, int]:
        rows = self._connection.execute(
            "SELECT state, pieces, size FROM checkpoints WHERE agent = ? AND id = ?", (agent, id)
        ).fetchall()
        if not rows:
            raise InvalidInputError(f"thread {agent!r} has no checkpoint {id}: list what there is")
        return cast("tuple[str, str | None, int]", rows[0])


def decode_pieces(text: str | None) -> list[Piece]:
    """As column ``pieces`` has them."""
    if text is None:
        return []
    return [
        Piece(path, [bytes.fromhex(name) for name in names], tail)
        for path, names, tail in _decode(text)
    ]


def _encode_pieces(pieces: Sequence[Piece]) -> str:
    wire = [(piece.path, [name.hex() for name in piece.parts], piece.tail) for piece in pieces]
    return _encode(wire).decode()


def _checked(what: str, name: str) -> str:
    if not name or len(name) > MAX_NAME or "\0" in name:
        raise InvalidInputError(
            f"{what} = {name[:80]!r}: expected 1 to {MAX_NAME} characters without NUL"
        )
    return name


def _check_is_not_the_daemons(agent: str) -> None:
    if agent == DAEMON:
        raise InvalidInputError(f"agent = {agent!r}: the daemon's own checkpoints are called so")


def _named(origin: Origin | None) -> Origin:
    if origin is None:
        raise InvalidInputError("a claim comes as a command: its sender is who gets the thread")
    return origin

"""Short ways to put checkpoints into a file and to read them."""

from __future__ import annotations

from pathlib import Path

import apsw

from holdfast.storage import parts
from holdfast.storage.checkpoint_records import (
    CheckpointStored,
    PartsMissing,
    StoreCheckpoint,
    ThreadOwned,
)
from holdfast.storage.ports import Database, Reader
from holdfast.storage.records import Origin
from tests.storage.making import apply_one


def put(
    database: Database,
    agent: str,
    state: object,
    origin: Origin | None = None,
    reader: Reader | None = None,
) -> int | PartsMissing | ThreadOwned:
    """With the parts that ``reader`` does not have, as programs do."""
    layout = parts.lay_out(state)
    new = reader.missing_checkpoint_parts([*layout.parts]) if reader else layout.parts
    packed = parts.pack({name: layout.parts[name] for name in new})
    command = StoreCheckpoint(origin, agent, 0, layout.state, layout.pieces, packed, layout.size)
    outcome = apply_one(database, command)
    assert isinstance(outcome, CheckpointStored | PartsMissing | ThreadOwned)
    return outcome.id if isinstance(outcome, CheckpointStored) else outcome


def state_of(reader: Reader, agent: str, id: int = 0, pin: str = "") -> object:
    """Raises KeyError when a part of it is not there."""
    found = reader.checkpoint(agent, id, pin)
    assert found is not None
    names = [name for piece in found.pieces for name in piece.parts]
    here = {part.name: parts.unpack(part) for part in reader.checkpoint_parts(names, 2**62)}
    return parts.assemble(found.state, found.pieces, here)


def rows(path: Path, sql: str) -> list[tuple[apsw.SQLiteValue, ...]]:
    viewer = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    found = viewer.execute(sql).fetchall()
    viewer.close()
    return found

"""The table of checkpoints, writing side.  Works within the caller's transaction."""

from __future__ import annotations

from typing import Final

import apsw

from holdfast.storage.checkpoint_records import CheckpointStored, StoreCheckpoint

__all__ = ["CheckpointTable"]

_PUT: Final = """
INSERT INTO checkpoints (agent, id, created_us, state)
SELECT ?1, coalesce(max(id), 0) + 1, ?2, ?3 FROM checkpoints WHERE agent = ?1
RETURNING id
"""


class CheckpointTable:
    """States to resume from."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def store(self, command: StoreCheckpoint) -> CheckpointStored:
        """Raises apsw.Error; the caller undoes what was done by then."""
        id = self._connection.execute(_PUT, (command.agent, command.created_us, command.state)).get
        return CheckpointStored(id)

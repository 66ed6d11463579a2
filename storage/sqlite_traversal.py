"""The steps of a walk along relationships, one statement each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, cast

import msgspec

from holdfast.storage.sqlite_state_rows import StateRows
from holdfast.storage.state_questions import Edge
from holdfast.storage.state_walking import Walking

__all__ = ["Traversing"]

_EDGE: Final = (
    "r.from_id, r.relation_type, r.to_id, r.version, r.created_us, r.updated_us, r.metadata"
)
_OF_TYPES: Final = "AND r.relation_type IN (SELECT value FROM json_each(?))"
_OUT: Final = f"""
SELECT {_EDGE} FROM json_each(?) AS j CROSS JOIN relationships AS r ON r.from_id = j.value
WHERE true %s ORDER BY j.key, r.relation_type, r.to_id LIMIT ?
"""
_IN: Final = f"""
SELECT {_EDGE} FROM json_each(?) AS j CROSS JOIN relationships AS r ON r.to_id = j.value
WHERE true %s ORDER BY j.key, r.relation_type, r.from_id LIMIT ?
"""

_json: Final = msgspec.json.Encoder().encode


class Traversing(StateRows, Walking):
    """The part of ``holdfast.storage.reader_ports.StateReader`` that follows relationships."""

    def _has_entity(self, id: str) -> bool:
        return bool(self._read("SELECT 1 FROM entities WHERE id = ?", (id,)))

    def _step(
        self, way: Literal["out", "in"], frontier: list[str], types: Sequence[str], limit: int
    ) -> list[Edge]:
        condition = _OF_TYPES if types else ""
        chosen = (_json(list(types)).decode(),) if types else ()
        values = (_json(frontier).decode(), *chosen, limit)
        rows = self._read((_OUT if way == "out" else _IN) % condition, values)
        return cast("list[Edge]", rows)

"""The steps of a walk along relationships, one statement each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from holdfast.storage.postgresql.state_rows import StateRows
from holdfast.storage.state_questions import Edge
from holdfast.storage.state_walking import Walking

__all__ = ["Traversing"]

_STEP: Final = """
SELECT r.from_id, r.relation_type, r.to_id, r.version, r.created_us, r.updated_us, r.metadata
FROM unnest(%(frontier)s::text[]) WITH ORDINALITY AS j(value, place)
JOIN relationships AS r ON r.daemon = %(daemon)s AND r.{near} = j.value
WHERE %(types)s::text[] = '{{}}' OR r.relation_type = ANY(%(types)s::text[])
ORDER BY j.place, r.relation_type, r.{far} LIMIT %(limit)s
"""
_OUT: Final = _STEP.format(near="from_id", far="to_id")
_IN: Final = _STEP.format(near="to_id", far="from_id")


class Traversing(StateRows, Walking):
    """The part of ``holdfast.storage.reader_ports.StateReader`` that follows relationships."""

    def _has_entity(self, id: str) -> bool:
        sql = "SELECT 1 FROM entities WHERE daemon = %s AND id = %s"
        return bool(self._read(sql, (self._daemon, id)))

    def _step(
        self, way: Literal["out", "in"], frontier: list[str], types: Sequence[str], limit: int
    ) -> list[Edge]:
        values = {"daemon": self._daemon, "frontier": frontier, "types": list(types)}
        return self._read(_OUT if way == "out" else _IN, {**values, "limit": limit})

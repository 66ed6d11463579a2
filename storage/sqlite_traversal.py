"""Walking relationships from one entity, breadth first, one statement for each step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

import msgspec

from holdfast.errors import InvalidInputError
from holdfast.storage.sqlite_state_rows import StateRows
from holdfast.storage.state_questions import DIRECTIONS, MAX_DEPTH, Direction, Edge, Traversal

__all__ = ["Traversing"]

_EDGE: Final = (
    "r.from_id, r.relation_type, r.to_id, r.version, r.created_us, r.updated_us, r.metadata"
)
_OF_TYPES: Final = "AND r.relation_type IN (SELECT value FROM json_each(?))"
# The order of what is found first: the frontier's, then the type, then the id.
_OUT: Final = f"""
SELECT {_EDGE} FROM json_each(?) AS j CROSS JOIN relationships AS r ON r.from_id = j.value
WHERE true %s ORDER BY j.key, r.relation_type, r.to_id LIMIT ?
"""
_IN: Final = f"""
SELECT {_EDGE} FROM json_each(?) AS j CROSS JOIN relationships AS r ON r.to_id = j.value
WHERE true %s ORDER BY j.key, r.relation_type, r.from_id LIMIT ?
"""

_json: Final = msgspec.json.Encoder().encode


class Traversing(StateRows):
    """The part of ``holdfast.storage.reader_ports.StateReader`` that follows relationships."""

    def traverse(
        self,
        start: str,
        direction: Direction,
        types: Sequence[str],
        depth: int,
        limit: int,
        max_bytes: int,
    ) -> Traversal | None:
        """From ``start``, which is at distance 0; None when there is no such entity.

        Relationships between entities at ``depth`` are not looked at.  Raises InvalidInputError.
        """
        if direction not in DIRECTIONS:
            text = f"direction = {direction!r}: expected one of {' '.join(DIRECTIONS)}"
            raise InvalidInputError(text)
        if not 0 <= depth <= MAX_DEPTH:
            raise InvalidInputError(f"depth = {depth}: expected 0 to {MAX_DEPTH}")
        with self.snapshot():
            if not self._read("SELECT 1 FROM entities WHERE id = ?", (start,)):
                return None
            found = Traversal({start: 0}, [])
            walk = _Walk(found, limit, max_bytes)
            frontier = [start]
            for distance in range(1, depth + 1):
                if not frontier or not found.is_complete:
                    break
                edges = self._next(frontier, direction, types, walk)
                frontier = walk.take(edges, distance)
        return found

    def _next(
        self, frontier: list[str], direction: Direction, types: Sequence[str], walk: _Walk
    ) -> list[tuple[Edge, str]]:
        """The relationships of the frontier, each with the id at its other end."""
        reached: list[tuple[Edge, str]] = []
        ids = _json(frontier).decode()
        condition = _OF_TYPES if types else ""
        chosen = (_json(list(types)).decode(),) if types else ()
        for wanted, sql, end in (("out", _OUT, 2), ("in", _IN, 0)):
            if direction not in (wanted, "both"):
                continue
            values = (ids, *chosen, walk.max_edges + 1)
            rows = cast("list[Edge]", self._read(sql % condition, values))
            reached += [(edge, cast(str, edge[end])) for edge in rows]
        return reached


class _Walk:
    """What was found so far, and how much of it there may be."""

    def __init__(self, found: Traversal, limit: int, max_bytes: int) -> None:
        self._found = found
        self._limit = limit
        self._bytes_left = max_bytes
        self._seen: set[tuple[str, str, str]] = set()
        self.max_edges = 4 * limit  # an entity has several relationships

    def take(self, edges: list[tuple[Edge, str]], distance: int) -> list[str]:
        """Add what is new; the entities that were not reached before."""
        found, fresh = self._found, []
        for edge, id in edges:
            if edge[:3] in self._seen:
                continue
            self._bytes_left -= 4 * len(edge[6]) + 1_000
            is_new = id not in found.nodes
            if (
                self._bytes_left < 0
                or len(self._seen) >= self.max_edges
                or (is_new and len(found.nodes) >= self._limit)
            ):
                found.is_complete = False
                return []
            self._seen.add(edge[:3])
            found.edges.append(edge)
            if is_new:
                found.nodes[id] = distance
                fresh.append(id)
        return fresh

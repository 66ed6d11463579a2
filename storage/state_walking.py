"""Walking relationships from one entity, breadth first: the same on every backend."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Literal

from holdfast.errors import InvalidInputError
from holdfast.storage.state_questions import DIRECTIONS, MAX_DEPTH, Direction, Edge, Traversal

__all__ = ["Walking"]


class Walking(ABC):
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
            if not self._has_entity(start):
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

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[None]:
        """Several questions that see the same moment, also within another one."""

    @abstractmethod
    def _has_entity(self, id: str) -> bool:
        """Whether there is one."""

    @abstractmethod
    def _step(
        self, way: Literal["out", "in"], frontier: list[str], types: Sequence[str], limit: int
    ) -> list[Edge]:
        """The relationships that lead out of these entities, or in to them.

        In the order of the frontier, then of their types, then of the ids at the other end.
        """

    def _next(
        self, frontier: list[str], direction: Direction, types: Sequence[str], walk: _Walk
    ) -> list[tuple[Edge, str]]:
        """The relationships of the frontier, each with the id at its other end."""
        reached: list[tuple[Edge, str]] = []
        if direction != "in":
            edges = self._step("out", frontier, types, walk.max_edges + 1)
            reached += [(edge, edge[2]) for edge in edges]
        if direction != "out":
            edges = self._step("in", frontier, types, walk.max_edges + 1)
            reached += [(edge, edge[0]) for edge in edges]
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

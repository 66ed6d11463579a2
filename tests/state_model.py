"""What relational state is to its users, as plain dicts: the oracle of the property tests."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Any

from holdfast.errors import Conflict, InvalidInputError, NotFoundError

ABSENT: Any = object()


class Model:
    """``now`` is the time that TTLs run on, in seconds."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self.entities: dict[str, dict[str, Any]] = {}  # in order of creation
        self.versions: dict[str, int] = {}  # the last one ever, also of deleted ids
        self.relationships: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.queues: dict[tuple[str, str], list[tuple[Any, float | None]]] = {}
        self.past: dict[str, dict[int, dict[str, Any] | None]] = {}

    def copy(self) -> Model:
        made = Model()
        made.now = self.now
        made.entities = {
            id: {**one, "properties": dict(one["properties"])} for id, one in self.entities.items()
        }
        made.versions = dict(self.versions)
        made.relationships = dict(self.relationships)
        made.queues = {key: list(items) for key, items in self.queues.items()}
        made.past = {id: dict(past) for id, past in self.past.items()}
        return made

    # -- changes, as hub.state has them --------------------------------------------------------

    def create(
        self,
        type: str,
        properties: dict[str, Any],
        *,
        id: str,
        on_conflict: str,
        expected_version: int | None,
    ) -> None:
        found = self.entities.get(id)
        self._check_version(id, expected_version)
        if found is None:
            self.entities[id] = {"type": type, "properties": properties}
            self._changed(id)
            return
        if on_conflict == "refuse":
            raise Conflict("", expected=0, current=self.versions[id])
        if found["type"] != type:
            raise InvalidInputError("type")
        if on_conflict == "keep":
            return
        kept = found["properties"] if on_conflict == "merge" else {}
        found["properties"] = {**kept, **properties}
        self._changed(id)

    def update(
        self,
        id: str,
        properties: dict[str, Any],
        *,
        unset: list[str],
        increment: dict[str, Any],
        append: dict[str, Any],
        expected_version: int | None,
    ) -> None:
        named = [*properties, *unset, *increment, *append]
        if len(named) != len(set(named)):
            raise InvalidInputError("twice")
        self._check_version(id, expected_version)
        if id not in self.entities:
            raise NotFoundError(id)
        after = {**self.entities[id]["properties"], **properties}
        for name in unset:
            after.pop(name, None)
        for name, by in increment.items():
            if kind(after.get(name, 0)) != 2:
                raise InvalidInputError("no number")
            try:
                after[name] = after.get(name, 0) + by
            except OverflowError:
                raise InvalidInputError("out of range") from None
        for name, item in append.items():
            if not isinstance(after.get(name, []), list):
                raise InvalidInputError("no list")
            after[name] = [*after.get(name, []), item]
        self.entities[id]["properties"] = after
        self._changed(id)

    def delete(self, id: str, *, expected_version: int | None) -> None:
        self._check_version(id, expected_version)
        if id in self.entities:
            del self.entities[id]
            self.versions[id] += 1
            self.past.setdefault(id, {})[self.versions[id]] = None
            self.relationships = {
                which: one for which, one in self.relationships.items() if id not in which[::2]
            }
            self.queues = {key: items for key, items in self.queues.items() if key[0] != id}

    def relate(
        self,
        from_id: str,
        relation_type: str,
        to_id: str,
        metadata: dict[str, Any],
        *,
        on_conflict: str,
    ) -> None:
        which = (from_id, relation_type, to_id)
        if which not in self.relationships:
            if from_id not in self.entities or to_id not in self.entities:
                raise NotFoundError("end")
            self.relationships[which] = metadata
        elif on_conflict == "refuse":
            raise Conflict("", expected=0, current=1)
        elif on_conflict == "merge":
            self.relationships[which] = {**self.relationships[which], **metadata}
        elif on_conflict == "replace":
            self.relationships[which] = metadata

    def unrelate(self, from_id: str, relation_type: str, to_id: str) -> None:
        self.relationships.pop((from_id, relation_type, to_id), None)

    def push(self, namespace: str, key: str, value: Any, *, ttl: float | None) -> None:
        until = None if ttl is None else self.now + ttl
        self.queues.setdefault((namespace, key), []).append((value, until))

    def pop(self, namespace: str, key: str, count: int) -> list[Any]:
        live = self.peek(namespace, key)
        rest = self._live(namespace, key)[count:]
        self.queues[namespace, key] = rest
        return live[:count]

    def delete_queue(self, namespace: str, key: str) -> int:
        count = len(self.peek(namespace, key))
        self.queues.pop((namespace, key), None)
        return count

    # -- questions -----------------------------------------------------------------------------

    def peek(self, namespace: str, key: str) -> list[Any]:
        return [value for value, _ in self._live(namespace, key)]

    def query(
        self, type: str | None, where: list[tuple[str, str, Any]], order_by: str, descending: bool
    ) -> list[str]:
        found = [
            id
            for id, one in self.entities.items()
            if (type is None or one["type"] == type)
            and all(holds(one["properties"].get(n, ABSENT), op, v) for n, op, v in where)
        ]
        if descending:
            found.reverse()
        if order_by == "created":
            return found
        with_it = [id for id in found if order_by in self.entities[id]["properties"]]
        with_it.sort(
            key=lambda id: order(self.entities[id]["properties"][order_by]), reverse=descending
        )
        return with_it + [id for id in found if id not in with_it]

    def traverse(
        self, start: str, direction: str, types: list[str], depth: int
    ) -> tuple[dict[str, int], set[tuple[str, str, str]]]:
        nodes, edges = {start: 0}, set()
        waiting = deque([start])
        while waiting:
            id = waiting.popleft()
            if nodes[id] == depth:
                continue
            for which in self.relationships:
                if types and which[1] not in types:
                    continue
                for near, far, way in ((which[0], which[2], "out"), (which[2], which[0], "in")):
                    if near == id and direction in (way, "both"):
                        edges.add(which)
                        if far not in nodes:
                            nodes[far] = nodes[id] + 1
                            waiting.append(far)
        return nodes, edges

    def _live(self, namespace: str, key: str) -> list[tuple[Any, float | None]]:
        items = self.queues.get((namespace, key), [])
        return [item for item in items if item[1] is None or item[1] > self.now]

    def _check_version(self, id: str, expected: int | None) -> None:
        current = self.versions[id] if id in self.entities else 0
        if expected is not None and expected != current:
            raise Conflict("", expected=expected, current=current)

    def _changed(self, id: str) -> None:
        self.versions[id] = self.versions.get(id, 0) + 1
        self.past.setdefault(id, {})[self.versions[id]] = dict(self.entities[id]["properties"])


def kind(value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, bool):
        return 1
    if isinstance(value, int | float):
        return 2
    return 3 if isinstance(value, str) else 4


def same(one: Any, other: Any) -> bool:
    """Equal as JSON: 1 and 1.0 are, true and 1 are not."""
    if kind(one) != kind(other) or (kind(one) == 4 and type(one) is not type(other)):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


def order(value: Any) -> tuple[int, Any]:
    """Lists, dicts and bytes have none: tests do not order by them."""
    return kind(value), 0 if kind(value) in (0, 4) else value


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
}


def holds(value: Any, op: str, operand: Any) -> bool:
    if op == "exists":
        return (value is not ABSENT) is operand
    if op == "!=":
        return not holds(value, "=", operand)
    if value is ABSENT:
        return False
    if op == "=":
        return same(value, operand)
    if op == "in":
        return any(same(value, one) for one in operand)
    if op == "like":
        return isinstance(value, str) and like(value, operand)
    if kind(value) != kind(operand):
        return False
    return COMPARISONS[op](order(value)[1], order(operand)[1])


def like(value: str, pattern: str) -> bool:
    parts = {"%": ".*", "_": "."}
    text = "".join(parts.get(char, re.escape(_lower(char))) for char in pattern)
    return re.fullmatch(text, _lower(value), re.DOTALL) is not None


def _lower(text: str) -> str:
    """ASCII letters only, as SQLite does it."""
    return "".join(char.lower() if char.isascii() else char for char in text)

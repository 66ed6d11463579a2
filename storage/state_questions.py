"""Which entities a question is about, and what the answers about relational state hold.

A condition compares a property with a value as JSON text: ``=``, ``!=``, ``<``, ``<=``, ``>``,
``>=``, ``in`` (an array of values), ``like`` (a text in which ``%`` is any text and ``_`` one
character, ASCII letters alike in either case), ``exists`` (true or false).  ``!=`` holds of
everything that ``=`` does not hold of, also where there is no such property.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from holdfast.errors import InvalidInputError
from holdfast.storage.state_records import check_name

__all__ = [
    "DIRECTIONS",
    "MAX_DEPTH",
    "OPERATORS",
    "Condition",
    "Direction",
    "Edge",
    "Ends",
    "EntityFilter",
    "EntityRow",
    "EntityType",
    "HistoryRow",
    "Order",
    "QueueItem",
    "QueueRow",
    "Traversal",
]

OPERATORS: Final = ("=", "!=", "<", "<=", ">", ">=", "in", "like", "exists")
MAX_CONDITIONS: Final = 32
MAX_DEPTH: Final = 100  # of a traversal

Direction = Literal["out", "in", "both"]
DIRECTIONS: Final = ("out", "in", "both")

# id, type, version, created_us, updated_us, properties: as SQLite has it and msgpack sends it.
EntityRow = tuple[str, str, int, int, int, str]
# version, type, created_us, since_us, until_us (None: current), properties (None: deleted).
HistoryRow = tuple[int, str, int, int, int | None, str | None]
# from_id, relation_type, to_id, version, created_us, updated_us, metadata.
Edge = tuple[str, str, str, int, int, int, str]
# The start, the type and the end of relationships; None is any.
Ends = tuple[str | None, str | None, str | None]
# id, pushed_us, expires_us, value.
QueueItem = tuple[int, int, int | None, str]
# namespace, key, length.
QueueRow = tuple[str, str, int]
# name, history, keep.
EntityType = tuple[str, bool, int | None]


class Condition(msgspec.Struct, frozen=True, array_like=True):
    """What has to hold of one property."""

    name: str
    op: str
    value: str

    def check(self) -> None:
        """Raise InvalidInputError."""
        check_name(self.name, "where")
        if self.op not in OPERATORS:
            raise InvalidInputError(
                f"where: {self.name!r} {self.op!r}: expected one of {' '.join(OPERATORS)}"
            )


class EntityFilter(msgspec.Struct, frozen=True, array_like=True):
    """Conditions that all have to hold; the default asks for every entity."""

    type: str | None = None
    where: list[Condition] = []

    def check(self) -> None:
        """Raise InvalidInputError."""
        if self.type is not None:
            check_name(self.type, "type")
        if len(self.where) > MAX_CONDITIONS:
            raise InvalidInputError(
                f"where: {len(self.where)} conditions; at most {MAX_CONDITIONS}"
            )
        for condition in self.where:
            condition.check()


class Order(msgspec.Struct, frozen=True, array_like=True):
    """By creation, by the last change, or by a property: entities without it come last."""

    by: Literal["created", "updated", "property"] = "created"
    name: str = ""
    descending: bool = False


class Traversal(msgspec.Struct):
    """The entities reached, with their distance, and the relationships on the way, each once.

    ``is_complete`` is False when there were more than the bounds allow.
    """

    nodes: dict[str, int]
    edges: list[Edge]
    is_complete: bool = True

"""Relational state as callers see it: values decoded, times in microseconds since 1970."""

from __future__ import annotations

from typing import Any, Generic, TypeVar, cast

import msgspec

from holdfast.storage import jsontext
from holdfast.storage.state_questions import Edge, EntityRow, HistoryRow, QueueItem

__all__ = [
    "Changed",
    "Entity",
    "EntityType",
    "EntityVersion",
    "Item",
    "Page",
    "Pushed",
    "Queue",
    "Relationship",
    "Traversal",
    "Values",
    "entity_of",
    "item_of",
    "relationship_of",
    "version_of",
]

T = TypeVar("T")


class Relationship(msgspec.Struct, frozen=True):
    """One entity leads to another; ``version`` is the number of the event of its last change."""

    from_id: str
    relation_type: str
    to_id: str
    version: int
    created_us: int
    updated_us: int
    metadata: dict[str, Any]


class Entity(msgspec.Struct, frozen=True):
    """A thing with properties.  ``outgoing`` and ``incoming`` are None unless asked for."""

    id: str
    type: str
    version: int
    created_us: int
    updated_us: int
    properties: dict[str, Any]
    outgoing: list[Relationship] | None = None
    incoming: list[Relationship] | None = None


class EntityVersion(msgspec.Struct, frozen=True):
    """What an entity was from ``since_us`` until ``until_us`` (None: to this day).

    ``properties`` is None where it says that the entity was deleted.
    """

    id: str
    version: int
    type: str
    created_us: int
    since_us: int
    until_us: int | None
    properties: dict[str, Any] | None


class EntityType(msgspec.Struct, frozen=True):
    """Whether replaced versions are kept, and at most how many of each entity."""

    name: str
    history: bool
    keep: int | None


class Changed(msgspec.Struct, frozen=True):
    """What became of one change in a batch.

    ``version`` is the new one of the entity or relationship, 0 where there was nothing to remove
    or it has none; ``is_new`` says that it was made; ``values`` were popped; ``size`` is what is
    in the queue now, or what was in a deleted one.
    """

    id: str = ""
    version: int = 0
    is_new: bool = False
    values: list[Any] = []
    size: int = 0


class Pushed(msgspec.Struct, frozen=True):
    """The id of the item, and how many are in the queue now."""

    id: int
    size: int


class Item(msgspec.Struct, frozen=True):
    """An item of a queue."""

    id: int
    value: Any
    pushed_us: int
    expires_us: int | None


class Queue(msgspec.Struct, frozen=True):
    """A queue and how many items are in it."""

    namespace: str
    key: str
    size: int


class Traversal(msgspec.Struct, frozen=True):
    """Ids by distance from the start, the nearest first, and the relationships on the way.

    ``entities`` is filled where asked for.  Not ``is_complete``: there is more than the limit.
    """

    nodes: dict[str, int]
    relationships: list[Relationship]
    entities: dict[str, Entity]
    is_complete: bool


class Page(list[T], Generic[T]):
    """A list, and the ``cursor`` with which the next one begins; None at the end."""

    cursor: str | None = None


class Values(list[Any]):
    """The values popped, the oldest first, and how many remain."""

    remaining: int = 0


def entity_of(row: EntityRow) -> Entity:
    """Decoded."""
    id, type, version, created_us, updated_us, text = row
    properties = cast("dict[str, Any]", jsontext.decode(text))
    return Entity(id, type, version, created_us, updated_us, properties)


def relationship_of(edge: Edge) -> Relationship:
    """Decoded."""
    return Relationship(*edge[:6], cast("dict[str, Any]", jsontext.decode(edge[6])))


def version_of(id: str, row: HistoryRow) -> EntityVersion:
    """Decoded."""
    properties = None if row[5] is None else cast("dict[str, Any]", jsontext.decode(row[5]))
    return EntityVersion(id, *row[:5], properties)


def item_of(row: QueueItem) -> Item:
    """Decoded."""
    id, pushed_us, expires_us, text = row
    return Item(id, jsontext.decode(text), pushed_us, expires_us)

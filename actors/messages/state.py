"""What the query actor is asked about relational state, and what it answers.

Rows are as ``holdfast.storage.state_questions`` has them: values are JSON text.
"""

from __future__ import annotations

import msgspec

from holdfast.storage.state_questions import (
    Direction,
    Edge,
    EntityFilter,
    EntityRow,
    EntityType,
    HistoryRow,
    Order,
    QueueItem,
    QueueRow,
)

__all__ = [
    "CountEntities",
    "CountRelationships",
    "CountsAre",
    "EntitiesAre",
    "EntityIs",
    "GetEntities",
    "GetEntity",
    "GetHistory",
    "HistoryIs",
    "ListQueues",
    "ListTypes",
    "PeekQueue",
    "QueryEntities",
    "QueryRelationships",
    "QueueIs",
    "QueuesAre",
    "RelationshipsAre",
    "StateReply",
    "StateRequest",
    "Traverse",
    "Traversed",
    "TypesAre",
]


class GetEntity(msgspec.Struct, frozen=True, array_like=True, tag="get_entity"):
    """One entity, now or as it was at a version or a time.  Reply: EntityIs.

    ``relationships`` are those of now, and come with an entity of now only.
    """

    id: str
    relationships: bool = False
    version: int | None = None
    at_us: int | None = None


class GetEntities(msgspec.Struct, frozen=True, array_like=True, tag="get_entities"):
    """Those of the ids that exist, in that order.  Reply: EntitiesAre.

    Its cursor is the last id that was looked at, when not all would fit.
    """

    ids: list[str]


class QueryEntities(msgspec.Struct, frozen=True, array_like=True, tag="query_entities"):
    """The first ``limit`` entities that match, from the cursor on.  Reply: EntitiesAre."""

    filter: EntityFilter
    order: Order
    limit: int = 100
    cursor: str | None = None


class CountEntities(msgspec.Struct, frozen=True, array_like=True, tag="count_entities"):
    """How many match, in all or for each type or value of a property.  Reply: CountsAre.

    ``group_by``: "" for no groups, "type", or "property" and its ``name``.
    """

    filter: EntityFilter
    group_by: str = ""
    name: str = ""


class QueryRelationships(msgspec.Struct, frozen=True, array_like=True, tag="query_relationships"):
    """Those with the given start, type and end, after the last one of a page.

    Reply: RelationshipsAre.
    """

    from_id: str | None = None
    relation_type: str | None = None
    to_id: str | None = None
    limit: int = 100
    after: tuple[str, str, str] | None = None


class CountRelationships(msgspec.Struct, frozen=True, array_like=True, tag="count_relationships"):
    """How many there are, in all or of each type.  Reply: CountsAre."""

    from_id: str | None = None
    relation_type: str | None = None
    to_id: str | None = None
    is_by_type: bool = False


class Traverse(msgspec.Struct, frozen=True, array_like=True, tag="traverse"):
    """What is reached from an entity, breadth first.  Reply: Traversed."""

    start: str
    direction: Direction = "out"
    types: list[str] = []
    depth: int = 1
    limit: int = 1_000
    entities: bool = False


class GetHistory(msgspec.Struct, frozen=True, array_like=True, tag="get_history"):
    """The versions of an entity, the newest first, below ``before``.  Reply: HistoryIs."""

    id: str
    limit: int = 100
    before: int | None = None


class ListTypes(msgspec.Struct, frozen=True, array_like=True, tag="list_types"):
    """The types that entities were created of or that were defined.  Reply: TypesAre."""

    limit: int = 1_000


class PeekQueue(msgspec.Struct, frozen=True, array_like=True, tag="peek_queue"):
    """The items of a queue from the front, after the one of that id.  Reply: QueueIs."""

    namespace: str
    key: str
    limit: int = 100
    after: int = 0


class ListQueues(msgspec.Struct, frozen=True, array_like=True, tag="list_queues"):
    """The queues of one namespace or of all, after that one.  Reply: QueuesAre."""

    namespace: str | None = None
    limit: int = 100
    after: tuple[str, str] | None = None


class EntityIs(msgspec.Struct, frozen=True, array_like=True, tag="entity"):
    """The entity, or None; its relationships where asked for, ``more`` when not all would fit."""

    entity: EntityRow | None
    outgoing: list[Edge] | None = None
    incoming: list[Edge] | None = None
    more: bool = False


class EntitiesAre(msgspec.Struct, frozen=True, array_like=True, tag="entities"):
    """As many as fit in one frame; the cursor is where to go on, None at the end."""

    entities: list[EntityRow]
    cursor: str | None = None


class CountsAre(msgspec.Struct, frozen=True, array_like=True, tag="counts"):
    """How many in all, and of each group: a type, a value as JSON text, or None for without."""

    total: int
    groups: list[tuple[str | None, int]] = []


class RelationshipsAre(msgspec.Struct, frozen=True, array_like=True, tag="relationships"):
    """As many as fit in one frame; ``more``: there may be others after the last one."""

    relationships: list[Edge]
    more: bool = False


class Traversed(msgspec.Struct, frozen=True, array_like=True, tag="traversed"):
    """Ids with their distance, the nearest first, and the relationships on the way.

    ``entities`` are those of the ids, in their order, where asked for.  Not ``is_complete``:
    there is more than was asked for or fits.  ``exists`` is False when the start does not.
    """

    exists: bool
    nodes: list[tuple[str, int]] = []
    relationships: list[Edge] = []
    entities: list[EntityRow] = []
    is_complete: bool = True


class HistoryIs(msgspec.Struct, frozen=True, array_like=True, tag="history"):
    """As many versions as fit in one frame; ``more``: there may be older ones."""

    versions: list[HistoryRow]
    more: bool = False


class TypesAre(msgspec.Struct, frozen=True, array_like=True, tag="types"):
    """By name."""

    types: list[EntityType]


class QueueIs(msgspec.Struct, frozen=True, array_like=True, tag="queue"):
    """Items from the front, and how many there are; ``more``: there may be others after them."""

    items: list[QueueItem]
    size: int
    more: bool = False


class QueuesAre(msgspec.Struct, frozen=True, array_like=True, tag="queues"):
    """By namespace and key; ``more``: there may be others after the last one."""

    queues: list[QueueRow]
    more: bool = False


StateRequest = (
    GetEntity
    | GetEntities
    | QueryEntities
    | CountEntities
    | QueryRelationships
    | CountRelationships
    | Traverse
    | GetHistory
    | ListTypes
    | PeekQueue
    | ListQueues
)
StateReply = (
    EntityIs
    | EntitiesAre
    | CountsAre
    | RelationshipsAre
    | Traversed
    | HistoryIs
    | TypesAre
    | QueueIs
    | QueuesAre
)

"""The calls that read relational state: what they send, how the replies read.

What a caller's own changes made before is there: they were committed.  Nothing is kept here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, cast

from holdfast.actors.calls import Ask, Now, Steps
from holdfast.actors.messages import state
from holdfast.actors.state_changes import checked_name, checked_number
from holdfast.actors.state_results import (
    Entity,
    EntityType,
    EntityVersion,
    Item,
    Page,
    Queue,
    Relationship,
    Traversal,
    entity_of,
    item_of,
    relationship_of,
    version_of,
)
from holdfast.actors.state_where import Where, filter_of, grouping_of, order_of
from holdfast.errors import InvalidInputError, NotFoundError
from holdfast.storage import jsontext
from holdfast.storage.state_questions import DIRECTIONS, Direction

__all__ = [
    "count",
    "count_relationships",
    "get",
    "get_many",
    "history",
    "peek",
    "query",
    "queues",
    "relationships",
    "traverse",
    "types",
]

IDS: Final = 5_000  # asked for at once


def get(
    id: str,
    *,
    relationships: bool = False,
    version: int | None = None,
    at_us: int | None = None,
    timeout: float = 30.0,
) -> Steps[Entity | None]:
    """The entity, or None; with ``relationships`` up to 10,000 of them in each direction.

    ``version`` or ``at_us`` (microseconds since 1970) ask for it as it was: None where that is
    not kept (``define_type``) or it did not exist.
    """
    if version is not None or at_us is not None:
        if relationships or (version is not None and at_us is not None):
            raise InvalidInputError("get: expected one of relationships, version and at_us")
        version = None if version is None else checked_number(version, "version")
    question = state.GetEntity(checked_name(id, "id"), relationships, version, at_us)
    reply: state.EntityIs = yield Ask("query", question, timeout)
    if reply.entity is None:
        return None
    entity = entity_of(reply.entity)
    if reply.outgoing is None or reply.incoming is None:
        return entity
    if reply.more:
        raise InvalidInputError(
            f"entity {id!r} has more relationships than fit in one frame: ask for them with "
            "hub.state.relationships, which gives pages"
        )
    return Entity(
        *(entity.id, entity.type, entity.version, entity.created_us, entity.updated_us),
        entity.properties,
        [relationship_of(edge) for edge in reply.outgoing],
        [relationship_of(edge) for edge in reply.incoming],
    )


def get_many(ids: Iterable[str], *, timeout: float = 30.0) -> Steps[dict[str, Entity]]:
    """Those of the entities that exist, by id, in the order of ``ids``."""
    wanted = list(dict.fromkeys(checked_name(id, "ids") for id in ids))
    found: dict[str, Entity] = {}
    began: float | None = None
    at = 0
    while at < len(wanted):
        chunk = wanted[at : at + IDS]
        left = timeout
        if len(wanted) > IDS or at:
            now = yield Now()
            began = now if began is None else began
            left = max(0.0, timeout - (now - began))
        reply: state.EntitiesAre = yield Ask("query", state.GetEntities(chunk), left)
        for row in reply.entities:
            found[row[0]] = entity_of(row)
        at += len(chunk) if reply.cursor is None else chunk.index(reply.cursor) + 1
    return found


def query(
    *,
    type: str | None = None,
    where: Where = None,
    order_by: str = "created",
    descending: bool = False,
    limit: int | None = 100,
    cursor: str | None = None,
    max_bytes: int | None = None,
    timeout: float = 30.0,
) -> Steps[Page[Entity]]:
    """The first ``limit`` entities that match (None: all), and the cursor of the next ones.

    Fewer, with a cursor, once their properties have ``max_bytes``, or 4 MiB more than that.

    ``where`` names values of properties, or comparisons: ``{"status": "busy", "age": {">": 3}}``,
    or ``[("status", "=", "busy")]``; all have to hold.  Operators: ``= != < <= > >= in like
    exists``.  ``order_by`` is "created", "updated" or a property (``properties.created`` for one
    of that name); entities without it come last.
    """
    wanted, order = filter_of(type, where), order_of(order_by, descending)
    if limit is not None:
        checked_number(limit, "limit")
    found: Page[Entity] = Page()
    began = yield Now()
    left, missing, size = timeout, limit, 0
    while missing is None or missing > 0:
        asked = 10_000 if missing is None else min(missing, 10_000)
        question = state.QueryEntities(wanted, order, asked, cursor)
        reply: state.EntitiesAre = yield Ask("query", question, left)
        found += map(entity_of, reply.entities)
        cursor = reply.cursor
        size += sum(len(row[5]) for row in reply.entities)
        if cursor is None or (max_bytes is not None and size >= max_bytes):
            break
        missing = None if missing is None else missing - len(reply.entities)
        left = max(0.0, timeout - ((yield Now()) - began))
    found.cursor = cursor
    return found


def count(
    *,
    type: str | None = None,
    where: Where = None,
    group_by: str | None = None,
    timeout: float = 30.0,
) -> Steps[int | list[tuple[Any, int]]]:
    """How many entities match; with ``group_by`` pairs of value and number, most first.

    ``group_by`` is "type" or a property (``properties.type`` for one of that name), at most 1,000
    groups; those without the property are not in them.
    """
    kind, name = grouping_of(group_by)
    question = state.CountEntities(filter_of(type, where), kind, name)
    reply: state.CountsAre = yield Ask("query", question, timeout)
    if not kind:
        return reply.total
    if kind == "type":
        return cast("list[tuple[Any, int]]", list(reply.groups))
    return [(jsontext.decode(text), number) for text, number in reply.groups if text is not None]


def relationships(
    *,
    from_id: str | None = None,
    relation_type: str | None = None,
    to_id: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
    timeout: float = 30.0,
) -> Steps[Page[Relationship]]:
    """Relationships with the given start, type and end, by start, type and end."""
    which = _ends(from_id, relation_type, to_id)
    after = _triple(cursor)
    question = state.QueryRelationships(*which, checked_number(limit, "limit"), after)
    reply: state.RelationshipsAre = yield Ask("query", question, timeout)
    page = Page(map(relationship_of, reply.relationships))
    if reply.more and page:
        last = page[-1]
        page.cursor = jsontext.encode([last.from_id, last.relation_type, last.to_id])
    return page


def count_relationships(
    *,
    from_id: str | None = None,
    relation_type: str | None = None,
    to_id: str | None = None,
    group_by: str | None = None,
    timeout: float = 30.0,
) -> Steps[int | list[tuple[Any, int]]]:
    """How many there are; with ``group_by="type"`` pairs of type and number, most first."""
    if group_by not in (None, "type"):
        raise InvalidInputError(f"group_by = {group_by!r}: expected type")
    which = _ends(from_id, relation_type, to_id)
    question = state.CountRelationships(*which, group_by is not None)
    reply: state.CountsAre = yield Ask("query", question, timeout)
    return reply.total if group_by is None else list(reply.groups)


def traverse(
    from_id: str,
    *,
    direction: Direction = "out",
    types: Iterable[str] = (),
    depth: int = 1,
    limit: int = 1_000,
    entities: bool = False,
    timeout: float = 30.0,
) -> Steps[Traversal]:
    """What is reached from an entity over at most ``depth`` relationships, the nearest first.

    ``direction``: "out", "in" or "both"; ``types``: of relationships, all where none are given.
    Cycles end where they close.  Raises NotFoundError when the entity does not exist.
    """
    if direction not in DIRECTIONS:
        raise InvalidInputError(f"direction = {direction!r}: expected out, in or both")
    if isinstance(types, str):
        raise InvalidInputError(f"types = {types!r}: expected a list of types")
    question = state.Traverse(
        checked_name(from_id, "from_id"),
        direction,
        [checked_name(one, "types") for one in types],
        checked_number(depth, "depth"),
        checked_number(limit, "limit"),
        entities,
    )
    reply: state.Traversed = yield Ask("query", question, timeout)
    if not reply.exists:
        raise NotFoundError(f"entity {from_id!r} does not exist")
    return Traversal(
        dict(reply.nodes),
        [relationship_of(edge) for edge in reply.relationships],
        {row[0]: entity_of(row) for row in reply.entities},
        reply.is_complete,
    )


def history(
    id: str, *, limit: int = 100, cursor: str | None = None, timeout: float = 30.0
) -> Steps[Page[EntityVersion]]:
    """What is kept of an entity, the newest version first: what it is is always kept."""
    before = None if cursor is None else _number(cursor, "a history")
    question = state.GetHistory(checked_name(id, "id"), checked_number(limit, "limit"), before)
    reply: state.HistoryIs = yield Ask("query", question, timeout)
    page = Page(version_of(id, row) for row in reply.versions)
    if reply.more and page:
        page.cursor = str(page[-1].version)
    return page


def types(*, timeout: float = 30.0) -> Steps[list[EntityType]]:
    """The types that entities were created of or that were defined, by name; at most 10,000."""
    reply: state.TypesAre = yield Ask("query", state.ListTypes(10_000), timeout)
    return [EntityType(*row) for row in reply.types]


def peek(
    namespace: str,
    key: str,
    *,
    limit: int = 100,
    cursor: str | None = None,
    timeout: float = 30.0,
) -> Steps[Page[Item]]:
    """The items of a queue from the front; they stay in it."""
    question = state.PeekQueue(
        checked_name(namespace, "namespace"),
        checked_name(key, "key"),
        checked_number(limit, "limit"),
        0 if cursor is None else _number(cursor, "a peek"),
    )
    reply: state.QueueIs = yield Ask("query", question, timeout)
    page = Page(map(item_of, reply.items))
    if reply.more and page:
        page.cursor = str(page[-1].id)
    return page


def queues(
    namespace: str | None = None,
    *,
    limit: int = 100,
    cursor: str | None = None,
    timeout: float = 30.0,
) -> Steps[Page[Queue]]:
    """The queues that hold something, by namespace and key."""
    after = _pair(cursor)
    named = None if namespace is None else checked_name(namespace, "namespace")
    question = state.ListQueues(named, checked_number(limit, "limit"), after)
    reply: state.QueuesAre = yield Ask("query", question, timeout)
    page = Page(Queue(*row) for row in reply.queues)
    if reply.more and page:
        page.cursor = jsontext.encode([page[-1].namespace, page[-1].key])
    return page


def _ends(
    from_id: str | None, relation_type: str | None, to_id: str | None
) -> tuple[str | None, str | None, str | None]:
    return (
        None if from_id is None else checked_name(from_id, "from_id"),
        None if relation_type is None else checked_name(relation_type, "relation_type"),
        None if to_id is None else checked_name(to_id, "to_id"),
    )


def _triple(cursor: str | None) -> tuple[str, str, str] | None:
    if cursor is None:
        return None
    texts = _texts(cursor, 3)
    return texts[0], texts[1], texts[2]


def _pair(cursor: str | None) -> tuple[str, str] | None:
    if cursor is None:
        return None
    texts = _texts(cursor, 2)
    return texts[0], texts[1]


def _number(cursor: str, what: str) -> int:
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 19):
        raise InvalidInputError(f"cursor: is none that {what} gave")
    return int(cursor)


def _texts(cursor: str, count: int) -> list[str]:
    try:
        place = jsontext.decode(cursor)
    except InvalidInputError:
        raise InvalidInputError("cursor: is none that such a question gave") from None
    if not isinstance(place, list) or [type(part) for part in place] != [str] * count:
        raise InvalidInputError("cursor: is of another question")
    return cast("list[str]", place)

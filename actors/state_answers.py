"""What the query actor answers about relational state.  No state of its own."""

from __future__ import annotations

from typing import Final, assert_never

from holdfast.actors.messages.state import (
    CountEntities,
    CountRelationships,
    CountsAre,
    EntitiesAre,
    EntityIs,
    GetEntities,
    GetEntity,
    GetHistory,
    HistoryIs,
    ListQueues,
    ListTypes,
    PeekQueue,
    QueryEntities,
    QueryRelationships,
    QueueIs,
    QueuesAre,
    RelationshipsAre,
    StateReply,
    StateRequest,
    Traverse,
    Traversed,
    TypesAre,
)
from holdfast.actors.replies import REPLY_BYTES, bounded
from holdfast.errors import InvalidInputError
from holdfast.storage.ports import Reader
from holdfast.storage.state_questions import EntityRow
from holdfast.storage.state_records import check_name

__all__ = ["answer_about_state"]

PART_BYTES: Final = REPLY_BYTES // 4  # of each of several lists in one reply
MAX_IDS: Final = 10_000  # looked for at once
MAX_GROUPS: Final = 1_000


def answer_about_state(
    reader: Reader | None, message: StateRequest, now_us: int
) -> StateReply:  # one each
    """``reader`` is None as long as there is no database; then there is nothing.

    ``now_us`` says which items of queues have expired.
    """
    match message:
        case GetEntity():
            return _entity(reader, message)
        case GetEntities(ids=ids):
            return _entities_of(reader, ids)
        case QueryEntities(filter=wanted, order=order, limit=limit, cursor=cursor):
            if reader is None:
                return EntitiesAre([])
            return EntitiesAre(*reader.entities(wanted, order, bounded(limit), REPLY_BYTES, cursor))
        case CountEntities():
            return _counts(reader, message)
        case QueryRelationships():
            return _relationships(reader, message)
        case CountRelationships():
            return _relationship_counts(reader, message)
        case Traverse():
            return _traversed(reader, message)
        case GetHistory(id=id, limit=limit, before=before):
            if reader is None:
                return HistoryIs([])
            return HistoryIs(*reader.history(id, bounded(limit), REPLY_BYTES, before))
        case ListTypes(limit=limit):
            return TypesAre([] if reader is None else reader.entity_types(bounded(limit)))
        case PeekQueue():
            return _queue(reader, message, now_us)
        case ListQueues(namespace=namespace, limit=limit, after=after):
            limit = bounded(limit)
            queues = [] if reader is None else reader.queues(namespace, limit, after)
            return QueuesAre(queues, more=len(queues) == limit)
        case _:
            assert_never(message)


def _entity(reader: Reader | None, question: GetEntity) -> EntityIs:
    id = question.id
    if reader is None:
        return EntityIs(None)
    if question.version is not None:
        return EntityIs(reader.entity_at_version(id, question.version))
    if question.at_us is not None:
        return EntityIs(reader.entity_at_time(id, question.at_us))
    if not question.relationships:
        return EntityIs(reader.entity(id))
    with reader.snapshot():
        entity = reader.entity(id)
        limit = bounded(MAX_IDS)
        outgoing, more = reader.relationships((id, None, None), limit, PART_BYTES)
        incoming, also_more = reader.relationships((None, None, id), limit, PART_BYTES)
    return EntityIs(entity, outgoing, incoming, more or also_more)


def _entities_of(reader: Reader | None, ids: list[str]) -> EntitiesAre:
    if len(ids) > MAX_IDS:
        raise InvalidInputError(f"ids: {len(ids):,}; at most {MAX_IDS:,} at once")
    if reader is None or not ids:
        return EntitiesAre([])
    rows, more = reader.entities_of(ids, REPLY_BYTES)
    return EntitiesAre(rows, rows[-1][0] if more else None)


def _counts(reader: Reader | None, question: CountEntities) -> CountsAre:
    wanted = question.filter
    if reader is None:
        return CountsAre(0)
    groups: list[tuple[str | None, int]] = []
    with reader.snapshot():
        total = reader.count_entities(wanted)
        match question.group_by:
            case "":
                pass
            case "type":
                groups += reader.count_entities_by_type(wanted, MAX_GROUPS)
            case "property":
                check_name(question.name, "group_by")
                groups += reader.count_entities_by(wanted, question.name, MAX_GROUPS)
            case other:
                raise InvalidInputError(f"group_by = {other!r}: expected type or property")
    return CountsAre(total, groups)


def _relationships(reader: Reader | None, question: QueryRelationships) -> RelationshipsAre:
    if reader is None:
        return RelationshipsAre([])
    which = (question.from_id, question.relation_type, question.to_id)
    limit = bounded(question.limit)
    return RelationshipsAre(*reader.relationships(which, limit, REPLY_BYTES, question.after))


def _relationship_counts(reader: Reader | None, question: CountRelationships) -> CountsAre:
    if reader is None:
        return CountsAre(0)
    which = (question.from_id, question.relation_type, question.to_id)
    groups: list[tuple[str | None, int]] = []
    with reader.snapshot():
        total = reader.count_relationships(which)
        if question.is_by_type:
            groups += reader.count_relationships_by_type(which, MAX_GROUPS)
    return CountsAre(total, groups)


def _traversed(reader: Reader | None, question: Traverse) -> Traversed:
    if reader is None:
        return Traversed(False)
    limit, depth = bounded(question.limit), question.depth
    with reader.snapshot():
        found = reader.traverse(
            question.start, question.direction, question.types, depth, limit, PART_BYTES * 2
        )
        if found is None:
            return Traversed(False)
        ids = list(found.nodes)
        entities: list[EntityRow] = []
        more = False
        if question.entities:
            entities, more = reader.entities_of(ids, REPLY_BYTES // 2)
    is_complete = found.is_complete and not more
    return Traversed(True, list(found.nodes.items()), found.edges, entities, is_complete)


def _queue(reader: Reader | None, question: PeekQueue, now_us: int) -> QueueIs:
    if reader is None:
        return QueueIs([], 0)
    namespace, key, limit = question.namespace, question.key, bounded(question.limit)
    with reader.snapshot():
        items, more = reader.queue_items(namespace, key, now_us, limit, REPLY_BYTES, question.after)
        return QueueIs(items, reader.queue_size(namespace, key, now_us), more)

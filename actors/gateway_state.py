"""KSI's events about relational state and queues, said in the calls of a hub.

Shapes are KSI's; times are float seconds.  Nothing is kept here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from holdfast.actors import state_calls, state_reading
from holdfast.actors.calls import Steps
from holdfast.actors.messages import gateway as said
from holdfast.actors.state_results import Entity, Relationship
from holdfast.errors import Conflict, InvalidInputError, NotFoundError
from holdfast.storage import jsontext
from holdfast.storage.state_questions import Direction

__all__ = ["StateRequest", "answer_state"]

DIRECTIONS: Final[dict[str, Direction]] = {"outgoing": "out", "incoming": "in", "both": "both"}
COLUMNS: Final = {"created_at": "created", "updated_at": "updated"}
MOST: Final = 10_000  # entities, relationships or items in one answer

Answer = dict[str, Any]

StateRequest = (
    said.CreateEntity
    | said.UpdateEntity
    | said.DeleteEntity
    | said.GetEntity
    | said.QueryEntities
    | said.CreateRelationship
    | said.DeleteRelationship
    | said.QueryRelationships
    | said.Traverse
    | said.CreateEntities
    | said.CountTarget
    | said.Push
    | said.Pop
    | said.GetQueue
    | said.DeleteQueue
    | said.ExpireQueue
)


def answer_state(request: StateRequest, timeout: float) -> Steps[Answer]:
    """What KSI's handler of the event answers.  Raises what the calls raise."""
    match request:
        case said.CreateEntity():
            return _create(request, timeout)
        case said.UpdateEntity():
            return _update(request, timeout)
        case said.DeleteEntity(id=id):
            return _delete(id, timeout)
        case said.GetEntity():
            return _get(request, timeout)
        case said.QueryEntities():
            return _query(request, timeout)
        case said.CreateEntities():
            return _create_each(request, timeout)
        case said.CreateRelationship() | said.DeleteRelationship():
            return _relate(request, timeout)
        case said.QueryRelationships():
            return _relationships(request, timeout)
        case said.Traverse():
            return _traverse(request, timeout)
        case said.CountTarget():
            return _count(request, timeout)
        case _:
            return _answer_queue(request, timeout)


def _create(request: said.CreateEntity, timeout: float) -> Steps[Answer]:
    made = yield from state_calls.create(
        request.type, request.properties, id=request.id, timeout=timeout
    )
    return _entity(made)


def _update(request: said.UpdateEntity, timeout: float) -> Steps[Answer]:
    given = {name: value for name, value in request.properties.items() if value is not None}
    unset = [name for name, value in request.properties.items() if value is None]
    yield from state_calls.update(request.id, given, unset=unset, timeout=timeout)
    return {"id": request.id}


def _delete(id: str, timeout: float) -> Steps[Answer]:
    if not (yield from state_calls.delete(id, timeout=timeout)):
        raise _no_entity(id)
    return {"id": id}


def _get(request: said.GetEntity, timeout: float) -> Steps[Answer]:
    is_related = "relationships" in request.include
    found = yield from state_reading.get(request.id, relationships=is_related, timeout=timeout)
    if found is None:
        raise _no_entity(request.id)
    answer = _entity(found)
    answer["created_at_iso"] = _iso(found.created_us)
    answer["updated_at_iso"] = _iso(found.updated_us)
    if "properties" not in request.include:
        del answer["properties"]
    if found.outgoing is not None and found.incoming is not None:
        answer["relationships"] = {
            "from": [_edge(one, without="from_id") for one in found.outgoing],
            "to": [_edge(one, without="to_id") for one in found.incoming],
        }
    return answer


def _query(request: said.QueryEntities, timeout: float) -> Steps[Answer]:
    order_by, descending = _order(request.order_by)
    page = yield from state_reading.query(
        type=request.type,
        where=[(name, "=", value) for name, value in request.where.items()],
        order_by=order_by,
        descending=descending,
        limit=request.limit or MOST,
        timeout=timeout,
    )
    entities = []
    for each in map(_entity, page):
        row = {"entity_id": each.pop("id"), "entity_type": each.pop("type"), **each}
        if "properties" not in request.include:
            del row["properties"]
        entities.append(row)
    is_cut = request.limit is None and page.cursor is not None
    return _counted({"entities": entities, "count": len(entities)}, is_cut)


def _order(text: str) -> tuple[str, bool]:
    """A column or property, and whether the largest comes first."""
    name, _, way = text.strip().rpartition(" ")
    if name and way.upper() in ("ASC", "DESC"):
        return COLUMNS.get(name.strip(), name.strip()), way.upper() == "DESC"
    return COLUMNS.get(text.strip(), text.strip()), False


def _create_each(request: said.CreateEntities, timeout: float) -> Steps[Answer]:
    """Each by itself, as KSI has it: those that can be made are."""
    results: list[Answer] = []
    failed = 0
    for one in request.entities:
        try:
            wanted = msgspec.convert(one, said.CreateEntity)
            results.append((yield from _create(wanted, timeout)))
        except (Conflict, InvalidInputError, msgspec.ValidationError) as error:
            failed += 1
            results.append({"error": str(error)})
    total = len(results)
    return {"results": results, "total": total, "success": total - failed, "failed": failed}


def _relate(
    request: said.CreateRelationship | said.DeleteRelationship, timeout: float
) -> Steps[Answer]:
    from_id, to_id, type = request.from_id, request.to_id, request.relation_type
    answer = {"from_id": from_id, "to_id": to_id, "relation_type": type}
    if isinstance(request, said.CreateRelationship):
        yield from state_calls.relate(from_id, type, to_id, request.metadata, timeout=timeout)
        return {"status": "created", **answer}
    if not (yield from state_calls.unrelate(from_id, type, to_id, timeout=timeout)):
        raise NotFoundError(f"Relationship not found: {type!r} from {from_id!r} to {to_id!r}")
    return {"status": "deleted", **answer}


def _relationships(request: said.QueryRelationships, timeout: float) -> Steps[Answer]:
    page = yield from state_reading.relationships(
        from_id=request.from_id,
        to_id=request.to_id,
        relation_type=request.relation_type,
        limit=MOST,
        timeout=timeout,
    )
    found = sorted(map(_edge, page), key=lambda one: float(one["created_at"]), reverse=True)
    return _counted({"relationships": found, "count": len(found)}, page.cursor is not None)


def _traverse(request: said.Traverse, timeout: float) -> Steps[Answer]:
    found = yield from state_reading.traverse(
        request.from_id,
        direction=DIRECTIONS[request.direction],
        types=request.types,
        depth=request.depth,
        entities=request.include_entities,
        timeout=timeout,
    )
    nodes = {
        id: _entity(found.entities[id]) if id in found.entities else {"id": id}
        for id in found.nodes
    }
    edges = list(map(_edge, found.relationships))
    answer = {
        "root": request.from_id,
        "nodes": nodes,
        "edges": edges,
        "node_count": len(nodes),
        "edge_count": len(edges),
    }
    return _counted(answer, not found.is_complete)


def _count(request: said.CountTarget, timeout: float) -> Steps[Answer]:
    group_by = request.group_by
    found: int | list[tuple[Any, int]]
    if request.target == "entities":
        where = dict(request.where)
        type = where.pop("type", None)
        conditions = [(name, "=", value) for name, value in where.items()]
        found = yield from state_reading.count(
            type=type, where=conditions, group_by=group_by, timeout=timeout
        )
    elif request.where:
        raise InvalidInputError("where: relationships have no properties to look at")
    else:
        group_by = "type" if group_by == "relation_type" else group_by
        found = yield from state_reading.count_relationships(group_by=group_by, timeout=timeout)
        group_by = None if group_by is None else "relation_type"
    if isinstance(found, int):
        return {"total": found}
    counts: dict[str, int] = {}
    for value, number in found:  # KSI keeps texts, so what reads the same is one group
        name = value if isinstance(value, str) else jsontext.encode(value)
        counts[name] = counts.get(name, 0) + number
    return {"counts": counts, "grouped_by": group_by}


def _answer_queue(
    request: said.Push | said.Pop | said.GetQueue | said.DeleteQueue | said.ExpireQueue,
    timeout: float,
) -> Steps[Answer]:
    match request:
        case said.Push(namespace=namespace, key=key):
            pushed = yield from state_calls.push(
                namespace, key, request.data, ttl=request.ttl_seconds or None, timeout=timeout
            )
            queue_id = f"queue:{namespace}:{key}"
            return {"status": "pushed", "queue_size": pushed.size, "queue_id": queue_id}
        case said.Pop(namespace=namespace, key=key, count=count):
            items = yield from state_calls.pop(namespace, key, count, timeout=timeout)
            return {"items": list(items), "remaining": items.remaining}
        case said.GetQueue(namespace=namespace, key=key):
            return (yield from _queue(namespace, key, timeout))
        case said.DeleteQueue(namespace=namespace, key=key):
            yield from state_calls.delete_queue(namespace, key, timeout=timeout)
            return {"status": "deleted", "namespace": namespace, "key": key}
        case said.ExpireQueue(queue_id=queue_id):
            prefix, namespace, key = [*queue_id.split(":", 2), "", ""][:3]
            if prefix != "queue" or not namespace or not key:
                raise InvalidInputError(f'queue_id = {queue_id!r}: expected "queue:NAMESPACE:KEY"')
            left = yield from _queue(namespace, key, timeout)
            return {"status": "expired", "queue_id": queue_id, **left}


def _queue(namespace: str, key: str, timeout: float) -> Steps[Answer]:
    page = yield from state_reading.peek(namespace, key, limit=MOST, timeout=timeout)
    items = [item.value for item in page]
    return _counted({"items": items, "size": len(items)}, page.cursor is not None)


def _no_entity(id: str) -> NotFoundError:
    return NotFoundError(f"Entity not found: {id!r}")


def _counted(answer: Answer, is_cut: bool) -> Answer:
    return {**answer, "has_more": True} if is_cut else answer


def _entity(entity: Entity) -> Answer:
    return {
        "id": entity.id,
        "type": entity.type,
        "created_at": entity.created_us / 1e6,
        "updated_at": entity.updated_us / 1e6,
        "properties": entity.properties,
    }


def _edge(one: Relationship, without: str = "") -> Answer:
    fields: Answer = {
        "from_id": one.from_id,
        "to_id": one.to_id,
        "relation_type": one.relation_type,
        "created_at": one.created_us / 1e6,
    }
    if one.metadata:
        fields["metadata"] = one.metadata
    fields.pop(without, None)
    return fields


def _iso(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1e6, tz=UTC).isoformat()

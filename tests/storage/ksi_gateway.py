"""KSI's state events answered by ``hub.state``: that all of them can be said in our calls.

Shapes are those that KSI documents; times are float seconds.  A request that KSI refuses is
answered with ``{"error": ...}``.
"""

from __future__ import annotations

from typing import Any

from holdfast.actors.hub_relational import HubState
from holdfast.actors.state_results import Entity, Relationship
from holdfast.errors import Conflict, InvalidInputError, NotFoundError

DIRECTIONS = {"outgoing": "out", "incoming": "in", "both": "both"}
COLUMNS = {"created_at": "created", "updated_at": "updated"}


class KsiGateway:
    """``send`` answers as KSI's handler of that event does."""

    def __init__(self, state: HubState) -> None:
        self.state = state

    def send(self, event: str, **data: Any) -> dict[str, Any]:
        namespace, *rest = event.split(":")
        handler = getattr(self, "_".join([namespace, *rest]))
        try:
            answer: dict[str, Any] = handler(**data)
        except NotFoundError:
            return {"error": "Entity not found"}
        except (Conflict, InvalidInputError) as error:
            return {"error": str(error)}
        return answer

    def state_entity_create(
        self, type: str, id: str | None = None, properties: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        return as_entity(self.state.create(type, properties, id=id))

    def state_entity_update(self, id: str, properties: dict[str, Any]) -> dict[str, Any]:
        unset = [name for name, value in properties.items() if value is None]  # so KSI has it
        given = {name: value for name, value in properties.items() if value is not None}
        self.state.update(id, given, unset=unset)
        return {"id": id}

    def state_entity_delete(self, id: str) -> dict[str, Any]:
        return {"id": id} if self.state.delete(id) else {"error": "Entity not found"}

    def state_entity_get(self, id: str, include: tuple[str, ...] = ("properties",)) -> Any:
        entity = self.state.get(id, relationships="relationships" in include)
        if entity is None:
            return {"error": "Entity not found"}
        found = as_entity(entity)
        if entity.outgoing is not None and entity.incoming is not None:
            found["relationships"] = {
                "from": [as_edge(one, "from_id") for one in entity.outgoing],
                "to": [as_edge(one, "to_id") for one in entity.incoming],
            }
        return found

    def state_entity_query(
        self,
        type: str | None = None,
        where: dict[str, Any] | None = None,
        order_by: str = "",
        limit: int | None = None,
    ) -> dict[str, Any]:
        conditions = [(name, "=", value) for name, value in (where or {}).items()]
        order = {"order_by": COLUMNS.get(order_by, order_by)} if order_by else {"descending": True}
        page = self.state.query(type=type, where=conditions, limit=limit, **order)
        found = [
            {"entity_id": one["id"], "entity_type": one["type"], **one}
            for one in map(as_entity, page)
        ]
        return {"entities": found, "count": len(found)}

    def state_entity_bulk_create(self, entities: list[dict[str, Any]]) -> dict[str, Any]:
        """Each by itself: KSI keeps those that succeed."""
        results = [self.send("state:entity:create", **entity) for entity in entities]
        failed = sum("error" in result for result in results)
        total = len(results)
        return {"results": results, "total": total, "success": total - failed, "failed": failed}

    def state_relationship_create(
        self, from_id: str, to_id: str, relation_type: str, metadata: Any = None
    ) -> dict[str, Any]:
        self.state.relate(from_id, relation_type, to_id, metadata)
        ends = {"from_id": from_id, "to_id": to_id, "relation_type": relation_type}
        return {"status": "created", **ends}

    def state_relationship_delete(
        self, from_id: str, to_id: str, relation_type: str
    ) -> dict[str, Any]:
        if not self.state.unrelate(from_id, relation_type, to_id):
            return {"error": "Relationship not found"}
        ends = {"from_id": from_id, "to_id": to_id, "relation_type": relation_type}
        return {"status": "deleted", **ends}

    def state_relationship_query(self, **ends: str) -> dict[str, Any]:
        found = [as_edge(one) for one in self.state.relationships(**ends, limit=10_000)]  # type: ignore[arg-type]  # texts
        found.sort(key=lambda one: one["created_at"], reverse=True)
        return {"relationships": found, "count": len(found)}

    def state_graph_traverse(
        self,
        from_id: str,
        direction: str = "outgoing",
        types: tuple[str, ...] = (),
        depth: int = 1,
        include_entities: bool = False,
    ) -> dict[str, Any]:
        found = self.state.traverse(
            from_id,
            direction=DIRECTIONS[direction],  # type: ignore[arg-type]  # one of ours
            types=types,
            depth=min(depth, 5),
            entities=include_entities,
        )
        nodes = {
            id: as_entity(found.entities[id]) if include_entities else {"id": id}
            for id in found.nodes
        }
        edges = [as_edge(one) for one in found.relationships]
        return {
            "root": from_id,
            "nodes": nodes,
            "edges": edges,
            "node_count": len(nodes),
            "edge_count": len(edges),
        }

    def state_aggregate_count(
        self, target: str, group_by: str | None = None, where: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        if target == "entities":
            conditions = dict(where or {})
            type = conditions.pop("type", None)
            found = self.state.count(type=type, where=conditions, group_by=group_by)
        else:
            found = self.state.count_relationships(group_by=group_by)
        if isinstance(found, int):
            return {"total": found}
        grouped_by = "relation_type" if target == "relationships" else group_by
        return {"counts": dict(found), "grouped_by": grouped_by}

    def async_state_push(
        self, namespace: str, key: str, data: Any, ttl_seconds: float = 3600
    ) -> dict[str, Any]:
        pushed = self.state.push(namespace, key, data, ttl=ttl_seconds or None)
        return {
            "status": "pushed",
            "queue_size": pushed.size,
            "queue_id": f"queue:{namespace}:{key}",
        }

    def async_state_pop(self, namespace: str, key: str, count: int = 1) -> dict[str, Any]:
        items = self.state.pop(namespace, key, count)
        return {"items": list(items), "remaining": items.remaining}

    def async_state_get_queue(self, namespace: str, key: str) -> dict[str, Any]:
        items = [item.value for item in self.state.peek(namespace, key, limit=10_000)]
        return {"items": items, "size": len(items)}

    def async_state_delete(self, namespace: str, key: str) -> dict[str, Any]:
        self.state.delete_queue(namespace, key)
        return {"status": "deleted", "namespace": namespace, "key": key}

    def async_state_expire_queue(self, queue_id: str) -> dict[str, Any]:
        """Items have their own time to live here: those whose time is over are gone already."""
        namespace, _, key = queue_id.removeprefix("queue:").partition(":")
        return {
            "status": "expired",
            "queue_id": queue_id,
            **self.async_state_get_queue(namespace, key),
        }


def as_entity(entity: Entity) -> dict[str, Any]:
    return {
        "id": entity.id,
        "type": entity.type,
        "created_at": entity.created_us / 1e6,
        "updated_at": entity.updated_us / 1e6,
        "properties": entity.properties,
    }


def as_edge(one: Relationship, without: str = "") -> dict[str, Any]:
    fields: dict[str, Any] = {
        "from_id": one.from_id,
        "to_id": one.to_id,
        "relation_type": one.relation_type,
        "created_at": one.created_us / 1e6,
    }
    if one.metadata:
        fields["metadata"] = one.metadata
    fields.pop(without, None)
    return fields

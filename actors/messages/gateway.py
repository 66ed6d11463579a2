"""The vocabulary of the gateway: what a client may put on a line, one type for each event.

Names and parameters are KSI's; what is our own says so.  ``system:discover`` is made of these
types.  A parameter that has no meaning here is not among them: it is refused by name.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec
from msgspec import Meta

from holdfast.actors.messages.gateway_values import (
    Action,
    Count,
    Flag,
    Id,
    Kind,
    Moment,
    Most,
    Name,
    Namespace,
    Patterns,
    Properties,
    Style,
)

__all__ = ["EVENTS", "INSTEAD", "Envelope", "Parameters"]


class Envelope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line.  ``timeout`` (our own) is how long the answer is waited for, in seconds."""

    event: str
    data: msgspec.Raw = msgspec.Raw(b"{}")
    correlation_id: str | int | float | None = None
    timeout: Annotated[float, Meta(gt=0, le=3_600)] | None = None


class Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ``data`` of an event may hold; the first line of its docstring is what it does."""

    EVENT: ClassVar[str]


# -- relational state ------------------------------------------------------------------------


class CreateEntity(Parameters, frozen=True, kw_only=True):
    """Make an entity.  Answer: {id, type, created_at, updated_at, properties}."""

    EVENT = "state:entity:create"
    id: Id | None = None
    type: Kind
    properties: Properties = {}


class UpdateEntity(Parameters, frozen=True, kw_only=True):
    """Set properties of an entity; null removes one.  Answer: {id}."""

    EVENT = "state:entity:update"
    id: Id
    properties: Annotated[dict[str, Any], Meta(description="an object; null removes a property")]


class DeleteEntity(Parameters, frozen=True, kw_only=True):
    """Remove an entity with its relationships and queues.  Answer: {id}."""

    EVENT = "state:entity:delete"
    id: Id


class GetEntity(Parameters, frozen=True, kw_only=True):
    """One entity.  Answer: the entity, created_at_iso, updated_at_iso; relationships if asked."""

    EVENT = "state:entity:get"
    id: Id
    include: Annotated[
        tuple[Literal["properties", "relationships"], ...],
        Meta(description='a list of "properties", "relationships"'),
    ] = ("properties",)


class QueryEntities(Parameters, frozen=True, kw_only=True):
    """Entities that match, the newest first.  Answer: {entities, count}."""

    EVENT = "state:entity:query"
    type: Kind | None = None
    where: Annotated[dict[str, Any], Meta(description="values of properties, all to hold")] = {}
    include: Annotated[
        tuple[Literal["properties"], ...], Meta(description='a list of "properties"')
    ] = ("properties",)
    order_by: Annotated[
        str, Meta(description='"created_at", "updated_at" or a property; "... DESC" turns it')
    ] = "created_at DESC"
    limit: Count | None = None


class CreateRelationship(Parameters, frozen=True, kw_only=True):
    """Have one entity lead to another.  Answer: {status, from_id, to_id, relation_type}."""

    EVENT = "state:relationship:create"
    from_id: Id
    to_id: Id
    relation_type: Kind
    metadata: Annotated[dict[str, Any], Meta(description="an object")] = {}


class DeleteRelationship(Parameters, frozen=True, kw_only=True):
    """Remove a relationship.  Answer: {status, from_id, to_id, relation_type}."""

    EVENT = "state:relationship:delete"
    from_id: Id
    to_id: Id
    relation_type: Kind


class QueryRelationships(Parameters, frozen=True, kw_only=True):
    """Relationships by start, end and type, the newest first.  Answer: {relationships, count}."""

    EVENT = "state:relationship:query"
    from_id: Id | None = None
    to_id: Id | None = None
    relation_type: Kind | None = None


class Traverse(Parameters, frozen=True, kw_only=True):
    """What an entity leads to.  Answer: {root, nodes, edges, node_count, edge_count}."""

    EVENT = "state:graph:traverse"
    from_id: Id
    direction: Annotated[
        Literal["outgoing", "incoming", "both"],
        Meta(description='"outgoing", "incoming" or "both"'),
    ] = "outgoing"
    types: Annotated[list[Kind], Meta(description="of relationships; all without any")] = []
    depth: Annotated[int, Meta(ge=1, le=100, description="a whole number, 1 to 100")] = 1
    include_entities: Flag = False


class CreateEntities(Parameters, frozen=True, kw_only=True):
    """Make entities, each by itself.  Answer: {results, total, success, failed}."""

    EVENT = "state:entity:bulk_create"
    entities: Annotated[
        list[dict[str, Any]], Meta(max_length=1_000, description="at most 1000 of {type, ...}")
    ]


class CountTarget(Parameters, frozen=True, kw_only=True):
    """How many there are.  Answer: {total}, or {counts, grouped_by}."""

    EVENT = "state:aggregate:count"
    target: Annotated[
        Literal["entities", "relationships"], Meta(description='"entities" or "relationships"')
    ]
    group_by: (
        Annotated[str, Meta(description='"type" or a property; "relation_type" of relationships')]
        | None
    ) = None
    where: Annotated[dict[str, Any], Meta(description="type, and values of properties")] = {}


# -- queues ----------------------------------------------------------------------------------


class Push(Parameters, frozen=True, kw_only=True):
    """Put a value at the end of a queue.  Answer: {status, queue_size, queue_id}."""

    EVENT = "async_state:push"
    namespace: Namespace
    key: Kind
    data: Any
    ttl_seconds: Annotated[
        float, Meta(ge=0, le=3e9, description="seconds, up to 3000000000; 0 for ever")
    ] = 3600.0


class Pop(Parameters, frozen=True, kw_only=True):
    """Take values from the front of a queue: nobody else gets them.  Answer: {items, remaining}."""

    EVENT = "async_state:pop"
    namespace: Namespace
    key: Kind
    count: Count = 1


class GetQueue(Parameters, frozen=True, kw_only=True):
    """What is in a queue; it stays there.  Answer: {items, size}."""

    EVENT = "async_state:get_queue"
    namespace: Namespace
    key: Kind


class DeleteQueue(Parameters, frozen=True, kw_only=True):
    """Remove a queue.  Answer: {status, namespace, key}."""

    EVENT = "async_state:delete"
    namespace: Namespace
    key: Kind


class ExpireQueue(Parameters, frozen=True, kw_only=True):
    """What is left of a queue once its expired items are gone.  Answer: {status, queue_id, items,
    size}."""

    EVENT = "async_state:expire_queue"
    queue_id: Annotated[
        str, Meta(pattern=r"^queue:[^:]+:", description='"queue:NAMESPACE:KEY", as push answers it')
    ]


# -- events ----------------------------------------------------------------------------------


class QueryLog(Parameters, frozen=True, kw_only=True):
    """Committed events, the newest first.  Answer: {events, total, has_more, offset}."""

    EVENT = "event_log:query"
    source_agent: Name | None = None
    event_patterns: Patterns = ()
    start_time: Moment | None = None
    end_time: Moment | None = None
    limit: Most = 100
    offset: Annotated[int, Meta(ge=0, le=10_000, description="a whole number, 0 to 10000")] = 0


class LogStats(Parameters, frozen=True, kw_only=True):
    """Figures of the log.  Answer: {total_events, ring_size, ring_capacity, ...}."""

    EVENT = "event_log:stats"


class GetEvents(Parameters, frozen=True, kw_only=True):
    """Committed events, the newest first.  Answer: {events, count, total_events, query}."""

    EVENT = "monitor:get_events"
    event_patterns: Patterns = ()
    since: Moment | None = None
    until: Moment | None = None
    limit: Most = 100
    reverse: Flag = True


class GetStats(Parameters, frozen=True, kw_only=True):
    """Figures of the log and of the gateway.  Answer: {event_log, router}."""

    EVENT = "monitor:get_stats"


class Subscribe(Parameters, frozen=True, kw_only=True):
    """Have committed events sent to this connection, each once.  Answer: {status, client_id,
    patterns}."""

    EVENT = "monitor:subscribe"
    client_id: Name | None = None
    event_patterns: Patterns = ("*",)
    after: (
        Annotated[
            str, Meta(description="our own: the _cursor of the last event seen; else from now on")
        ]
        | None
    ) = None


class Unsubscribe(Parameters, frozen=True, kw_only=True):
    """End the subscription of this connection.  Answer: {status, client_id}."""

    EVENT = "monitor:unsubscribe"
    client_id: Name | None = None


class GetSubscriptions(Parameters, frozen=True, kw_only=True):
    """Who is subscribed to what.  Answer: {subscription_stats, timestamp}."""

    EVENT = "monitor:get_subscriptions"


class GetSessionEvents(Parameters, frozen=True, kw_only=True):
    """The events of a session.  Answer: {session_id, events, count, sources}."""

    EVENT = "monitor:get_session_events"
    session_id: Name
    include_memory: Flag = True
    reverse: Flag = True


class GetCorrelationChain(Parameters, frozen=True, kw_only=True):
    """The events of a correlation, the oldest first.  Answer: {correlation_id, events, count,
    duration_ms, event_types}."""

    EVENT = "monitor:get_correlation_chain"
    correlation_id: Name
    include_memory: Flag = True


class GetStatus(Parameters, frozen=True, kw_only=True):
    """How the daemon is, with recent events.  Answer: {status, agents, events, count}."""

    EVENT = "monitor:get_status"
    event_patterns: Patterns = ()
    since: Moment | None = None
    limit: Most = 20
    include_agents: Flag = True
    include_events: Flag = True


class BroadcastEvent(Parameters, frozen=True, kw_only=True):
    """Emit an event: it is stored, and goes to who has subscribed.  Answer: {status, event_name}.

    It is in the log's memory then, and survives any death but that of the gateway."""

    EVENT = "monitor:broadcast_event"
    event_name: Name
    event_data: Any


# -- checkpoints, and the daemon --------------------------------------------------------------


class Checkpoint(Parameters, frozen=True, kw_only=True):
    """A checkpoint of the daemon: make one, or say which is the newest.  Answer: {status,
    checkpoint_id, timestamp, ...}."""

    EVENT = "dev:checkpoint"
    action: Action


class ShortCheckpoint(Parameters, frozen=True, kw_only=True):
    """As dev:checkpoint; makes one unless told otherwise."""

    EVENT = "checkpoint"
    action: Action = "create"


class Restore(Parameters, frozen=True, kw_only=True):
    """Give everybody back what the newest checkpoint of the daemon has.  Answer: {status,
    checkpoint_id, checkpoint_time, results}."""

    EVENT = "dev:restore"


class Health(Parameters, frozen=True, kw_only=True):
    """Whether all actors run.  Answer: {status, daemon, version, uptime, actors, gateway}."""

    EVENT = "system:health"


class Discover(Parameters, frozen=True, kw_only=True):
    """Every event there is, with its parameters.  Answer: {events, namespaces, total}."""

    EVENT = "system:discover"
    detail: Flag = True
    namespace: Annotated[str, Meta(description='the part before a colon, as "state"')] | None = None
    event: Annotated[str, Meta(description="the name of an event")] | None = None
    format_style: Style = "verbose"


class Help(Parameters, frozen=True, kw_only=True):
    """One event.  Answer: {event, summary, parameters, usage}."""

    EVENT = "system:help"
    event: Annotated[str, Meta(description="the name of an event")]
    format_style: Style = "verbose"


EVENTS: Final[dict[str, type[Parameters]]] = {
    each.EVENT: each for each in Parameters.__subclasses__()
}

# KSI's events and parameters that mean nothing here: why, and what to use.
INSTEAD: Final[dict[str, str]] = {
    "event_log:clear": "no client deletes events; [retention] of the config says how long they "
    "are kept",
    "monitor:clear_log": "no client deletes events; [retention] of the config says how long they "
    "are kept",
    "monitor:query": "no SQL is taken from clients; use monitor:get_events, or open the database "
    "file read-only (docs/SCHEMA.md has its tables)",
    "monitor:event_chain_result": "results are not routed to originators; emit an event with "
    "monitor:broadcast_event and read it with monitor:subscribe",
    "resolve_references": "an event holds its context itself, so there is nothing to resolve",
    "context_fields": "an event holds its context itself: choose fields from the answer",
    "context_bundle": "an event holds its context itself: choose fields from the answer",
    "filter_fn": "a function cannot travel; use event_patterns",
    "writer": "a writer cannot travel: events are sent to the connection that subscribes",
    "broadcast_metadata": "an event has no metadata beside its data; put it into event_data",
    "request_id": "a checkpoint is not changed after it was made; `holdfast tracker` shows "
    "requests in flight",
    "module": "actors are no modules; use namespace",
    "level": "there is one level: all events; use namespace or event",
}

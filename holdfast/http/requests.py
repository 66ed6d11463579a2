"""The vocabulary of the HTTP door: what a client may ask for, one type for each operation.

The routes, what is read and refused, and the OpenAPI document are made of these types.  A field
that stands in ``PATH`` is read from there, one in ``HEADERS`` from that header, ``timeout`` and
those in ``QUERY`` from the query, the others from the body where the method has one.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec
from msgspec import Meta

from holdfast.actors.messages.gateway_values import Flag, Glob, Name, Properties
from holdfast.actors.messages.gateway_values import Kind as Id
from holdfast.http import answers

__all__ = ["REQUESTS", "Request"]

Filter = Annotated[
    str,
    Meta(
        max_length=1024,
        pattern=r"^[^\x00]*$",
        description="text, up to 1024 characters, no NUL",
    ),
]
Most = Annotated[int, Meta(ge=1, le=1_000, description="a whole number, 1 to 1000")]
Cursor = Annotated[str, Meta(max_length=8192, description="the cursor of the page before")]
Seconds = Annotated[float, Meta(gt=0, le=1e9, description="seconds > 0, at most 10^9")]
Globs = Annotated[tuple[Glob, ...], Meta(max_length=64, description='globs of types, as "tool:*"')]
Moment = Annotated[
    str, Meta(max_length=64, description="seconds since 1970, or an ISO 8601 date and time")
]
Position = Annotated[
    str, Meta(max_length=64, description="the number of an event, or the cursor of one")
]
Tag = Annotated[str, Meta(max_length=1100, description='ETags, as "17", or *')]
Match = Annotated[
    str, Meta(max_length=1100, pattern=r'^(\*|"[^"]+")$', description='one ETag, as "17", or *')
]
Nothing = Annotated[Literal["*"], Meta(description="*: only where there is none")]
Level = Annotated[
    Literal["memory", "committed", "disk"], Meta(description='"memory", "committed" or "disk"')
]


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be asked for; the first line of its docstring is what it does."""

    METHOD: ClassVar[str]
    PATH: ClassVar[str]
    QUERY: ClassVar[tuple[str, ...]] = ()
    HEADERS: ClassVar[dict[str, str]] = {}  # by field
    STATUS: ClassVar[int] = 200
    ANSWER: ClassVar[type[msgspec.Struct] | None] = None  # None: no body
    FAILS: ClassVar[tuple[int, ...]] = ()  # beside those that every request may get

    timeout: (
        Annotated[float, Meta(ge=0.1, le=3_600, description="seconds, 0.1 to 3600")]
        | msgspec.UnsetType
    ) = msgspec.UNSET


# -- relational state ------------------------------------------------------------------------


class CreateEntity(Request, frozen=True, kw_only=True):
    """Make an entity; without an id it gets one."""

    METHOD, PATH, STATUS, ANSWER, FAILS = "POST", "/state/entities", 201, answers.Entity, (409,)
    id: Id | None = None
    type: Id
    properties: Properties = {}


class QueryEntities(Request, frozen=True, kw_only=True):
    """Entities that match, a page at a time."""

    METHOD, PATH, ANSWER = "GET", "/state/entities", answers.Entities
    type: Id | None = None
    where: Annotated[
        dict[str, Any],
        Meta(description='an object of properties: values, or comparisons as {">": 3}'),
    ] = {}
    order_by: Annotated[
        str, Meta(max_length=1024, description='"created", "updated" or a property')
    ] = "created"
    descending: Flag = False
    limit: Most = 100
    cursor: Cursor | None = None


class GetEntity(Request, frozen=True, kw_only=True):
    """One entity; its ETag is its version."""

    METHOD, PATH, ANSWER, FAILS = "GET", "/state/entities/{id}", answers.Entity, (304, 404)
    HEADERS = {"if_none_match": "If-None-Match"}
    id: Id
    if_none_match: Tag | None = None


class PutEntity(Request, frozen=True, kw_only=True):
    """Make an entity, or replace all its properties."""

    METHOD, PATH, ANSWER, FAILS = "PUT", "/state/entities/{id}", answers.Entity, (409, 412)
    HEADERS = {"if_match": "If-Match", "if_none_match": "If-None-Match"}
    id: Id
    type: Id
    properties: Properties = {}
    if_match: Match | None = None
    if_none_match: Nothing | msgspec.UnsetType = msgspec.UNSET


class UpdateEntity(Request, frozen=True, kw_only=True):
    """Set properties of an entity; null removes one."""

    METHOD, PATH, ANSWER, FAILS = "PATCH", "/state/entities/{id}", answers.Entity, (404, 409, 412)
    HEADERS = {"if_match": "If-Match"}
    id: Id
    properties: Annotated[dict[str, Any], Meta(description="an object; null removes a property")]
    if_match: Match | None = None


class DeleteEntity(Request, frozen=True, kw_only=True):
    """Remove an entity with its relationships and queues."""

    METHOD, PATH, STATUS, FAILS = "DELETE", "/state/entities/{id}", 204, (404, 409, 412)
    HEADERS = {"if_match": "If-Match"}
    id: Id
    if_match: Match | None = None


class CreateRelationship(Request, frozen=True, kw_only=True):
    """Have one entity lead to another."""

    METHOD, PATH, STATUS = "POST", "/state/relationships", 201
    ANSWER, FAILS = answers.Relationship, (404, 409)
    from_id: Id
    relation_type: Id
    to_id: Id
    metadata: Properties = {}


class QueryRelationships(Request, frozen=True, kw_only=True):
    """Relationships by start, type and end, a page at a time."""

    METHOD, PATH, ANSWER = "GET", "/state/relationships", answers.Relationships
    from_id: Id | None = None
    relation_type: Id | None = None
    to_id: Id | None = None
    limit: Most = 100
    cursor: Cursor | None = None


class DeleteRelationship(Request, frozen=True, kw_only=True):
    """Remove a relationship."""

    METHOD, PATH, STATUS, FAILS = "DELETE", "/state/relationships", 204, (404,)
    from_id: Id
    relation_type: Id
    to_id: Id


class Traverse(Request, frozen=True, kw_only=True):
    """What an entity leads to, the nearest first."""

    METHOD, PATH, ANSWER, FAILS = "GET", "/state/traversal", answers.Traversal, (404,)
    from_id: Id
    direction: Annotated[
        Literal["out", "in", "both"], Meta(description='"out", "in" or "both"')
    ] = "out"
    type: Annotated[
        tuple[Id, ...], Meta(max_length=100, description="types of relationships; all without")
    ] = ()
    depth: Annotated[int, Meta(ge=1, le=100, description="a whole number, 1 to 100")] = 1
    limit: Most = 1_000


# -- events ----------------------------------------------------------------------------------


class EmitEvent(Request, frozen=True, kw_only=True):
    """Emit an event.  The Idempotency-Key is its key, unique per source."""

    METHOD, PATH, STATUS, ANSWER = "POST", "/events", 201, answers.Emitted
    HEADERS = {"key": "Idempotency-Key"}
    type: Name
    data: Annotated[Any, Meta(description="any JSON value")] = None
    session: Name | None = None
    source: Name = "http"
    subject: Name | None = None
    correlation: Name | None = None
    cause: Name | None = None
    durability: Level = "committed"
    key: Name | None = None


class QueryEvents(Request, frozen=True, kw_only=True):
    """Committed events that match, in their order, a page at a time; in reverse the newest."""

    METHOD, PATH, ANSWER = "GET", "/events", answers.Events
    type: Globs = ()
    session: Filter | None = None
    source: Filter | None = None
    subject: Filter | None = None
    correlation: Filter | None = None
    since: Moment | None = None
    until: Moment | None = None
    after: Position | None = None
    reverse: Flag = False
    limit: Most = 100


class EventStats(Request, frozen=True, kw_only=True):
    """Figures of the log."""

    METHOD, PATH, ANSWER = "GET", "/events/stats", answers.LogStats


class StreamEvents(Request, frozen=True, kw_only=True):
    """Committed events as server-sent events, each once and in order: history, then live.

    The id of each is its number: with it as Last-Event-ID, or ``after``, the stream goes on
    behind it; without either it begins now.
    """

    METHOD, PATH = "GET", "/events/stream"
    HEADERS = {"last_event_id": "Last-Event-ID"}
    type: Globs = ()
    session: Filter | None = None
    source: Filter | None = None
    subject: Filter | None = None
    correlation: Filter | None = None
    after: Position | None = None
    last_event_id: Position | None = None


class GetEvent(Request, frozen=True, kw_only=True):
    """The event of that number."""

    METHOD, PATH, ANSWER, FAILS = "GET", "/events/{seq}", answers.Event, (404,)
    seq: Annotated[int, Meta(ge=1, le=2**62, description="the number of an event")]


# -- sessions --------------------------------------------------------------------------------


class PutSession(Request, frozen=True, kw_only=True):
    """Make or replace a session."""

    METHOD, PATH, ANSWER, FAILS = "PUT", "/sessions/{id}", answers.PutSession, (409, 412)
    HEADERS = {"if_match": "If-Match", "if_none_match": "If-None-Match"}
    id: Name
    data: Annotated[Any, Meta(description="any JSON value")] = None
    ttl: Seconds | None = None
    max_age: Seconds | None = None
    durability: Level = "committed"
    if_match: Match | None = None
    if_none_match: Nothing | msgspec.UnsetType = msgspec.UNSET


class GetSession(Request, frozen=True, kw_only=True):
    """A session that lives; its ETag is its version."""

    METHOD, PATH, ANSWER, FAILS = "GET", "/sessions/{id}", answers.Session, (304, 404)
    HEADERS = {"if_none_match": "If-None-Match"}
    id: Name
    if_none_match: Tag | None = None


class EndSession(Request, frozen=True, kw_only=True):
    """End a session."""

    METHOD, PATH, STATUS, FAILS = "DELETE", "/sessions/{id}", 204, (404, 409)
    id: Name


# -- checkpoints and the daemon --------------------------------------------------------------


class ListCheckpoints(Request, frozen=True, kw_only=True):
    """The checkpoints of the daemon, the newest first."""

    METHOD, PATH, ANSWER = "GET", "/checkpoints", answers.Checkpoints
    limit: Most = 100
    before: Annotated[int, Meta(ge=0, le=2**62, description="the id of a checkpoint")] = 0


class CreateCheckpoint(Request, frozen=True, kw_only=True):
    """Make a checkpoint of the daemon; who is missing in it is told."""

    METHOD, PATH, STATUS, ANSWER = "POST", "/checkpoints", 201, answers.CreatedCheckpoint


class GetCheckpoint(Request, frozen=True, kw_only=True):
    """One checkpoint of the daemon."""

    METHOD, PATH, ANSWER, FAILS = "GET", "/checkpoints/{id}", answers.Checkpoint, (404,)
    id: Annotated[int, Meta(ge=1, le=2**62 - 2, description="the id of a checkpoint")]


class Health(Request, frozen=True, kw_only=True):
    """Whether all actors run."""

    METHOD, PATH, ANSWER = "GET", "/system/health", answers.Health


class Discover(Request, frozen=True, kw_only=True):
    """The events of KSI that can be posted, with their parameters."""

    METHOD, PATH, ANSWER, FAILS = "GET", "/system/discover", answers.Discovered, (404,)
    namespace: Filter | None = None
    event: Filter | None = None


REQUESTS: Final[tuple[type[Request], ...]] = tuple(Request.__subclasses__())

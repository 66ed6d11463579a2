"""What each request does, said in the calls of a hub.  Nothing is kept here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import msgspec

from holdfast.actors.event_calls import Event
from holdfast.actors.gateway_events import moment_of
from holdfast.actors.messages import gateway as said
from holdfast.errors import CapacityError, InvalidInputError, NoSessionError, NotFoundError
from holdfast.http import requests
from holdfast.http.hub import DoorHub
from holdfast.http.problems import Answered, HttpError
from holdfast.http.requests import Request
from holdfast.storage.cursors import MAX_SEQ

__all__ = ["Reply", "answer", "position_of", "selection_of"]

ANY: Final = "*"
_SELECTION: Final = ("session", "source", "subject", "correlation")

Body = dict[str, Any]


class Reply(NamedTuple):
    """What is answered; headers by name."""

    body: Body | None
    headers: Mapping[str, str] = MappingProxyType({})


async def answer(
    request: Request, hub: DoorHub, figures: Body, timeout: float, *, max_answer: int
) -> Reply:
    """Raises what the calls raise, HttpError, and Answered."""
    match request:
        case requests.EmitEvent():
            return await _emit(request, hub, timeout)
        case requests.QueryEvents():
            return await _events(request, hub, timeout, max_answer)
        case requests.EventStats():
            return Reply(await hub.log_stats(timeout))
        case requests.GetEvent(seq=seq):
            event = await hub.events.get(seq, timeout=timeout)
            if event is None:
                raise NotFoundError(f"Event not found: {seq}")
            return Reply(as_event(event))
        case requests.PutSession():
            return await _put_session(request, hub, timeout)
        case requests.GetSession(id=id):
            session = await hub.sessions.get(id, timeout=timeout)
            if session is None:
                raise NoSessionError(id)
            return _fresh(request, session.version, msgspec.structs.asdict(session))
        case requests.EndSession(id=id):
            if not await hub.sessions.end(id, timeout=timeout):
                raise NoSessionError(id)
            return Reply(None)
        case requests.Health():
            return Reply(await hub.answer(said.Health(), figures, timeout))
        case requests.Discover(namespace=namespace, event=name):
            wanted = said.Discover(namespace=namespace, event=name)
            return Reply(await hub.answer(wanted, figures, timeout))
        case requests.ListCheckpoints() | requests.CreateCheckpoint() | requests.GetCheckpoint():
            return await _checkpoint(request, hub, timeout)
        case requests.QueryEntities():
            return await _entities(request, hub, timeout, max_answer)
        case _:
            return await _state(request, hub, timeout)


# -- relational state ------------------------------------------------------------------------


async def _state(request: Request, hub: DoorHub, timeout: float) -> Reply:
    match request:
        case requests.CreateEntity(type=type, properties=properties, id=id):
            made = await hub.state.create(type, properties, id=id, timeout=timeout)
            return _entity(made, {"location": f"/state/entities/{quote(made.id, safe='')}"})
        case requests.PutEntity():
            return await _put_entity(request, hub, timeout)
        case requests.UpdateEntity():
            return await _update_entity(request, hub, timeout)
        case requests.DeleteEntity(id=id, if_match=if_match):
            version = _version_of(if_match)
            if not await hub.state.delete(id, expected_version=version, timeout=timeout):
                raise _no_entity(id, if_match)
            return Reply(None)
        case requests.GetEntity(id=id):
            found = await hub.state.get(id, timeout=timeout)
            if found is None:
                raise _no_entity(id)
            entity = _entity(found)
            return _fresh(request, str(found.version), entity.body)
        case _:
            return await _relations(request, hub, timeout)


async def _entities(
    request: requests.QueryEntities, hub: DoorHub, timeout: float, max_answer: int
) -> Reply:
    page = await hub.state.query(
        type=request.type,
        where=request.where,
        order_by=request.order_by,
        descending=request.descending,
        limit=request.limit,
        cursor=request.cursor,
        max_bytes=max_answer // 2,  # the page is shorter then
        timeout=timeout,
    )
    return Reply({"entities": [_entity(each).body for each in page], "cursor": page.cursor})


async def _put_entity(request: requests.PutEntity, hub: DoorHub, timeout: float) -> Reply:
    if request.if_match == ANY:
        raise InvalidInputError('If-Match: expected the version of the entity, as "17"')
    put = await hub.state.create(
        request.type,
        request.properties,
        id=request.id,
        on_conflict="replace" if request.if_none_match is msgspec.UNSET else "refuse",
        expected_version=_version_of(request.if_match),
        timeout=timeout,
    )
    return _entity(put)


async def _update_entity(request: requests.UpdateEntity, hub: DoorHub, timeout: float) -> Reply:
    properties = request.properties
    try:
        updated = await hub.state.update(
            request.id,
            {name: value for name, value in properties.items() if value is not None},
            unset=[name for name, value in properties.items() if value is None],
            expected_version=_version_of(request.if_match),
            timeout=timeout,
        )
    except NotFoundError:
        raise _no_entity(request.id, request.if_match) from None
    return _entity(updated)


async def _relations(request: Request, hub: DoorHub, timeout: float) -> Reply:
    match request:
        case requests.CreateRelationship(from_id=start, relation_type=kind, to_id=end):
            made = await hub.state.relate(start, kind, end, request.metadata, timeout=timeout)
            return Reply(msgspec.structs.asdict(made))
        case requests.DeleteRelationship(from_id=start, relation_type=kind, to_id=end):
            if not await hub.state.unrelate(start, kind, end, timeout=timeout):
                raise NotFoundError(f"Relationship not found: {kind!r} from {start!r} to {end!r}")
            return Reply(None)
        case requests.QueryRelationships():
            page = await hub.state.relationships(
                from_id=request.from_id,
                relation_type=request.relation_type,
                to_id=request.to_id,
                limit=request.limit,
                cursor=request.cursor,
                timeout=timeout,
            )
            found = [msgspec.structs.asdict(each) for each in page]
            return Reply({"relationships": found, "cursor": page.cursor})
        case requests.Traverse():
            reached = await hub.state.traverse(
                request.from_id,
                direction=request.direction,
                types=request.type,
                depth=request.depth,
                limit=request.limit,
                timeout=timeout,
            )
            edges = [msgspec.structs.asdict(each) for each in reached.relationships]
            complete = reached.is_complete
            return Reply({"nodes": reached.nodes, "relationships": edges, "is_complete": complete})
        case _:
            raise TypeError(f"no handler for {type(request).__name__}")


def _entity(entity: Any, headers: Mapping[str, str] = MappingProxyType({})) -> Reply:
    body = msgspec.structs.asdict(entity)
    del body["outgoing"], body["incoming"]
    return Reply(body, {"etag": f'"{entity.version}"', **headers})


def _no_entity(id: str, if_match: str | None = None) -> Exception:
    text = f"Entity not found: {id!r}"
    return NotFoundError(text) if if_match is None else HttpError(412, text)


# -- versions --------------------------------------------------------------------------------


def _fresh(request: Any, version: str, body: Body | None) -> Reply:
    """The body, or that the client has it already."""
    tag = f'"{version}"'
    known = request.if_none_match
    if known is not None and (known == ANY or tag in [each.strip() for each in known.split(",")]):
        raise Answered(304, {"etag": tag})
    return Reply(body, {"etag": tag})


def _tag(if_match: str | None) -> str | None:
    if if_match is None or if_match == ANY:
        return None
    return if_match[1:-1]


def _version_of(if_match: str | None) -> int | None:
    """Of an entity; a tag that is no number is none of its versions."""
    tag = _tag(if_match)
    if tag is None:
        return None
    if not (tag.isascii() and tag.isdecimal() and len(tag) < 19):
        raise HttpError(412, f"If-Match: no version of an entity is {tag[:80]!r}")
    return int(tag)


# -- events ----------------------------------------------------------------------------------


async def _emit(request: requests.EmitEvent, hub: DoorHub, timeout: float) -> Reply:
    key = request.key
    if key is not None and len(key) > 2 and key[0] == key[-1] == '"':
        key = key[1:-1]  # as the draft of the header has it
    await hub.events.emit(
        request.type,
        request.data,
        session=request.session,
        source=request.source,
        subject=request.subject,
        correlation=request.correlation,
        cause=request.cause,
        key=key,
        timeout=timeout,
    )
    level = await hub.flush(request.durability, timeout=timeout)
    return Reply({"type": request.type, "key": key, "durability": level})


async def _events(
    request: requests.QueryEvents, hub: DoorHub, timeout: float, max_answer: int
) -> Reply:
    try:
        found = await hub.events.query(
            limit=request.limit,
            reverse=request.reverse,
            since=_moment("since", request.since),
            until=_moment("until", request.until),
            after=position_of(request.after),
            max_bytes=max_answer,  # so that what is refused is not held, too
            timeout=timeout,
            **selection_of(request),
        )
    except CapacityError as error:
        raise HttpError(400, f"{error}; [http] max_answer, as with limit") from None
    after = found[-1].cursor if found and not request.reverse else None
    return Reply({"events": list(map(as_event, found)), "after": after})


def _moment(name: str, given: str | None) -> int | None:
    try:
        return moment_of(name, None if given is None else float(given))
    except ValueError:
        return moment_of(name, given)


def position_of(given: str | None) -> int | str | None:
    """A number, or a cursor.  Raises InvalidInputError."""
    if given is None or not (given.isascii() and given.isdecimal()):
        return given
    if (number := int(given)) > MAX_SEQ:
        raise InvalidInputError(f"after = {given}: no event has such a number")
    return number


def selection_of(request: Any) -> dict[str, Any]:
    """The filters that a query and a stream have in common."""
    named = {name: getattr(request, name) for name in _SELECTION}
    return {"types": () if "*" in request.type else request.type, **named}


def as_event(event: Event) -> Body:
    """As the command line has it, too: the columns of the table."""
    body = msgspec.structs.asdict(event)
    del body["epoch"], body["payload"]
    return body


# -- sessions and checkpoints ----------------------------------------------------------------


async def _put_session(request: requests.PutSession, hub: DoorHub, timeout: float) -> Reply:
    if request.if_match == ANY:
        raise InvalidInputError("If-Match: expected the version of the session")
    expected = "" if request.if_none_match is not msgspec.UNSET else _tag(request.if_match)
    version = await hub.sessions.put(
        request.id,
        request.data,
        ttl=request.ttl,
        max_age=request.max_age,
        expected_version=expected,
        durability=request.durability,
        timeout=timeout,
    )
    return Reply({"id": request.id, "version": version}, {"etag": f'"{version}"'})


async def _checkpoint(
    request: requests.ListCheckpoints | requests.CreateCheckpoint | requests.GetCheckpoint,
    hub: DoorHub,
    timeout: float,
) -> Reply:
    match request:
        case requests.ListCheckpoints(limit=limit, before=before):
            infos = await hub.checkpoints.list_daemon(limit, before=before, timeout=timeout)
            return Reply({"checkpoints": list(map(_checkpoint_body, infos))})
        case requests.GetCheckpoint(id=id):
            infos = await hub.checkpoints.list_daemon(1, before=id + 1, timeout=timeout)
            if not infos or infos[0].id != id:
                raise NotFoundError(f"Checkpoint not found: {id}")
            return Reply(_checkpoint_body(infos[0]))
        case requests.CreateCheckpoint():
            created = await hub.checkpoints.create_daemon(timeout=timeout)
            participants = [
                {
                    "name": one.name,
                    "count": one.count,
                    "bytes": one.bytes,
                    "error": one.error or None,
                }
                for one in created.participants
            ]
            location = {"location": f"/checkpoints/{created.id}"}
            return Reply({"id": created.id, "participants": participants}, location)


def _checkpoint_body(info: Any) -> Body:
    return {
        "id": info.id,
        "created_us": info.created_us,
        "size": info.size,
        "pins": list(info.pins),
    }

"""The calls that change relational state: what they send, how the replies read.

Each is carried out exactly once, whichever processes of the daemon are killed meanwhile, and
returns when it is committed (on the disk, where ``[storage] durability`` says so).  Nothing is
kept here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import msgspec

from holdfast.actors import state_changes as changes
from holdfast.actors.calls import Command, Steps
from holdfast.actors.state_changes import Change, OnConflict
from holdfast.actors.state_results import Changed, Entity, Pushed, Relationship, Values
from holdfast.errors import InvalidInputError
from holdfast.storage import jsontext
from holdfast.storage.state_records import (
    ChangeOutcome,
    ChangeState,
    EntityChanged,
    EntityDeleted,
    Popped,
    QueueDeleted,
    Related,
    Unrelated,
)
from holdfast.storage.state_records import Pushed as ItemPushed

__all__ = [
    "batch",
    "create",
    "create_many",
    "define_type",
    "delete",
    "delete_queue",
    "pop",
    "push",
    "relate",
    "unrelate",
    "update",
]


def create(
    type: str,
    properties: Mapping[str, Any] | None = None,
    *,
    id: str | None = None,
    on_conflict: OnConflict = "refuse",
    expected_version: int | None = None,
    timeout: float = 30.0,
) -> Steps[Entity]:
    """Make an entity; it as it is then.  Without an ``id`` it gets one that sorts by time.

    ``on_conflict`` says what happens when there is one of that id: "refuse" with Conflict,
    "merge" the properties into those there are, "replace" those by these, "keep" it as it is.
    ``expected_version`` 0 means that there must be none.  Raises Conflict, InvalidInputError.
    """
    change = changes.create(
        type, properties, id=id, on_conflict=on_conflict, expected_version=expected_version
    )
    if on_conflict != "refuse":
        change = msgspec.structs.replace(change, is_returned=True)
    outcome = yield from _changed(change, timeout)
    return _entity(cast(EntityChanged, outcome), change.properties)


def update(
    id: str,
    properties: Mapping[str, Any] | None = None,
    *,
    unset: Iterable[str] = (),
    increment: Mapping[str, int | float] | None = None,
    append: Mapping[str, Any] | None = None,
    expected_version: int | None = None,
    timeout: float = 30.0,
) -> Steps[Entity]:
    """Set ``properties``, remove those in ``unset``, add numbers, append to lists; it as it is.

    A property that is not there counts as 0 or as an empty list.  Raises Conflict when another
    version than the expected one is there, NotFoundError when there is none, InvalidInputError.
    """
    change = changes.update(
        id,
        properties,
        unset=unset,
        increment=increment,
        append=append,
        expected_version=expected_version,
    )
    outcome = yield from _changed(msgspec.structs.replace(change, is_returned=True), timeout)
    return _entity(cast(EntityChanged, outcome), "{}")


def delete(id: str, *, expected_version: int | None = None, timeout: float = 30.0) -> Steps[bool]:
    """Remove an entity with its properties, relationships and queues; whether there was one.

    Raises Conflict; InvalidInputError when too many relationships would go with it.
    """
    change = changes.delete(id, expected_version=expected_version)
    outcome = yield from _changed(change, timeout)
    return cast(EntityDeleted, outcome).version > 0


def relate(
    from_id: str,
    relation_type: str,
    to_id: str,
    metadata: Mapping[str, Any] | None = None,
    *,
    on_conflict: OnConflict = "refuse",
    expected_version: int | None = None,
    timeout: float = 30.0,
) -> Steps[Relationship]:
    """Make a relationship from one entity to another; it as it is then.

    ``on_conflict`` as in ``create``, about the metadata.  Raises Conflict, NotFoundError when
    one of the entities does not exist, InvalidInputError.
    """
    change = changes.relate(
        from_id,
        relation_type,
        to_id,
        metadata,
        on_conflict=on_conflict,
        expected_version=expected_version,
    )
    done = cast(Related, (yield from _changed(change, timeout)))
    told = cast("dict[str, Any]", jsontext.decode(done.metadata))
    return Relationship(
        from_id, relation_type, to_id, done.version, done.created_us, done.updated_us, told
    )


def unrelate(
    from_id: str,
    relation_type: str,
    to_id: str,
    *,
    expected_version: int | None = None,
    timeout: float = 30.0,
) -> Steps[bool]:
    """Remove a relationship; whether there was one.  Raises Conflict, InvalidInputError."""
    change = changes.unrelate(from_id, relation_type, to_id, expected_version=expected_version)
    outcome = yield from _changed(change, timeout)
    return cast(Unrelated, outcome).existed


def push(
    namespace: str, key: str, value: object, *, ttl: float | None = None, timeout: float = 30.0
) -> Steps[Pushed]:
    """Put a value at the end of a queue; ``ttl`` seconds later it is gone.

    ``namespace`` is the id of the entity whose queue it is, or any other name.
    """
    outcome = yield from _changed(changes.push(namespace, key, value, ttl=ttl), timeout)
    pushed = cast(ItemPushed, outcome)
    return Pushed(pushed.id, pushed.size)


def pop(namespace: str, key: str, count: int = 1, *, timeout: float = 30.0) -> Steps[Values]:
    """Take up to ``count`` values from the front of a queue: nobody else gets them.

    They may be fewer than there are when they would not fit in one frame.
    """
    outcome = yield from _changed(changes.pop(namespace, key, count), timeout)
    return _values(cast(Popped, outcome))


def delete_queue(namespace: str, key: str, *, timeout: float = 30.0) -> Steps[int]:
    """Remove a queue; how many items were in it."""
    outcome = yield from _changed(changes.delete_queue(namespace, key), timeout)
    return cast(QueueDeleted, outcome).count


def define_type(
    name: str, *, history: bool = False, keep: int | None = None, timeout: float = 30.0
) -> Steps[None]:
    """Keep the versions of a type's entities that are replaced from now on, the newest ``keep`` of
    each (None: all), or no longer.  It is stored in the database."""
    yield from _changed(changes.define_type(name, history=history, keep=keep), timeout)


def create_many(
    entities: Iterable[Mapping[str, Any]],
    *,
    on_conflict: OnConflict = "refuse",
    timeout: float = 30.0,
) -> Steps[list[Changed]]:
    """Make entities in one transaction: all of them, or none when one is refused.

    Each has the keys ``type``, and ``properties`` and ``id`` where it has any.
    """
    made = []
    for index, entity in enumerate(entities):
        extra = set(entity) - {"type", "properties", "id"}
        if "type" not in entity or extra:
            raise InvalidInputError(
                f"entities[{index}]: {', '.join(sorted(extra)) or 'type'} "
                f"{'is not known' if extra else 'is missing'}; expected type, properties, id"
            )
        made.append(changes.create(**entity, on_conflict=on_conflict))
    return (yield from batch(made, timeout=timeout))


def batch(changes: Iterable[Change], *, timeout: float = 30.0) -> Steps[list[Changed]]:
    """Make all changes in order, in one transaction, or none when one is refused.

    ``holdfast.changes`` makes them.  The error of a refused one names its index.
    """
    wanted = list(changes)
    if not wanted:
        return []
    reply = yield Command("writer", ChangeState(None, wanted), timeout)
    return [
        _summary(change, outcome) for change, outcome in zip(wanted, reply.outcomes, strict=True)
    ]


def _changed(change: Change, timeout: float) -> Steps[ChangeOutcome]:
    reply = yield Command("writer", ChangeState(None, [change]), timeout)
    outcome: ChangeOutcome = reply.outcomes[0]
    return outcome


def _entity(done: EntityChanged, sent: str) -> Entity:
    """``sent`` are the properties of one that is new."""
    text = sent if done.properties is None else done.properties
    properties = cast("dict[str, Any]", jsontext.decode(text))
    return Entity(done.id, done.type, done.version, done.created_us, done.updated_us, properties)


def _values(popped: Popped) -> Values:
    values = Values(jsontext.decode(text) for text in popped.values)
    values.remaining = popped.remaining
    return values


def _summary(change: Change, outcome: ChangeOutcome) -> Changed:
    match outcome:
        case EntityChanged(id=id, version=version, is_new=is_new):
            return Changed(id, version, is_new)
        case EntityDeleted(version=version):
            return Changed(getattr(change, "id", ""), version)
        case Related(version=version, is_new=is_new):
            return Changed(version=version, is_new=is_new)
        case Popped():
            values = _values(outcome)
            return Changed(values=list(values), size=values.remaining)
        case ItemPushed(size=size):
            return Changed(size=size)
        case QueueDeleted(count=count):
            return Changed(size=count)
        case _:
            return Changed()

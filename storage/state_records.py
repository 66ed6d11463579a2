"""Entities, relationships and queues: the records, what changes them, and the outcomes.

Values, properties and metadata are JSON text (``holdfast.storage.jsontext``); times are integer
microseconds since 1970.  The version of an entity counts its changes from 1, its deletion
included, and goes on where it was when the id is created again; 0 means that there is none.
The version of a relationship, and the id of an item, is the number of the event that tells of it.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from holdfast.errors import InvalidInputError
from holdfast.storage.records import Origin

__all__ = [
    "MAX_CASCADE",
    "MAX_CHANGES",
    "MAX_NAME",
    "MAX_PROPERTIES",
    "MAX_PROPERTIES_BYTES",
    "MAX_TTL",
    "MAX_VALUE_BYTES",
    "Change",
    "ChangeOutcome",
    "ChangeState",
    "CreateEntity",
    "DefineType",
    "DeleteEntity",
    "DeleteQueue",
    "EntityChanged",
    "EntityDeleted",
    "ExpireItems",
    "ItemsExpired",
    "OnConflict",
    "Pop",
    "Popped",
    "Push",
    "Pushed",
    "QueueDeleted",
    "Relate",
    "Related",
    "StateChanged",
    "TypeDefined",
    "Unrelate",
    "Unrelated",
    "UpdateEntity",
    "check_name",
]

MAX_NAME: Final = 256  # characters of an id, a type, a name of a property
MAX_PROPERTIES: Final = 1_000  # of one entity
MAX_PROPERTIES_BYTES: Final = 1024 * 1024  # of one entity, as JSON
MAX_VALUE_BYTES: Final = 1024 * 1024  # of an item of a queue, or of metadata, as JSON
MAX_CHANGES: Final = 10_000  # in one transaction, so that others are not kept waiting
MAX_CASCADE: Final = 10_000  # relationships that go with one entity, for the same reason
MAX_TTL: Final = 100 * 365 * 86_400.0  # seconds

# What a create or relate does when there is one already: refuse with Conflict, set the given
# properties beside those there are, set them in place of those, or leave everything as it is.
OnConflict = Literal["refuse", "merge", "replace", "keep"]


def check_name(name: str, field: str) -> None:
    """Raise InvalidInputError unless it can be the name or id of something."""
    if 0 < len(name) <= MAX_NAME and "\0" not in name:
        return
    if not name:
        raise InvalidInputError(f"{field}: an empty name; expected 1 to {MAX_NAME} characters")
    if len(name) > MAX_NAME:
        text = f"{field}: a name of {len(name):,} characters ({name[:20]!r}...); at most {MAX_NAME}"
        raise InvalidInputError(text)
    raise InvalidInputError(f"{field}: {name[:40]!r} holds NUL, which no name may")


class _Tagged(msgspec.Struct, frozen=True, array_like=True, tag_field="what"):
    """``type``, as msgspec names the tag, is a field of some."""


class CreateEntity(_Tagged, frozen=True, array_like=True, tag="create"):
    """Make an entity.  Outcome: EntityChanged, with its properties where ``is_returned``.

    ``expected_version`` 0 means that there must be none.
    """

    id: str
    type: str
    properties: str = "{}"
    on_conflict: OnConflict = "refuse"
    expected_version: int | None = None
    is_returned: bool = False


class UpdateEntity(_Tagged, frozen=True, array_like=True, tag="update"):
    """Change properties of an entity.  Outcome: EntityChanged.

    ``set``, ``increment`` and ``append`` are objects by name of property: new values, numbers to
    add (to 0 where there is none), items to put at the end of lists (new ones where there is none).
    """

    id: str
    set: str = "{}"
    unset: list[str] = []
    increment: str = "{}"
    append: str = "{}"
    expected_version: int | None = None
    is_returned: bool = False


class DeleteEntity(_Tagged, frozen=True, array_like=True, tag="delete"):
    """Remove an entity, its properties, relationships and queues.  Outcome: EntityDeleted."""

    id: str
    expected_version: int | None = None


class Relate(_Tagged, frozen=True, array_like=True, tag="relate"):
    """Make a relationship; ``metadata`` is an object.  Outcome: Related."""

    from_id: str
    relation_type: str
    to_id: str
    metadata: str = "{}"
    on_conflict: OnConflict = "refuse"
    expected_version: int | None = None


class Unrelate(_Tagged, frozen=True, array_like=True, tag="unrelate"):
    """Remove a relationship.  Outcome: Unrelated."""

    from_id: str
    relation_type: str
    to_id: str
    expected_version: int | None = None


class Push(_Tagged, frozen=True, array_like=True, tag="push"):
    """Put a value at the end of a queue, for ``ttl`` seconds or for good.  Outcome: Pushed."""

    namespace: str
    key: str
    value: str
    ttl: float | None = None


class Pop(_Tagged, frozen=True, array_like=True, tag="pop"):
    """Take up to ``count`` values from the front of a queue.  Outcome: Popped."""

    namespace: str
    key: str
    count: int = 1


class DeleteQueue(_Tagged, frozen=True, array_like=True, tag="delete_queue"):
    """Remove a queue and all in it.  Outcome: QueueDeleted."""

    namespace: str
    key: str


class DefineType(_Tagged, frozen=True, array_like=True, tag="define_type"):
    """Say whether replaced versions of a type's entities are kept, and at most how many of each.

    Without ``history`` no more are kept; those there are stay.  Outcome: TypeDefined.
    """

    name: str
    history: bool
    keep: int | None = None


class ExpireItems(_Tagged, frozen=True, array_like=True, tag="expire_items"):
    """Remove up to ``limit`` items of queues whose time is over.  Outcome: ItemsExpired."""

    limit: int


Change = (
    CreateEntity
    | UpdateEntity
    | DeleteEntity
    | Relate
    | Unrelate
    | Push
    | Pop
    | DeleteQueue
    | DefineType
    | ExpireItems
)


class ChangeState(msgspec.Struct, frozen=True, array_like=True, tag="change_state"):
    """Make all the changes in order, in one transaction, or none of them.  Outcome: StateChanged.

    When one is refused, all are; the error names its index where there are several.
    """

    origin: Origin | None
    changes: list[Change]


class EntityChanged(_Tagged, frozen=True, array_like=True, tag="entity_changed"):
    """The entity as it is now; ``properties`` only where they were asked for."""

    id: str
    type: str
    version: int
    created_us: int
    updated_us: int
    is_new: bool
    properties: str | None = None


class EntityDeleted(_Tagged, frozen=True, array_like=True, tag="entity_deleted"):
    """There is no such entity (any more); ``version`` is that of its deletion, 0 if there was
    none."""

    version: int


class Related(_Tagged, frozen=True, array_like=True, tag="related"):
    """The relationship as it is now."""

    version: int
    created_us: int
    updated_us: int
    is_new: bool
    metadata: str


class Unrelated(_Tagged, frozen=True, array_like=True, tag="unrelated"):
    """There is no such relationship (any more)."""

    existed: bool


class Pushed(_Tagged, frozen=True, array_like=True, tag="pushed"):
    """The item has this id; so many are in the queue now."""

    id: int
    size: int


class Popped(_Tagged, frozen=True, array_like=True, tag="popped"):
    """The values, the oldest first; fewer than asked for where they would not fit in a frame."""

    values: list[str]
    remaining: int


class QueueDeleted(_Tagged, frozen=True, array_like=True, tag="queue_deleted"):
    """There is no such queue (any more); so many items were in it."""

    count: int


class TypeDefined(_Tagged, frozen=True, array_like=True, tag="type_defined"):
    """From now on."""


class ItemsExpired(_Tagged, frozen=True, array_like=True, tag="items_expired"):
    """So many were removed; ``next_us`` is when the next one expires."""

    count: int
    next_us: int | None


ChangeOutcome = (
    EntityChanged
    | EntityDeleted
    | Related
    | Unrelated
    | Pushed
    | Popped
    | QueueDeleted
    | TypeDefined
    | ItemsExpired
)


class StateChanged(msgspec.Struct, frozen=True, array_like=True, tag="state_changed"):
    """All changes are committed; ``stored`` events tell of them, from ``first_seq`` on."""

    first_seq: int
    stored: int
    outcomes: list[ChangeOutcome]

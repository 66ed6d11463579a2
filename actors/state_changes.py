"""Changes to relational state as values: what ``hub.state.batch`` takes, and what its methods send.

    from holdfast import changes
    hub.state.batch([changes.create("agent", id="a1"), changes.relate("a1", "knows", "a2")])

Everything that can be seen to be wrong here is refused here, with InvalidInputError that names the
field; nothing is sent then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, get_args

from holdfast.actors.ids import new_id
from holdfast.errors import InvalidInputError
from holdfast.storage import jsontext
from holdfast.storage.state_records import (
    Change,
    CreateEntity,
    DefineType,
    DeleteEntity,
    DeleteQueue,
    OnConflict,
    Pop,
    Push,
    Relate,
    Unrelate,
    UpdateEntity,
    check_name,
)

__all__ = [
    "Change",
    "OnConflict",
    "checked_name",
    "checked_number",
    "create",
    "define_type",
    "delete",
    "delete_queue",
    "object_text",
    "pop",
    "push",
    "relate",
    "unrelate",
    "update",
]

_NONE = "{}"


def create(
    type: str,
    properties: Mapping[str, Any] | None = None,
    *,
    id: str | None = None,
    on_conflict: OnConflict = "refuse",
    expected_version: int | None = None,
) -> CreateEntity:
    """Make an entity; without an ``id`` it gets one that sorts by time.

    ``on_conflict`` says what happens when there is one of that id: "refuse" with Conflict,
    "merge" the properties into those there are, "replace" those by these, "keep" it as it is.
    ``expected_version`` 0 means that there must be none.
    """
    return CreateEntity(
        new_id() if id is None else checked_name(id, "id"),
        checked_name(type, "type"),
        object_text(properties, "properties"),
        _checked_choice(on_conflict),
        _checked_version(expected_version),
    )


def update(
    id: str,
    properties: Mapping[str, Any] | None = None,
    *,
    unset: Iterable[str] = (),
    increment: Mapping[str, int | float] | None = None,
    append: Mapping[str, Any] | None = None,
    expected_version: int | None = None,
) -> UpdateEntity:
    """Set ``properties``, remove those in ``unset``, add numbers, put items at the ends of lists.

    A property that is not there counts as 0 or as an empty list.
    """
    if isinstance(unset, str):
        raise InvalidInputError(f"unset = {unset!r}: expected a list of names")
    return UpdateEntity(
        checked_name(id, "id"),
        object_text(properties, "properties"),
        [checked_name(name, "unset") for name in unset],
        object_text(increment, "increment"),
        object_text(append, "append"),
        _checked_version(expected_version),
    )


def delete(id: str, *, expected_version: int | None = None) -> DeleteEntity:
    """Remove an entity with its properties, relationships and queues."""
    return DeleteEntity(checked_name(id, "id"), _checked_version(expected_version))


def relate(
    from_id: str,
    relation_type: str,
    to_id: str,
    metadata: Mapping[str, Any] | None = None,
    *,
    on_conflict: OnConflict = "refuse",
    expected_version: int | None = None,
) -> Relate:
    """Make a relationship; both entities have to exist.  ``on_conflict`` as in ``create``."""
    return Relate(
        checked_name(from_id, "from_id"),
        checked_name(relation_type, "relation_type"),
        checked_name(to_id, "to_id"),
        object_text(metadata, "metadata"),
        _checked_choice(on_conflict),
        _checked_version(expected_version),
    )


def unrelate(
    from_id: str, relation_type: str, to_id: str, *, expected_version: int | None = None
) -> Unrelate:
    """Remove a relationship."""
    return Unrelate(
        checked_name(from_id, "from_id"),
        checked_name(relation_type, "relation_type"),
        checked_name(to_id, "to_id"),
        _checked_version(expected_version),
    )


def push(namespace: str, key: str, value: object, *, ttl: float | None = None) -> Push:
    """Put a value at the end of a queue; ``ttl`` seconds later it is gone."""
    if ttl is not None and (isinstance(ttl, bool) or not isinstance(ttl, int | float)):
        raise InvalidInputError(f"ttl = {ttl!r}: expected seconds")
    return Push(
        checked_name(namespace, "namespace"),
        checked_name(key, "key"),
        jsontext.encode(value, "value"),
        ttl,
    )


def pop(namespace: str, key: str, count: int = 1) -> Pop:
    """Take up to ``count`` values from the front of a queue."""
    return Pop(
        checked_name(namespace, "namespace"),
        checked_name(key, "key"),
        checked_number(count, "count"),
    )


def delete_queue(namespace: str, key: str) -> DeleteQueue:
    """Remove a queue and all in it."""
    return DeleteQueue(checked_name(namespace, "namespace"), checked_name(key, "key"))


def define_type(name: str, *, history: bool = False, keep: int | None = None) -> DefineType:
    """Keep the versions of a type's entities that are replaced from now on, the newest ``keep`` of
    each (None: all), or no longer."""
    if not isinstance(history, bool):
        raise InvalidInputError(f"history = {history!r}: expected true or false")
    kept = None if keep is None else checked_number(keep, "keep")
    return DefineType(checked_name(name, "type"), history, kept)


def checked_name(name: str, field: str) -> str:
    """Raises InvalidInputError."""
    if type(name) is not str:
        raise InvalidInputError(f"{field} = {name!r}: expected a text")
    check_name(name, field)
    if not name.isascii():
        jsontext.encode(name, field)  # finds what is no Unicode
    return name


def checked_number(number: int, field: str) -> int:
    """Raises InvalidInputError."""
    if type(number) is not int or not 0 <= number < 2**62:
        raise InvalidInputError(f"{field} = {number!r}: expected a whole number from 0")
    return number


def object_text(properties: Mapping[str, Any] | None, field: str) -> str:
    """Names and values as JSON text.  Raises InvalidInputError."""
    if properties is None:
        return _NONE
    if not isinstance(properties, Mapping):
        raise InvalidInputError(f"{field} = {properties!r:.60}: expected names and values")
    return jsontext.encode(properties if type(properties) is dict else dict(properties), field)


def _checked_version(version: int | None) -> int | None:
    return None if version is None else checked_number(version, "expected_version")


def _checked_choice(choice: OnConflict) -> OnConflict:
    if choice not in get_args(OnConflict):
        accepted = ", ".join(get_args(OnConflict))
        raise InvalidInputError(f"on_conflict = {choice!r}: expected one of {accepted}")
    return choice

"""What changes of entities do, whatever keeps them; the rows are the backend's.

Works within the caller's transaction.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from holdfast.errors import Conflict, InvalidInputError, NotFoundError
from holdfast.storage.state_events import StateEvents, json_text
from holdfast.storage.state_histories import Histories
from holdfast.storage.state_properties import changed, changed_names
from holdfast.storage.state_records import (
    MAX_CASCADE,
    CreateEntity,
    DeleteEntity,
    EntityChanged,
    EntityDeleted,
    UpdateEntity,
    check_name,
)
from holdfast.storage.state_values import Properties, parsed, parsed_object, text_of_object

__all__ = ["Entities", "EntityRows", "Found", "check_version", "entity_named"]


class Found(msgspec.Struct):
    """An entity as it is; ``number`` None where there is none, and ``version`` that of its
    tombstone, or 0.  ``history`` and ``keep`` are its type's."""

    id: str
    number: int | None
    type: str
    version: int
    created_us: int
    updated_us: int
    properties: str
    history: int = 0
    keep: int | None = None

    @property
    def current(self) -> int:
        """The version that callers know: 0 where there is none."""
        return 0 if self.number is None else self.version


class EntityRows(Protocol):
    """The tables of entities, their properties and tombstones."""

    def find(self, id: str) -> Found:
        """Also where there is no entity: what is left of an earlier one."""

    def insert(self, made: Found, properties: Properties) -> None:
        """A new one and its type; its tombstone goes."""

    def update(self, found: Found, changes: Properties, unset: list[str]) -> None:
        """Its version, time and text, and the properties that changed or are gone."""

    def delete(self, found: Found, version: int, deleted_us: int) -> None:
        """It and all that is its own but for queues; a tombstone stays."""

    def relationships(self, id: str, limit: int) -> list[tuple[str, str, str, int]]:
        """Those that start or end at it, in order: from_id, relation_type, to_id, version."""

    def delete_queues(self, id: str) -> list[tuple[str, int]]:
        """Those of its namespace: key and length."""


class Entities:
    """Entities and their properties; what they were goes to the histories."""

    def __init__(self, rows: EntityRows, histories: Histories) -> None:
        self._rows = rows
        self._histories = histories

    def create(self, change: CreateEntity, told: StateEvents) -> EntityChanged:
        """Raises InvalidInputError, Conflict."""
        check_name(change.id, "id")
        check_name(change.type, "type")
        properties = parsed_object(change.properties, "properties")
        found = self._rows.find(change.id)
        check_version(entity_named(change.id), change.expected_version, found.current)
        if found.number is None:
            return self._insert(change, properties, found, told)
        if change.on_conflict == "refuse":
            raise Conflict(entity_named(change.id), expected=0, current=found.version)
        if found.type != change.type:
            raise InvalidInputError(
                f"type: {entity_named(change.id)} is of type {found.type!r}, not {change.type!r}; "
                "that stays as long as it lives"
            )
        if change.on_conflict == "keep":
            return _outcome(found, found.properties if change.is_returned else None)
        before = parsed(found.properties, "properties")
        unset: list[str] = []
        if change.on_conflict == "replace":
            unset = [name for name in before if name not in properties]
            after = properties
        else:
            after = before | properties
        return self._update(found, after, list(properties), unset, told, change.is_returned)

    def update(self, change: UpdateEntity, told: StateEvents) -> EntityChanged:
        """Raises InvalidInputError, Conflict, NotFoundError."""
        check_name(change.id, "id")
        names = changed_names(change)
        found = self._existing(change.id, change.expected_version)
        before = parsed(found.properties, "properties")
        after = changed(before, change)
        unset = [name for name in change.unset if name in before]
        return self._update(found, after, names, unset, told, change.is_returned)

    def delete(self, change: DeleteEntity, told: StateEvents) -> EntityDeleted:
        """With all that is its own; each relationship and queue has its own event.

        Raises InvalidInputError, Conflict.
        """
        check_name(change.id, "id")
        found = self._rows.find(change.id)
        check_version(entity_named(change.id), change.expected_version, found.current)
        if found.number is None:
            return EntityDeleted(0)
        cut = self._tell_of_relationships(change.id, told)
        queues = self._delete_queues(change.id, told)
        now_us, version = max(told.now_us, found.updated_us), found.version + 1
        self._keep(found, now_us)
        self._rows.delete(found, version, now_us)
        told.tell(
            "state:entity:deleted",
            found.id,
            {
                "id": found.id,
                "type": found.type,
                "version": version,
                "properties": json_text(found.properties),
                "relationships": cut,
                "queues": queues,
            },
        )
        return EntityDeleted(version)

    def _existing(self, id: str, expected: int | None) -> Found:
        found = self._rows.find(id)
        check_version(entity_named(id), expected, found.current)
        if found.number is None:
            raise NotFoundError(f"{entity_named(id)} does not exist: create it first")
        return found

    def _insert(
        self, change: CreateEntity, properties: Properties, found: Found, told: StateEvents
    ) -> EntityChanged:
        id, type = change.id, change.type
        text = text_of_object(properties)
        now_us = max(told.now_us, found.updated_us)  # a wall clock may be set back
        version = found.version + 1
        made = Found(id, told.next_seq, type, version, now_us, now_us, text)
        self._rows.insert(made, properties)
        told.tell(
            "state:entity:created",
            id,
            {"id": id, "type": type, "version": version, "properties": json_text(text)},
        )
        return EntityChanged(id, type, version, now_us, now_us, True)

    def _update(
        self,
        found: Found,
        after: Properties,
        names: list[str],
        unset: list[str],
        told: StateEvents,
        is_returned: bool,
    ) -> EntityChanged:
        """``after`` differs from what was there in ``names``, and in ``unset`` that are gone."""
        text = text_of_object(after)
        now_us = max(told.now_us, found.updated_us)
        self._keep(found, now_us)
        found.version += 1
        found.updated_us, found.properties = now_us, text
        changes = {name: after[name] for name in names}
        self._rows.update(found, changes, unset)
        data = {"id": found.id, "type": found.type, "version": found.version, "set": changes}
        told.tell("state:entity:updated", found.id, {**data, "unset": unset})
        return _outcome(found, text if is_returned else None)

    def _keep(self, found: Found, until_us: int) -> None:
        """The version that is about to be replaced, where its type keeps them."""
        if found.history:
            version = found.id, found.version, found.type, found.created_us, found.updated_us
            self._histories.keep((*version, until_us), found.properties, found.keep)

    def _tell_of_relationships(self, id: str, told: StateEvents) -> int:
        rows = self._rows.relationships(id, MAX_CASCADE + 1)
        if len(rows) > MAX_CASCADE:
            raise InvalidInputError(
                f"{entity_named(id)} has over {MAX_CASCADE:,} relationships, too many to go in "
                "one transaction: unrelate some first"
            )
        for from_id, relation_type, to_id, version in rows:
            told.tell(
                "state:relationship:deleted",
                from_id,
                {
                    "from_id": from_id,
                    "relation_type": relation_type,
                    "to_id": to_id,
                    "version": version,
                    "cascade": id,
                },
            )
        return len(rows)

    def _delete_queues(self, id: str, told: StateEvents) -> int:
        rows = sorted(self._rows.delete_queues(id))
        for key, length in rows:
            told.tell(
                "state:queue:deleted",
                id,
                {"namespace": id, "key": key, "count": length, "cascade": id},
            )
        return len(rows)


def entity_named(id: str) -> str:
    """What errors call it."""
    return f"entity {id!r}"


def check_version(what: str, expected: int | None, current: int) -> None:
    """Raises Conflict."""
    if expected is not None and expected != current:
        raise Conflict(what, expected=expected, current=current)


def _outcome(found: Found, text: str | None) -> EntityChanged:
    return EntityChanged(
        found.id, found.type, found.version, found.created_us, found.updated_us, False, text
    )

"""The tables of entities and their properties, writing side.  Works within the caller's
transaction.
"""

from __future__ import annotations

from typing import Final, cast

import apsw
import msgspec

from holdfast.errors import Conflict, InvalidInputError, NotFoundError
from holdfast.storage.sqlite_histories import Histories
from holdfast.storage.state_events import StateEvents, json_text
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
from holdfast.storage.state_values import (
    Properties,
    comparable,
    parsed,
    parsed_object,
    text_of_object,
)

__all__ = ["EntityTables", "check_version", "entity_named"]

# Also where there is no entity: what is left of an earlier one.
_FIND: Final = """
SELECT e.number, e.type, e.version, e.created_us, e.updated_us, e.properties,
       coalesce(t.version, 0), coalesce(t.deleted_us, 0)
FROM (SELECT ? AS id) AS wanted
LEFT JOIN entities AS e ON e.id = wanted.id
LEFT JOIN entity_tombstones AS t ON t.id = wanted.id
"""
_INSERT: Final = """
INSERT INTO entities (number, id, type, version, created_us, updated_us, properties)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_UPDATE: Final = "UPDATE entities SET version = ?, updated_us = ?, properties = ? WHERE number = ?"
_ADD: Final = """
INSERT INTO properties (entity, name, type, kind, key, rest) VALUES (?, ?, ?, ?, ?, ?)
"""
_PUT: Final = """
INSERT OR REPLACE INTO properties (entity, name, type, kind, key, rest) VALUES (?, ?, ?, ?, ?, ?)
"""
_BURY: Final = """
INSERT OR REPLACE INTO entity_tombstones (id, version, deleted_us) VALUES (?, ?, ?)
"""
_RELATIONSHIPS: Final = """
SELECT from_id, relation_type, to_id, version FROM relationships WHERE from_id = ?1
UNION SELECT from_id, relation_type, to_id, version FROM relationships WHERE to_id = ?1
LIMIT ?2
"""


class Found(msgspec.Struct):
    """An entity as it is; ``number`` None where there is none, and ``version`` that of its
    tombstone, or 0."""

    id: str
    number: int | None
    type: str
    version: int
    created_us: int
    updated_us: int
    properties: str

    @property
    def current(self) -> int:
        """The version that callers know: 0 where there is none."""
        return 0 if self.number is None else self.version


class EntityTables:
    """Entities, properties and tombstones; what they were goes to the histories."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._histories = Histories(connection)

    def create(self, change: CreateEntity, told: StateEvents) -> EntityChanged:
        """Raises InvalidInputError, Conflict."""
        check_name(change.id, "id")
        check_name(change.type, "type")
        properties = parsed_object(change.properties, "properties")
        found = self._find(change.id)
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
        found = self._find(change.id)
        check_version(entity_named(change.id), change.expected_version, found.current)
        if found.number is None:
            return EntityDeleted(0)
        cut = self._tell_of_relationships(change.id, told)
        queues = self._delete_queues(change.id, told)
        execute = self._connection.execute
        now_us, version = max(told.now_us, found.updated_us), found.version + 1
        self._keep(found, now_us)
        execute("DELETE FROM entities WHERE number = ?", (found.number,))  # the rest cascades
        execute(_BURY, (found.id, version, now_us))
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

    def _find(self, id: str) -> Found:
        row = cast("tuple[object, ...]", self._connection.execute(_FIND, (id,)).fetchone())
        if row[0] is None:
            return Found(id, None, "", cast(int, row[6]), 0, cast(int, row[7]), "{}")
        return Found(id, *row[:6])  # type: ignore[arg-type]  # the tables are STRICT

    def _existing(self, id: str, expected: int | None) -> Found:
        found = self._find(id)
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
        execute = self._connection.execute
        execute("INSERT INTO entity_types (name) VALUES (?) ON CONFLICT DO NOTHING", (type,))
        number = told.next_seq
        execute(_INSERT, (number, id, type, version, now_us, now_us, text))
        self._put(_ADD, number, type, properties)
        if found.version:
            execute("DELETE FROM entity_tombstones WHERE id = ?", (id,))
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
        assert found.number is not None
        text = text_of_object(after)
        now_us = max(told.now_us, found.updated_us)
        self._keep(found, now_us)
        version = found.version + 1
        self._connection.execute(_UPDATE, (version, now_us, text, found.number))
        changes = {name: after[name] for name in names}
        self._put(_PUT, found.number, found.type, changes)
        self._connection.executemany(
            "DELETE FROM properties WHERE entity = ? AND name = ?",
            [(found.number, name) for name in unset],
        )
        data = {"id": found.id, "type": found.type, "version": version, "set": changes}
        told.tell("state:entity:updated", found.id, {**data, "unset": unset})
        found.version, found.updated_us = version, now_us
        return _outcome(found, text if is_returned else None)

    def _put(self, sql: str, number: int, type: str, properties: Properties) -> None:
        self._connection.executemany(
            sql,
            [(number, name, type, *comparable(value)) for name, value in properties.items()],
        )

    def _keep(self, found: Found, until_us: int) -> None:
        """The version that is about to be replaced, where its type keeps them."""
        self._histories.keep(
            (found.id, found.version, found.type, found.created_us, found.updated_us, until_us),
            found.properties,
        )

    def _tell_of_relationships(self, id: str, told: StateEvents) -> int:
        rows = self._connection.execute(_RELATIONSHIPS, (id, MAX_CASCADE + 1)).fetchall()
        if len(rows) > MAX_CASCADE:
            raise InvalidInputError(
                f"{entity_named(id)} has over {MAX_CASCADE:,} relationships, too many to go in "
                "one transaction: unrelate some first"
            )
        for from_id, relation_type, to_id, version in rows:
            told.tell(
                "state:relationship:deleted",
                cast(str, from_id),
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
        rows = self._connection.execute(
            "DELETE FROM queues WHERE namespace = ? RETURNING key, length", (id,)
        ).fetchall()
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

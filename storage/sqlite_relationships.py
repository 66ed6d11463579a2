"""The table of relationships, writing side.  Works within the caller's transaction."""

from __future__ import annotations

from typing import Final, cast

import apsw

from holdfast.errors import Conflict, NotFoundError
from holdfast.storage.sqlite_entities import check_version, entity_named
from holdfast.storage.state_events import StateEvents, json_text
from holdfast.storage.state_records import (
    Relate,
    Related,
    Unrelate,
    Unrelated,
    check_name,
)
from holdfast.storage.state_values import parsed_object, text_of_object

__all__ = ["RelationshipTable"]

_WHICH: Final = "from_id = ? AND relation_type = ? AND to_id = ?"
_FIND: Final = f"SELECT version, created_us, updated_us, metadata FROM relationships WHERE {_WHICH}"
_PUT: Final = """
INSERT OR REPLACE INTO relationships
    (from_id, relation_type, to_id, version, created_us, updated_us, metadata)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""

_Row = tuple[int, int, int, str]


class RelationshipTable:
    """At most one relationship of a type leads from one entity to another."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def relate(self, change: Relate, told: StateEvents) -> Related:
        """Raises InvalidInputError, Conflict, NotFoundError."""
        which = _checked(change)
        metadata = parsed_object(change.metadata, "metadata")
        text = text_of_object(metadata)
        row = self._find(which)
        check_version(_named(which), change.expected_version, row[0] if row else 0)
        if row is None:
            self._require_ends(change)
        elif change.on_conflict == "refuse":
            raise Conflict(_named(which), expected=0, current=row[0])
        elif change.on_conflict == "keep":
            return Related(*row[:3], False, row[3])
        elif change.on_conflict == "merge":
            text = text_of_object(parsed_object(row[3], "metadata") | metadata)
        version = told.next_seq
        now_us = told.now_us
        created_us = row[1] if row else now_us
        self._connection.execute(_PUT, (*which, version, created_us, now_us, text))
        told.tell(
            "state:relationship:updated" if row else "state:relationship:created",
            change.from_id,
            {**_data(which, version), "metadata": json_text(text)},
        )
        return Related(version, created_us, now_us, row is None, text)

    def unrelate(self, change: Unrelate, told: StateEvents) -> Unrelated:
        """Raises InvalidInputError, Conflict."""
        which = _checked(change)
        row = self._find(which)
        check_version(_named(which), change.expected_version, row[0] if row else 0)
        if row is None:
            return Unrelated(False)
        self._connection.execute(f"DELETE FROM relationships WHERE {_WHICH}", which)
        told.tell("state:relationship:deleted", change.from_id, _data(which, row[0]))
        return Unrelated(True)

    def _find(self, which: tuple[str, str, str]) -> _Row | None:
        return cast("_Row | None", self._connection.execute(_FIND, which).fetchone())

    def _require_ends(self, change: Relate) -> None:
        for id in (change.from_id, change.to_id):
            if self._connection.execute("SELECT 1 FROM entities WHERE id = ?", (id,)).get is None:
                raise NotFoundError(f"{entity_named(id)} does not exist: create it first")


def _checked(change: Relate | Unrelate) -> tuple[str, str, str]:
    check_name(change.from_id, "from_id")
    check_name(change.relation_type, "relation_type")
    check_name(change.to_id, "to_id")
    return change.from_id, change.relation_type, change.to_id


def _named(which: tuple[str, str, str]) -> str:
    from_id, relation_type, to_id = which
    return f"relationship {from_id!r} -{relation_type}-> {to_id!r}"


def _data(which: tuple[str, str, str], version: int) -> dict[str, object]:
    from_id, relation_type, to_id = which
    return {"from_id": from_id, "relation_type": relation_type, "to_id": to_id, "version": version}

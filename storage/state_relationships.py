"""What changes of relationships do, whatever keeps them.  Works within the caller's transaction."""

from __future__ import annotations

from typing import Protocol

from holdfast.errors import Conflict, NotFoundError
from holdfast.storage.state_entities import check_version, entity_named
from holdfast.storage.state_events import StateEvents, json_text
from holdfast.storage.state_records import Relate, Related, Unrelate, Unrelated, check_name
from holdfast.storage.state_values import parsed_object, text_of_object

__all__ = ["RelationshipRow", "RelationshipRows", "Relationships", "Which"]

# from_id, relation_type, to_id.
Which = tuple[str, str, str]
# version, created_us, updated_us, metadata.
RelationshipRow = tuple[int, int, int, str]


class RelationshipRows(Protocol):
    """The table of relationships."""

    def find(self, which: Which) -> RelationshipRow | None:
        """None where there is none."""

    def put(self, which: Which, row: RelationshipRow) -> None:
        """A new one, or in place of the one that is there."""

    def delete(self, which: Which) -> None:
        """The one that is there."""

    def missing_end(self, which: Which) -> str | None:
        """The first of its ends that there is no entity of."""


class Relationships:
    """At most one relationship of a type leads from one entity to another."""

    def __init__(self, rows: RelationshipRows) -> None:
        self._rows = rows

    def relate(self, change: Relate, told: StateEvents) -> Related:
        """Raises InvalidInputError, Conflict, NotFoundError."""
        which = _checked(change)
        metadata = parsed_object(change.metadata, "metadata")
        text = text_of_object(metadata)
        row = self._rows.find(which)
        check_version(_named(which), change.expected_version, row[0] if row else 0)
        if row is None:
            missing = self._rows.missing_end(which)
            if missing is not None:
                raise NotFoundError(f"{entity_named(missing)} does not exist: create it first")
        elif change.on_conflict == "refuse":
            raise Conflict(_named(which), expected=0, current=row[0])
        elif change.on_conflict == "keep":
            return Related(*row[:3], False, row[3])
        elif change.on_conflict == "merge":
            text = text_of_object(parsed_object(row[3], "metadata") | metadata)
        version = told.next_seq
        now_us = told.now_us
        created_us = row[1] if row else now_us
        self._rows.put(which, (version, created_us, now_us, text))
        told.tell(
            "state:relationship:updated" if row else "state:relationship:created",
            change.from_id,
            {**_data(which, version), "metadata": json_text(text)},
        )
        return Related(version, created_us, now_us, row is None, text)

    def unrelate(self, change: Unrelate, told: StateEvents) -> Unrelated:
        """Raises InvalidInputError, Conflict."""
        which = _checked(change)
        row = self._rows.find(which)
        check_version(_named(which), change.expected_version, row[0] if row else 0)
        if row is None:
            return Unrelated(False)
        self._rows.delete(which)
        told.tell("state:relationship:deleted", change.from_id, _data(which, row[0]))
        return Unrelated(True)


def _checked(change: Relate | Unrelate) -> Which:
    check_name(change.from_id, "from_id")
    check_name(change.relation_type, "relation_type")
    check_name(change.to_id, "to_id")
    return change.from_id, change.relation_type, change.to_id


def _named(which: Which) -> str:
    from_id, relation_type, to_id = which
    return f"relationship {from_id!r} -{relation_type}-> {to_id!r}"


def _data(which: Which, version: int) -> dict[str, object]:
    from_id, relation_type, to_id = which
    return {"from_id": from_id, "relation_type": relation_type, "to_id": to_id, "version": version}

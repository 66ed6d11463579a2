"""Questions about many entities: what holds of their properties, in which order, how many.

A question either walks an index in the order asked for and leaves out what does not match, or,
when some condition holds of few entities, starts from those and sorts them.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final, cast

import msgspec

from holdfast.errors import InvalidInputError
from holdfast.storage.sqlite_conditions import Sql, both, can_start, holds, joined, starts
from holdfast.storage.sqlite_reading import check_limit
from holdfast.storage.sqlite_state_rows import StateRows
from holdfast.storage.state_questions import Condition, EntityFilter, EntityRow, Order
from holdfast.storage.state_values import parsed, text_of

__all__ = ["EntityQuerying"]

# Conditions that hold of at most so many entities are where a question starts: to sort them costs
# less than to walk past those that do not match.
FEW: Final = 1_000

_FROM_PROPERTY: Final = (
    "FROM properties AS p INDEXED BY properties_by_value"
    " CROSS JOIN entities AS e ON e.number = p.entity"
)
_ORDERS: Final = {
    "created": ("e.number",),
    "updated": ("e.updated_us", "e.number"),
    "property": ("o.kind", "o.key", "o.rest", "o.entity"),
    "missing": ("e.number",),  # without the property that is the order: they come last
}
# Which of these orders a page ended in, and the last one's place in it.
_Position = tuple[str, list[int | float | str]]
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Position).decode


class _Question(msgspec.Struct, frozen=True):
    """Where to read and what has to hold; ``starts_from`` is the condition in ``source``."""

    source: Sql
    where: Sql
    starts_from: Condition | None


class EntityQuerying(StateRows):
    """The part of ``holdfast.storage.reader_ports.StateReader`` that looks for entities."""

    def entities(
        self,
        filter: EntityFilter,
        order: Order,
        limit: int,
        max_bytes: int,
        cursor: str | None = None,
    ) -> tuple[list[EntityRow], str | None]:
        """The first ones that match, from the cursor on, and the cursor after them.

        None says that there are no more.  Entities that are not changed meanwhile are in exactly
        one page.  Raises InvalidInputError.
        """
        filter.check()
        check_limit(limit)
        part, after = _position(cursor, order)
        with self.snapshot():
            question = self._question(filter, order)
            places: list[tuple[str, int, list[Any]]] = []
            if part != "missing":
                places = self._places(question, order, order.by, limit + 1, after)
                after = []
            if order.by == "property" and len(places) <= limit:
                left = limit + 1 - len(places)
                places += self._places(question, order, "missing", left, after)
            rows = self._entities_in([number for _, number, _ in places[:limit]], max_bytes)
        if len(rows) == len(places):
            return rows, None
        if not rows:
            return [], None
        part, _, place = places[len(rows) - 1]
        return rows, _cursor(part, place)

    def count_entities(self, filter: EntityFilter) -> int:
        """How many match.  Raises InvalidInputError."""
        filter.check()
        question = self._question(filter, Order())
        sql = joined(Sql("SELECT count(*)"), question.source, Sql("WHERE"), question.where)
        return self._number(*sql)

    def count_entities_by_type(self, filter: EntityFilter, limit: int) -> list[tuple[str, int]]:
        """How many of each type match, most first.  Raises InvalidInputError."""
        filter.check()
        check_limit(limit)
        question = self._question(filter, Order())
        sql = joined(
            Sql("SELECT e.type, count(*)"),
            question.source,
            Sql("WHERE"),
            question.where,
            Sql("GROUP BY e.type ORDER BY 2 DESC, 1 LIMIT ?", (limit,)),
        )
        return cast("list[tuple[str, int]]", self._read(*sql))

    def count_entities_by(
        self, filter: EntityFilter, name: str, limit: int
    ) -> list[tuple[str | None, int]]:
        """How many of those that match have each value of a property, as JSON text, most first.

        None stands for those without it.  Raises InvalidInputError.
        """
        filter.check()
        check_limit(limit)
        with self.snapshot():
            question = self._question(filter, Order())
            # Equal values may be written differently: the oldest entity's stands for all.
            sql = joined(
                Sql("SELECT min(e.number), count(*), count(o.entity)"),
                question.source,
                Sql("LEFT JOIN properties AS o ON o.entity = e.number AND o.name = ?", (name,)),
                Sql("WHERE"),
                question.where,
                Sql("GROUP BY o.kind, o.key, o.rest ORDER BY 2 DESC, 1 LIMIT ?", (limit,)),
            )
            return [
                (self._value(cast(int, first), name) if has_it else None, cast(int, count))
                for first, count, has_it in self._read(*sql)
            ]

    def _value(self, number: int, name: str) -> str:
        ((text,),) = self._read("SELECT properties FROM entities WHERE number = ?", (number,))
        return text_of(parsed(cast(str, text), "properties")[name])

    def _question(self, filter: EntityFilter, order: Order) -> _Question:
        start = self._start(filter, order)
        others = [holds(condition) for condition in filter.where if condition is not start]
        if start is not None:
            where = both(starts(start, filter.type), *others)
            return _Question(Sql(_FROM_PROPERTY), where, start)
        if filter.type is not None:
            others.append(Sql("e.type = ?", (filter.type,)))
        return _Question(Sql("FROM entities AS e"), both(*others), None)

    def _start(self, filter: EntityFilter, order: Order) -> Condition | None:
        """The condition that holds of the fewest, if these are few or in the order asked for."""
        possible = [condition for condition in filter.where if can_start(condition)]
        in_order = [one for one in possible if one.op == "=" and order.by == "created"]
        if len(filter.where) == 1 and in_order:
            return in_order[0]
        best, fewest = None, FEW + 1
        for condition in possible:
            where = starts(condition, filter.type)
            count = self._number(
                "SELECT count(*) FROM (SELECT 1 FROM properties AS p"
                f" INDEXED BY properties_by_value WHERE {where.text} LIMIT ?)",
                (*where.values, fewest),
            )
            if count < fewest:
                best, fewest = condition, count
        return best or (in_order[0] if in_order else None)

    def _places(
        self, question: _Question, order: Order, part: str, limit: int, after: list[Any]
    ) -> list[tuple[str, int, list[Any]]]:
        """Of each entity the part of the order, its number and its place."""
        source, wheres = question.source, [question.where]
        columns = _ORDERS[part]
        if part == "property":
            source, of_name = _ordered_by_property(question, order.name)
            wheres.append(of_name)
        elif part == "missing":
            absent = "NOT EXISTS (SELECT 1 FROM properties WHERE entity = e.number AND name = ?)"
            wheres.append(Sql(absent, (order.name,)))
        elif part == "created" and question.starts_from is not None:
            columns = ("p.entity",)  # the same number, in the index that is read
        if after:
            if len(after) != len(columns):
                raise InvalidInputError("cursor: is of another question")
            sign = "<" if order.descending else ">"
            marks = ", ".join("?" * len(columns))
            wheres.append(Sql(f"({', '.join(columns)}) {sign} ({marks})", tuple(after)))
        way = "DESC" if order.descending else "ASC"
        by = ", ".join(f"{column} {way}" for column in columns)
        sql = joined(
            Sql(f"SELECT e.number, {', '.join(columns)}"),
            source,
            Sql("WHERE"),
            both(*wheres),
            Sql(f"ORDER BY {by} LIMIT ?", (limit,)),
        )
        rows = cast("list[tuple[Any, ...]]", self._read(*sql))
        return [(part, row[0], list(row[1:])) for row in rows]


def _ordered_by_property(question: _Question, name: str) -> tuple[Sql, Sql]:
    """What to read for the order by a property ``o``, and which one that is."""
    of_name = Sql("o.name = ?", (name,))
    if question.starts_from is not None:
        text = f"{question.source.text} CROSS JOIN properties AS o ON o.entity = e.number"
        return Sql(text), of_name
    text = (
        "FROM properties AS o INDEXED BY properties_by_value"
        " CROSS JOIN entities AS e ON e.number = o.entity AND e.type = o.type"
    )
    return Sql(text), of_name


def _cursor(part: str, place: list[Any]) -> str:
    return base64.urlsafe_b64encode(_encode((part, place))).decode()


def _position(cursor: str | None, order: Order) -> tuple[str, list[Any]]:
    """Raises InvalidInputError."""
    if cursor is None:
        return order.by, []
    try:
        part, place = _decode(base64.urlsafe_b64decode(cursor))
    except (msgspec.MsgspecError, binascii.Error, ValueError, UnicodeError):
        raise InvalidInputError("cursor: is none that a query gave") from None
    if part not in (order.by, "missing" if order.by == "property" else order.by) or not place:
        raise InvalidInputError("cursor: is of another question")
    return part, list(place)

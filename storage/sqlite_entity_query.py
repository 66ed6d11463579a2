"""Questions about many entities: what holds of their properties, in which order, how many.

Says where to read; what is to be read is said by ``holdfast.storage.state_pages``.
"""

from __future__ import annotations

from typing import Any, Final, cast

from holdfast.storage.sql_pieces import Sql, both, joined
from holdfast.storage.sqlite_conditions import holds, starts
from holdfast.storage.sqlite_reading import check_limit
from holdfast.storage.sqlite_state_rows import StateRows
from holdfast.storage.state_conditions import Test
from holdfast.storage.state_pages import EntityPages, Part, Place, Question, start_of
from holdfast.storage.state_questions import EntityFilter, Order
from holdfast.storage.state_values import parsed, text_of

__all__ = ["EntityQuerying"]

_FROM_PROPERTY: Final = (
    "FROM properties AS p INDEXED BY properties_by_value"
    " CROSS JOIN entities AS e ON e.number = p.entity"
)
_ORDERS: Final = {
    "created": ("e.number",),
    "updated": ("e.updated_us", "e.number"),
    "property": ("o.kind", "o.key", "o.rest", "o.entity"),
    "missing": ("e.number",),
}


class EntityQuerying(StateRows, EntityPages):
    """The part of ``holdfast.storage.reader_ports.StateReader`` that looks for entities."""

    def count_entities(self, filter: EntityFilter) -> int:
        """How many match.  Raises InvalidInputError."""
        sql = joined(Sql("SELECT count(*)"), *self._matching(filter))
        return self._number(*sql)

    def count_entities_by_type(self, filter: EntityFilter, limit: int) -> list[tuple[str, int]]:
        """How many of each type match, most first.  Raises InvalidInputError."""
        check_limit(limit)
        sql = joined(
            Sql("SELECT e.type, count(*)"),
            *self._matching(filter),
            Sql("GROUP BY e.type ORDER BY 2 DESC, 1 LIMIT ?", (limit,)),
        )
        return cast("list[tuple[str, int]]", self._read(*sql))

    def count_entities_by(
        self, filter: EntityFilter, name: str, limit: int
    ) -> list[tuple[str | None, int]]:
        """How many of those that match have each value of a property, as JSON text, most first.

        None stands for those without it.  Raises InvalidInputError.
        """
        check_limit(limit)
        with self.snapshot():
            source, where = self._matching(filter)
            # Equal values may be written differently: the oldest entity's stands for all.
            sql = joined(
                Sql("SELECT min(e.number), count(*), count(o.entity)"),
                source,
                Sql("LEFT JOIN properties AS o ON o.entity = e.number AND o.name = ?", (name,)),
                where,
                Sql("GROUP BY o.kind, o.key, o.rest ORDER BY 2 DESC, 1 LIMIT ?", (limit,)),
            )
            return [
                (self._value(cast(int, first), name) if has_it else None, cast(int, count))
                for first, count, has_it in self._read(*sql)
            ]

    def _value(self, number: int, name: str) -> str:
        ((text,),) = self._read("SELECT properties FROM entities WHERE number = ?", (number,))
        return text_of(parsed(cast(str, text), "properties")[name])

    def _matching(self, filter: EntityFilter) -> tuple[Sql, Sql]:
        """FROM and WHERE of those that match, in whatever order.  Raises InvalidInputError."""
        filter.check()
        question = self._question(filter, Order())
        return _source(question), joined(Sql("WHERE"), _where(question))

    def _question(self, filter: EntityFilter, order: Order) -> Question:
        def count_of(test: Test, limit: int) -> int:
            where = starts(test, filter.type)
            return self._number(
                "SELECT count(*) FROM (SELECT 1 FROM properties AS p"
                f" INDEXED BY properties_by_value WHERE {where.text} LIMIT ?)",
                (*where.values, limit),
            )

        return start_of(filter, order, count_of)

    def _places(
        self, question: Question, order: Order, part: Part, limit: int, after: list[Any]
    ) -> list[Place]:
        source, wheres = _source(question), [_where(question)]
        columns = _ORDERS[part]
        if part == "property":
            source = _ordered_by_property(question)
            wheres.append(Sql("o.name = ?", (order.name,)))
        elif part == "missing":
            absent = "NOT EXISTS (SELECT 1 FROM properties WHERE entity = e.number AND name = ?)"
            wheres.append(Sql(absent, (order.name,)))
        elif part == "created" and question.start is not None:
            columns = ("p.entity",)  # the same number, in the index that is read
        if after:
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


def _source(question: Question) -> Sql:
    return Sql("FROM entities AS e" if question.start is None else _FROM_PROPERTY)


def _where(question: Question) -> Sql:
    others = [holds(test) for test in question.others]
    if question.start is not None:
        return both(starts(question.start, question.type), *others)
    if question.type is not None:
        others.append(Sql("e.type = ?", (question.type,)))
    return both(*others)


def _ordered_by_property(question: Question) -> Sql:
    """What to read for the order by a property ``o``."""
    if question.start is not None:
        return Sql(f"{_FROM_PROPERTY} CROSS JOIN properties AS o ON o.entity = e.number")
    return Sql(
        "FROM properties AS o INDEXED BY properties_by_value"
        " CROSS JOIN entities AS e ON e.number = o.entity AND e.type = o.type"
    )

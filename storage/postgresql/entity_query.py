"""Questions about many entities: what holds of their properties, in which order, how many.

Says where to read; what is to be read is said by ``holdfast.storage.state_pages``.
"""

from __future__ import annotations

from typing import Any, Final, cast

from holdfast.storage.postgresql.conditions import holds, starts
from holdfast.storage.postgresql.keys import key_of, place_of
from holdfast.storage.postgresql.reading import check_limit
from holdfast.storage.postgresql.state_rows import StateRows
from holdfast.storage.sql_pieces import Sql, both, joined
from holdfast.storage.state_conditions import Test
from holdfast.storage.state_pages import FEW, EntityPages, Part, Place, Question, start_of
from holdfast.storage.state_questions import EntityFilter, Order
from holdfast.storage.state_values import parsed, text_of

__all__ = ["EntityQuerying"]

_ORDERS: Final = {
    "created": ("e.number",),
    "updated": ("e.updated_us", "e.number"),
    "property": ("o.kind", "o.key_number", "o.key_text", "o.rest", "o.entity"),
    "missing": ("e.number",),
}
_OF_ENTITY: Final = "o.daemon = e.daemon AND o.entity = e.number"


class EntityQuerying(StateRows, EntityPages):
    """The part of ``holdfast.storage.reader_ports.StateReader`` that looks for entities."""

    def count_entities(self, filter: EntityFilter) -> int:
        """How many match.  Raises InvalidInputError."""
        with self.snapshot():
            sql = joined(Sql("SELECT count(*)"), *self._matching(filter))
            return self._number(*sql)

    def count_entities_by_type(self, filter: EntityFilter, limit: int) -> list[tuple[str, int]]:
        """How many of each type match, most first.  Raises InvalidInputError."""
        check_limit(limit)
        with self.snapshot():
            sql = joined(
                Sql("SELECT e.type, count(*)"),
                *self._matching(filter),
                Sql("GROUP BY e.type ORDER BY 2 DESC, 1 LIMIT %s", (limit,)),
            )
            return self._read(*sql)

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
                Sql(f"LEFT JOIN properties AS o ON {_OF_ENTITY} AND o.name = %s", (name,)),
                where,
                Sql(
                    "GROUP BY o.kind, o.key_number, o.key_text, o.rest ORDER BY 2 DESC, 1 LIMIT %s",
                    (limit,),
                ),
            )
            return [
                (self._value(first, name) if has_it else None, count)
                for first, count, has_it in self._read(*sql)
            ]

    def _value(self, number: int, name: str) -> str:
        sql = "SELECT properties FROM entities WHERE daemon = %s AND number = %s"
        ((text,),) = self._read(sql, (self._daemon, number))
        return text_of(parsed(text, "properties")[name])

    def _matching(self, filter: EntityFilter) -> tuple[Sql, Sql]:
        """FROM and WHERE of those that match, in whatever order.  Raises InvalidInputError."""
        filter.check()
        question = self._question(filter, Order())
        return self._source(question), joined(Sql("WHERE"), self._where(question))

    def _question(self, filter: EntityFilter, order: Order) -> Question:
        def count_of(test: Test, limit: int) -> int:
            where = starts(test, self._daemon, filter.type)
            return self._number(
                f"SELECT count(*) FROM (SELECT FROM properties AS p WHERE {where.text} LIMIT %s)"
                " AS few",
                (*where.values, limit),
            )

        return start_of(filter, order, count_of)

    def _places(
        self, question: Question, order: Order, part: Part, limit: int, after: list[Any]
    ) -> list[Place]:
        source, wheres = self._source(question), [self._where(question)]
        columns = _ORDERS[part]
        if part == "property":
            source = joined(source, Sql(f"JOIN properties AS o ON {_OF_ENTITY}"))
            wheres.append(Sql("o.name = %s", (order.name,)))
            if question.start is None:
                wheres.append(Sql("o.daemon = %s", (self._daemon,)))
                if question.type is not None:
                    wheres.append(Sql("o.type = %s", (question.type,)))
        elif part == "missing":
            wheres.append(holds(Test(order.name, "any", is_negated=True)))
        elif part == "created" and question.start is not None and not question.is_few:
            columns = ("p.entity",)  # the same number, in the index that is read
        if after:
            sign = "<" if order.descending else ">"
            marks = ", ".join(["%s"] * len(columns))
            row = f"({', '.join(columns)})" if len(columns) > 1 else columns[0]
            wheres.append(Sql(f"{row} {sign} ({marks})", _after(part, after)))
        way = "DESC" if order.descending else "ASC"
        by = ", ".join(f"{column} {way}" for column in columns)
        sql = joined(
            Sql(f"SELECT e.number, {', '.join(columns)}"),
            source,
            Sql("WHERE"),
            both(*wheres),
            Sql(f"ORDER BY {by} LIMIT %s", (limit,)),
        )
        return [(part, row[0], _place(part, row[1:])) for row in self._read(*sql)]

    def _source(self, question: Question) -> Sql:
        """FROM: few are looked up first, whatever the planner thinks of how many there are."""
        if question.start is None:
            return Sql("FROM entities AS e")
        if not question.is_few:
            return Sql(
                "FROM properties AS p JOIN entities AS e"
                " ON e.daemon = p.daemon AND e.number = p.entity"
            )
        where = starts(question.start, self._daemon, question.type)
        return Sql(
            "FROM (SELECT p.entity FROM properties AS p"
            f" WHERE {where.text} LIMIT %s) AS p JOIN entities AS e ON e.number = p.entity",
            (*where.values, FEW),
        )

    def _where(self, question: Question) -> Sql:
        others = [holds(test) for test in question.others]
        if question.start is not None and not question.is_few:
            return both(starts(question.start, self._daemon, question.type), *others)
        if question.start is None and question.type is not None:
            others.append(Sql("e.type = %s", (question.type,)))
        return both(Sql("e.daemon = %s", (self._daemon,)), *others)


def _after(part: Part, place: list[Any]) -> tuple[Any, ...]:
    """Raises InvalidInputError."""
    if part != "property":
        return tuple(place)
    kind, key, rest, number = place
    return (*key_of((kind, key, rest)), number)


def _place(part: Part, row: tuple[Any, ...]) -> list[Any]:
    if part != "property":
        return list(row)
    return [*place_of(cast("Any", row[:4])), row[4]]

"""Conditions on properties as SQLite's SQL.  Names and values are always parameters.

``e`` is the entity, ``p`` the property a question starts from, ``c`` one that is looked up.
"""

from __future__ import annotations

from holdfast.storage.sql_pieces import Sql, both
from holdfast.storage.state_conditions import Test
from holdfast.storage.state_values import TEXT, Comparable

__all__ = ["holds", "starts"]


def starts(test: Test, type: str | None) -> Sql:
    """It holds of the property ``p``, for a test that is not negated."""
    of_type = (
        Sql("p.type IN (SELECT name FROM entity_types)")
        if type is None
        else Sql("p.type = ?", (type,))
    )
    return both(Sql("p.name = ?", (test.name,)), of_type, _matches(test, "p"))


def holds(test: Test) -> Sql:
    """It holds of the entity ``e``."""
    matches = _matches(test, "c")
    return Sql(
        f"{'NOT ' if test.is_negated else ''}EXISTS (SELECT 1 FROM properties AS c"
        f" WHERE c.entity = e.number AND c.name = ? AND {matches.text})",
        (test.name, *matches.values),
    )


def _matches(test: Test, alias: str) -> Sql:
    """What the property itself has to be; where the test is negated, the opposite."""
    match test.op:
        case "any":
            return Sql("true")
        case "in":
            return _is_one_of(test.values, alias)
        case "like":
            return _is_like(test.pattern, alias)
        case op:
            row = f"({alias}.key, {alias}.rest)"
            return Sql(f"{alias}.kind = ? AND {row} {op} (?, ?)", test.values[0])


def _is_one_of(values: tuple[Comparable, ...], alias: str) -> Sql:
    if not values:
        return Sql("false")
    equals = f"{alias}.kind = ? AND {alias}.key = ? AND {alias}.rest = ?"
    if len(values) == 1:
        return Sql(equals, values[0])
    text = " OR ".join([f"({equals})"] * len(values))
    return Sql(f"({text})", tuple(part for value in values for part in value))


def _is_like(pattern: str, alias: str) -> Sql:
    # The key of a long text is only its beginning: that one is read from the entity.
    whole = (
        f"(SELECT j.value FROM entities AS w, json_each(w.properties) AS j"
        f" WHERE w.number = {alias}.entity AND j.key = {alias}.name)"
    )
    text = f"CASE {alias}.rest WHEN 0 THEN {alias}.key ELSE {whole} END LIKE ?"
    return Sql(f"{alias}.kind = ? AND {text}", (TEXT, pattern))

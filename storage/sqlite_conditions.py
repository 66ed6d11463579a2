"""Conditions on properties as SQL.  Names and values are always parameters.

``e`` is the entity, ``p`` the property a question starts from, ``c`` one that is looked up.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from holdfast.errors import InvalidInputError
from holdfast.storage.state_questions import Condition
from holdfast.storage.state_values import OTHER, TEXT, Comparable, comparable, parsed

__all__ = ["Sql", "both", "can_start", "holds", "joined", "starts"]

MAX_ALTERNATIVES: Final = 500  # of ``in``
MAX_PATTERN: Final = 256  # characters of ``like``
MAX_WILDCARDS: Final = 8  # ``%`` in it: each multiplies what a text costs


class Sql(NamedTuple):
    """A piece of a statement and the values of its parameters."""

    text: str
    values: tuple[str | int | float, ...] = ()


def joined(*pieces: Sql) -> Sql:
    """One after the other."""
    values = tuple(value for piece in pieces for value in piece.values)
    return Sql(" ".join(piece.text for piece in pieces), values)


def both(*conditions: Sql) -> Sql:
    """All of them hold; of none, that is so."""
    if not conditions:
        return Sql("true")
    text = " AND ".join(f"({condition.text})" for condition in conditions)
    return Sql(text, tuple(value for condition in conditions for value in condition.values))


def can_start(condition: Condition) -> bool:
    """Whether an index finds all that it holds of."""
    return condition.op != "!=" and not _is_absence(condition)


def starts(condition: Condition, type: str | None) -> Sql:
    """It holds of the property ``p``, for a condition that can start."""
    of_type = (
        Sql("p.type IN (SELECT name FROM entity_types)")
        if type is None
        else Sql("p.type = ?", (type,))
    )
    return both(Sql("p.name = ?", (condition.name,)), of_type, _matches(condition, "p"))


def holds(condition: Condition) -> Sql:
    """It holds of the entity ``e``.  Raises InvalidInputError."""
    is_negated = condition.op == "!=" or _is_absence(condition)
    matches = _matches(condition, "c")
    return Sql(
        f"{'NOT ' if is_negated else ''}EXISTS (SELECT 1 FROM properties AS c"
        f" WHERE c.entity = e.number AND c.name = ? AND {matches.text})",
        (condition.name, *matches.values),
    )


def _is_absence(condition: Condition) -> bool:
    if condition.op != "exists":
        return False
    value = parsed(condition.value, "where")
    if type(value) is not bool:
        raise InvalidInputError(f"where: {condition.name!r} exists: expected true or false")
    return not value


def _matches(condition: Condition, alias: str) -> Sql:
    """What the property itself has to be; of ``!=`` and of absence, the opposite."""
    if condition.op == "exists":
        return Sql("true")
    value = parsed(condition.value, "where")
    if condition.op == "in":
        return _is_one_of(condition.name, value, alias)
    if condition.op == "like":
        return _is_like(condition.name, value, alias)
    found = comparable(value)
    if condition.op in ("=", "!="):
        return _equals(found, alias)
    if found[0] == OTHER:
        raise InvalidInputError(
            f"where: {condition.name!r} {condition.op}: lists, objects and bytes have no order"
        )
    # The operator is one of a list, checked before.
    row = f"({alias}.key, {alias}.rest)"
    return Sql(f"{alias}.kind = ? AND {row} {condition.op} (?, ?)", found)


def _equals(value: Comparable, alias: str) -> Sql:
    return Sql(f"{alias}.kind = ? AND {alias}.key = ? AND {alias}.rest = ?", value)


def _is_one_of(name: str, values: object, alias: str) -> Sql:
    if type(values) is not list or len(values) > MAX_ALTERNATIVES:
        raise InvalidInputError(
            f"where: {name!r} in: expected a list of at most {MAX_ALTERNATIVES} values"
        )
    if not values:
        return Sql("false")
    alternatives = [_equals(comparable(value), alias) for value in values]
    text = " OR ".join(f"({alternative.text})" for alternative in alternatives)
    return Sql(f"({text})", tuple(v for one in alternatives for v in one.values))


def _is_like(name: str, pattern: object, alias: str) -> Sql:
    if type(pattern) is not str:
        raise InvalidInputError(f"where: {name!r} like: expected a text")
    if len(pattern) > MAX_PATTERN or pattern.count("%") > MAX_WILDCARDS:
        raise InvalidInputError(
            f"where: {name!r} like: a pattern of {len(pattern)} characters with"
            f" {pattern.count('%')} %; at most {MAX_PATTERN} with {MAX_WILDCARDS}"
        )
    # The key of a long text is only its beginning: that one is read from the entity.
    whole = (
        f"(SELECT j.value FROM entities AS w, json_each(w.properties) AS j"
        f" WHERE w.number = {alias}.entity AND j.key = {alias}.name)"
    )
    text = f"CASE {alias}.rest WHEN 0 THEN {alias}.key ELSE {whole} END LIKE ?"
    return Sql(f"{alias}.kind = ? AND {text}", (TEXT, pattern))

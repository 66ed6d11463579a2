"""Conditions on properties as PostgreSQL's SQL.  Names and values are always parameters.

``e`` is the entity, ``p`` the property a question starts from, ``c`` one that is looked up.
"""

from __future__ import annotations

from typing import Final

from holdfast.storage.postgresql.keys import Key, key_of
from holdfast.storage.sql_pieces import Sql, both
from holdfast.storage.state_conditions import Test
from holdfast.storage.state_values import NUMBER, TEXT, Comparable

__all__ = ["holds", "starts"]

# As SQLite has it: ASCII letters alike in either case, no escape, and nothing behind a NUL.
# Character 1 is the mark of what stands in the table as two (``holdfast.storage.postgresql.text``);
# of a long text the key is only the beginning.
_LIKE: Final = """
lower(CASE strpos({0}, E'\\x01') WHEN 0 THEN {0}
      ELSE replace(split_part({0}, E'\\x01\\x01', 1), E'\\x01\\x02', E'\\x01') END)
LIKE lower(replace(%s COLLATE "C", E'\\x01\\x02', E'\\x01')) ESCAPE ''
"""


def starts(test: Test, daemon: str, type: str | None) -> Sql:
    """It holds of the property ``p``, for a test that is not negated."""
    of_name = Sql("p.daemon = %s AND p.name = %s", (daemon, test.name))
    of_type = Sql("p.type = %s", (type,))
    if type is None:
        of_type = Sql(
            "p.type = ANY(ARRAY(SELECT name FROM entity_types WHERE daemon = %s))", (daemon,)
        )
    return both(of_name, of_type, _matches(test, "p"))


def holds(test: Test) -> Sql:
    """It holds of the entity ``e``."""
    matches = _matches(test, "c")
    # OFFSET keeps the planner from a join: it would look at all properties of that name to sort
    # what it finds, where the question walks an index until its limit.
    return Sql(
        f"{'NOT ' if test.is_negated else ''}EXISTS (SELECT FROM properties AS c"
        f" WHERE c.daemon = e.daemon AND c.entity = e.number AND c.name = %s AND {matches.text}"
        " OFFSET 0)",
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
            row = f"({alias}.key_number, {alias}.key_text, {alias}.rest)"
            return Sql(f"{alias}.kind = %s AND {row} {op} (%s, %s, %s)", key_of(test.values[0]))


def _is_one_of(values: tuple[Comparable, ...], alias: str) -> Sql:
    """One look into the index for all numbers, one for all short texts, one for each other."""
    keys = [key_of(value) for value in values]
    if len(keys) == 1:
        return _equals(alias, keys[0])  # all columns: so that the index is in order of entities
    numbers = [key[1] for key in keys if key[0] == NUMBER]
    texts = [key[2] for key in keys if key[0] == TEXT and not key[3]]
    rest = [key for key in keys if key[0] != NUMBER and (key[0] != TEXT or key[3])]
    alternatives = [_equals(alias, key) for key in rest]
    if numbers:
        any_of = f"{alias}.kind = %s AND {alias}.key_number = ANY(%s::numeric[])"
        alternatives.append(Sql(any_of, (NUMBER, numbers)))
    if texts:
        any_of = (
            f"{alias}.kind = %s AND {alias}.key_number = 0 AND {alias}.key_text = ANY(%s::text[])"
            f" AND {alias}.rest = ''"
        )
        alternatives.append(Sql(any_of, (TEXT, texts)))
    if not alternatives:
        return Sql("false")
    text = " OR ".join(f"({alternative.text})" for alternative in alternatives)
    return Sql(f"({text})", tuple(v for one in alternatives for v in one.values))


def _equals(alias: str, key: Key) -> Sql:
    names = ("kind", "key_number", "key_text", "rest")
    return Sql(" AND ".join(f"{alias}.{name} = %s" for name in names), key)


def _is_like(pattern: str, alias: str) -> Sql:
    like = _LIKE.strip().format(f"coalesce({alias}.whole, {alias}.key_text)")
    return Sql(f"{alias}.kind = %s AND {like}", (TEXT, pattern.partition("\0")[0]))

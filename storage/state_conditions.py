"""What a condition asks of a property, checked: the same on every backend.

Values are what ``holdfast.storage.state_values`` makes of them to be compared.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from holdfast.errors import InvalidInputError
from holdfast.storage.state_questions import Condition
from holdfast.storage.state_values import OTHER, Comparable, comparable, parsed

__all__ = ["Test", "tested"]

MAX_ALTERNATIVES: Final = 500  # of ``in``
MAX_PATTERN: Final = 256  # characters of ``like``
MAX_WILDCARDS: Final = 8  # ``%`` in it: each multiplies what a text costs


class Test(msgspec.Struct, frozen=True):
    """The property ``name`` is there and

    * ``any``: whatever it is,
    * ``in``: it equals one of ``values``,
    * ``like``: it is a text that matches ``pattern``,
    * else: it is of the kind of the one in ``values``, and so ordered to it;

    or, ``is_negated``, that does not hold.
    """

    name: str
    op: Literal["any", "in", "like", "<", "<=", ">", ">="]
    values: tuple[Comparable, ...] = ()
    pattern: str = ""
    is_negated: bool = False


def tested(condition: Condition) -> Test:
    """Raises InvalidInputError."""
    name, op = condition.name, condition.op
    value = parsed(condition.value, "where")
    match op:
        case "exists":
            if type(value) is not bool:
                raise InvalidInputError(f"where: {name!r} exists: expected true or false")
            return Test(name, "any", is_negated=not value)
        case "in":
            return Test(name, "in", _alternatives(name, value))
        case "like":
            return Test(name, "like", pattern=_pattern(name, value))
        case "=" | "!=":
            return Test(name, "in", (comparable(value),), is_negated=op == "!=")
        case "<" | "<=" | ">" | ">=":
            found = comparable(value)
            if found[0] == OTHER:
                raise InvalidInputError(
                    f"where: {name!r} {op}: lists, objects and bytes have no order"
                )
            return Test(name, op, (found,))
        case _:
            raise AssertionError(op)  # one of a list, checked before


def _alternatives(name: str, values: object) -> tuple[Comparable, ...]:
    if type(values) is not list or len(values) > MAX_ALTERNATIVES:
        raise InvalidInputError(
            f"where: {name!r} in: expected a list of at most {MAX_ALTERNATIVES} values"
        )
    return tuple(comparable(value) for value in values)


def _pattern(name: str, pattern: object) -> str:
    if type(pattern) is not str:
        raise InvalidInputError(f"where: {name!r} like: expected a text")
    if len(pattern) > MAX_PATTERN or pattern.count("%") > MAX_WILDCARDS:
        raise InvalidInputError(
            f"where: {name!r} like: a pattern of {len(pattern)} characters with"
            f" {pattern.count('%')} %; at most {MAX_PATTERN} with {MAX_WILDCARDS}"
        )
    return pattern

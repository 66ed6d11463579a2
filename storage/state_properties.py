"""What an update makes of the properties of an entity.  Nothing is kept here."""

from __future__ import annotations

import math
from typing import Any

from holdfast.errors import InvalidInputError
from holdfast.storage.jsontext import MAX_INT_BITS
from holdfast.storage.state_records import UpdateEntity
from holdfast.storage.state_values import Properties, parsed_object

__all__ = ["changed", "changed_names"]


def changed_names(change: UpdateEntity) -> list[str]:
    """The properties that will be there with a new value.

    Raises InvalidInputError when one is changed twice: there would be no right order.
    """
    names: list[str] = []
    seen = set(change.unset)
    if len(seen) != len(change.unset):
        raise InvalidInputError("unset: a name stands twice in it")
    for field in ("set", "increment", "append"):
        text: str = getattr(change, field)
        if text == "{}":
            continue
        for name in parsed_object(text, field):
            if name in seen:
                raise InvalidInputError(f"{field}: {name!r} is changed twice in one update")
            seen.add(name)
            names.append(name)
    return names


def changed(before: Properties, change: UpdateEntity) -> Properties:
    """The properties after the update; ``before`` is not touched.  Raises InvalidInputError."""
    after = before | parsed_object(change.set, "set")
    for name in change.unset:
        after.pop(name, None)
    if change.increment != "{}":
        for name, by in parsed_object(change.increment, "increment").items():
            after[name] = _sum(name, after.get(name, 0), by)
    if change.append != "{}":
        for name, item in parsed_object(change.append, "append").items():
            present = after.get(name, [])
            if type(present) is not list:
                raise InvalidInputError(f"append: property {name!r} is no list")
            after[name] = [*present, item]
    return after


def _sum(name: str, present: Any, by: Any) -> int | float:
    for value, what in ((present, "property"), (by, "the number for")):
        if type(value) is not int and type(value) is not float:
            raise InvalidInputError(f"increment: {what} {name!r} is no number")
    try:
        total: int | float = present + by
    except OverflowError:
        total = math.inf
    if type(total) is int and total.bit_length() <= MAX_INT_BITS:
        return total
    if type(total) is float and math.isfinite(total):
        return total
    raise InvalidInputError(f"increment: property {name!r} would be out of range")

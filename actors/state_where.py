"""Conditions, orders and groups as callers write them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from holdfast.actors.state_changes import checked_name
from holdfast.errors import InvalidInputError
from holdfast.storage import jsontext
from holdfast.storage.state_questions import OPERATORS, Condition, EntityFilter, Order

__all__ = ["Where", "filter_of", "grouping_of", "order_of"]

Where = Mapping[str, Any] | Iterable[tuple[str, str, Any]] | None

_PREFIX: Final = "properties."


def filter_of(type: str | None, where: Where) -> EntityFilter:
    """Raises InvalidInputError."""
    conditions = [
        Condition(checked_name(name, "where"), _operator(name, op), jsontext.encode(value, name))
        for name, op, value in _triples(where)
    ]
    return EntityFilter(None if type is None else checked_name(type, "type"), conditions)


def order_of(order_by: str, descending: bool) -> Order:
    """Raises InvalidInputError."""
    if order_by == "created":
        return Order("created", descending=descending)
    if order_by == "updated":
        return Order("updated", descending=descending)
    name = checked_name(order_by, "order_by").removeprefix(_PREFIX)
    return Order("property", checked_name(name, "order_by"), descending)


def grouping_of(group_by: str | None) -> tuple[str, str]:
    """The kind of group and the name of the property.  Raises InvalidInputError."""
    if group_by is None or group_by == "type":
        return group_by or "", ""
    name = checked_name(group_by, "group_by").removeprefix(_PREFIX)
    return "property", checked_name(name, "group_by")


def _triples(where: Where) -> Iterable[tuple[str, str, Any]]:
    if where is None:
        return
    if isinstance(where, Mapping):
        for name, value in where.items():
            if not isinstance(value, Mapping):
                yield name, "=", value
                continue
            if not value:
                raise InvalidInputError(f"where: {name!r}: no comparison in it")
            for op, operand in value.items():
                yield name, op, operand
        return
    for condition in where:
        if not isinstance(condition, tuple | list) or len(condition) != 3:
            raise InvalidInputError(
                f"where: {condition!r:.60}: expected a name, an operator and a value"
            )
        name, op, operand = condition
        yield name, op, operand


def _operator(name: str, op: str) -> str:
    if op not in OPERATORS:
        raise InvalidInputError(
            f"where: {name!r} {op!r}: expected one of {' '.join(OPERATORS)}; to compare with an "
            f'object, write [({name!r}, "=", {{...}})]'
        )
    return op

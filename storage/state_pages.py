"""Pages of entities in an order, and where a question starts: the same on every backend.

A question either walks an index in the order asked for and leaves out what does not match, or,
when some condition holds of few entities, starts from those and sorts them.
"""

from __future__ import annotations

import base64
import binascii
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Literal, cast

import msgspec

from holdfast.errors import InvalidInputError
from holdfast.storage.state_conditions import Test, tested
from holdfast.storage.state_questions import EntityFilter, EntityRow, Order

__all__ = ["FEW", "EntityPages", "Part", "Place", "Question", "start_of"]

# Conditions that hold of at most so many entities are where a question starts: to sort them costs
# less than to walk past those that do not match.
FEW: Final = 1_000

# Which order a place is in.  Entities without the property that is the order come last, by number.
Part = Literal["created", "updated", "property", "missing"]
# What an entity is ordered by: number; updated_us, number; kind, key, rest, number; number.
_LENGTHS: Final = {"created": 1, "updated": 2, "property": 4, "missing": 1}
# An entity's part of the order, its number, and its place there.
Place = tuple[Part, int, list[Any]]
_Position = tuple[str, list[int | float | str]]
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Position).decode


class Question(msgspec.Struct, frozen=True):
    """What has to hold of entities, and which of the tests finds the first of them, if one does.

    ``is_few``: it holds of at most FEW.
    """

    type: str | None
    others: tuple[Test, ...]
    start: Test | None
    is_few: bool = False


def start_of(filter: EntityFilter, order: Order, count_of: Callable[[Test, int], int]) -> Question:
    """Starts from the test that holds of the fewest, if these are few or in the order asked for.

    ``count_of`` a test: how many it holds of, at most as many as given.
    Raises InvalidInputError.
    """
    tests = [tested(condition) for condition in filter.where]
    possible = [test for test in tests if not test.is_negated]
    in_order = [
        test
        for test, condition in zip(tests, filter.where, strict=True)
        if condition.op == "=" and order.by == "created"
    ]
    best, fewest = None, FEW + 1
    if len(tests) != 1 or not in_order:
        for test in possible:
            count = count_of(test, fewest)
            if count < fewest:
                best, fewest = test, count
    start = best or (in_order[0] if in_order else None)
    others = tuple(test for test in tests if test is not start)
    return Question(filter.type, others, start, best is not None)


class EntityPages(ABC):
    """The part of ``holdfast.storage.reader_ports.StateReader`` that goes through entities."""

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
        if limit < 0:
            raise InvalidInputError(f"limit: {limit}; expected 0 or more")
        part, after = _position(cursor, order)
        with self.snapshot():
            question = self._question(filter, order)
            places: list[Place] = []
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

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[None]:
        """Several questions that see the same moment, also within another one."""

    @abstractmethod
    def _question(self, filter: EntityFilter, order: Order) -> Question:
        """Where it starts."""

    @abstractmethod
    def _places(
        self, question: Question, order: Order, part: Part, limit: int, after: list[Any]
    ) -> list[Place]:
        """Of the first entities in a part of the order, behind ``after`` unless that is empty."""

    @abstractmethod
    def _entities_in(self, numbers: Sequence[int], max_bytes: int) -> list[EntityRow]:
        """In the order of ``numbers``, as many as fit, at least one."""


def _cursor(part: Part, place: list[Any]) -> str:
    return base64.urlsafe_b64encode(_encode((part, place))).decode()


def _position(cursor: str | None, order: Order) -> tuple[Part, list[Any]]:
    """Raises InvalidInputError."""
    if cursor is None:
        return order.by, []
    try:
        part, place = _decode(base64.urlsafe_b64decode(cursor))
    except (msgspec.MsgspecError, binascii.Error, ValueError, UnicodeError):
        raise InvalidInputError("cursor: is none that a query gave") from None
    parts = (order.by, "missing" if order.by == "property" else order.by)
    if part not in parts or len(place) != _LENGTHS[part]:
        raise InvalidInputError("cursor: is of another question")
    return cast(Part, part), list(place)

"""One list of commands to SQLite and to PostgreSQL: outcomes, errors and answers are identical.

The model (``test_state``) says what is right; this says that nobody can tell the backends apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.storage.filters import EventFilter
from holdfast.storage.jsontext import encode
from holdfast.storage.ports import Reader
from holdfast.storage.state_questions import OPERATORS, Condition, EntityFilter, Order
from holdfast.storage.state_records import (
    Change,
    ChangeState,
    CreateEntity,
    DefineType,
    DeleteEntity,
    DeleteQueue,
    ExpireItems,
    Pop,
    Push,
    Relate,
    StateChanged,
    Unrelate,
    UpdateEntity,
)
from tests.clock import ManualClock
from tests.conformance.sides import Asked, answer, both_sides, told
from tests.storage import state_strategies as some

PLENTY = 10**9  # bytes

# What no other test draws: texts that PostgreSQL cannot hold as they are, long ones that begin
# alike, numbers next to each other.
odd_texts = [
    "\0",
    "a\0",
    "a\0b",
    "\1",
    "\1\1",
    "\1\2",
    "a\1",
    "1",
    "A",
    "a",
    "Ä",
    "ä",
    "_",
    "%",
    "\\",
]
long_texts = ["x" * 256, "x" * 257, "x" * 300 + "y", "x" * 300 + "\0z", "é" * 300]
near = [2**53, 2**53 + 1, float(2**53), 0.1, 0.3, 0.1 + 0.2, -(10**400), 10**400 + 1, 1.5, 1]
odd = st.sampled_from([*odd_texts, *long_texts, *near, True, False, None])
ordered = st.one_of(odd, odd, some.scalars)
values = st.one_of(odd, odd, some.values)
names = st.sampled_from(["n", "n", "s", "na'me\"", "%s"])
properties = st.dictionaries(names, values, min_size=1, max_size=3).map(encode)
IDS = ["a", "B", "b", "é", "%s\1"]
TYPES = ["agent", "%(t)s", "\1\2"]
names_of_type = st.sampled_from(TYPES)
on_conflicts = st.sampled_from(["refuse", "merge", "merge", "replace", "keep"])
numbers = st.dictionaries(names, some.small_numbers, max_size=1).map(encode)
items = st.dictionaries(names, values, max_size=1).map(encode)
ttls = st.sampled_from([None, 1.0, 5.0])


def changes_of(
    ids: st.SearchStrategy[str],
    objects: st.SearchStrategy[str],
    versions: st.SearchStrategy[int | None],
    counts: st.SearchStrategy[int],
    ttls: st.SearchStrategy[float | None],
) -> st.SearchStrategy[Change]:
    types, unset = names_of_type, st.lists(names, max_size=2)
    keeps = st.one_of(st.none(), counts)
    create = st.builds(CreateEntity, ids, types, objects, on_conflicts, versions, st.booleans())
    update = st.builds(UpdateEntity, ids, objects, unset, numbers, items, versions, st.booleans())
    return st.one_of(
        create,
        create,
        update,
        update,
        st.builds(DeleteEntity, ids, versions),
        st.builds(Relate, ids, types, ids, objects, on_conflicts, versions),
        st.builds(Unrelate, ids, types, ids, versions),
        st.builds(Push, ids, types, values.map(encode), ttls),
        st.builds(Push, ids, types, values.map(encode), ttls),
        st.builds(Pop, ids, types, counts),
        st.builds(DeleteQueue, ids, types),
        st.builds(DefineType, types, st.booleans(), keeps),
        st.builds(ExpireItems, counts),
    )


usual = changes_of(st.sampled_from(IDS), properties, st.none(), st.sampled_from([1, 2, 100]), ttls)
# What is refused, or is at the edge of it.
strange = changes_of(
    st.sampled_from([*IDS, "\0", "", "x" * 257, "x" * 256]),
    st.one_of(
        properties,
        st.sampled_from(["[]", "1", "{", '{"": 1}', '{"$bytes": "eA=="}', '{"a": 1e999}']),
        st.just('{"a": ' + "[" * 3000 + "]" * 3000 + "}"),
    ),
    st.sampled_from([None, 0, 1, 2, 2**63, -1]),
    st.sampled_from([0, 1, 10_000, 10_001, 2**63]),
    st.sampled_from([None, 0.0, 1e300, -1.0, 1e-9]),
)
lists = st.one_of(
    st.lists(usual, min_size=1, max_size=3),
    st.lists(usual, min_size=1, max_size=3),
    st.lists(usual, min_size=1, max_size=3),
    st.lists(strange, min_size=1, max_size=1),
    st.lists(st.one_of(usual, strange), min_size=2, max_size=3),
    st.sampled_from([0.5, 2.0, -3.0]),  # seconds, by which somebody sets the clock
)
steps = st.lists(lists, min_size=5, max_size=25)
beginnings = st.lists(properties, min_size=len(IDS), max_size=len(IDS))

PATTERNS = ["%", "a%", "A", "_", "__", "Ä", "%X%Y", "%\0", "\1", "_\2", "\\", "\\%", "é%", "", "1"]
patterns = st.sampled_from(PATTERNS)
conditions = st.one_of(
    st.builds(Condition, names, st.sampled_from(["=", "!="]), values.map(encode)),
    st.builds(Condition, names, st.sampled_from(["<", "<=", ">", ">="]), ordered.map(encode)),
    st.builds(Condition, names, st.just("in"), st.lists(values, max_size=5).map(encode)),
    st.builds(Condition, names, st.just("like"), patterns.map(encode)),
    st.builds(Condition, names, st.just("exists"), st.sampled_from(["true", "false"])),
)
# Refused.
nonsense = st.builds(
    Condition,
    names,
    st.sampled_from(["like", "in", "is", "<", "exists"]),
    st.sampled_from(["NaN", "[" * 3000, "{}", "1", '"' + "%" * 9 + '"']),
)
filters = st.builds(
    EntityFilter,
    st.sampled_from([None, *TYPES]),
    st.lists(st.one_of(conditions, conditions, conditions, nonsense), max_size=2),
)
orders = st.builds(Order, st.sampled_from(["created", "updated", "property"]), names, st.booleans())
questions = st.lists(st.tuples(filters, orders, st.integers(1, 4)), min_size=1, max_size=12)


def nobody_can_tell(dsn: str, beginning: list[str], taken: list[Any], asked: list[Any]) -> None:
    clock = ManualClock()
    made: list[Change] = [DefineType("agent", True, 3)]
    made += [CreateEntity(id, "agent", one) for id, one in zip(IDS, beginning, strict=True)]
    made += [Relate(id, "agent", "a") for id in IDS]
    with both_sides(dsn, clock) as (one, other):
        for step in (made, *taken):
            if isinstance(step, float):
                clock.step_wall_clock(step)
                continue
            command = ChangeState(None, step)
            mine, theirs = (side.database.apply([command]) for side in (one, other))
            assert [told(each) for each in mine] == [told(each) for each in theirs]
        for question in everything(clock.time_us()):
            assert answer(one.reader, question) == answer(other.reader, question), question
        for filter, order, limit in asked:
            the_pages_are_the_same(one.reader, other.reader, filter, order, limit)
            for question in counted(filter):
                mine, theirs = (answer(side.reader, question) for side in (one, other))
                assert mine == theirs, question


def the_pages_are_the_same(
    one: Reader, other: Reader, filter: EntityFilter, order: Order, limit: int
) -> None:
    """Each page also with the other's cursor: a question may outlive a swap of the backend."""
    mine: str | None = None
    theirs: str | None = None
    while True:
        asked = [("entities", filter, order, limit, PLENTY, cursor) for cursor in (mine, theirs)]
        found, again = ([answer(reader, each) for each in asked] for reader in (one, other))
        rows = [each[0] for each in (*found, *again)]
        assert all(each == rows[0] for each in rows), asked
        mine, theirs = found[0][1], again[0][1]
        if mine is None or not isinstance(rows[0], list):
            assert theirs == mine
            return


def everything(now_us: int) -> Iterator[Asked]:
    """All that is there, and what is kept of what was."""
    every = [*IDS, "\0", "nobody"]
    yield "entities_of", every, PLENTY
    yield "entities_of", every, 1_500
    yield "entities_of", every, 500  # less than the first one has
    yield "entity_types", 10
    yield "entity_types", 2**63
    yield "events", EventFilter(), 1_000
    for id in every:
        yield from about(id, now_us)
    for version in (2**63, -(2**63) - 1):
        yield "entity_at_version", "a", version
        yield "history", "a", 2, PLENTY, version
    anything = (None, None, None)
    yield "relationships", anything, 3, PLENTY
    yield "relationships", anything, 9, 1_300
    yield "relationships", anything, 9, 500
    yield "relationships", anything, 9, PLENTY, ("B", "agent", "b")
    yield "relationships", (None, "agent", None), 9, PLENTY, ("B", "", "b")
    yield "count_relationships_by_type", anything, 9
    yield "queues", None, 9
    yield "queues", None, 9, ("B", "agent")
    yield "queues", None, -1
    yield "traverse", "a", "up", [], 1, 4, PLENTY
    yield "traverse", "a", "in", [], 101, 4, PLENTY


def about(id: str, now_us: int) -> Iterator[Asked]:
    yield "entity", id
    yield "history", id, 10, PLENTY
    yield "history", id, 2, 1_300, 3
    for version in (1, 2, 3):
        yield "entity_at_version", id, version
    for time_us in (now_us - 3_000_000, now_us - 1, now_us, now_us + 3_000_000):
        yield "entity_at_time", id, time_us
    for ends in ((id, None, None), (None, None, id), (id, "agent", None), (id, "agent", "b")):
        yield "relationships", ends, 10, PLENTY
        yield "count_relationships", ends
    for direction, depth in (("out", 2), ("in", 1), ("both", 3)):
        yield "traverse", id, direction, [], depth, 4, 3_000
        yield "traverse", id, direction, ["agent"], depth, 9, PLENTY
    for key in TYPES:
        yield "queue_size", id, key, now_us
        yield "queue_items", id, key, now_us, 2, PLENTY, 15
        yield "queue_items", id, key, now_us, 9, 1_300
    yield "queues", id, 2


def counted(filter: EntityFilter) -> Iterator[Asked]:
    yield "count_entities", filter
    yield "count_entities_by_type", filter, 9
    for name in ("n", "s"):
        yield "count_entities_by", filter, name, 9


def test_every_comparison_of_every_value_has_the_same_answer(postgresql_dsn: str) -> None:
    """Each of them held against each, asked for and ordered by; some are there twice."""
    every: list[Any] = [*odd_texts, *long_texts, *near, True, False, None, [1], [1.0], {"a": 1}]
    every += [2**63, -(2**63) - 1, 1e308, 5e-324, -0.0, 0, b"x", [], ["x" * 300]]
    made: list[Change] = [
        CreateEntity(f"{turn}-{number}", "agent", encode({"n": value, "m": number % 3}))
        for turn, values in enumerate((every, every[::5]))
        for number, value in enumerate(values)
    ]
    texts = [encode(value) for value in every]
    wheres = [Condition("n", op, text) for op in OPERATORS[:6] for text in texts]
    wheres += [Condition("n", "in", encode(every[at : at + 7])) for at in range(len(every))]
    wheres += [Condition("n", "like", encode(pattern)) for pattern in PATTERNS]
    with both_sides(postgresql_dsn, ManualClock()) as (one, other):
        for side in (one, other):
            (outcome,) = side.database.apply([ChangeState(None, [*made, CreateEntity("-", "job")])])
            assert isinstance(outcome, StateChanged), outcome
        for where in wheres:
            question = ("entities", EntityFilter("agent", [where]), Order(), 200, PLENTY)
            mine, theirs = (answer(side.reader, question) for side in (one, other))
            assert mine[0] == theirs[0], where
        for descending in (False, True):
            order = Order("property", "n", descending)
            the_pages_are_the_same(one.reader, other.reader, EntityFilter(), order, 3)
        groups = ("count_entities_by", EntityFilter(), "n", 100)
        assert answer(one.reader, groups) == answer(other.reader, groups)


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(beginning=beginnings, taken=steps, asked=questions)
def test_nobody_can_tell_the_backends_apart(
    postgresql_dsn: str, beginning: list[str], taken: list[Any], asked: list[Any]
) -> None:
    nobody_can_tell(postgresql_dsn, beginning, taken, asked)


@pytest.mark.slow  # some minutes
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(beginning=beginnings, taken=steps, asked=questions)
def test_nobody_can_tell_the_backends_apart_for_long(
    postgresql_dsn: str, beginning: list[str], taken: list[Any], asked: list[Any]
) -> None:
    nobody_can_tell(postgresql_dsn, beginning, taken, asked)

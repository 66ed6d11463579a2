"""Relational state beside plain dicts: what property tests do to both, and then compare."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from holdfast import changes
from holdfast.errors import Conflict, HoldfastError, InvalidInputError, NotFoundError
from holdfast.storage.ports import Database, Reader
from holdfast.storage.state_questions import Direction
from tests.clock import ManualClock
from tests.state_model import Model, kind
from tests.storage import state_strategies as some
from tests.storage.local_state import local_state

CHANGES = ("create", "update", "delete", "relate", "unrelate", "push", "pop", "delete_queue")

expected_versions = st.sampled_from([None, None, None, None, None, 0, 1, 2, 3])
on_conflicts = st.sampled_from(["refuse", "merge", "replace", "keep"])
MADE = {
    "create": st.fixed_dictionaries(
        {
            "type": some.types,
            "properties": some.properties,
            "id": some.ids,
            "on_conflict": on_conflicts,
            "expected_version": expected_versions,
        }
    ),
    "update": st.fixed_dictionaries(
        {
            "id": some.ids,
            "properties": some.properties,
            "unset": st.lists(some.names, max_size=1),
            "increment": st.dictionaries(some.names, some.small_numbers, max_size=1),
            "append": st.dictionaries(some.names, some.values, max_size=1),
            "expected_version": expected_versions,
        }
    ),
    "delete": st.fixed_dictionaries({"id": some.ids, "expected_version": expected_versions}),
    "relate": st.fixed_dictionaries(
        {
            "from_id": some.ids,
            "relation_type": some.relation_types,
            "to_id": some.ids,
            "metadata": some.properties,
            "on_conflict": on_conflicts,
        }
    ),
    "unrelate": st.fixed_dictionaries(
        {"from_id": some.ids, "relation_type": some.relation_types, "to_id": some.ids}
    ),
    "push": st.fixed_dictionaries(
        {
            "namespace": some.ids,
            "key": some.keys,
            "value": some.values,
            "ttl": st.one_of(st.none(), st.sampled_from([1.0, 10.0])),
        }
    ),
    "pop": st.fixed_dictionaries(
        {"namespace": some.ids, "key": some.keys, "count": st.integers(1, 3)}
    ),
    "delete_queue": st.fixed_dictionaries({"namespace": some.ids, "key": some.keys}),
}
change_calls = st.sampled_from(CHANGES).flatmap(lambda name: st.tuples(st.just(name), MADE[name]))


QUESTIONS = {
    "ask": st.fixed_dictionaries(
        {
            "type": st.one_of(st.none(), some.types),
            "where": st.lists(some.conditions, max_size=2),
            "order_by": st.one_of(st.just("created"), some.names),
            "descending": st.booleans(),
            "size": st.integers(1, 3),
        }
    ),
    "walk": st.fixed_dictionaries(
        {
            "start": some.ids,
            "direction": st.sampled_from(["out", "in", "both"]),
            "types": st.lists(some.relation_types, max_size=1),
            "depth": st.integers(0, 3),
        }
    ),
    "wait": st.fixed_dictionaries({"seconds": st.sampled_from([0.5, 5.0])}),
    "change_all_or_nothing": st.fixed_dictionaries(
        {"calls": st.lists(change_calls, min_size=2, max_size=4)}
    ),
}
steps = st.one_of(
    change_calls.map(lambda call: ("change", {"call": call})),
    change_calls.map(lambda call: ("change", {"call": call})),
    *(st.tuples(st.just(name), arguments) for name, arguments in QUESTIONS.items()),
    st.tuples(st.just("ask"), QUESTIONS["ask"]),
)


# A cycle, a branch, two ways to one end.
RELATED = [
    ("a", "knows", "b"),
    ("b", "knows", "c/../d"),
    ("c/../d", "knows", "a"),
    ("a", "owns\\", "e'\"e"),
    ("b", "owns\\", "e'\"e"),
    ("e'\"e", "knows", "e'\"e"),
]


beginnings = st.lists(some.properties, min_size=5, max_size=5)
journeys = st.lists(steps, min_size=10, max_size=30)


class Machine:
    """``hub.state`` on a real database, and the model of it (D8, D9)."""

    def __init__(
        self,
        database: Database,
        reader: Reader,
        clock: ManualClock,
        *,
        strays: Callable[[], list[object]],
    ) -> None:
        """``strays``: rows in the tables that belong to nothing, of which there must be none."""
        self.clock = clock
        self.strays = strays
        self.state = local_state(database, reader, clock)
        self.model = Model()
        for type in ("agent", "job'; DROP TABLE entities; --"):
            self.state.define_type(type, history=True)

    def both_say_the_same(
        self, beginning: list[dict[str, Any]], taken: list[tuple[str, dict[str, Any]]]
    ) -> None:
        """Whatever is done to both."""
        for id, properties in zip(some.ID_NAMES, beginning, strict=True):
            made = {"type": "agent", "properties": properties, "id": id}
            self.change(("create", {**made, "on_conflict": "refuse", "expected_version": None}))
        for from_id, type, to_id in RELATED:
            self.state.relate(from_id, type, to_id)
            self.model.relate(from_id, type, to_id, {}, on_conflict="refuse")
        for namespace in some.ID_NAMES:
            self.change(
                ("push", {"namespace": namespace, "key": "in", "value": namespace, "ttl": None})
            )
        for name, arguments in taken:
            getattr(self, name)(**arguments)
            self.both_hold_the_same()
            assert self.strays() == []
        self.the_past_is_kept()

    def change(self, call: tuple[str, dict[str, Any]]) -> None:
        name, arguments = call
        mine = outcome_of(lambda: getattr(self.state, name)(**arguments))
        theirs = outcome_of(lambda: getattr(self.model, name)(**arguments))
        if isinstance(theirs, HoldfastError):
            assert type(mine) is type(theirs), (mine, theirs)
        else:
            assert not isinstance(mine, HoldfastError), mine
        if name in ("pop", "delete_queue"):
            assert exact(mine) == exact(theirs)

    def change_all_or_nothing(self, calls: list[tuple[str, dict[str, Any]]]) -> None:
        after = self.model.copy()

        def make() -> None:
            for name, arguments in calls:
                getattr(after, name)(**arguments)

        theirs = outcome_of(make)
        mine = outcome_of(
            lambda: self.state.batch(
                [getattr(changes, name)(**arguments) for name, arguments in calls]
            )
        )
        if isinstance(theirs, HoldfastError):
            assert type(mine) is type(theirs), (mine, theirs)
            assert "changes[" in str(mine)
        else:
            assert not isinstance(mine, HoldfastError), mine
            self.model = after

    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.model.now += seconds

    def ask(
        self,
        type: str | None,
        where: list[tuple[str, str, Any]],
        order_by: str,
        descending: bool,
        size: int,
    ) -> None:
        expected = self.model.query(type, where, order_by, descending)
        found: list[str] = []
        cursor = None
        while True:
            page = self.state.query(
                type=type,
                where=where,
                order_by=order_by,
                descending=descending,
                limit=size,
                cursor=cursor,
            )
            assert len(page) <= size
            found += [entity.id for entity in page]
            cursor = page.cursor
            if cursor is None:
                break
        if any(kind(self.model.entities[id]["properties"].get(order_by)) == 4 for id in expected):
            assert sorted(found) == sorted(expected)
        else:
            assert found == expected
        assert self.state.count(type=type, where=where) == len(expected)
        groups = self.state.count(type=type, where=where, group_by="properties.status")
        assert isinstance(groups, list)
        for value, count in groups:
            of_value = self.model.query(type, [*where, ("status", "=", value)], "created", False)
            assert count == len(of_value) > 0
        with_it = self.model.query(type, [*where, ("status", "exists", True)], "created", False)
        assert sum(count for _, count in groups) == len(with_it)

    def walk(self, start: str, direction: Direction, types: list[str], depth: int) -> None:
        if start not in self.model.entities:
            return
        nodes, edges = self.model.traverse(start, direction, types, depth)
        found = self.state.traverse(
            start, direction=direction, types=types, depth=depth, entities=True
        )
        assert found.nodes == nodes
        assert list(found.nodes.values()) == sorted(nodes.values())
        assert {(r.from_id, r.relation_type, r.to_id) for r in found.relationships} == edges
        assert len(found.relationships) == len(edges)
        assert found.entities.keys() == nodes.keys()

    def both_hold_the_same(self) -> None:
        model, state = self.model, self.state
        found = state.get_many(some.ID_NAMES)
        assert found.keys() == model.entities.keys()
        for id, entity in found.items():
            assert entity.version == model.versions[id]
            assert entity.type == model.entities[id]["type"]
            assert exact(entity.properties) == exact(model.entities[id]["properties"])
        related = {
            (r.from_id, r.relation_type, r.to_id): exact(r.metadata)
            for r in state.relationships(limit=1000)
        }
        assert related == {which: exact(one) for which, one in model.relationships.items()}
        for which in model.queues:
            items = [item.value for item in state.peek(*which)]
            assert exact(items) == exact(model.peek(*which))

    def the_past_is_kept(self) -> None:
        for id, past in self.model.past.items():
            versions = self.state.history(id)
            assert versions[0].version == self.model.versions[id]
            for version in versions:
                assert exact(version.properties) == exact(past[version.version])
                if version.properties is not None:
                    then = self.state.get(id, version=version.version)
                    assert then is not None
                    assert exact(then.properties) == exact(version.properties)
            kept = {one.version for one in versions if one.properties is not None}
            assert kept == {number for number, one in past.items() if one is not None}


def outcome_of(call: Any) -> Any:
    try:
        return call()
    except (Conflict, InvalidInputError, NotFoundError) as error:
        return error


def exact(value: Any) -> str:
    """Two values are alike to the last bit and type: 1, 1.0, True, -0.0 and 0.0 all differ."""
    return repr(sorted_deep(value))


def sorted_deep(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: sorted_deep(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [sorted_deep(item) for item in value]
    return value

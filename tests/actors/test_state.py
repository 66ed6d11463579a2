"""Relational state with a real daemon: both hubs, the change feed, expiry, bad input."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast import changes
from holdfast.errors import Conflict, InvalidInputError, NotFoundError
from tests.daemon import Daemon


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path) as daemon:
        yield daemon


VALUES = {
    "large": 2**200,
    "small": -(2**64) - 1,
    "float": 1e20,
    "zero": -0.0,
    "text": "\U0001f600 'quoted' \x07 \u2028",
    "bytes": b"\x00\xff",
    "none": None,
    "nested": {"$bytes": [1, {"deep": [True, 1, 1.0]}]},
}


def test_values_come_back_as_they_were_given(daemon: Daemon) -> None:
    """Scenario D9."""
    state = daemon.hub.state
    made = state.create("agent", VALUES, id="a1")
    found = state.get("a1")
    assert found == made
    assert found is not None
    assert repr(found.properties) == repr(VALUES)
    for name, value in VALUES.items():
        assert [e.id for e in state.query(type="agent", where=[(name, "=", value)])] == ["a1"]
    item = state.push("a1", "in", VALUES)
    assert item.size == 1
    assert repr(state.pop("a1", "in")) == repr([VALUES])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", object(), {1: 2}])
def test_what_json_cannot_hold_is_refused_by_name(value: object) -> None:
    """Before anything is sent: the calls themselves do it."""
    calls: list[tuple[str, Callable[[], object]]] = [
        ("properties.deep", lambda: changes.create("t", {"deep": [value]})),
        ("properties.x", lambda: changes.update("a", {"x": value})),
        ("append.x", lambda: changes.update("a", append={"x": value})),
        ("metadata.x", lambda: changes.relate("a", "to", "b", {"x": value})),
        ("value", lambda: changes.push("a", "q", value)),
    ]
    for place, call in calls:
        with pytest.raises(InvalidInputError, match=place):
            call()


def bad_input(state: Any) -> list[tuple[str, Callable[[], object]]]:
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]
    return [
        ("id", lambda: state.create("t", id="")),
        ("id", lambda: state.create("t", id="a\0b")),
        ("id", lambda: state.create("t", id="x" * 10_000_000)),
        ("id", lambda: state.create("t", id=7)),
        ("type", lambda: state.create("x" * 257)),
        ("properties", lambda: state.create("t", {"": 1})),
        ("properties", lambda: state.create("t", {"x" * 300: 1})),
        ("properties", lambda: state.create("t", {"a": "x" * 2_000_000})),
        ("properties", lambda: state.create("t", {f"p{n}": n for n in range(1_001)})),
        ("properties", lambda: state.create("t", {"a": deep})),
        ("properties", lambda: state.create("t", [1])),
        ("on_conflict", lambda: state.create("t", on_conflict="shrug")),
        ("expected_version", lambda: state.update("a", expected_version=-1)),
        ("expected_version", lambda: state.update("a", expected_version="1")),
        ("unset", lambda: state.update("a", unset="name")),
        ("increment", lambda: state.update("a", increment={"name": 1})),
        ("append", lambda: state.update("a", append={"name": 1})),
        ("twice", lambda: state.update("a", {"n": 1}, increment={"n": 1})),
        ("ttl", lambda: state.push("a", "q", 1, ttl=-1)),
        ("ttl", lambda: state.push("a", "q", 1, ttl=float("nan"))),
        ("value", lambda: state.push("a", "q", "x" * 2_000_000)),
        ("count", lambda: state.pop("a", "q", 0)),
        ("keep", lambda: state.define_type("t", history=True, keep=0)),
        ("where", lambda: state.query(where={"a": {"~": 1}})),
        ("where", lambda: state.query(where=[("a", "<", [1])])),
        ("where", lambda: state.query(where=[("a", "like", "%" * 9)])),
        ("where", lambda: state.query(where=[("a", "in", 1)])),
        ("cursor", lambda: state.query(cursor="x")),
        ("limit", lambda: state.query(limit=-1)),
        ("depth", lambda: state.traverse("a", depth=101)),
        ("direction", lambda: state.traverse("a", direction="up")),
        ("changes", lambda: state.batch([changes.delete("x")] * 10_001)),
    ]


def test_bad_input_is_refused_with_the_field_and_changes_nothing(daemon: Daemon) -> None:
    """Scenario D17."""
    state = daemon.hub.state
    state.create("t", {"name": "x"}, id="a")
    before = daemon.wait_until_running("writer").pid
    for field, call in bad_input(state):
        with pytest.raises(InvalidInputError, match=field):
            call()
    assert [entity.version for entity in state.query(limit=None)] == [1]
    assert state.queues() == []
    assert daemon.hub.events.count(types=("state:*",)) == 1
    assert daemon.wait_until_running("writer").pid == before


def test_names_that_look_like_sql_are_only_names(daemon: Daemon) -> None:
    """Scenario D18."""
    state = daemon.hub.state
    for name in ("'; DROP TABLE entities; --", '"', "../x", "a.b", "$[0]", "%", "e.id"):
        state.create(name, {name: name}, id=name)
        assert [e.id for e in state.query(type=name, where={name: name}, order_by=name)] == [name]
        assert state.count(type=name, group_by=f"properties.{name}") == [(name, 1)]
    assert state.count() == 7


def test_a_batch_is_made_as_a_whole_or_not_at_all(daemon: Daemon) -> None:
    state = daemon.hub.state
    done = state.batch(
        [
            changes.create("agent", {"n": 1}, id="a"),
            changes.create("agent", id="b"),
            changes.relate("a", "knows", "b"),
            changes.update("a", increment={"n": 1}),
            changes.push("a", "in", "x"),
            changes.pop("a", "in"),
        ]
    )
    assert [(one.id, one.version) for one in done[:2]] == [("a", 1), ("b", 1)]
    assert (done[3].version, done[5].values) == (2, ["x"])
    with pytest.raises(NotFoundError, match=r"changes\[1\]: entity 'nobody'"):
        state.batch([changes.update("a", {"n": 9}), changes.update("nobody")])
    with pytest.raises(Conflict, match=r"changes\[1\]") as caught:
        state.batch([changes.delete("a"), changes.update("b", expected_version=7)])
    assert (caught.value.expected, caught.value.current) == (7, 1)
    assert state.get("a", relationships=True).properties == {"n": 2}  # type: ignore[union-attr]  # there


def test_every_change_is_an_event_of_the_same_transaction(daemon: Daemon) -> None:
    state, events = daemon.hub.state, daemon.hub.events
    state.create("agent", {"a": 1}, id="x")
    state.create("agent", id="y")
    state.relate("x", "knows", "y", {"since": 3})
    state.update("x", {"b": 2}, unset=["a"])
    state.push("x", "in", 1)
    state.delete("x")
    assert state.create("agent", id="x").version == 4  # never one that was given before
    daemon.until(lambda: events.count(types=("state:*",)) == 9)
    told = events.query(types=("state:*",), limit=100)
    assert [(event.type.removeprefix("state:"), event.subject) for event in told] == [
        ("entity:created", "x"),
        ("entity:created", "y"),
        ("relationship:created", "x"),
        ("entity:updated", "x"),
        ("queue:pushed", "x"),
        ("relationship:deleted", "x"),
        ("queue:deleted", "x"),
        ("entity:deleted", "x"),
        ("entity:created", "x"),
    ]
    assert {event.source for event in told} == {"state"}
    data = [event.data for event in told]
    assert data[0] == {"id": "x", "type": "agent", "version": 1, "properties": {"a": 1}}
    assert data[3] == {"id": "x", "type": "agent", "version": 2, "set": {"b": 2}, "unset": ["a"]}
    assert (data[7]["version"], data[7]["relationships"], data[7]["queues"]) == (3, 1, 1)
    assert data[5]["cascade"] == "x"


def test_an_item_expires_on_time_and_is_told_once_also_across_deaths(daemon: Daemon) -> None:
    state = daemon.hub.state
    state.push("s1", "injection", "soon", ttl=0.3)
    state.push("s1", "injection", "stays")
    daemon.kill("writer")
    state.push("s1", "other", "soon too", ttl=0.3)

    def expired() -> int:
        told = daemon.hub.events.query(types="state:queue:expired")
        return sum(event.data["count"] for event in told)

    daemon.until(lambda: expired() == 2)
    assert [item.value for item in state.peek("s1", "injection")] == ["stays"]
    assert [(queue.key, queue.size) for queue in state.queues("s1")] == [("injection", 1)]
    assert state.pop("s1", "injection", 9) == ["stays"]
    assert expired() == 2


def test_what_an_entity_was_can_be_read(daemon: Daemon) -> None:
    state = daemon.hub.state
    state.create("agent", {"n": 0}, id="old")  # before its type keeps anything
    state.define_type("agent", history=True, keep=2)
    times = [state.update("old", {"n": n}).updated_us for n in (1, 2, 3)]
    state.delete("old")
    assert state.get("old") is None
    versions = state.history("old")
    assert [(one.version, one.properties) for one in versions] == [
        (5, None),
        (4, {"n": 3}),
        (3, {"n": 2}),
    ]
    for number, time_us in ((2, times[1]), (3, times[2])):
        then = state.get("old", at_us=time_us)
        assert then is not None
        assert then.properties == {"n": number}
        assert state.get("old", version=then.version) == then
    assert state.get("old", version=1) is None  # no longer kept
    assert state.get("old", at_us=times[0] - 1) is None
    assert [(one.name, one.history, one.keep) for one in state.types()] == [("agent", True, 2)]


def test_asyncio_programs_have_the_same_calls(daemon: Daemon) -> None:
    async def use() -> None:
        async with holdfast.aio.connect(daemon.run_dir) as hub:
            state = hub.state
            await state.create("agent", {"n": 1}, id="a")
            await state.create_many([{"type": "job", "id": f"j{n}"} for n in range(10)])
            await asyncio.gather(*(state.relate("a", "owns", f"j{n}") for n in range(10)))
            found = await state.traverse("a", entities=True)
            assert len(found.nodes) == len(found.entities) == 11
            page = await state.relationships(from_id="a", limit=4)
            rest = await state.relationships(from_id="a", cursor=page.cursor)
            assert [one.to_id for one in page + rest] == [f"j{n}" for n in range(10)]
            assert (await state.get_many(["j3", "no", "j1"])).keys() == {"j3", "j1"}
            assert await state.count_relationships(group_by="type") == [("owns", 10)]
            await asyncio.gather(*(state.update("a", increment={"n": 1}) for _ in range(20)))
            last = await state.get("a")
            assert last is not None
            assert (last.version, last.properties) == (21, {"n": 21})

    asyncio.run(use())
    blocking = {name for name in dir(type(daemon.hub.state)) if not name.startswith("_")}
    assert blocking == {name for name in dir(holdfast.aio.State) if not name.startswith("_")}

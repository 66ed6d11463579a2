"""What KSI documents, from our calls; and what it gets wrong, right (docs/STATE.md lists it)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from holdfast.storage.sqlite import SqliteReader
from tests.clock import ManualClock
from tests.storage.conftest import Opener
from tests.storage.ksi_gateway import KsiGateway
from tests.storage.local_state import local_state


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def ksi(open_database: Opener, open_reader: Any, clock: ManualClock, path: Path) -> KsiGateway:
    database = open_database(clock=clock)
    reader: SqliteReader = open_reader()
    return KsiGateway(local_state(database, reader, clock))


NOW = 1_700_000_000.0


def test_each_state_event_of_ksi_has_its_answer(ksi: KsiGateway, clock: ManualClock) -> None:
    send = ksi.send
    made = send("state:entity:create", id="a", type="agent", properties={"status": "busy"})
    assert made == {
        "id": "a",
        "type": "agent",
        "created_at": NOW,
        "updated_at": NOW,
        "properties": {"status": "busy"},
    }
    clock.advance(1.0)
    send("state:entity:create", id="b", type="agent", properties={"status": "idle"})
    assert "error" in send("state:entity:create", id="a", type="agent")
    assert send("state:entity:update", id="a", properties={"n": 1, "status": None}) == {"id": "a"}
    assert send("state:entity:update", id="x", properties={}) == {"error": "Entity not found"}
    ends = {"from_id": "a", "to_id": "b", "relation_type": "observes"}
    assert send("state:relationship:create", **ends, metadata={"w": 2}) == {
        "status": "created",
        **ends,
    }
    assert "error" in send("state:relationship:create", **ends)
    edge = {**ends, "created_at": NOW + 1, "metadata": {"w": 2}}
    assert send("state:relationship:query", from_id="a") == {"relationships": [edge], "count": 1}
    got = send("state:entity:get", id="a", include=("properties", "relationships"))
    assert got["properties"] == {"n": 1}
    assert got["updated_at"] == NOW + 1
    without_from = {key: value for key, value in edge.items() if key != "from_id"}
    assert got["relationships"] == {"from": [without_from], "to": []}
    query = send("state:entity:query", type="agent")
    assert [one["entity_id"] for one in query["entities"]] == ["b", "a"]  # the newest first
    assert query["entities"][0]["entity_type"] == "agent"
    assert send("state:entity:query", where={"status": "idle"}, limit=1)["count"] == 1


def test_walks_bulks_and_counts_of_ksi_have_their_answers(ksi: KsiGateway) -> None:
    send = ksi.send
    send("state:entity:create", id="a", type="agent", properties={"n": 1})
    send("state:entity:create", id="b", type="agent")
    ends = {"from_id": "a", "to_id": "b", "relation_type": "observes"}
    send("state:relationship:create", **ends)
    walked = send("state:graph:traverse", from_id="b", direction="incoming", include_entities=True)
    assert (walked["node_count"], walked["edge_count"]) == (2, 1)
    assert walked["nodes"]["a"]["properties"] == {"n": 1}
    bulk = send(
        "state:entity:bulk_create",
        entities=[{"type": "job", "id": "j"}, {"type": "job", "id": "a"}, {"type": "job"}],
    )
    assert (bulk["total"], bulk["success"], bulk["failed"]) == (3, 2, 1)
    count = send("state:aggregate:count", target="entities", group_by="type")
    assert count == {"counts": {"agent": 2, "job": 2}, "grouped_by": "type"}
    assert send("state:aggregate:count", target="relationships") == {"total": 1}
    assert send("state:relationship:delete", **ends) == {"status": "deleted", **ends}
    assert send("state:relationship:delete", **ends) == {"error": "Relationship not found"}
    assert send("state:entity:delete", id="j") == {"id": "j"}
    assert send("state:entity:delete", id="j") == {"error": "Entity not found"}


def test_each_async_state_event_of_ksi_has_its_answer(ksi: KsiGateway) -> None:
    send = ksi.send
    queue = {"namespace": "injection", "key": "s1"}
    for number in range(3):
        assert send("async_state:push", **queue, data={"n": number}) == {
            "status": "pushed",
            "queue_size": number + 1,
            "queue_id": "queue:injection:s1",
        }
    assert send("async_state:get_queue", **queue)["items"] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert send("async_state:pop", **queue, count=2) == {
        "items": [{"n": 0}, {"n": 1}],
        "remaining": 1,
    }
    assert send("async_state:delete", **queue)["status"] == "deleted"
    assert send("async_state:pop", **queue) == {"items": [], "remaining": 0}


def test_deleting_an_entity_takes_its_relationships_and_queues_along(ksi: KsiGateway) -> None:
    """KSI declares the cascade and never switches foreign keys on."""
    for id in ("a", "b"):
        ksi.send("state:entity:create", id=id, type="agent", properties={"p": 1})
    ksi.send("state:relationship:create", from_id="a", to_id="b", relation_type="knows")
    ksi.send("async_state:push", namespace="a", key="in", data=1)
    ksi.send("state:entity:delete", id="a")
    assert ksi.send("state:relationship:query")["count"] == 0
    assert ksi.send("async_state:get_queue", namespace="a", key="in")["size"] == 0
    again = ksi.send("state:entity:create", id="a", type="agent")
    assert again["properties"] == {}  # KSI finds the old ones again
    assert ksi.send("state:entity:get", id="a")["properties"] == {}


@pytest.mark.parametrize("value", [1e20, 1e-7, -0.0, 10**30, "true", "1", True, [1.0], b"x", None])
def test_values_come_back_as_they_went(ksi: KsiGateway, value: object) -> None:
    """KSI reads 1e20 as an integer and fails, and writes bytes as their repr."""
    ksi.send("state:entity:create", id="a", type="agent", properties={"p": value})
    found = ksi.send("state:entity:get", id="a")["properties"]["p"]
    assert (type(found), repr(found)) == (type(value), repr(value))


def test_a_filter_tells_kinds_apart_and_finds_null(ksi: KsiGateway) -> None:
    """KSI compares texts: 1 is "1" and true is "true", 1.0 is not 1, and null is never found."""
    values = {"number": 1, "text": "1", "yes": True, "word": "true", "null": None}
    for id, value in values.items():
        ksi.send("state:entity:create", id=id, type="t", properties={"p": value})
    for wanted, id in [
        (1.0, "number"),
        ("1", "text"),
        (True, "yes"),
        ("true", "word"),
        (None, "null"),
    ]:
        found = ksi.send("state:entity:query", where={"p": wanted})["entities"]
        assert [one["entity_id"] for one in found] == [id]


def test_orders_limits_and_groups_are_no_sql(ksi: KsiGateway) -> None:
    """KSI puts order_by, limit and the type of a count into its statements as they come."""
    ksi.send("state:entity:create", id="a", type="t", properties={"n": 1})
    attack = "created_at; DROP TABLE entities"
    assert ksi.send("state:entity:query", order_by=attack)["count"] == 1
    assert "error" in ksi.send("state:entity:query", limit="1; DROP TABLE entities")
    where = {"type": "t' OR '1'='1"}
    answer = ksi.send("state:aggregate:count", target="entities", group_by="type", where=where)
    assert answer["counts"] == {}
    assert ksi.send("state:aggregate:count", target="entities", where={"n": 2}) == {"total": 0}
    assert ksi.send("state:entity:query", order_by="n")["count"] == 1  # a property: KSI cannot


def test_a_walk_meets_each_relationship_once(ksi: KsiGateway) -> None:
    """In both directions KSI lists a relationship from each of its ends."""
    for id in ("a", "b"):
        ksi.send("state:entity:create", id=id, type="t")
    ksi.send("state:relationship:create", from_id="a", to_id="b", relation_type="knows")
    ksi.send("state:relationship:create", from_id="b", to_id="a", relation_type="knows")
    walked = ksi.send("state:graph:traverse", from_id="a", direction="both", depth=3)
    assert (walked["node_count"], walked["edge_count"]) == (2, 2)


def test_each_item_of_a_queue_has_its_own_time_to_live(ksi: KsiGateway, clock: ManualClock) -> None:
    """In KSI the timer of the first item deletes the whole queue."""
    queue = {"namespace": "n", "key": "k"}
    ksi.send("async_state:push", **queue, data="old", ttl_seconds=10)
    clock.advance(9.0)
    ksi.send("async_state:push", **queue, data="new", ttl_seconds=10)
    clock.advance(2.0)
    expired = ksi.send("async_state:expire_queue", queue_id="queue:n:k")
    assert expired["items"] == ["new"]
    assert ksi.send("async_state:pop", **queue) == {"items": ["new"], "remaining": 0}

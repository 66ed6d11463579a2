"""What is asked for over HTTP, and what comes back."""

from __future__ import annotations

import json
import re

import pytest

from holdfast.errors import InvalidInputError
from holdfast.http.openapi import document
from tests.http.door import Door


def test_an_entity_is_made_read_changed_and_removed(door: Door) -> None:
    made = door.ask(
        "POST", "/state/entities", code=201, json={"type": "agent", "id": "a/1", "properties": {}}
    )
    assert made["version"] == 1
    unnamed = door.client.post("/state/entities", json={"type": "agent"})
    assert door.client.get(unnamed.headers["location"]).json() == unnamed.json()
    again = door.ask("POST", "/state/entities", code=409, json={"type": "agent", "id": "a/1"})
    assert (again["status"], again["error_type"], again["outcome"]) == (
        409,
        "Conflict",
        "unchanged",
    )
    changed = door.ask("PATCH", "/state/entities/a/1", json={"properties": {"n": 1, "m": "x"}})
    assert changed["properties"] == {"n": 1, "m": "x"}
    door.ask("PATCH", "/state/entities/a%2F1", json={"properties": {"m": None}})
    assert door.ask("GET", "/state/entities/a/1")["properties"] == {"n": 1}
    put = door.ask("PUT", "/state/entities/a/1", json={"type": "agent", "properties": {"p": []}})
    assert put["properties"] == {"p": []}
    door.ask("DELETE", "/state/entities/a/1", code=204)
    door.ask("DELETE", "/state/entities/a/1", code=404)
    assert "not found" in door.ask("GET", "/state/entities/a/1", code=404)["detail"]


def test_a_change_that_expects_another_version_is_refused(door: Door) -> None:
    client = door.client
    path = "/state/entities/versioned"
    first = client.put(path, json={"type": "t"}, headers={"If-None-Match": "*"})
    assert first.status_code == 200
    tag = first.headers["etag"]
    assert client.get(path, headers={"If-None-Match": tag}).status_code == 304
    change = {"properties": {"n": 1}}
    assert client.patch(path, json=change, headers={"If-Match": tag}).status_code == 200
    for method, expected in (("PATCH", tag), ("PATCH", '"no-version"'), ("DELETE", tag)):
        body = change if method == "PATCH" else None
        late = client.request(method, path, json=body, headers={"If-Match": expected})
        assert late.status_code == 412
    assert client.put(path, json={"type": "t"}, headers={"If-None-Match": "*"}).status_code == 412
    nobody = client.patch("/state/entities/none", json=change, headers={"If-Match": "*"})
    assert nobody.status_code == 412
    assert client.patch(path, json=change, headers={"If-Match": "17"}).status_code == 400


def test_entities_and_relationships_are_found_a_page_at_a_time(door: Door) -> None:
    for n in range(5):
        door.ask("POST", "/state/entities", code=201, json={"type": "p", "properties": {"n": n}})
    query = {"type": "p", "where": '{"n": {">": 0}}', "order_by": "n", "limit": 3}
    page = door.ask("GET", "/state/entities", params=query)
    rest = door.ask("GET", "/state/entities", params={**query, "cursor": page["cursor"]})
    found = page["entities"] + rest["entities"]
    assert [each["properties"]["n"] for each in found] == [1, 2, 3, 4]
    assert rest["cursor"] is None
    one, two = found[0]["id"], found[1]["id"]
    edge = {"from_id": one, "to_id": two, "relation_type": "knows"}
    door.ask("POST", "/state/relationships", code=201, json={**edge, "metadata": {"since": 1}})
    related = door.ask("GET", "/state/relationships", params={"from_id": one})["relationships"]
    assert [each["metadata"] for each in related] == [{"since": 1}]
    reached = door.ask("GET", "/state/traversal", params={"from_id": one, "type": ["knows", "x"]})
    assert reached["nodes"] == {one: 0, two: 1}
    for cursor in ("zzz", "[1]"):
        wrong = door.ask("GET", "/state/relationships", code=400, params={"cursor": cursor})
        assert wrong["detail"].startswith("cursor: is ")
    with pytest.raises(InvalidInputError, match="cursor: is none that a peek gave"):
        door.daemon.hub.state.peek(one, "inbox", cursor="\u00b2")  # a digit, and no number
    door.ask("DELETE", "/state/relationships", code=204, params=edge)
    door.ask("DELETE", "/state/relationships", code=404, params=edge)


def test_an_event_with_an_idempotency_key_is_stored_once(door: Door) -> None:
    event = {"type": "http:once", "data": {"n": 1}, "session": "s", "correlation": "c"}
    for key in ("k-1", '"k-1"', "k-1"):
        headers = {"Idempotency-Key": key}
        emitted = door.ask("POST", "/events", code=201, json=event, headers=headers)
        assert emitted == {"type": "http:once", "key": "k-1", "durability": "committed"}
    (found,) = door.ask("GET", "/events", params={"type": "http:once"})["events"]
    assert (found["source"], found["session"], found["data"]) == ("http", "s", {"n": 1})
    assert door.ask("GET", f"/events/{found['seq']}") == found
    door.ask("GET", "/events/999999", code=404)


def test_a_page_of_large_entities_is_shorter_and_leaves_none_out(door: Door) -> None:
    state = door.daemon.hub.state
    for n in range(9):
        state.create("heavy", {"text": "x" * 1_000_000}, id=f"heavy-{n}")
    assert len(state.query(type="heavy")) == 9
    page = state.query(type="heavy", max_bytes=1)
    found = [each.id for each in page]
    assert len(found) < 6
    while page.cursor is not None:
        page = state.query(type="heavy", max_bytes=1, cursor=page.cursor)
        found += [each.id for each in page]
    assert found == [f"heavy-{n}" for n in range(9)]
    for id in found:
        state.delete(id)


def test_events_are_read_a_page_at_a_time(door: Door) -> None:
    for n in range(5):
        event = {"type": f"paged:{n}", "data": n, "durability": "memory"}
        door.ask("POST", "/events", code=201, json=event)
    door.daemon.until(
        lambda: len(door.ask("GET", "/events", params={"type": "paged:*"})["events"]) == 5
    )
    page = door.ask("GET", "/events", params={"type": ["paged:*", "none"], "limit": 3})
    rest = door.ask("GET", "/events", params={"type": "paged:*", "after": page["after"]})
    assert [event["data"] for event in page["events"] + rest["events"]] == list(range(5))
    newest = door.ask("GET", "/events", params={"type": "paged:*", "reverse": "true", "limit": 1})
    assert [event["data"] for event in newest["events"]] == [4]
    moment = {"type": "paged:*", "until": "1.5"}
    assert door.ask("GET", "/events", params=moment)["events"] == []
    assert door.ask("GET", "/events/stats")["total_events"] >= 5


def test_a_session_is_put_under_a_condition_and_ended(door: Door) -> None:
    client, path = door.client, "/sessions/chat/1"
    first = client.put(path, json={"data": [1], "ttl": 60}, headers={"If-None-Match": "*"})
    assert first.status_code == 200
    assert client.put(path, json={"data": 2}, headers={"If-None-Match": "*"}).status_code == 412
    tag = first.headers["etag"]
    second = client.put(path, json={"data": [1, 2], "ttl": 60}, headers={"If-Match": tag})
    assert second.status_code == 200
    assert client.put(path, json={"data": 3}, headers={"If-Match": tag}).status_code == 412
    session = client.get(path)
    assert session.headers["etag"] == second.headers["etag"]
    assert (session.json()["data"], session.json()["ttl"]) == ([1, 2], 60.0)
    door.ask("DELETE", path, code=204)
    door.ask("GET", path, code=404)


def test_checkpoints_are_made_and_listed(door: Door) -> None:
    made = door.ask("POST", "/checkpoints", code=201)
    assert [each["error"] for each in made["participants"]] == [None, None]
    newest = door.ask("GET", "/checkpoints", params={"limit": 1})["checkpoints"]
    assert newest == [door.ask("GET", f"/checkpoints/{made['id']}")]
    door.ask("GET", "/checkpoints/999999", code=404)


def test_an_event_of_ksi_is_answered_as_on_a_line(door: Door) -> None:
    headers = {"X-Correlation-Id": "c-9"}
    data = {"namespace": "q", "key": "k", "data": {"$bytes": "aGk="}}
    told = door.ask("POST", "/ksi/async_state:push", json=data, headers=headers)
    assert (told["event"], told["count"], told["correlation_id"]) == (
        "async_state:push",
        1,
        "c-9",
    )
    assert told["data"]["queue_size"] == 1
    popped = door.ask("POST", "/ksi/async_state:pop", json={"namespace": "q", "key": "k"})
    assert popped["data"]["items"] == [{"$bytes": "aGk="}]
    said = {"event_name": "http:said", "event_data": 1}
    door.ask("POST", "/ksi/monitor:broadcast_event", json=said)
    unknown = door.ask("POST", "/ksi/state:entity:gte", code=404)
    assert "state:entity:get" in unknown["did_you_mean"]
    refused = door.ask("POST", "/ksi/monitor:subscribe", code=400, json={})
    assert "/events/stream" in refused["detail"]
    listed = door.ask("GET", "/system/discover", params={"namespace": "dev"})
    assert listed == door.ask("POST", "/ksi/system:discover", json={"namespace": "dev"})["data"]


BAD = [
    ("GET", "/state/entities?wher={}", 400, "unknown parameter 'wher', did you mean where?"),
    ("GET", "/state/entities?limit=x", 400, "limit: Expected `int`, got `str`"),
    ("GET", "/state/entities?limit=1&limit=2", 400, "limit stands there twice"),
    ("GET", "/state/entities?where=[1]", 400, "where: expected an object of JSON"),
    ("GET", "/state/entities?type=%FF", 400, "percent-encoded UTF-8"),
    ("GET", "/state/entities/%FF", 400, "percent-encoded UTF-8"),
    ("GET", "/events?after=nonsense", 400, "nonsense"),
    ("GET", "/events?since=yesterday", 400, "expected seconds since 1970"),
    ("GET", "/event", 404, "did you mean /events?"),
    ("PUT", "/events", 405, "expected POST, GET"),
    ("GET", "/ksi/system:help", 405, "expected POST"),
    ("GET", "/events/0", 400, "expected the number of an event"),
]


@pytest.mark.parametrize(("method", "path", "code", "said"), BAD, ids=[bad[1] for bad in BAD])
def test_what_is_wrong_is_named_with_what_was_expected(
    door: Door, method: str, path: str, code: int, said: str
) -> None:
    problem = door.ask(method, path, code=code)
    assert said in problem["detail"]
    assert (problem["status"], problem["outcome"]) == (code, "unchanged")


BODIES = [
    ('{"typ": "x"}', "unknown parameter 'typ', did you mean type?; expected id?, type, propert"),
    ('{"type": 1}', "type: Expected `str`, got `int`"),
    ("{", "not a JSON text"),
    ("[]", "expected an object of JSON"),
    ("", "missing required field `type`; expected id?, type, properties?"),
    ('{"type": "x", "timeout": 1}', "unknown parameter 'timeout'"),
    (json.dumps({"type": "x", "id": "a\0b"}), "without NUL"),
    ('{"type":' + "[" * 60_000, "not a JSON text"),
]


@pytest.mark.parametrize(("body", "said"), BODIES, ids=[said[:30] for _, said in BODIES])
def test_a_body_that_is_wrong_is_refused_by_name(door: Door, body: str, said: str) -> None:
    headers = {"Content-Type": "application/json"}
    problem = door.ask("POST", "/state/entities", code=400, content=body, headers=headers)
    assert said in problem["detail"]


def test_a_head_is_a_get_without_its_body(door: Door) -> None:
    answer = door.client.head("/events/stats")
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 0


def test_the_document_describes_what_is_served(door: Door) -> None:
    served = door.ask("GET", "/openapi.json")
    assert served == json.loads(json.dumps(document()))
    assert served["openapi"] == "3.1.0"
    references = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(served)))
    assert references <= set(served["components"]["schemas"])
    listed = door.ask("POST", "/ksi/system:discover", json={})["data"]["events"]
    posted = {path.removeprefix("/ksi/") for path in served["paths"] if path.startswith("/ksi/")}
    assert set(listed) - posted == {"monitor:subscribe", "monitor:unsubscribe"}
    assert posted <= set(listed)

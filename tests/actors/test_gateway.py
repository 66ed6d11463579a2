"""The gateway: each of KSI's events against a real daemon, with the shapes that KSI documents."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from holdfast.actors.messages.gateway import EVENTS, INSTEAD
from tests.actors.gateway_client import GATEWAY, Client, call
from tests.daemon import Daemon

# The table of KSI's protocol, as facts: events, and their parameters (? optional).
KSI = """
state:entity:create id? type properties?
state:entity:update id properties
state:entity:delete id
state:entity:get id include?
state:entity:query type? where? include? order_by? limit?
state:relationship:create from_id to_id relation_type metadata?
state:relationship:delete from_id to_id relation_type
state:relationship:query from_id? to_id? relation_type?
state:graph:traverse from_id direction? types? depth? include_entities?
state:entity:bulk_create entities
state:aggregate:count target group_by? where?
async_state:push namespace key data ttl_seconds?
async_state:pop namespace key count?
async_state:get_queue namespace key
async_state:delete namespace key
async_state:expire_queue queue_id
event_log:query source_agent? event_patterns? start_time? end_time? limit? offset?
event_log:stats
event_log:clear
monitor:get_events event_patterns? since? until? limit? reverse? resolve_references?
 context_fields? context_bundle?
monitor:get_stats
monitor:clear_log
monitor:subscribe client_id? event_patterns? filter_fn? writer?
monitor:unsubscribe
monitor:get_subscriptions
monitor:query query params? limit?
monitor:get_session_events session_id include_memory? reverse?
monitor:get_correlation_chain correlation_id include_memory?
monitor:event_chain_result originator_id source_agent event data timestamp? chain_id?
monitor:get_status event_patterns? since? limit? include_agents? include_events?
monitor:broadcast_event event_name event_data broadcast_metadata?
dev:checkpoint action request_id?
dev:restore
system:discover detail? namespace? event? module? format_style? level?
system:help event format_style?
""".replace("\n ", " ").strip()


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("gateway"), GATEWAY) as daemon:
        yield daemon


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Client]:
    with Client(daemon) as client:
        yield client


def test_an_answer_has_the_envelope_of_ksi_and_an_error_says_so(client: Client) -> None:
    client.say("system:help", {"event": "dev:restore"}, correlation_id="c-1")
    answer = client.hear()
    assert list(answer) == ["event", "data", "count", "correlation_id", "timestamp"]
    assert (answer["event"], answer["count"]) == ("system:help", 1)
    assert answer["correlation_id"] == "c-1"
    assert abs(answer["timestamp"] - time.time()) < 60
    client.say("state:entity:get", {"id": "nobody"}, correlation_id=7)
    refused = client.hear()
    assert refused["error"] == "Entity not found: 'nobody'"
    assert refused["error_type"] == "NotFoundError"
    assert (refused["correlation_id"], "data" in refused) == (7, False)


def test_every_event_of_ksi_is_answered_or_says_what_to_use_instead(client: Client) -> None:
    listed = client.ask("system:discover")["events"]
    for line in KSI.splitlines():
        event, *parameters = line.split()
        if event not in listed:
            refused = client.ask(event)
            assert INSTEAD[event] in refused["error"], event
            continue
        known = listed[event]["parameters"]
        for parameter in parameters:
            name = parameter.removesuffix("?")
            if name in known:
                assert known[name]["required"] == (name == parameter), (event, name)
            else:
                given = {
                    each: told.get("allowed_values", "x")[0]
                    for each, told in known.items()
                    if told["required"]
                }
                refused = client.ask(event, **given, **{name: "x"})
                assert INSTEAD[name] in refused["error"], (event, name)


def test_entities_have_the_shapes_of_ksi(client: Client) -> None:
    made = client.ask("state:entity:create", id="a", type="agent", properties={"status": "busy"})
    assert list(made) == ["id", "type", "created_at", "updated_at", "properties"]
    assert (made["id"], made["type"], made["properties"]) == ("a", "agent", {"status": "busy"})
    assert made["created_at"] == made["updated_at"]
    client.ask("state:entity:create", id="b", type="agent", properties={"status": "idle", "n": 2})
    assert "error" in client.ask("state:entity:create", id="a", type="agent")
    changed = client.ask("state:entity:update", id="a", properties={"n": 1, "status": None})
    assert changed == {"id": "a"}
    got = client.ask("state:entity:get", id="a")
    assert got["properties"] == {"n": 1}
    assert datetime.fromisoformat(got["created_at_iso"]).timestamp() == got["created_at"]
    assert got["updated_at"] >= got["created_at"]
    query = client.ask("state:entity:query", type="agent")
    keys = ["entity_id", "entity_type", "created_at", "updated_at", "properties"]
    assert [list(one) for one in query["entities"]] == [keys, keys]
    assert [one["entity_id"] for one in query["entities"]] == ["b", "a"]  # the newest first
    assert query["count"] == 2
    ordered = client.ask("state:entity:query", type="agent", order_by="n DESC", limit=1)
    assert [one["entity_id"] for one in ordered["entities"]] == ["b"]
    found = client.ask("state:entity:query", where={"status": "idle"})
    assert [one["entity_id"] for one in found["entities"]] == ["b"]
    assert client.ask("state:entity:delete", id="b") == {"id": "b"}
    assert client.ask("state:entity:delete", id="b")["error"] == "Entity not found: 'b'"


def test_relationships_and_walks_have_the_shapes_of_ksi(client: Client) -> None:
    for id in ("r1", "r2"):
        client.ask("state:entity:create", id=id, type="node", properties={"name": id})
    ends = {"from_id": "r1", "to_id": "r2", "relation_type": "observes"}
    made = client.ask("state:relationship:create", **ends, metadata={"w": 2})
    assert made == {"status": "created", **ends}
    found = client.ask("state:relationship:query", from_id="r1")
    (edge,) = found["relationships"]
    assert edge == {**ends, "created_at": edge["created_at"], "metadata": {"w": 2}}
    assert (type(edge["created_at"]), found["count"]) == (float, 1)
    got = client.ask("state:entity:get", id="r1", include=["properties", "relationships"])
    without = {key: value for key, value in edge.items() if key != "from_id"}
    assert got["relationships"] == {"from": [without], "to": []}
    walked = client.ask(
        "state:graph:traverse", from_id="r2", direction="incoming", include_entities=True
    )
    assert list(walked) == ["root", "nodes", "edges", "node_count", "edge_count"]
    assert (walked["root"], walked["node_count"], walked["edge_count"]) == ("r2", 2, 1)
    assert walked["nodes"]["r1"]["properties"] == {"name": "r1"}
    counted = client.ask("state:aggregate:count", target="relationships", group_by="relation_type")
    assert counted == {"counts": {"observes": 1}, "grouped_by": "relation_type"}
    assert client.ask("state:aggregate:count", target="relationships") == {"total": 1}
    assert client.ask("state:relationship:delete", **ends) == {"status": "deleted", **ends}
    assert "error" in client.ask("state:relationship:delete", **ends)


def test_bulks_keep_what_can_be_made_and_counts_group(client: Client) -> None:
    client.ask("state:entity:create", id="taken", type="job")
    entities = [{"type": "job", "id": "j"}, {"type": "job", "id": "taken"}, {"type": "job"}, {}]
    bulk = client.ask("state:entity:bulk_create", entities=entities)
    assert (bulk["total"], bulk["success"], bulk["failed"]) == (4, 2, 2)
    assert ["error" in one for one in bulk["results"]] == [False, True, False, True]
    grouped = client.ask("state:aggregate:count", target="entities", group_by="type")
    assert (grouped["counts"]["job"], grouped["grouped_by"]) == (3, "type")
    where = {"type": "job"}
    assert client.ask("state:aggregate:count", target="entities", where=where) == {"total": 3}


def test_queues_have_the_shapes_of_ksi(client: Client) -> None:
    queue = {"namespace": "injection", "key": "s1"}
    for number in range(3):
        assert client.ask("async_state:push", **queue, data={"n": number}) == {
            "status": "pushed",
            "queue_size": number + 1,
            "queue_id": "queue:injection:s1",
        }
    whole = {"items": [{"n": 0}, {"n": 1}, {"n": 2}], "size": 3}
    assert client.ask("async_state:get_queue", **queue) == whole
    assert client.ask("async_state:expire_queue", queue_id="queue:injection:s1") == {
        "status": "expired",
        "queue_id": "queue:injection:s1",
        **whole,
    }
    popped = client.ask("async_state:pop", **queue, count=2)
    assert popped == {"items": [{"n": 0}, {"n": 1}], "remaining": 1}
    assert client.ask("async_state:delete", **queue) == {"status": "deleted", **queue}
    assert client.ask("async_state:pop", **queue) == {"items": [], "remaining": 0}


@pytest.mark.parametrize(
    "value",
    [1e20, 1e-7, -0.0, 10**30, "true", "1", True, [1.0], None, {"$bytes": "aGk="}, {"$$bytes": 1}],
    ids=str,
)
def test_values_come_back_as_they_went(client: Client, value: Any) -> None:
    client.ask("async_state:push", namespace="values", key="v", data=value)
    (found,) = client.ask("async_state:pop", namespace="values", key="v")["items"]
    assert (type(found), repr(found)) == (type(value), repr(value))


def test_bytes_of_python_programs_are_shown_and_no_base64_is_refused(
    daemon: Daemon, client: Client
) -> None:
    daemon.hub.state.create("blob", {"b": b"hi"}, id="blob")
    got = client.ask("state:entity:get", id="blob")
    assert got["properties"] == {"b": {"$bytes": "aGk="}}
    refused = client.ask("async_state:push", namespace="v", key="v", data={"$bytes": "?"})
    assert "base64" in refused["error"]


def test_what_is_stored_at_the_greatest_depth_is_answered(daemon: Daemon, client: Client) -> None:
    value: Any = 1
    for _ in range(199):
        value = [value]
    daemon.hub.state.push("deep", "q", value)
    assert client.ask("async_state:pop", namespace="deep", key="q")["items"] == [value]


def test_events_are_queried_with_the_shapes_of_ksi(daemon: Daemon, client: Client) -> None:
    hub = daemon.hub
    began = time.time()
    for n in range(5):
        hub.events.emit(f"tool:{n % 2}", {"n": n}, session="s", correlation="c", key=f"k{n}")
    hub.flush()
    got = client.ask("monitor:get_events", event_patterns=["tool:*"], since=began, limit=2)
    assert [event["data"] for event in got["events"]] == [{"n": 4}, {"n": 3}]  # the newest first
    assert (got["count"], got["total_events"], got["query"]["limit"]) == (2, 5, 2)
    event = got["events"][0]
    assert (event["event_name"], event["event_id"], event["session_id"]) == ("tool:0", "k4", "s")
    assert began <= event["timestamp"] <= time.time()
    iso = datetime.fromtimestamp(began).astimezone().isoformat()
    again = client.ask("monitor:get_events", event_patterns=["tool:1"], since=iso, reverse=False)
    assert [event["data"] for event in again["events"]] == [{"n": 1}, {"n": 3}]
    page = client.ask("event_log:query", event_patterns=["tool:*"], limit=2, offset=2)
    assert [event["data"]["n"] for event in page["events"]] == [2, 1]
    assert (page["total"], page["has_more"], page["offset"]) == (5, True, 2)
    source = event["source_agent"]
    assert client.ask("event_log:query", source_agent=source, limit=1)["events"] == [event]
    session = client.ask("monitor:get_session_events", session_id="s")
    assert (session["count"], session["session_id"]) == (5, "s")
    assert session["events"][0] == event
    chain = client.ask("monitor:get_correlation_chain", correlation_id="c")
    assert [each["data"]["n"] for each in chain["events"]] == [0, 1, 2, 3, 4]
    assert (chain["count"], chain["event_types"]) == (5, ["tool:0", "tool:1"])
    assert type(chain["duration_ms"]) is int
    assert "date and time" in client.ask("monitor:get_events", since="yesterday")["error"]


def test_figures_name_the_log_and_the_gateway(client: Client) -> None:
    stats = client.ask("event_log:stats")
    assert {"total_events", "ring_size", "ring_capacity", "pending", "last_seq"} <= set(stats)
    both = client.ask("monitor:get_stats")
    assert list(both) == ["event_log", "router"]
    assert both["router"]["clients"] >= 1
    status = client.ask("monitor:get_status", limit=1, event_patterns=["*"])
    assert (status["status"], status["count"], len(status["events"])) == ("healthy", 1, 1)
    assert status["agents"]["gateway"] == "running"
    assert list(client.ask("monitor:get_status", include_events=False)) == ["status", "agents"]


def test_subscribers_get_each_event_once_and_go_on_behind_a_cursor(
    daemon: Daemon, client: Client
) -> None:
    subscribed = client.ask("monitor:subscribe", client_id="me", event_patterns=["seen:*"])
    assert subscribed == {"status": "subscribed", "client_id": "me", "patterns": ["seen:*"]}
    for n in range(3):
        daemon.hub.events.emit(f"seen:{n}", {"n": n}, correlation="c9")
        daemon.hub.events.emit(f"unseen:{n}")
    pushed = [client.hear() for _ in range(3)]
    assert [each["event_name"] for each in pushed] == ["seen:0", "seen:1", "seen:2"]
    assert [each["data"] for each in pushed] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert {"timestamp", "_event_id", "_correlation_id", "_cursor"} <= set(pushed[0])
    stats = client.ask("monitor:get_subscriptions")["subscription_stats"]
    assert stats == {"total_subscriptions": 1, "subscriptions": {"me": ["seen:*"]}}
    assert client.ask("monitor:unsubscribe") == {"status": "unsubscribed", "client_id": "me"}
    assert "no subscription" in client.ask("monitor:unsubscribe")["error"]
    with Client(daemon) as later:
        later.ask("monitor:subscribe", event_patterns=["seen:*"], after=pushed[0]["_cursor"])
        assert [later.hear()["data"] for _ in range(2)] == [{"n": 1}, {"n": 2}]
        assert "error" in later.ask("monitor:subscribe", after="no cursor")
        assert "at least one" in later.ask("monitor:subscribe", event_patterns=[])["error"]


def test_the_newest_subscriber_of_a_name_replaces_the_others(daemon: Daemon) -> None:
    with Client(daemon) as first, Client(daemon) as second:
        first.ask("monitor:subscribe", client_id="one", event_patterns=["named:*"])
        second.ask("monitor:subscribe", client_id="one", event_patterns=["named:*"])
        sent = first.ask("monitor:broadcast_event", event_name="named:x", event_data=[1])
        assert sent == {"status": "broadcast", "event_name": "named:x"}
        assert second.hear()["data"] == [1]
        # What the first is told next is an answer: nothing was pushed to it.
        stats = first.ask("monitor:get_subscriptions")["subscription_stats"]
        assert stats["subscriptions"] == {"one": ["named:*"]}


def test_a_checkpoint_is_made_and_restored(client: Client) -> None:
    saved = client.ask("dev:checkpoint", action="create")
    assert saved["status"] == "saved"
    newest = client.ask("checkpoint", action="status")
    assert newest["checkpoint_id"] == saved["checkpoint_id"]
    assert newest["timestamp"] == saved["timestamp"]
    restored = client.ask("dev:restore")
    assert (restored["status"], restored["checkpoint_id"]) == ("restored", saved["checkpoint_id"])
    assert {one["name"] for one in restored["results"]} >= {"sessions", "tracker"}


def test_health_names_every_actor_and_what_is_wrong(daemon: Daemon, client: Client) -> None:
    health = client.ask("system:health")
    assert (health["status"], health["daemon"]) == ("healthy", "test")
    assert health["actors"]["writer"] == "running"
    daemon.hub.supervision.terminate_child("tracker")
    degraded = client.ask("system:health")
    daemon.hub.supervision.restart_child("tracker")
    assert degraded["status"] == "degraded"
    assert degraded["actors"]["tracker"] != "running"


def test_discover_describes_every_event_by_its_type(client: Client) -> None:
    found = client.ask("system:discover")
    assert set(found["events"]) == set(EVENTS)
    assert found["total"] == len(EVENTS)
    for told in found["events"].values():
        assert told["summary"]
        assert all(each["description"] for each in told["parameters"].values())
    state = client.ask("system:discover", namespace="state", detail=False)["events"]
    assert all(re.match("state:", event) for event in state)
    assert list(state["state:entity:get"]) == ["summary"]
    help = client.ask("system:help", event="async_state:push")
    assert help["parameters"]["namespace"]["type"] == "string"
    assert help["parameters"]["ttl_seconds"]["default"] == 3600.0
    compact = client.ask("system:help", event="async_state:push", format_style="compact")
    assert compact["parameters"] == "namespace, key, data, ttl_seconds?"


@pytest.mark.parametrize(
    ("event", "data", "said"),
    [
        ("state:entity:creat", {}, "did you mean state:entity:create"),
        ("zzz", {}, "system:discover lists all"),
        ("state:entity:create", {"tpye": "x"}, "did you mean type?; expected id?, type"),
        ("state:entity:create", {"type": 1}, "type: Expected `str`, got `int`; expected text"),
        ("state:entity:update", {"id": "a"}, "missing required field `properties`; expected id"),
        ("monitor:get_events", {"limit": 0}, "expected a whole number, 1 to 1000"),
        ("monitor:get_events", [], "data is no object; expected event_patterns?"),
        ("state:graph:traverse", {"from_id": "a", "direction": "up"}, '"outgoing", "incoming"'),
        ("system:help", {"event": "state:entity:gte"}, "did you mean state:entity:get"),
        ("system:discover", {"namespace": "stat"}, "did you mean state?"),
        ("async_state:push", {"namespace": "", "key": "k", "data": 1}, "namespace"),
    ],
)
def test_wrong_requests_are_told_what_was_expected(
    client: Client, event: str, data: Any, said: str
) -> None:
    client.say(event, data)
    answer = client.hear()
    assert said in answer["error"]
    assert client.ask("system:help", event="dev:restore")["event"] == "dev:restore"


def test_an_answer_over_the_bound_says_how_to_ask_for_less(daemon: Daemon) -> None:
    for n in range(3):
        daemon.hub.state.create("large", {"text": "x" * 500_000}, id=f"large{n}")
    refused = call(daemon, "state:entity:query", type="large")
    assert refused["error_type"] == "CapacityError"
    assert "max_answer" in refused["error"]
    assert call(daemon, "state:entity:query", type="large", limit=1)["count"] == 1

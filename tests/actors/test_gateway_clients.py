"""The gateway's clients: many, slow, torn, and there while processes are killed."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast import UnknownActorError
from tests.actors.gateway_client import GATEWAY, Client, call
from tests.daemon import TIMEOUT, Daemon

HELP = b'{"event": "system:help", "data": {"event": "dev:restore"}, "correlation_id": %d}\n'
fewer = settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("gateway"), GATEWAY) as daemon:
        yield daemon


def figures(daemon: Daemon) -> dict[str, int]:
    """What the gateway has seen."""
    found: dict[str, int] = call(daemon, "monitor:get_stats")["router"]
    return found


# -- lines -----------------------------------------------------------------------------------


def test_only_its_user_may_come_in(daemon: Daemon) -> None:
    path = Path(daemon.run_dir, "gateway.sock")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_requests_of_a_connection_are_answered_in_their_order(daemon: Daemon) -> None:
    with Client(daemon) as client:
        for n in range(30):  # each sees what the one before it has done, at another actor too
            client.say("state:entity:create", {"id": f"o{n}", "type": "ordered"})
            client.say("state:entity:get", {"id": f"o{n}"}, correlation_id=n)
        for n in range(30):
            made, got = client.hear(), client.hear()
            assert made["data"]["id"] == got["data"]["id"] == f"o{n}"
            assert got["correlation_id"] == n


def test_who_says_no_more_is_answered_and_then_sees_the_end(daemon: Daemon) -> None:
    with Client(daemon) as client:
        client.sock.sendall(HELP % 1 + b"\n\n  \r\n" + HELP % 2 + (HELP % 3).rstrip())
        client.sock.shutdown(socket.SHUT_WR)
        assert [answer["correlation_id"] for answer in client.hear_all()] == [1, 2, 3]


def test_what_was_sent_is_carried_out_though_nobody_waits_for_the_answer(daemon: Daemon) -> None:
    with Client(daemon) as client:
        for n in range(20):
            client.say("async_state:push", {"namespace": "gone", "key": "k", "data": n})
    with Client(daemon) as other:
        daemon.until(
            lambda: other.ask("async_state:get_queue", namespace="gone", key="k")["size"] == 20
        )


def test_a_torn_line_is_not_carried_out(daemon: Daemon) -> None:
    whole = b'{"event": "async_state:push", "data": {"namespace": "t", "key": "k", "data": 12}}'
    with Client(daemon) as client:
        client.sock.sendall(whole[:-1])
        client.sock.shutdown(socket.SHUT_WR)
        (answer,) = client.hear_all()
    assert "not a request" in answer["error"]
    assert call(daemon, "async_state:get_queue", namespace="t", key="k")["size"] == 0


@fewer
@given(st.data())
def test_requests_cut_at_any_byte_are_the_same_requests(
    daemon: Daemon, data: st.DataObject
) -> None:
    lines = data.draw(st.lists(st.sampled_from([HELP % 1, b"{}\n", b"\n", b"x" * 5000 + b"\n"])))
    stream = b"".join(lines)
    with Client(daemon) as client:
        while stream:
            step = data.draw(st.integers(1, len(stream)))
            client.sock.sendall(stream[:step])
            stream = stream[step:]
        client.sock.shutdown(socket.SHUT_WR)
        answers = client.hear_all()
    kinds = ["error" not in answer for answer in answers]
    assert kinds == [line.startswith(b'{"event') for line in lines if line.strip()]


anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A line that is nearly right: of an event that exists, with parameters of any type."""
    from holdfast.actors.messages.gateway import EVENTS

    event = draw(st.sampled_from(sorted(EVENTS)) | st.text(max_size=12))
    names = EVENTS[event].__struct_fields__ if event in EVENTS else ("x",)
    some = st.sampled_from(["a", "n", 1, 0, [], {}, ["*"], {"type": "a"}, "queue:a:b"])
    parameters = st.dictionaries(st.sampled_from((*names, "_x", "y")), some | anything)
    line: dict[str, Any] = {"event": event, "data": draw(parameters | anything)}
    if draw(st.booleans()):
        line[draw(st.sampled_from(["correlation_id", "timeout", "evnt"]))] = draw(anything)
    text = json.dumps(line).encode()
    return text if draw(st.integers(0, 5)) else text[: draw(st.integers(0, len(text)))]


@settings(fewer, max_examples=30)
@given(st.lists(requests() | st.binary(max_size=40), min_size=1, max_size=8))
def test_every_line_gets_one_answer_whatever_is_in_it(daemon: Daemon, lines: list[bytes]) -> None:
    lines = [line.replace(b"\n", b" ") for line in lines]
    pid = daemon.pid("gateway")
    with Client(daemon) as client:
        client.sock.sendall(HELP % 76 + b"".join(line + b"\n" for line in lines) + HELP % 77)
        client.sock.shutdown(socket.SHUT_WR)
        answers = []
        while (answer := client.hear()).get("correlation_id") != 77:
            if "event_name" not in answer:  # of a subscription
                answers.append(answer)
    assert len(answers) == 1 + sum(bool(line.strip()) for line in lines)
    assert all("error" in answer or "data" in answer for answer in answers)
    assert daemon.pid("gateway") == pid


def test_a_line_that_is_too_long_is_refused_and_the_next_one_is_read(daemon: Daemon) -> None:
    with Client(daemon) as client:
        client.sock.sendall(b'{"event": "' + b"x" * 1_000_000 + b'"}\n' + HELP % 5)
        refused = client.hear()
        assert "over 4096 bytes, [actors.gateway] max_line" in refused["error"]
        assert client.hear()["correlation_id"] == 5


def test_programs_that_speak_the_other_protocol_are_told(daemon: Daemon) -> None:
    with pytest.raises(UnknownActorError, match="JSON lines"):
        daemon.hub.ref("gateway").ask("hello", timeout=TIMEOUT)


@pytest.mark.skipif(shutil.which("nc") is None, reason="needs nc: install netcat-openbsd")
def test_a_shell_and_nc_are_enough(daemon: Daemon) -> None:
    request = '{"event": "system:help", "data": {"event": "dev:restore"}}'
    script = f"printf '%s\\n' '{request}' | nc -N -U gateway.sock"
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=daemon.run_dir,
        stdout=subprocess.PIPE,
        timeout=TIMEOUT,
        check=True,
    )
    assert json.loads(done.stdout)["data"]["event"] == "dev:restore"


# -- many, and slow ones ---------------------------------------------------------------------


def test_a_hundred_clients_at_once_each_get_their_own_answers(daemon: Daemon) -> None:
    clients = [Client(daemon) for _ in range(100)]
    try:
        for number, client in enumerate(clients):
            for n in range(3):
                queue = {"namespace": f"c{number}", "key": "k"}
                client.say("async_state:push", {**queue, "data": [number, n]})
            client.say("async_state:pop", {**queue, "count": 10}, correlation_id=number)
        for number, client in enumerate(clients):
            for n in range(3):
                assert client.hear()["data"]["queue_size"] == n + 1
            last = client.hear()
            assert last["data"]["items"] == [[number, n] for n in range(3)]
            assert last["correlation_id"] == number
    finally:
        for client in clients:
            client.close()


def test_one_client_too_many_is_told_and_turned_away(daemon: Daemon) -> None:
    clients: list[Client] = []
    try:
        with Client(daemon) as watcher:
            daemon.until(lambda: watcher.ask("monitor:get_stats")["router"]["clients"] == 1)
            clients += [Client(daemon) for _ in range(109)]
            for client in clients:
                client.ask("system:help", **{"event": "dev:restore"})
            with Client(daemon) as last:
                assert "max_clients" in last.hear()["error"]
                with pytest.raises(EOFError):
                    last.hear()
            assert watcher.ask("monitor:get_stats")["router"]["refused"] == 1
    finally:
        for client in clients:
            client.close()


def test_who_does_not_read_is_disconnected_after_the_grace_and_counted(daemon: Daemon) -> None:
    daemon.hub.state.create("big", {"text": "x" * 900_000}, id="big")
    before = figures(daemon)["slow"]
    with Client(daemon) as slow:
        slow.say("state:entity:get", {"id": "big"})
        slow.say("async_state:push", {"namespace": "slow", "key": "k", "data": 1})
        with Client(daemon) as other:  # nobody else waits for it
            assert other.ask("state:entity:get", id="big")["properties"]["text"] == "x" * 900_000
            daemon.until(lambda: other.ask("monitor:get_stats")["router"]["slow"] == before + 1)
            # Its next request was not begun before its answer was read.
            assert other.ask("async_state:get_queue", namespace="slow", key="k")["size"] == 0


def test_a_slow_subscriber_costs_a_page_and_the_log_nothing(daemon: Daemon) -> None:
    before = figures(daemon)["slow"]
    with Client(daemon) as slow, Client(daemon) as other:
        slow.ask("monitor:subscribe", event_patterns=["bulk"])
        for n in range(300):
            daemon.hub.events.emit("bulk", {"n": n, "text": "x" * 5_000})
        daemon.hub.flush()
        daemon.until(lambda: other.ask("monitor:get_stats")["router"]["slow"] == before + 1)
        subscriptions = other.ask("monitor:get_subscriptions")["subscription_stats"]
        assert subscriptions["total_subscriptions"] == 0
        assert other.ask("event_log:stats")["subscribers"] == 0


# -- while processes are killed ----------------------------------------------------------------


def test_a_killed_writer_costs_no_request_and_doubles_none(daemon: Daemon) -> None:
    with Client(daemon) as client:
        for n in range(60):
            client.say("async_state:push", {"namespace": "w", "key": "k", "data": n})
            if n % 20 == 10:
                daemon.kill("writer")
        assert [client.hear()["data"]["queue_size"] for _ in range(60)] == list(range(1, 61))
        assert client.ask("async_state:get_queue", namespace="w", key="k")["items"] == list(
            range(60)
        )


@pytest.mark.slow  # waits for restarts
def test_a_killed_log_costs_a_subscriber_nothing(daemon: Daemon) -> None:
    with Client(daemon) as client:
        client.ask("monitor:subscribe", event_patterns=["kept"])
        for n in range(90):
            daemon.hub.events.emit("kept", n)
            if n % 30 == 10:
                daemon.kill("log")
        assert [client.hear()["data"] for _ in range(90)] == list(range(90))


def test_requests_wait_within_their_deadline_and_no_longer(daemon: Daemon) -> None:
    with Client(daemon) as client, Client(daemon) as other:
        with daemon.paused("query"):
            client.say("state:entity:get", {"id": "x"}, timeout=0.2)
            late = client.hear()
            assert (late["error_type"], late["event"]) == ("AskTimeoutError", "state:entity:get")
            client.say("state:entity:query", {"type": "none"})
            # Who asks for something else is served meanwhile.
            assert other.ask("async_state:push", namespace="d", key="k", data=1)["queue_size"] == 1
        assert client.hear()["data"] == {"entities": [], "count": 0}


def test_clients_of_a_killed_gateway_connect_again_to_the_same_socket(daemon: Daemon) -> None:
    with Client(daemon) as client:
        client.ask("state:entity:create", id="survivor", type="t", properties={"n": 1})
        inode = os.stat(client.path).st_ino
        daemon.kill("gateway")
        with pytest.raises((EOFError, ConnectionError)):
            client.hear()
    # It may be down just now: the connection waits in the kernel's queue.
    for _ in range(3):
        with Client(daemon) as again:
            assert again.ask("state:entity:get", id="survivor")["properties"] == {"n": 1}
            assert os.stat(again.path).st_ino == inode
        daemon.kill("gateway")


@pytest.mark.slow  # waits for restarts
def test_a_subscriber_of_a_killed_gateway_goes_on_behind_its_cursor(daemon: Daemon) -> None:
    seen: list[int] = []
    cursor = ""
    with Client(daemon) as client:
        client.ask("monitor:subscribe", event_patterns=["again"])
        for n in range(10):
            daemon.hub.events.emit("again", n)
        for _ in range(5):
            pushed = client.hear()
            seen.append(pushed["data"])
            cursor = pushed["_cursor"]
        daemon.kill("gateway")
    for n in range(10, 20):
        daemon.hub.events.emit("again", n)
    with Client(daemon) as client:
        client.ask("monitor:subscribe", event_patterns=["again"], after=cursor)
        seen += [client.hear()["data"] for _ in range(15)]
    assert seen == list(range(20))


@pytest.mark.slow  # waits for restarts
def test_who_waits_when_the_gateway_stops_is_told(daemon: Daemon) -> None:
    with Client(daemon) as client:
        with daemon.paused("query"):
            client.say("state:entity:get", {"id": "x"})
            # With the one that asks.
            daemon.until(lambda: figures(daemon)["in_hand"] == 2)
            daemon.hub.supervision.terminate_child("gateway")
        assert "the gateway stops" in client.hear()["error"]
        with pytest.raises(EOFError):
            client.hear()
    daemon.hub.supervision.restart_child("gateway")
    assert figures(daemon)["requests"] == 1


def test_a_reload_opens_closes_and_tunes_the_gateway(daemon: Daemon) -> None:
    pid = daemon.pid("gateway")

    def reload(text: str) -> None:
        daemon.config_file.write_text(text, encoding="utf-8")
        daemon.hub.supervision.reload()

    with Client(daemon) as client:
        reload(GATEWAY.replace("max_answer = 1_000_000", "max_answer = 65_536"))
        daemon.hub.state.create("text", {"text": "x" * 70_000}, id="over")
        assert "over 65536" in client.ask("state:entity:get", id="over")["error"]
        assert daemon.pid("gateway") == pid  # and nobody was disconnected
        reload(GATEWAY.replace("enabled = true", "enabled = false"))
        with pytest.raises(EOFError):
            client.hear()
    with Client(daemon) as late:  # it is let go at once
        late.say("system:health")
        assert b'"event"' not in late.sock.makefile("rb").read()
    reload(GATEWAY)
    assert call(daemon, "state:entity:get", id="over")["type"] == "text"


def test_a_client_that_only_writes_is_carried_out_and_let_go(daemon: Daemon) -> None:
    with Client(daemon) as client, Client(daemon) as other:
        client.sock.shutdown(socket.SHUT_RD)
        client.say("async_state:push", {"namespace": "deaf", "key": "k", "data": 1})
        daemon.until(
            lambda: other.ask("async_state:get_queue", namespace="deaf", key="k")["size"] == 1
        )
        daemon.until(lambda: other.ask("monitor:get_stats")["router"]["clients"] == 1)

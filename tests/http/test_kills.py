"""The door while processes die: its own, and those that it asks."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import httpx
import pytest

from tests.commandline import command_line
from tests.daemon import TIMEOUT
from tests.http.door import Door
from tests.http.test_streams import emit, stream


def figures(door: Door) -> dict[str, int]:
    """What the door counts, asked of its actor."""
    return cast("dict[str, int]", door.daemon.hub.ask("http", {}, timeout=TIMEOUT))


def push(door: Door, key: str, value: Any) -> int:
    data = {"namespace": "kill", "key": key, "data": value}
    told = door.ask("POST", "/ksi/async_state:push", json=data)
    size: int = told["data"]["queue_size"]
    return size


def test_whoever_connects_while_the_door_restarts_is_only_kept_waiting(door: Door) -> None:
    door.ask("PUT", "/state/entities/survivor", json={"type": "t"})
    token = door.token
    for _ in range(3):
        door.daemon.kill("http")
        with door.another() as client:  # never refused: the port is its supervisor's
            assert client.get("/state/entities/survivor").status_code == 200
    assert door.token == token  # and the token is still the one of the file


def test_a_killed_writer_costs_no_request_and_doubles_none(door: Door) -> None:
    with ThreadPoolExecutor(1) as pool:
        sizes = pool.submit(lambda: [push(door, "w", n) for n in range(40)])
        for _ in range(2):
            door.daemon.wait_for_another("writer", door.daemon.kill("writer"))
        assert sizes.result(timeout=60) == list(range(1, 41))


def test_requests_wait_within_their_deadline_and_then_say_what_is_known(door: Door) -> None:
    with door.daemon.paused("query"):
        late = door.client.get("/state/entities/x", params={"timeout": 0.2})
        assert (late.status_code, late.headers["retry-after"]) == (503, "1")
        assert late.json()["outcome"] == "unchanged"
        push(door, "d", 1)  # who asks for something else is served meanwhile
    with door.daemon.paused("writer"):
        body = {"type": "t", "id": "doubtful"}
        late = door.client.post("/state/entities", params={"timeout": 0.2}, json=body)
        assert (late.status_code, late.json()["outcome"]) == (503, "unknown")
    door.daemon.until(lambda: door.client.get("/state/entities/doubtful").status_code == 200)


def test_status_comes_and_says_it_when_the_door_does_not_answer(door: Door) -> None:
    with door.daemon.paused("http"):
        done = command_line(door.daemon.folder, "status")
    assert (done.returncode, "HTTP does not answer: " in done.stdout) == (0, True), done.stdout


def test_a_stream_goes_on_behind_its_last_id_when_the_door_was_killed(door: Door) -> None:
    emit(door, "k:a", range(1))
    with stream(door, type="k:a", after="0") as live:
        first = live.event()
        door.daemon.kill("http")
        with pytest.raises((EOFError, httpx.HTTPError)):
            live.event()
    emit(door, "k:a", range(1, 4))
    with stream(door, type="k:a", last=first["id"]) as live:
        assert [live.data() for _ in range(3)] == [1, 2, 3]


def test_a_door_whose_loop_hangs_is_killed_with_its_stack_in_the_log(door: Door) -> None:
    daemon = door.daemon
    pid = daemon.pid("hangs")
    daemon.hub.ref("hangs").ask("hang", timeout=TIMEOUT)  # its other thread answers all the same
    after = daemon.wait_for_another("hangs", pid)
    assert after.last_exit is not None
    assert after.last_exit.kind == "hang"
    assert "asyncio/base_events.py" in daemon.log.read_text()


def test_who_is_not_answered_before_the_door_stops_is_told_what_is_known(door: Door) -> None:
    daemon = door.daemon
    body = {"type": "t", "id": "stopped"}
    with daemon.paused("writer"), ThreadPoolExecutor(1) as pool:
        before = door.figure("requests")
        late = pool.submit(door.client.post, "/state/entities", json=body)
        daemon.until(lambda: figures(door)["requests"] > before)
        daemon.hub.supervision.terminate_child("http", timeout=TIMEOUT)
        answer = late.result(TIMEOUT)
    daemon.hub.supervision.restart_child("http", timeout=TIMEOUT)
    assert (answer.status_code, answer.json()["outcome"]) == (503, "unknown")
    assert "the HTTP door stops" in answer.json()["detail"]


@pytest.mark.slow  # waits for restarts
def test_a_stream_goes_on_while_the_log_is_killed(door: Door) -> None:
    with stream(door, type="k:log") as live:
        for n in range(90):
            door.daemon.hub.events.emit("k:log", n)
            if n % 30 == 10:
                door.daemon.kill("log")
        assert [live.data() for _ in range(90)] == list(range(90))


@pytest.mark.slow  # a hundred of them
def test_a_hundred_clients_at_once_each_get_their_own_answers(door: Door) -> None:
    socks = [door.connect() for _ in range(100)]
    try:
        for number, sock in enumerate(socks):
            for n in range(3):
                data = {"namespace": f"h{number}", "key": "k", "data": n}
                body = json.dumps(data).encode()
                sock.sendall(door.request("/ksi/async_state:push", body=body))
        for number, sock in enumerate(socks):
            text = b""
            while text.count(b'"queue_size":') < 3:
                part = sock.recv(65_536)
                assert part, number
                text += part
            assert b'"queue_size":3' in text
        assert door.figure("clients") >= 101
    finally:
        for sock in socks:
            sock.close()


@pytest.mark.slow  # a hundred of them
def test_one_connection_too_many_is_hung_up_on(door: Door) -> None:
    door.daemon.until(lambda: door.figure("clients") <= 2)
    before = door.figure("refused")
    socks = [door.connect() for _ in range(115)]
    try:
        door.daemon.until(lambda: door.figure("refused") >= before + 5)
    finally:
        for sock in socks:
            sock.close()


@pytest.mark.slow  # six deaths
def test_deaths_of_the_door_restart_nobody_else(door: Door) -> None:
    daemon = door.daemon
    before = {child: daemon.pid(child) for child in ("state", "writer", "agents", "edge")}
    for _ in range(6):
        daemon.wait_for_another("http", daemon.kill("http"))
    assert {child: daemon.pid(child) for child in before} == before
    door.ask("GET", "/events/stats")

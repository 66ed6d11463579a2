"""Events over HTTP as they come, to those who read, and to those who do not."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from holdfast.actors.following import WAIT
from tests.http.door import Door, hears


class Stream:
    """What comes over one stream."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._lines = answer.iter_lines()

    def block(self) -> dict[str, str]:
        """The fields up to the next empty line; a comment is the field ""."""
        fields: dict[str, str] = {}
        for line in self._lines:
            if not line:
                return fields
            name, _, value = line.partition(":")
            fields[name] = value.strip()
        raise EOFError

    def event(self) -> dict[str, str]:
        """The next one; heartbeats are passed over, but not without end."""
        for _ in range(50):
            if "data" in (block := self.block()):
                return block
        raise TimeoutError("no event for 50 signs of life")

    def data(self) -> Any:
        """What the next event holds."""
        return json.loads(self.event()["data"])["data"]


@contextmanager
def stream(door: Door, last: str | None = None, **query: Any) -> Iterator[Stream]:
    headers = {} if last is None else {"Last-Event-ID": last}
    with door.client.stream("GET", "/events/stream", params=query, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Stream(answer)


def emit(door: Door, type: str, values: range) -> None:
    for value in values:
        door.daemon.hub.events.emit(type, value)
    door.daemon.hub.flush()


def test_a_stream_begins_now_and_goes_on_behind_the_last_id(door: Door) -> None:
    emit(door, "s:a", range(3))
    with stream(door, type="s:a") as live:
        emit(door, "s:a", range(3, 6))
        emit(door, "s:b", range(1))
        events = [live.event() for _ in range(3)]
    assert [json.loads(event["data"])["data"] for event in events] == [3, 4, 5]
    with stream(door, last=events[0]["id"], type="s:*") as again:
        assert [again.data() for _ in range(3)] == [4, 5, 0]
    with stream(door, after="0", type="s:a") as all_of_them:
        assert [all_of_them.data() for _ in range(6)] == list(range(6))


def test_filters_hold_and_lines_stay_lines(door: Door) -> None:
    hub = door.daemon.hub
    with stream(door, session="s\n1", source="me") as live:
        hub.events.emit("f", "no", session="s\n1", source="other")
        hub.events.emit("f", "a\nb\r\n\u2028c", session="s\n1", source="me")
        hub.flush()
        assert live.data() == "a\nb\r\n\u2028c"


def test_silence_is_broken_by_a_sign_of_life(door: Door) -> None:
    with stream(door, type="none") as quiet:
        assert quiet.block() == {"retry": "1000"}
        assert [quiet.block() for _ in range(2)] == [{"": "still here"}] * 2
        assert door.figure("streams") >= 1
    door.daemon.until(lambda: door.figure("streams") == 0)
    # Nor does it leave a question behind in the log, which would wait so long.
    door.daemon.until(
        lambda: door.ask("GET", "/events/stats")["subscribers"] == 0, timeout=WAIT / 2
    )


def test_a_position_of_another_database_is_refused(door: Door) -> None:
    for last in ("x", "77:1", "77.1", "999999999", str(2**64), "9" * 60):
        headers = {"Last-Event-ID": last}
        with door.client.stream("GET", "/events/stream", headers=headers) as answer:
            assert answer.status_code == 400, last
            answer.read()
        assert answer.json()["error_type"] in ("InvalidInputError", "CursorError")


def test_one_stream_too_many_is_told_to_come_again(door: Door) -> None:
    door.daemon.until(lambda: door.figure("streams") == 0)
    query = door.request("/events/stream?type=none")
    socks = []
    for _ in range(20):  # none of them is open yet when the next one asks
        socks.append(door.connect())
    for sock in socks:
        sock.sendall(query)
    try:
        codes = [sock.recv(12).decode() for sock in socks]
        assert (codes.count("HTTP/1.1 200"), codes.count("HTTP/1.1 503")) == (6, 14)
        door.daemon.until(lambda: door.figure("streams") == 6)
        refused = door.client.get("/events/stream")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert "max_streams" in refused.json()["detail"]
    finally:
        for sock in socks:
            sock.close()
    door.daemon.until(lambda: door.figure("streams") == 0)


def slow_socket(door: Door) -> socket.socket:
    """One whose kernel holds little for it."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(30.0)
    sock.connect(door.address)
    return sock


def test_who_does_not_read_is_cut_off_and_nobody_waits_for_it(door: Door) -> None:
    hub = door.daemon.hub
    before = door.figure("slow")
    with slow_socket(door) as sock, stream(door, type="bulk") as reader:
        sock.sendall(door.request("/events/stream?type=bulk"))
        door.daemon.until(lambda: door.figure("streams") == 2)
        for n in range(600):
            hub.events.emit("bulk", {"n": n, "text": "x" * 20_000})
        hub.flush()
        assert [reader.data()["n"] for _ in range(600)] == list(range(600))
        door.daemon.until(lambda: door.figure("slow") == before + 1)
        assert b'"n":599' not in hears(sock)


def test_an_answer_that_is_not_read_holds_nobody_up(door: Door) -> None:
    door.daemon.hub.state.create("big", {"text": "x" * 150_000}, id="unread")
    before = door.figure("slow")
    with slow_socket(door) as sock:
        sock.sendall(door.request("/state/entities/unread") * 20)
        door.daemon.until(lambda: door.figure("slow") == before + 1)

"""Who is let in over HTTP, and what those cost that mean no good."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import time
from pathlib import Path

import httpx
import pytest

from holdfast.errors import ConfigError
from holdfast.http.requests import REQUESTS
from holdfast.http.tokens import token_of
from holdfast.supervisors.config import parse_settings
from tests.daemon import TIMEOUT
from tests.http.door import Door, hears

HTTP = "[http]\nenabled = true\n"


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic dTpw"},
        {"Authorization": "Bearer caf\xe9".encode("latin-1")},
    ],
)
def test_nothing_is_answered_without_the_token(door: Door, given: dict[str, str]) -> None:
    with httpx.Client(base_url=door.url, timeout=TIMEOUT) as stranger:
        for method, path in (
            ("GET", "/events"),
            ("GET", "/openapi.json"),
            ("GET", "/events/stream"),
            ("POST", "/ksi/system:health"),
            ("GET", "/nowhere"),
            ("DELETE", "/state/entities/x"),
        ):
            answer = stranger.request(method, path, headers=given)
            assert answer.status_code == 401, path
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert "holdfast status" in answer.json()["detail"]
            assert door.token not in answer.text
        assert stranger.get("/healthz").json() == {"ok": True}


def test_wrong_tokens_are_counted_told_and_answered_ever_more_slowly(door: Door) -> None:
    before = door.figure("denied")
    wrong = door.request().replace(door.token.encode(), b"guess")
    with door.connect() as guesser:
        guesser.sendall(wrong * 30)
        began = time.monotonic()
        count = 0
        while count < 30:
            count += guesser.recv(65_536).count(b"HTTP/1.1 401")
        # Twenty at once, the others a tenth of a second each; no more than what is on time is sure.
        assert time.monotonic() - began > 0.8
    door.ask("GET", "/events/stats")  # who has it is answered
    assert door.figure("denied") == before + 30
    log = Path(door.daemon.folder, "var/lib/log/http.log").read_text()
    assert 1 <= log.count("requests with a wrong token, the newest from 127.0.0.1") <= 2


def test_a_second_token_is_not_looked_at(door: Door) -> None:
    """A proxy may look at the first, and this one at the last."""
    other = [("Authorization", "Bearer other"), ("Authorization", f"Bearer {door.token}")]
    with httpx.Client(base_url=door.url, timeout=TIMEOUT) as client:
        for headers in (other, other[::-1]):
            assert client.get("/events/stats", headers=headers).status_code == 401


def test_a_body_of_two_lengths_ends_the_connection(door: Door) -> None:
    """What one proxy takes for a body another takes for the next request."""
    inner = door.request("/events/stats")
    head = door.request("/ksi/system:health", body=b"0\r\n\r\n" + inner)
    both = head.replace(b"\r\n", b"\r\nTransfer-Encoding: chunked\r\n", 1)
    with door.connect() as sock:
        sock.sendall(both)
        text = hears(sock)
    assert text.count(b"HTTP/1.1 ") == text.count(b"HTTP/1.1 400") == 1
    assert b"expected one of them" in text


def test_the_token_is_in_a_file_of_its_users_and_nowhere_else(door: Door) -> None:
    path = Path(door.daemon.run_dir, "http.token")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(door.token) >= 32
    shown = json.dumps(door.ask("GET", "/system/health")) + door.daemon.log.read_text()
    for log in Path(door.daemon.folder, "var/lib/log").glob("*.log"):
        shown += log.read_text()
    assert str(path) in shown
    assert door.token not in shown
    pid = door.daemon.pid("http")
    for name in ("cmdline", "environ"):
        assert door.token.encode() not in Path(f"/proc/{pid}/{name}").read_bytes()


def test_a_token_that_others_can_read_or_guess_is_refused(tmp_path: Path) -> None:
    token, path = token_of("", tmp_path)
    text = Path(path).read_text().strip()
    assert token.is_in(f"bearer {text}")
    assert text not in repr(token)
    assert token_of("", tmp_path)[0].is_in(f"Bearer {text}")
    os.chmod(path, 0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        token_of("", tmp_path)
    with pytest.raises(ConfigError, match="16 to 4096") as error:
        token_of("guess", tmp_path)
    assert "guess" not in str(error.value)
    os.unlink(path)
    os.symlink("/etc/hostname", path)
    with pytest.raises(ConfigError, match="can be read"):
        token_of("", tmp_path)


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("localhost:1", 200),
        ("127.0.0.1", 200),
        ("[::1]:9", 200),
        ("DOOR.example.", 200),
        ("evil.example", 421),
        ("evil.example:80", 421),
        ("", 421),
        ("127.0.0.1.evil.example", 421),
    ],
)
def test_a_name_that_is_not_its_own_is_refused(door: Door, host: str, code: int) -> None:
    """A page whose name was bent to this address still says that name."""
    assert door.client.get("/system/health", headers={"Host": host}).status_code == code


def test_pages_of_other_origins_may_not_ask_and_listed_ones_may(door: Door) -> None:
    evil = door.client.get("/events/stats", headers={"Origin": "https://evil.example"})
    assert evil.status_code == 403
    assert "access-control-allow-origin" not in evil.headers
    page = {"Origin": "https://page.example"}
    listed = door.client.get("/events/stats", headers=page)
    assert listed.headers["access-control-allow-origin"] == page["Origin"]
    asked = {**page, "Access-Control-Request-Method": "PATCH", "Authorization": ""}
    before = door.client.options("/state/entities/x", headers=asked)
    assert before.status_code == 204
    assert "PATCH" in before.headers["access-control-allow-methods"]
    allowed = before.headers["access-control-allow-headers"]
    read = {name for request in REQUESTS for name in request.HEADERS.values()}
    assert {"Authorization", "Content-Type", "X-Correlation-Id"} | read == {*allowed.split(", ")}
    assert door.client.options("/state/entities/x").status_code == 405


def test_a_body_that_is_too_large_or_no_json_is_refused(door: Door) -> None:
    large = door.ask("POST", "/events", code=413, json={"type": "x", "data": "x" * 70_000})
    assert "[http] max_body" in large["detail"]
    parts = (b"x" * 10_000 for _ in range(20))
    chunked = door.client.post("/events", content=parts)
    assert chunked.status_code == 413
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json; charset=x"):
        refused = door.client.post(
            "/events", content=b'{"type": "x"}', headers={"Content-Type": kind}
        )
        assert refused.status_code == 415
    door.daemon.hub.state.create("big", {"text": "x" * 300_000}, id="big")
    for _ in range(12):
        door.daemon.hub.events.emit("bulky", "x" * 20_000)
    door.daemon.hub.flush(timeout=TIMEOUT)
    many = door.ask("GET", "/events", code=400, params={"type": "bulky"})
    assert "over 200000 bytes: ask for fewer; [http] max_answer" in many["detail"]
    assert len(door.ask("GET", "/events", params={"type": "bulky", "limit": 9})["events"]) == 9
    over = door.ask("GET", "/state/entities/big", code=400)
    assert "[http] max_answer" in over["detail"]


def test_a_request_that_is_never_whole_is_cut_off_and_another_is_served(door: Door) -> None:
    before = door.figure("late")
    whole = door.request("/events", body=b'{"type": "torn"}')
    cuts = (0, 1, 20, len(whole) - 1)
    socks = [door.connect() for _ in cuts]
    for sock, cut in zip(socks, cuts, strict=True):
        sock.sendall(whole[:cut])
    door.ask("GET", "/events/stats")
    for sock in socks:
        assert hears(sock) == b""
        sock.close()
    assert door.figure("late") >= before + len(cuts)
    assert door.ask("GET", "/events", params={"type": "torn"})["events"] == []


def test_requests_in_one_breath_are_answered_in_their_order(door: Door) -> None:
    bodies = [json.dumps({"namespace": "pipe", "key": "k", "data": n}).encode() for n in range(10)]
    with door.connect() as sock:
        for body in bodies:
            sock.sendall(door.request("/ksi/async_state:push", body=body))
        sock.sendall(door.request("/events/none", head="Connection: close"))
        text = hears(sock)
    sizes = [int(size) for size in re.findall(rb'"queue_size":(\d+)', text)]
    assert sizes == list(range(1, 11))
    assert text.count(b"HTTP/1.1 200 OK") == 10
    assert b"HTTP/1.1 400" in text


@pytest.mark.parametrize(
    "bytes_",
    [
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\r\n\r\n",
        b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /events HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nzz",
        b"GET /events HTTP/1.1\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    ],
)
def test_bytes_that_are_no_request_end_their_connection(door: Door, bytes_: bytes) -> None:
    pid = door.daemon.pid("http")
    with door.connect() as sock:
        sock.sendall(bytes_)
        sock.shutdown(socket.SHUT_WR)
        assert b" 200 " not in hears(sock)
    door.ask("GET", "/events/stats")
    assert door.daemon.pid("http") == pid


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('address = "0.0.0.0"', "expected a loopback address, or allow_remote = true"),
        ('address = "1.2.3"', "expected an IP address"),
        ('token = "secret-text-in-clear"', 'token = "...": expected a reference'),
        ('token = "env:NOT_SET_AT_ALL"', "expected a variable that is set"),
        ("max_body = 1", "expected a number, 1024 to 6291456"),
        ("porT = 1", "did you mean port?"),
        ("[agents.http]\nclass = 'json:JSONDecoder'", "give it another name"),
    ],
)
def test_a_config_that_would_not_do_says_so(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_settings(HTTP + text, file="my.toml")
    assert said in str(error.value)
    assert "secret-text" not in str(error.value)


def test_other_machines_are_let_in_only_where_the_config_says_so() -> None:
    text = HTTP + 'address = "::"\nallow_remote = true\n'
    assert parse_settings(text, file="x").agents["http"].listen == "[::]:9465"
    assert "http" not in parse_settings("[http]\nport = 1\n", file="x").agents

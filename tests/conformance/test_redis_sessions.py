"""Sessions in a server, by themselves: who may write, what is believed, what is refused."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from holdfast.errors import ConfigError, StorageError
from holdfast.storage.redis_link import complaint, parsed_info, shown_url
from holdfast.storage.redis_sessions import RedisSessions, probe
from holdfast.storage.session_ports import FrontChange
from holdfast.storage.session_records import Session, SessionItem
from holdfast.supervisors import session_backends
from holdfast.supervisors.config import load_settings, parse_settings
from holdfast.supervisors.settings import SessionsSettings
from tests.clock import ManualClock
from tests.conformance.redis_server import RedisServer

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
NOW = 1_000_000_000
SESSION = Session("a", '{"n": 1}', "1.1-1", 5, NOW, NOW + 60_000_000, 60.0, None, "ana")


@pytest.fixture(scope="module")
def own() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def server(own: RedisServer) -> RedisServer:
    own.client.flushall()
    return own


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def opened(server: RedisServer, clock: ManualClock, incarnation: str = "1.1") -> RedisSessions:
    front = RedisSessions(server.url, daemon="d", incarnation=incarnation, timeout=5.0, clock=clock)
    front.open()
    return front


def problem_of(url: str, timeout: float = 5.0) -> str:
    try:
        probe(url, timeout=timeout)
    except StorageError as error:
        return str(error)
    return ""


def test_what_was_written_is_read_as_it_was(server: RedisServer, clock: ManualClock) -> None:
    front = opened(server, clock)
    others = [
        Session("b", " [1] ", "1.1-2", 1, 2, NOW + 10**18, 1e12, 0.5, None, '{"x":9}', 3, 12),
        Session("\u20ac \n{}*", '"\\u0000"', "1.1-3", 1, 2, 3, 0.1),
    ]
    assert front.write(FrontChange(put=[SESSION, *others]), NOW) == []
    ids = [session.id for session in (SESSION, *others)]
    assert front.read([*ids, "none"]) == dict(zip(ids, [SESSION, *others], strict=True))
    ttl = server.client.pttl("holdfast:d:session:a")
    assert 60_000 + 80_000_000 < ttl <= 60_000 + 86_400_000  # later than its end
    front.write(FrontChange(drop=["a"]), NOW)
    assert server.client.exists("holdfast:d:session:a") == 0
    front.close()


def test_use_is_written_beside_the_data_of_its_own_version_only(
    server: RedisServer, clock: ManualClock
) -> None:
    front = opened(server, clock)
    front.write(FrontChange(put=[SESSION]), NOW)
    used = msgspec.structs.replace(SESSION, data="", touched_us=NOW + 1, owner=None)
    newer = msgspec.structs.replace(used, version="1.1-2")
    absent = msgspec.structs.replace(used, id="absent")
    assert front.write(FrontChange(use=[newer, used, absent]), NOW) == ["a", "absent"]
    assert front.read(["a", "absent"]) == {"a": msgspec.structs.replace(used, data=SESSION.data)}
    front.close()


def test_an_earlier_life_writes_nothing_more_and_does_not_come_back(
    server: RedisServer, clock: ManualClock
) -> None:
    zombie = opened(server, clock, "1.9")
    zombie.write(FrontChange(put=[SESSION], owed=["a"]), NOW)
    heir = opened(server, clock, "1.10")
    assert heir.read(["a"]) == {}  # it may be older than the database
    assert heir.left().sessions == [SESSION]
    late = msgspec.structs.replace(SESSION, version="1.9-2")
    zombie.write(FrontChange(put=[late], drop=["b"], owed=["c"], paid=["a"]), NOW)
    assert not zombie.is_open
    assert "somebody took the fence: 1.10/1" in zombie.state.problem
    assert heir.left().ids == ["a"]
    assert heir.left().sessions == [SESSION]
    clock.advance(60)
    assert not zombie.open()
    assert "of a later life" in zombie.state.problem
    heir.look()
    assert heir.is_open
    heir.close()


def test_what_was_written_before_a_break_is_not_believed(
    server: RedisServer, clock: ManualClock
) -> None:
    front = opened(server, clock)
    front.write(FrontChange(put=[SESSION]), NOW)
    server.client.execute_command("CLIENT", "KILL", "SKIPME", "yes")
    assert front.read(["a"]) == {}
    assert not front.is_open
    clock.advance(60)
    assert front.open()
    assert front.read(["a"]) == {}
    assert front.write(FrontChange(use=[SESSION]), NOW) == []  # the data of a version is its own
    assert front.read(["a"]) == {"a": SESSION}
    front.close()


def test_loss_is_noticed_by_looking_and_by_writing(server: RedisServer, clock: ManualClock) -> None:
    front = opened(server, clock)
    server.client.flushall()
    front.look()
    assert not front.is_open
    clock.advance(60)
    assert front.open()
    server.client.flushall()
    front.write(FrontChange(put=[SESSION]), NOW)
    assert not front.is_open
    assert server.client.dbsize() == 0
    assert "lost what was in it" in front.state.problem
    assert front.state.failures == 2


def test_what_is_owed_is_left_until_it_is_paid(server: RedisServer, clock: ManualClock) -> None:
    front = opened(server, clock)
    items = [SessionItem(n, NOW, None, f"{n}", "a", 5) for n in (1, 2)]
    front.write(FrontChange(put=[SESSION], owed=["a", "gone"], owed_items=items), NOW)
    left = front.left()
    assert sorted(left.ids) == ["a", "gone"]
    assert left.sessions == [SESSION]
    assert sorted(left.items, key=lambda item: item.number) == items
    front.write(FrontChange(paid=["a", "gone"], paid_items=items), NOW)
    assert server.client.exists("holdfast:d:owed") == 0
    front.close()


def test_only_what_was_written_since_stays_when_it_is_tidied(
    server: RedisServer, clock: ManualClock
) -> None:
    server.client.set("holdfast:other:session:x", "not ours")
    before = opened(server, clock, "1.1")
    put = [msgspec.structs.replace(SESSION, id=f"{n}") for n in range(500)]
    before.write(FrontChange(put=put), NOW)
    before.close()
    front = opened(server, clock, "1.2")
    front.write(FrontChange(use=put[:3]), NOW)
    while front.tidy():
        pass
    keys = {key.decode() for key in server.client.keys("*session:*")}
    assert keys == {"holdfast:other:session:x", *(f"holdfast:d:session:{n}" for n in range(3))}
    front.close()


@pytest.mark.parametrize(
    ("key", "spoil"),
    [
        ("holdfast:d:owed", ("SET", "holdfast:d:owed", "x")),
        ("holdfast:d:owed", ("HSET", "holdfast:d:owed", "a\0b", "x")),
        ("holdfast:d:fence", ("SADD", "holdfast:d:fence", "x")),
    ],
)
def test_what_others_left_there_is_refused_by_name_and_not_touched(
    server: RedisServer, clock: ManualClock, key: str, spoil: tuple[str, ...]
) -> None:
    server.client.execute_command(*spoil)
    before = server.client.dump(key)
    front = opened(server, clock)
    assert front.left().sessions == []
    assert not front.is_open
    assert front.state.problem
    assert server.client.dump(key) == before


def test_a_record_that_others_spoiled_is_not_taken_for_a_session(
    server: RedisServer, clock: ManualClock
) -> None:
    front = opened(server, clock)
    front.write(FrontChange(put=[SESSION]), NOW)
    for field, value in (("use", "{}"), ("use", "["), ("data", b"\xff")):
        front.write(FrontChange(put=[SESSION]), NOW)
        server.client.hset("holdfast:d:session:a", field, value)
        assert front.read(["a"]) == {}
    assert front.is_open
    front.close()


# -- before it is used --------------------------------------------------------------------------


def test_a_server_that_will_do_is_probed_and_left_as_it_was(server: RedisServer) -> None:
    probe(server.url)
    assert server.client.dbsize() == 0


def test_what_a_probe_finds_is_named_without_the_password(server: RedisServer) -> None:
    acl = server.client.acl_setuser
    acl("reader", enabled=True, passwords=["+s3cret"], categories=["+@read"], keys=["*"])
    acl("writer", enabled=True, passwords=["+s3cret"], categories=["+@all"], keys=["holdfast:*"])
    path = server.url.removeprefix("unix://")
    said = {
        "unix:///nowhere/s": "cannot be reached",
        f"unix://reader:wr0ng@{path}": "refuses the password",
        f"unix://reader:s3cret@{path}": "may not do what is needed",
        f"unix://writer:s3cret@{path}": "",
    }
    for url, expected in said.items():
        problem = problem_of(url)
        assert expected in problem
        assert bool(problem) == bool(expected)
        assert "s3cret" not in problem
        assert "wr0ng" not in problem
    assert shown_url("redis://u:s3cret@h:1/2") == "redis://h:1/2"


def test_what_is_no_redis_and_what_says_nothing_is_told_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        assert "does not answer in time" in problem_of(url, timeout=0.1)

        def answer() -> None:
            connection, _ = silent.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        silent.accept()[0].close()
        thread = threading.Thread(target=answer)
        thread.start()
        assert problem_of(url, timeout=5.0)
        thread.join()


@pytest.mark.parametrize(
    ("info", "said"),
    [
        ("redis_version:7.2.4\r\nrole:master\r\n", ""),
        ("redis_version:5.0.14\r\n", "it is of version 5.0.14: 6.0 or newer"),
        ("", "it is of version unknown"),
        ("redis_version:7.2.4\r\nrole:slave\r\n", "it is a replica"),
        ("redis_version:7.2.4\r\ncluster_enabled:1\r\n", "a node of a cluster"),
        ("redis_version:7.2.4\nmaxmemory:9\nmaxmemory_policy:allkeys-lru", "deletes anything"),
        ("redis_version:7.2.4\nmaxmemory:0\nmaxmemory_policy:allkeys-lru", ""),
    ],
)
def test_a_server_that_will_not_do_is_told_by_what_it_says_of_itself(info: str, said: str) -> None:
    problem = complaint(parsed_info(info))
    assert said in problem
    assert bool(problem) == bool(said)


# -- the config -----------------------------------------------------------------------------------


def test_redis_toml_is_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_REDIS_URL", "redis://127.0.0.1:6379/0")
    sessions = load_settings(CONFIGS / "redis.toml").actors["sessions"]
    assert isinstance(sessions, SessionsSettings)
    assert (sessions.backend, sessions.url) == ("redis", "env:HOLDFAST_REDIS_URL")


@pytest.mark.parametrize(
    "url",
    [
        "s3cret",
        "http://u:s3cret@host",
        "redis://:s3cret@",
        "redis://:s3cret@host:99999",
        "redis://:s3cret@host:x",
        "redis://:s3cret@host/zero",
        "redis://:s3cret@host/0?protocol=3",
        "redis://[:s3cret@",
        "unix://",
    ],
)
def test_a_url_that_is_none_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_settings(f'[actors.sessions]\nbackend = "redis"\nurl = "{url}"', file="c.toml")
    assert 'c.toml: [actors.sessions] url: expected "redis://' in str(error.value)
    assert "s3cret" not in str(error.value)


def test_a_url_of_a_wrong_type_and_an_unknown_key_show_no_password() -> None:
    for text in ('url = ["redis://:s3cret@h"]', "url = 1"):
        with pytest.raises(ConfigError) as error:
            parse_settings(f"[actors.sessions]\n{text}", file="c.toml")
        assert "s3cret" not in str(error.value)


def test_a_reference_to_what_is_not_there_is_refused_by_name() -> None:
    text = '[actors.sessions]\nbackend = "redis"\nurl = "env:HOLDFAST_NOT_SET"'
    with pytest.raises(ConfigError, match="the environment of the daemon has no HOLDFAST_NOT_SET"):
        parse_settings(text, file="c.toml")


def test_without_the_extra_the_config_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scenario B9."""
    monkeypatch.setattr(session_backends, "is_importable", lambda *_: False)
    with pytest.raises(ConfigError, match=r"pip install 'holdfast\[redis\]'"):
        parse_settings('[actors.sessions]\nbackend = "redis"', file="c.toml")
    parse_settings('[actors.sessions]\nbackend = "memory"', file="c.toml")
    monkeypatch.setitem(sys.modules, "redis", None)
    assert "pip install 'holdfast[redis]'" in problem_of("redis://127.0.0.1")


def test_nothing_of_redis_is_imported_where_it_is_not_used() -> None:
    """Scenario B9: what the processes of a daemon import, and the backend's own modules."""
    program = (
        "import sys; sys.modules['redis'] = None\n"
        "from importlib import import_module\n"
        "from holdfast.supervisors import roles, tree\n"
        "for name in (*roles.PRELOAD, 'holdfast.storage.redis_sessions'): import_module(name)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)

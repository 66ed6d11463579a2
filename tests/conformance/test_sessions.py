"""The same program with each backend of sessions: what it sees is the same.  Scenario B1.

One daemon for each backend, of a real server where there is one, for all tests of the module.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from holdfast.errors import Conflict, InvalidInputError, NoSessionError, OwnedError
from tests.conformance.redis_server import RedisServer
from tests.daemon import CONFIG, TIMEOUT, Daemon

# Sixteen in memory, so that most are read from what is behind it.
SESSIONS = """
[actors.sessions]
maxsize = 16
"""


@pytest.fixture(scope="module", params=["memory", "redis"])
def daemon(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "memory":
        with Daemon(folder, CONFIG + SESSIONS) as daemon:
            yield daemon
        return
    with RedisServer() as server:
        more = f'backend = "redis"\nurl = "{server.url}"\nredis_timeout = 5.0\n'
        with Daemon(folder, CONFIG + SESSIONS + more) as daemon:
            yield daemon


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A beginning of ids that no other test uses."""
    return f"{request.node.name.partition('[')[0]}/"


def test_values_come_back_as_they_were(daemon: Daemon, name: str) -> None:
    values: list[object] = [
        None,
        0,
        -0.0,
        1e20,
        2**70,
        "",
        "\x00 \u20ac \U0001f600",
        b"\x00\xff",
        [[], {}],
        " x ",
    ]
    for n, value in enumerate(values):
        daemon.hub.sessions.put(f"{name}{n}", value)
    daemon.hub.sessions.put_many({f"{name}more/{n}": n for n in range(40)})  # those leave memory
    for n, value in enumerate(values):
        session = daemon.hub.sessions.get(f"{name}{n}")
        assert session is not None
        assert repr(session.data) == repr(value)


def test_ids_of_any_characters_are_apart(daemon: Daemon, name: str) -> None:
    ids = [
        f"{name}{end}" for end in ("a", "A", "a*", "a?", "[a]", "a:b", "\u00e9", "e\u0301", "{a}")
    ]
    for n, id in enumerate(ids):
        daemon.hub.sessions.put(id, n)
    found = daemon.hub.sessions.get_many(ids)
    assert {id: session.data for id, session in found.items()} == {
        id: n for n, id in enumerate(ids)
    }


def test_one_wins_and_the_other_hears_of_both_versions(daemon: Daemon, name: str) -> None:
    sessions = daemon.hub.sessions
    first = sessions.put(name, 1, expected_version="")
    second = sessions.put(name, 2, expected_version=first, durability="committed")
    for expected in ("", first, "1.1-999999"):
        with pytest.raises(Conflict) as conflict:
            sessions.put(name, 3, expected_version=expected)
        assert (conflict.value.expected, conflict.value.current) == (expected, second)
    session = sessions.get(name)
    assert session is not None
    assert (session.data, session.version) == (2, second)


def test_bad_input_is_refused_and_changes_nothing(daemon: Daemon, name: str) -> None:
    sessions = daemon.hub.sessions
    for id, options in ((name, {"ttl": -1.0}), (name, {"max_age": 0.0}), ("a\0b", {}), ("", {})):
        with pytest.raises(InvalidInputError):
            sessions.put(id, 1, **options)  # type: ignore[arg-type]  # bad on purpose
    with pytest.raises(InvalidInputError):
        sessions.put(name, "x" * 2_100_000)
    with pytest.raises(NoSessionError):
        sessions.append(name, 1)
    assert sessions.get(name) is None


def test_items_and_owners(daemon: Daemon, name: str) -> None:
    sessions = daemon.hub.sessions
    sessions.put(name, 1)
    numbers = [sessions.append(name, n, durability="memory") for n in range(5)]
    numbers += [sessions.append(name, "once", key="k") for _ in range(3)]
    assert numbers == [1, 2, 3, 4, 5, 6, 6, 6]
    assert [item.data for item in sessions.items(name)] == [0, 1, 2, 3, 4, "once"]
    sessions.claim(name, "ana")
    with pytest.raises(OwnedError):
        sessions.append(name, 7, owner="bob")
    sessions.put(name, 2, owner="ana")
    sessions.release(name, "ana")
    session = sessions.get(name)
    assert session is not None
    assert (session.data, session.owner, session.items) == (2, None, 6)


def test_ends_are_told_once_with_their_reason(daemon: Daemon, name: str) -> None:
    sessions = daemon.hub.sessions
    sessions.put(f"{name}idle", 1, ttl=0.2)
    sessions.put(f"{name}aged", 1, max_age=0.2)
    sessions.put(f"{name}closed", 1)
    with sessions.hold(f"{name}closed"):
        assert sessions.end(f"{name}closed")
    assert not sessions.end(f"{name}closed")

    def ends() -> list[tuple[str, str]]:
        found = sessions.ended(limit=1000)
        return sorted((end.id[len(name) :], end.reason) for end in found if end.id.startswith(name))

    daemon.until(lambda: len(ends()) >= 3)
    assert ends() == [("aged", "age"), ("closed", "closed"), ("idle", "idle")]
    assert sessions.get_many([f"{name}{end}" for end in ("idle", "aged", "closed")]) == {}


def test_lists_are_in_order_and_live_ones_only(daemon: Daemon, name: str) -> None:
    sessions = daemon.hub.sessions
    sessions.put_many({f"{name}{n:03}": n for n in range(60)}, ttl=500)
    sessions.end(f"{name}030")
    ids, cursor = [], None
    while True:
        page = sessions.search(name, limit=25, cursor=cursor)
        ids += [session.id for session in page]
        if (cursor := page.cursor) is None:
            break
    assert ids == [f"{name}{n:03}" for n in range(60) if n != 30]


def test_forced_changes_survive_the_actor_in_one_piece(daemon: Daemon, name: str) -> None:
    sessions = daemon.hub.sessions
    sessions.put(name, 0)
    for n in range(3):
        version = sessions.put(name, n, durability="committed")
        sessions.append(name, n)
        daemon.kill("sessions")
        session = sessions.get(name, timeout=TIMEOUT)
        assert session is not None
        assert (session.data, session.version, session.items) == (n, version, n + 1)
        sessions.put(name, n, expected_version=version, timeout=TIMEOUT)


def test_remaining_times_survive_the_actor(daemon: Daemon, name: str) -> None:
    daemon.hub.sessions.put(name, 1, ttl=500, durability="committed")
    before = daemon.hub.sessions.get(name)
    daemon.kill("sessions")
    after = daemon.hub.sessions.get(name, timeout=TIMEOUT)
    assert before is not None
    assert after is not None
    assert (after.expires_us, after.version) == (before.expires_us, before.version)


def test_the_cache_beside_them_is_the_same(daemon: Daemon, name: str) -> None:
    daemon.hub.cache.put(name, {"a": [1]}, ttl=60)
    assert daemon.hub.cache.get(name) == {"a": [1]}
    assert daemon.hub.sessions.get_or_load(name, lambda: 5).data == 5


def test_stats_say_what_is_in_front(daemon: Daemon) -> None:
    stats = daemon.hub.sessions.stats()
    assert stats.front_problem == ""
    assert stats.front in ("", "redis")

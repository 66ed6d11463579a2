"""A reload puts sessions somewhere else, and back: nothing acknowledged is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.errors import ConfigError
from tests.conformance.redis_server import RedisServer
from tests.daemon import CONFIG, Daemon


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def test_a_reload_swaps_what_is_in_front_of_sessions(tmp_path: Path, server: RedisServer) -> None:
    redis = f'{CONFIG}[actors.sessions]\nbackend = "redis"\nurl = "{server.url}"\n'
    with Daemon(tmp_path, CONFIG) as daemon:
        hub = daemon.hub
        hub.sessions.put("kept", {"n": 1})
        others = daemon.pid("writer"), daemon.pid("log")
        for number, text in ((2, redis), (3, CONFIG), (4, redis)):
            daemon.config_file.write_text(text)
            (line,) = (
                line
                for line in hub.supervision.reload().lines
                if line.name == "sessions" and line.action == "swap"
            )
            assert line.changes[0].key == "backend"
            session = hub.sessions.get("kept")
            assert session is not None
            assert session.data == {"n": number - 1}
            record = hub.supervision.swaps()[-1]
            assert (record.part, record.ok, len(hub.supervision.swaps())) == (
                "sessions",
                True,
                number - 1,
            )
            hub.sessions.put("kept", {"n": number})
        daemon.config_file.write_text(redis.replace(server.url, "redis://127.0.0.1:1/0"))
        before = daemon.pid("sessions")
        with pytest.raises(ConfigError, match=r"\[actors.sessions\]"):
            hub.supervision.reload()
        assert daemon.pid("sessions") == before
        assert (daemon.pid("writer"), daemon.pid("log")) == others

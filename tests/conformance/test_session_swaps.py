"""The backend of sessions is changed: the database has it all.  Scenario B5, without a load.

Minutes of processor time for 100,000 sessions, which is why it is slow.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.conformance.redis_server import RedisServer
from tests.daemon import CONFIG, TIMEOUT, Daemon

COUNT = 100_000
LONG = 300.0  # seconds, on a busy machine


@pytest.mark.slow
def test_sessions_keep_their_times_and_versions_from_backend_to_backend(tmp_path: Path) -> None:
    chance = random.Random(5)
    ids = [f"s{n:06}" for n in range(COUNT)]
    with RedisServer() as server:
        backends = {
            "memory": f'{CONFIG}[actors.sessions]\nbackend = "memory"\n',
            "redis": f'{CONFIG}[actors.sessions]\nbackend = "redis"\nurl = "{server.url}"\n',
        }
        with Daemon(tmp_path, backends["memory"]) as daemon:
            for at in range(0, COUNT, 1000):
                some = {id: {"n": id} for id in ids[at : at + 1000]}
                daemon.hub.sessions.put_many(some, ttl=chance.uniform(600, 3600), timeout=TIMEOUT)
            daemon.hub.sessions.put_many({f"short{n}": n for n in range(500)}, ttl=3.0)
            before = daemon.hub.sessions.get_many(ids, timeout=LONG)
            assert len(before) == COUNT
            for backend in ("redis", "memory"):
                assert daemon.stop() == 0
                daemon.config_file.write_text(backends[backend])
                daemon.restart()
                assert daemon.hub.sessions.get_many(ids, timeout=LONG) == before
                now = time.time() * 1e6
                shorts = daemon.hub.sessions.get_many([f"short{n}" for n in range(500)])
                assert all(session.expires_us > now for session in shorts.values())
                if backend == "redis":
                    daemon.until(lambda: server.client.dbsize() > COUNT, timeout=LONG)

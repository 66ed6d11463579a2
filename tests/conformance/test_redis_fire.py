"""Programs compare and set without waiting for the database while everything is being killed.

Scenarios B8, D6.  What was acknowledged is counted once, by whoever was alive to hear it.
"""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

import pytest

import holdfast
from holdfast.errors import ActorDied, AskTimeoutError, Conflict
from tests.conformance.redis_server import RedisServer
from tests.daemon import CONFIG, TIMEOUT, Daemon

ROUNDS = 12


class Counting(threading.Thread):
    """Counts a session up until it is told to stop; owns how often it was told that it had."""

    def __init__(self, run_dir: Path, id: str) -> None:
        super().__init__()
        self.run_dir = run_dir
        self.id = id
        self.done = 0
        self.unknown = 0
        self.stopping = threading.Event()
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            with holdfast.connect(self.run_dir) as hub:
                while not self.stopping.is_set():
                    self.count(hub)
        except BaseException as error:
            self.failure = error

    def count(self, hub: holdfast.Hub) -> None:
        session = hub.sessions.get(self.id, timeout=TIMEOUT)
        assert session is not None
        try:
            hub.sessions.put(
                self.id, session.data + 1, expected_version=session.version, timeout=TIMEOUT
            )
        except Conflict:
            return
        except (ActorDied, AskTimeoutError):
            self.unknown += 1
            return
        self.done += 1


def have_counted(counting: list[Counting], before: list[int]) -> bool:
    pairs = zip(counting, before, strict=True)
    return all(thread.done > done or thread.failure for thread, done in pairs)


@pytest.mark.slow  # half a minute of kills
def test_no_unforced_update_is_lost_while_actor_writer_and_server_are_killed(
    tmp_path: Path,
) -> None:
    with RedisServer() as server:
        config = f'{CONFIG}[actors.sessions]\nbackend = "redis"\nurl = "{server.url}"\n'
        with Daemon(tmp_path, config) as daemon:

            def is_there() -> bool:
                problem = daemon.hub.sessions.stats(timeout=TIMEOUT).front_problem
                return not problem and bool(server.client.exists("holdfast:test:fence"))

            ids = ["a", "b"]
            daemon.hub.sessions.put_many(dict.fromkeys(ids, 0), durability="committed")
            counting = [Counting(daemon.run_dir, id) for id in ids * 2]
            for thread in counting:
                thread.start()
            try:
                for round in range(ROUNDS):
                    before = [thread.done for thread in counting]
                    daemon.until(partial(have_counted, counting, before))
                    match round % 4:
                        case 0:
                            daemon.kill("sessions")
                        case 1:
                            daemon.kill("writer")
                            daemon.kill("sessions")
                        case 2:
                            server.client.flushall()
                        case 3:
                            server.kill()
                            server.start()
                    # Actor and server do not die together: then a second of it is lost.
                    daemon.until(is_there)
            finally:
                for thread in counting:
                    thread.stopping.set()
                for thread in counting:
                    thread.join(TIMEOUT)
            assert [thread.failure for thread in counting] == [None] * 4
            for id in ids:
                mine = [thread for thread in counting if thread.id == id]
                session = daemon.hub.sessions.get(id)
                assert session is not None
                done = sum(thread.done for thread in mine)
                assert done <= session.data <= done + sum(thread.unknown for thread in mine)

"""Sessions against the model of ``tests.actors.test_session_machine``, with a server in front.

Scenarios B1, B8, D10.  The same machine, the same assertions; the server is a real one, and loses
what it has, or its connections, between any two steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis.stateful import initialize, rule, run_state_machine_as_test

from holdfast.storage.redis_sessions import RedisSessions
from tests.actors.session_rig import Rig
from tests.actors.test_session_machine import Sessions, bounds
from tests.clock import ManualClock
from tests.conformance.redis_server import RedisServer


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


class SessionsInFront(Sessions):
    """As the machine is; also, what waits for the database survives the actor."""

    server: ClassVar[RedisServer]

    @initialize()
    def begin(self) -> None:
        super().begin()

    def make_rig(self, path: Path, clock: ManualClock) -> Rig:
        self.server.client.flushall()
        front = partial(_front, self.server.url, clock)
        return Rig(path, clock, front)

    @rule()
    def die(self) -> None:
        """Nothing has been written since who knows when."""
        self.rig.work()  # nobody waits for an answer
        self.rig.front.look()
        if not self.rig.front.is_open:  # then it is as with nothing in front
            self.rig.advance(1.1)
        self.expire()
        self.rig.kill()
        self.excused = self.now() + 1.0
        self.rig.work()

    @rule()
    def lose_all(self) -> None:
        self.server.client.flushall()

    @rule()
    def hang_up(self) -> None:
        self.server.client.execute_command("CLIENT", "KILL", "SKIPME", "yes")


def _front(url: str, clock: ManualClock, incarnation: str) -> RedisSessions:
    return RedisSessions(url, daemon="d", incarnation=incarnation, timeout=5.0, clock=clock)


def test_sessions_with_a_server_in_front_are_as_the_model_says(server: RedisServer) -> None:
    SessionsInFront.server = server
    run_state_machine_as_test(SessionsInFront, settings=bounds(8, 25))


@pytest.mark.slow  # minutes of machines
def test_sessions_with_a_server_in_front_are_as_the_model_says_in_long_runs(
    server: RedisServer,
) -> None:
    SessionsInFront.server = server
    run_state_machine_as_test(SessionsInFront, settings=bounds(200, 60))

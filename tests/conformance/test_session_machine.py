"""Sessions against the model of ``tests.actors.test_session_machine``, with a server in front.

Scenarios B1, B8, D10.  The same machine, the same assertions; the server is a real one, and loses
what it has, or its connections, between any two steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test

from holdfast.actors.messages import sessions
from holdfast.storage.redis_sessions import RedisSessions
from tests.actors.session_rig import Rig
from tests.actors.test_session_machine import IDS, Model, Sessions, bounds
from tests.clock import ManualClock
from tests.conformance.redis_server import RedisServer

# What is on its way when the actor dies.
LAST: dict[str, Callable[[str], object]] = {
    "end": sessions.Delete,
    "put": lambda id: sessions.Put(id, "77", durability="committed"),
    "claim": lambda id: sessions.Claim(id, "ana"),
}


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

    @rule(
        changes=st.lists(st.tuples(IDS, st.integers(0, 99), st.booleans()), max_size=4),
        last=st.sampled_from(["nothing", "end", "put", "claim"]),
        id=IDS,
        is_touched=st.booleans(),
        arrives=st.booleans(),
    )
    def die(
        self,
        changes: list[tuple[str, int, bool]],
        last: str,
        id: str,
        is_touched: bool,
        arrives: bool,
    ) -> None:
        """What was acknowledged is there after it; of the last one, what the writer heard."""
        self.rig.work()
        self.rig.front.look()
        if not self.rig.front.is_open:  # then it is as with nothing in front
            self.rig.advance(1.1)
            changes, last = [], "nothing"
        for changed, data, is_item in changes:
            self.clock.advance(0.001)
            if is_item:
                self.append(changed, data, "memory", None)
            else:
                self.put(changed, data, None, None, "any", "memory", None)
        self.clock.advance(0.001)
        id = changes[-1][0] if changes else id  # what is not written yet is what matters most
        model = self.lives(id)
        if model is None or model.owner is not None:
            last = "nothing"
        if last != "nothing":
            self.rig.send(LAST[last](id))
        if is_touched and last in ("put", "claim"):  # acknowledged with what it stands on, or not
            assert not self.rig.send(sessions.Touch(id)).answers
        self.rig.kill(arrived=len(self.rig.outbox) if arrives else 0)
        self.excused = self.now() + 1.0
        self.rig.work()
        if model is not None and arrives and last != "nothing":
            self.note(last, id, model)

    def note(self, last: str, id: str, model: Model) -> None:
        """The writer has carried it out, though nobody was told."""
        if last == "end":
            del self.alive[id]
            self.ends.append((id, model.version, "closed"))
            self.due[model.version] = self.now()
            return
        model.touched = self.now()
        if last == "claim":
            model.owner = "ana"
            return
        session = self.rig.call(sessions.Get(id)).session
        assert session.data == "77"
        assert session.version != model.version
        model.data, model.version = 77, session.version
        model.ttl, model.max_age = 100.0, None

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
    run_state_machine_as_test(SessionsInFront, settings=bounds(6, 20))


@pytest.mark.slow  # minutes of machines
def test_sessions_with_a_server_in_front_are_as_the_model_says_in_long_runs(
    server: RedisServer,
) -> None:
    SessionsInFront.server = server
    run_state_machine_as_test(SessionsInFront, settings=bounds(200, 60))

"""Sessions against a model: whatever is done to them in whichever order, across deaths.

Scenario D10.  The actor's logic and the database are the real ones; time is the test's.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from holdfast.actors.messages import sessions
from holdfast.errors import Conflict, NoSessionError, OwnedError
from tests.actors.session_rig import Rig
from tests.clock import ManualClock

IDS = st.sampled_from(["a", "b", "c", "d", "e", "f"])  # memory holds four
OWNERS = st.sampled_from([None, "ana", "bob"])
LEVELS = st.sampled_from(["memory", "committed"])
SLACK = 1e-5  # seconds: ends are whole microseconds


class Model(msgspec.Struct):
    """One session as it should be."""

    data: int
    version: str
    created: float
    touched: float
    ttl: float
    max_age: float | None
    owner: str | None = None
    held: dict[str, float] = {}
    items: list[int] = []
    numbers: list[int] = []

    def end(self) -> float:
        end = max([self.touched + self.ttl, *self.held.values()])
        return end if self.max_age is None else min(end, self.created + self.max_age)

    def reason(self) -> str:
        aged = self.max_age is not None and self.created + self.max_age <= self.end()
        return "age" if aged else "idle"


class Sessions(RuleBasedStateMachine):
    """Every change is committed before the next death, so that the model knows what is left."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.clock = ManualClock()
        self.rig = self.make_rig(Path(self.folder.name) / "holdfast.db", self.clock)
        self.rig.work()
        self.alive: dict[str, Model] = {}
        self.ends: list[tuple[str, str, str]] = []  # id, version, reason
        self.due: dict[str, float] = {}  # by version: until when its end has to be told
        self.numbered = 0
        self.excused = 0.0  # who has just started has a second for what the dead one left

    def make_rig(self, path: Path, clock: ManualClock) -> Rig:
        return Rig(path, clock)

    def teardown(self) -> None:
        if hasattr(self, "rig"):
            self.rig.close()
            self.folder.cleanup()

    # -- what the model says ------------------------------------------------------------------

    def now(self) -> float:
        return self.clock.monotonic()

    def lives(self, id: str) -> Model | None:
        self.expire()
        return self.alive.get(id)

    def expire(self) -> None:
        for id, model in list(self.alive.items()):
            if model.end() <= self.now() + SLACK / 10:
                del self.alive[id]
                self.ends.append((id, model.version, model.reason()))
                # A put may give it a time that was over before.
                self.due[model.version] = max(model.end(), model.touched) + 1.0

    def ask(self, message: Any) -> Any:
        """Some of the changes are sent as numbered commands, as programs do."""
        is_command = getattr(message, "durability", "") == "committed"
        if is_command or isinstance(message, sessions.Delete):
            self.numbered += 1
            return self.rig.call(message, number=self.numbered)
        return self.rig.call(message)

    def refused(self, model: Model | None, owner: str | None, answer: Any) -> bool:
        if model is not None and model.owner is not None and model.owner != owner:
            assert isinstance(answer, OwnedError)
            assert answer.owner == model.owner
            return True
        return False

    # -- what is done -------------------------------------------------------------------------

    @rule(
        id=IDS,
        data=st.integers(0, 99),
        ttl=st.sampled_from([None, 0.7, 5.0, 50.0]),
        max_age=st.sampled_from([None, None, 3.0, 60.0]),
        expected=st.sampled_from(["any", "any", "none", "current", "wrong"]),
        level=LEVELS,
        owner=OWNERS,
    )
    def put(
        self,
        id: str,
        data: int,
        ttl: float | None,
        max_age: float | None,
        expected: str,
        level: Any,
        owner: str | None,
    ) -> None:
        before = self.lives(id)
        current = before.version if before else ""
        version = {"any": None, "none": "", "current": current, "wrong": "0-0"}[expected]
        answer = self.ask(sessions.Put(id, str(data), ttl, max_age, version, level, owner))
        if version is not None and version != current:
            assert isinstance(answer, Conflict)
            assert answer.current == (current or None)
            return
        if self.refused(before, owner, answer):
            return
        assert isinstance(answer, sessions.Versioned)
        model = before or Model(0, "", self.now(), 0, 0, None)
        model.data, model.version, model.touched = data, answer.version, self.now()
        model.ttl, model.max_age = ttl or 100.0, max_age
        model.owner = owner or model.owner
        self.alive[id] = model

    @rule(id=IDS)
    def touch(self, id: str) -> None:
        model = self.lives(id)
        answer = self.ask(sessions.Touch(id))
        assert (answer.session is None) == (model is None)
        if model is not None:
            model.touched = self.now()

    @rule(id=IDS, owner=OWNERS)
    def end(self, id: str, owner: str | None) -> None:
        model = self.lives(id)
        answer = self.ask(sessions.Delete(id, owner))
        if self.refused(model, owner, answer):
            return
        assert answer == sessions.Deleted(model is not None)
        if model is not None:
            del self.alive[id]
            self.ends.append((id, model.version, "closed"))
            self.due[model.version] = self.now()

    @rule(id=IDS, item=st.integers(0, 99), level=LEVELS, owner=OWNERS)
    def append(self, id: str, item: int, level: Any, owner: str | None) -> None:
        model = self.lives(id)
        answer = self.ask(sessions.Append(id, str(item), None, owner, level))
        if model is None:
            assert isinstance(answer, NoSessionError)
            return
        if self.refused(model, owner, answer):
            return
        assert answer.number > max([0, *model.numbers])
        model.items.append(item)
        model.numbers.append(answer.number)
        model.touched = self.now()

    @rule(id=IDS, owner=st.sampled_from(["ana", "bob"]), steal=st.booleans())
    def claim(self, id: str, owner: str, steal: bool) -> None:
        model = self.lives(id)
        answer = self.ask(sessions.Claim(id, owner, steal))
        if model is None:
            assert isinstance(answer, NoSessionError)
        elif steal or not self.refused(model, owner, answer):
            assert answer == sessions.Claimed(owner)
            model.owner, model.touched = owner, self.now()

    @rule(id=IDS, owner=st.sampled_from(["ana", "bob"]))
    def release(self, id: str, owner: str) -> None:
        model = self.lives(id)
        answer = self.ask(sessions.Release(id, owner))
        if model is None:
            assert isinstance(answer, NoSessionError)
        elif not self.refused(model, owner, answer):
            model.owner, model.touched = None, self.now()

    @rule(id=IDS, holder=st.sampled_from(["x", "y"]), lease=st.sampled_from([0.5, 8.0]))
    def hold(self, id: str, holder: str, lease: float) -> None:
        model = self.lives(id)
        answer = self.ask(sessions.Hold(id, holder, lease))
        if model is None:
            assert isinstance(answer, NoSessionError)
            return
        model.held[holder] = self.now() + lease
        model.touched = self.now()

    @rule(id=IDS, holder=st.sampled_from(["x", "y"]))
    def let_go(self, id: str, holder: str) -> None:
        model = self.lives(id)
        self.ask(sessions.Unhold(id, holder))
        if model is not None:
            model.held.pop(holder, None)
            model.touched = self.now()

    @rule(seconds=st.sampled_from([0.2, 0.9, 3.0, 10.0, 120.0]))
    def wait(self, seconds: float) -> None:
        self.rig.advance(seconds + 1e-5)  # none ends in the microsecond that is looked at

    @rule(step=st.sampled_from([-3600.0, 3600.0]))
    def step_the_wall_clock(self, step: float) -> None:
        """Within a life it changes nothing; it is back before the next one reads it."""
        self.clock.step_wall_clock(step)
        self.ask_all()
        self.clock.step_wall_clock(-step)

    @rule(arrived=st.integers(0, 3))
    def die_after_everything_is_written(self, arrived: int) -> None:
        self.expire()
        self.rig.advance(1.1)
        self.rig.kill(arrived=arrived)
        self.excused = self.now() + 1.0
        self.rig.work()

    @rule()
    def die_while_ends_are_on_their_way(self) -> None:
        """The writer has them or not; they are told once in either case."""
        self.rig.advance(1.1)
        self.clock.advance(0.7)
        self.ask_all(work=False)
        self.rig.kill(arrived=len(self.rig.outbox) // 2)
        self.excused = self.now() + 1.0
        self.rig.work()

    def ask_all(self, *, work: bool = True) -> None:
        for id in "abcdef":
            self.rig.send(sessions.Get(id))
        if work:
            self.rig.work()

    # -- what must hold -----------------------------------------------------------------------

    @invariant()
    def what_lives_is_returned_and_nothing_else(self) -> None:
        if not hasattr(self, "rig"):
            return
        self.expire()
        for id in "abcdef":
            model, session = self.alive.get(id), self.rig.call(sessions.Get(id)).session
            assert (session is None) == (model is None), id
            if session is None or model is None:
                continue
            assert (session.data, session.version) == (str(model.data), model.version)
            assert session.owner == model.owner
            left = session.expires_us / 1e6 - self.rig.actor._now_us() / 1e6
            assert abs(left - (model.end() - self.now())) < SLACK

    @invariant()
    def items_are_all_there_in_order(self) -> None:
        if not hasattr(self, "rig"):
            return
        for id, model in self.alive.items():
            found = self.rig.call(sessions.GetItems(id)).items
            assert [(item.number, json.loads(item.data)) for item in found] == [
                *zip(model.numbers, model.items, strict=True)
            ]

    @invariant()
    def each_end_is_told_once_and_in_time(self) -> None:
        if not hasattr(self, "rig"):
            return
        self.expire()
        told = [json.loads(event.data) for event in self.rig.told()]
        ends = [(data["id"], data["version"], data["reason"]) for data in told]
        assert len(set(ends)) == len(ends)
        assert set(ends) <= set(self.ends)
        late = {v for v, until in self.due.items() if until < self.now() - SLACK}
        assert self.now() <= self.excused or late <= {version for _, version, _ in ends}


def bounds(examples: int, steps: int) -> settings:
    slow = [HealthCheck.too_slow]
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=slow,
    )


def test_sessions_are_as_the_model_says() -> None:
    run_state_machine_as_test(Sessions, settings=bounds(12, 25))


@pytest.mark.slow  # minutes of machines
def test_sessions_are_as_the_model_says_in_long_runs() -> None:
    run_state_machine_as_test(Sessions, settings=bounds(500, 60))

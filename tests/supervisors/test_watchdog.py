"""Who hangs, by a clock that only the test moves; the child's process and record are real."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from holdfast.actors.mailbox import Mailbox
from holdfast.actors.recorder import Beats, FlightRecorder
from holdfast.supervisors.children import Child
from holdfast.supervisors.evidence import RECORDER
from holdfast.supervisors.intensity import Backoff
from holdfast.supervisors.lifeline import lifeline_pair
from holdfast.supervisors.output import Output
from holdfast.supervisors.spec import Environment, SupervisorSpec
from holdfast.supervisors.watchdog import STACK_WAIT, Hung, Watchdog
from tests.clock import ManualClock
from tests.supervisors import trees

STEP = 0.125  # seconds; sums of it are exact


class Kennel:
    """One child under a watchdog; its signs of life are the test's to give."""

    def __init__(self, *, beats: Beats = "idle", handler_timeout: float = 0.0, **policy: Any):
        self.clock = ManualClock()
        self.hangs: list[Hung] = []
        self._mailbox = Mailbox(
            name="s", incarnation="1", clock=self.clock, listener=None, address=str
        )
        spec = trees.child("a", handler_timeout=handler_timeout)
        backoff = Backoff(
            initial=0, factor=1, maximum=0, jitter=0, stable_after=1, random=lambda: 0.0
        )
        # It prints nothing, so that no file is ever written.
        nowhere = Environment(daemon="test", data_dir="", run_dir="", database="")
        self._output = Output("s", nowhere, clock=self.clock)
        self._output.attach(self._mailbox)
        self.child = Child(spec, backoff=backoff, mailbox=self._mailbox, output=self._output)
        lifeline, self._theirs = lifeline_pair()
        self.child.begin(self.clock.monotonic())
        self.child.tie(lifeline)
        self.record = FlightRecorder(self.child.evidence.begin("1.1")[RECORDER])
        self.record.beats(beats)
        self.process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
        self.child.forked(self.process.pid, os.pidfd_open(self.process.pid))
        self.child.ready(self.clock.monotonic())
        watched = SupervisorSpec(children=(spec,), **policy)
        Watchdog(watched, {"a": self.child}, home=self._mailbox, reports=self).attend(self.child)

    def child_hung(self, child: Child, hung: Hung, stack: str) -> None:
        self.hangs.append(hung)

    def wait(self, seconds: float, *, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Let time pass in small steps; what is due comes at once."""
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            self.clock.advance(STEP)
            meanwhile()
            self.look()

    def look(self) -> None:
        self._mailbox.pump(lambda: False, 0)

    def beat(self) -> None:
        self.record.beat(self.clock.monotonic())

    def take(self) -> None:
        self.record.begin(self.clock.monotonic(), 0, "tell", 1, 1, dict)

    def close(self) -> None:
        self.child.kill(None)
        self.process.communicate()
        self.child.ended(9, 0.0)
        self.child.evidence.ended("", crashed=False)
        self._output.close()
        self._theirs.close()
        self._mailbox.close()


Open = Callable[..., Kennel]


@pytest.fixture
def kennel() -> Iterator[Open]:
    opened: list[Kennel] = []

    def open_one(**given: Any) -> Kennel:
        opened.append(Kennel(**given))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def test_who_beats_once_an_interval_lives(kennel: Open) -> None:
    dog = kennel()
    for _ in range(100):
        dog.wait(1.0)
        dog.beat()
    assert dog.hangs == []


def test_silence_of_the_timeout_and_two_intervals_is_a_hang(kennel: Open) -> None:
    # Scenario 16
    dog = kennel()
    dog.wait(3.5, meanwhile=dog.beat)
    dog.wait(10.0)
    assert dog.hangs == []
    dog.wait(2.0 + STACK_WAIT)
    (hung,) = dog.hangs
    assert hung == Hung("heartbeat", 10.0, "", False)
    assert dog.process.wait(trees.TIMEOUT) < 0


@pytest.mark.parametrize(("beats", "hang"), [("never", False), ("idle", False), ("always", True)])
def test_silence_at_work_is_a_hang_only_of_who_could_beat_then(
    kennel: Open, beats: Beats, hang: bool
) -> None:
    dog = kennel(beats=beats)
    dog.take()
    dog.wait(60.0)
    assert bool(dog.hangs) == hang


def test_one_message_in_hand_for_too_long_is_a_hang_whatever_beats(kennel: Open) -> None:
    # Scenario 17
    dog = kennel(beats="always", handler_timeout=5.0)
    dog.wait(20.0, meanwhile=dog.take)  # many short ones
    assert dog.hangs == []
    dog.wait(4.5, meanwhile=dog.beat)
    assert dog.hangs == []
    dog.wait(2.5, meanwhile=dog.beat)
    (hung,) = dog.hangs
    assert hung.text == f"dict in hand for {hung.seconds:.1f} s"
    assert 5.0 <= hung.seconds <= 6.0


def test_a_handler_on_its_way_out_after_a_failure_is_not_judged(kennel: Open) -> None:
    dog = kennel(beats="always", handler_timeout=5.0)
    dog.take()
    dog.child.failure = "ValueError: once"
    dog.wait(20.0, meanwhile=dog.beat)
    assert dog.hangs == []


@pytest.mark.parametrize("stall", [0.3, 0.9, 1.1, 5.0, 3_600.0])
def test_the_time_that_the_watchdog_itself_was_stalled_is_nobodys(
    kennel: Open, stall: float
) -> None:
    # Scenario 19: everything stands still, the child too, with a message in hand.
    dog = kennel(beats="always", handler_timeout=5.0)
    dog.wait(3.0, meanwhile=dog.beat)
    dog.take()
    dog.wait(3.0, meanwhile=dog.beat)
    dog.clock.advance(stall)
    dog.look()
    dog.wait(1.0, meanwhile=dog.beat)
    assert dog.hangs == []


def test_after_a_stall_a_hang_is_found_all_the_same(kennel: Open) -> None:
    dog = kennel()
    dog.wait(8.0)
    dog.clock.advance(60.0)
    dog.look()
    dog.wait(9.0)
    assert dog.hangs == []
    dog.wait(2.0 + STACK_WAIT)
    assert len(dog.hangs) == 1


def test_a_child_that_is_told_to_stop_is_not_judged(kennel: Open) -> None:
    dog = kennel()
    dog.child.stop()
    dog.wait(60.0)
    assert dog.hangs == []

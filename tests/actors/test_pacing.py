"""A writer that is slowed down answers later, in order, and then as fast as before."""

from __future__ import annotations

from typing import Any, cast

import pytest

from holdfast.actors.delivery import Delivery
from holdfast.actors.messages.writer import Pace
from holdfast.actors.pacing import LASTS, LONGEST, Pacing
from tests.clock import ManualClock


class Work:
    """What a writer would do, and when it was woken."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.rests: list[float] = []
        self.done: list[Any] = []
        self.pacing = Pacing(after=lambda seconds, _: self.rests.append(seconds), clock=clock)

    def receive(self, *items: object) -> None:
        got = cast("list[Delivery]", list(items))
        if not self.pacing.holds(got):
            self.pacing.timed(self._work, got)

    def _work(self, items: list[Delivery]) -> None:
        self.done += items
        self.clock.advance(0.01 * len(items))


@pytest.fixture
def work() -> Work:
    return Work(ManualClock())


def test_it_rests_after_each_group_for_as_long_as_it_was_told(work: Work) -> None:
    work.receive(1)
    assert work.rests == []
    work.pacing.set(Pace(0.25))
    work.receive(2, 3)
    assert work.rests == [pytest.approx(0.06)]
    work.receive(4)
    work.receive(5)
    assert work.done == [1, 2, 3]
    work.clock.advance(0.06)
    work.receive(6)  # behind those that have waited
    assert work.done == [1, 2, 3]
    work.receive(*work.pacing.take())
    assert work.done == [1, 2, 3, 4, 5, 6]


def test_a_rest_is_short_and_a_pace_that_nobody_repeats_lapses(work: Work) -> None:
    work.pacing.set(Pace(0.001))
    work.receive(1)
    assert work.rests == [LONGEST]
    work.clock.advance(LASTS)
    work.receive(*work.pacing.take(), 2)
    work.receive(3)
    assert work.done == [1, 2, 3]
    assert len(work.rests) == 1

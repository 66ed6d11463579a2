"""Restart intensity and backoff, with a clock that only the test moves."""

from __future__ import annotations

from itertools import pairwise

import pytest

from holdfast.supervisors.intensity import Backoff, RestartBudget
from holdfast.supervisors.restart_limits import RestartLimits
from holdfast.supervisors.spec import SupervisorSpec
from tests.clock import ManualClock


class FakeClock:
    now = 1_000.0

    def monotonic(self) -> float:
        return self.now

    def time_us(self) -> int:
        raise AssertionError("the wall clock decides nothing here")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def budget(clock: FakeClock) -> RestartBudget:
    return RestartBudget(max_restarts=3, max_seconds=5.0, clock=clock)


def backoff(*, jitter: float = 0.0, random: float = 0.0) -> Backoff:
    return Backoff(
        initial=0.1,
        factor=2.0,
        maximum=5.0,
        jitter=jitter,
        stable_after=10.0,
        random=lambda: random,
    )


def test_more_than_max_restarts_within_max_seconds_are_one_too_many(clock: FakeClock) -> None:
    restarts = budget(clock)
    assert [restarts.charge() for _ in range(4)] == [True, True, True, False]


def test_no_restarts_allowed_means_the_first_is_too_many(clock: FakeClock) -> None:
    assert not RestartBudget(max_restarts=0, max_seconds=5.0, clock=clock).charge()


def test_the_window_slides(clock: FakeClock) -> None:
    # Scenario 14: three crashes, the window and half a second, three crashes.
    restarts = budget(clock)
    for _ in range(2):
        assert all(restarts.charge() for _ in range(3))
        clock.now += 5.5
    # One at a time leaves the window, not all at once.
    for _ in range(100):
        assert restarts.charge()
        clock.now += 2.0


def test_a_restart_at_the_very_edge_of_the_window_still_counts(clock: FakeClock) -> None:
    restarts = budget(clock)
    assert all(restarts.charge() for _ in range(3))
    clock.now += 5.0
    assert not restarts.charge()


def test_the_first_restart_is_immediate_and_the_waits_grow_to_a_bound() -> None:
    waits = backoff()
    assert [waits.delay(lived=0.0) for _ in range(9)] == [0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5]


def test_a_child_that_was_stable_starts_afresh() -> None:
    waits = backoff()
    for _ in range(5):
        waits.delay(lived=9.9)
    assert [waits.delay(lived=10.0), waits.delay(lived=0.0)] == [0, 0.1]


def test_jitter_only_shortens_a_wait_and_by_no_more_than_its_fraction() -> None:
    waits = backoff(jitter=0.5, random=1.0)
    assert [waits.delay(lived=0.0) for _ in range(3)] == [0, 0.05, 0.1]


def test_a_child_that_fails_for_ever_keeps_the_longest_wait() -> None:
    waits = backoff()
    delays = [waits.delay(lived=0.0) for _ in range(5_000)]
    assert delays[-1] == 5.0
    assert all(later >= earlier for earlier, later in pairwise(delays))


def test_steps_of_the_wall_clock_change_nothing() -> None:
    # Scenario 14
    clock = ManualClock()
    spec = SupervisorSpec(max_restarts=3, max_seconds=5.0, max_failed_starts=0)
    limits = RestartLimits(spec, clock=clock, random=lambda: 0.0)

    def charge() -> str | None:
        return limits.charge(None, clock.monotonic())

    for step in (3600.0, -7200.0, 3600.0):
        assert [charge() for _ in range(3)] == [None] * 3
        clock.step_wall_clock(step)
        clock.advance(5.5)
    assert [charge() for _ in range(3)] == [None] * 3
    clock.step_wall_clock(3600.0)
    assert charge() == "max_restart_intensity"


def test_the_loss_of_a_zygote_is_charged_to_no_child() -> None:
    clock = ManualClock()
    spec = SupervisorSpec(max_restarts=2, max_seconds=5.0, max_failed_starts=1)
    limits = RestartLimits(spec, clock=clock, random=lambda: 0.0)
    assert [limits.charge(None, clock.monotonic()) for _ in range(3)] == [
        None,
        None,
        "max_restart_intensity",
    ]

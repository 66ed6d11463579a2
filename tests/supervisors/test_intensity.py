"""Restart intensity and backoff, with a clock that only the test moves."""

from __future__ import annotations

from itertools import pairwise

import pytest

from holdfast.supervisors.intensity import Backoff, RestartBudget


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

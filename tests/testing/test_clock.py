"""Time that only the test moves."""

from __future__ import annotations

import pytest

from holdfast.clock import Clock
from holdfast.testing import ManualClock


def test_a_manual_clock_stands_until_it_is_moved() -> None:
    clock = ManualClock(monotonic=5.0, time_us=7)
    assert [clock.monotonic(), clock.monotonic()] == [5.0, 5.0]
    assert clock.time_us() == clock.time_us() == 7


def test_time_passes_on_both_clocks() -> None:
    clock: Clock = ManualClock(monotonic=5.0, time_us=7)
    assert isinstance(clock, ManualClock)
    clock.advance(1.5)
    assert (clock.monotonic(), clock.time_us()) == (6.5, 1_500_007)


def test_a_step_of_the_wall_clock_is_no_passing_of_time() -> None:
    clock = ManualClock(monotonic=5.0, time_us=2_000_000)
    clock.step_wall_clock(-1.0)
    assert (clock.monotonic(), clock.time_us()) == (5.0, 1_000_000)


@pytest.mark.parametrize("seconds", [-0.1, float("nan")])
def test_a_monotonic_clock_never_goes_back(seconds: float) -> None:
    clock = ManualClock()
    with pytest.raises(ValueError, match="expected seconds >= 0"):
        clock.advance(seconds)
    assert clock.monotonic() == ManualClock().monotonic()

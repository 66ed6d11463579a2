"""Looking before sleeping: as long as it pays, and no longer."""

from __future__ import annotations

import os

import pytest

from holdfast.actors.eager import LOOK, LUCK, PROBE, Eager, Ready
from tests.clock import ManualClock


class Kernel:
    """``comes_after`` so many looks something is ready; each look takes a tenth of LOOK."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.comes_after: int | None = None
        self.looks = 0  # since the last wait began
        self.sleeps = 0

    def select(self, timeout: float | None) -> Ready:
        if timeout == 0:
            self.looks += 1
            self.clock.advance(LOOK / 10)
            return [(1, 1)] if self.looks == self.comes_after else []
        self.sleeps += 1
        return [(1, 1)]


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    return Kernel()


def wait(eager: Eager, kernel: Kernel, times: int) -> None:
    for _ in range(times):
        kernel.looks = 0
        assert eager.wait(None) == [(1, 1)]


def test_who_is_answered_soon_does_not_sleep(kernel: Kernel) -> None:
    eager = Eager(select=kernel.select, clock=kernel.clock)
    kernel.comes_after = 3
    wait(eager, kernel, PROBE)
    assert kernel.sleeps == PROBE - 1, "it was tried once"
    wait(eager, kernel, 1_000)
    assert kernel.sleeps == PROBE - 1


def test_looking_stops_when_nothing_comes_so_soon(kernel: Kernel) -> None:
    eager = Eager(select=kernel.select, clock=kernel.clock)
    kernel.comes_after = 3
    wait(eager, kernel, PROBE)
    kernel.comes_after = None
    before = kernel.clock.monotonic()
    wait(eager, kernel, LUCK)
    after = kernel.clock.monotonic()
    assert after - before < LUCK * 1.2 * LOOK
    wait(eager, kernel, PROBE - 1)
    assert kernel.clock.monotonic() == after, "it only sleeps now"


def test_with_a_single_core_nobody_looks(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    eager = Eager(select=kernel.select, clock=kernel.clock)
    kernel.comes_after = 1
    wait(eager, kernel, 3 * PROBE)
    assert kernel.sleeps == 3 * PROBE


def test_a_look_without_waiting_is_one_look(kernel: Kernel) -> None:
    eager = Eager(select=kernel.select, clock=kernel.clock)
    assert eager.wait(0) == []
    assert (kernel.looks, kernel.sleeps) == (1, 0)

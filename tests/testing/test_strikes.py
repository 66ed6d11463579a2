"""Kills and stops at random times, by name, from a seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.testing.faults import Strike, Strikes, schedule
from tests.daemon import ForkedDaemon as Daemon
from tests.testing.working import CONFIG, Work


def test_the_same_seed_gives_the_same_strikes_and_another_one_others() -> None:
    one, again, other = (
        schedule(seed=seed, processes=["log", "writer"], count=50, within=10.0, stops=0.3)
        for seed in (1, 1, 2)
    )
    assert one == again != other
    assert [strike.at for strike in one] == sorted(strike.at for strike in one)
    assert {strike.do for strike in one} == {"kill", "stop"}
    assert all(0 <= strike.at <= 10 for strike in one)
    assert all((strike.seconds > 0) == (strike.do == "stop") for strike in one)


def test_work_goes_on_under_strikes_and_all_of_it_is_there(tmp_path: Path) -> None:
    strikes = schedule(
        seed=6,
        processes=["log", "writer", "sessions", "checkpoints", "state"],
        count=8,
        within=1.5,
        stops=0.25,
        longest_stop=0.1,
    )
    with Daemon(tmp_path, CONFIG, faults=[]) as daemon:
        work = Work(daemon)
        with Strikes(daemon, strikes) as struck:
            while len(struck.done) < len(strikes) and not struck.failure:
                work.do(1)
        work.do(1)
        work.check()
        assert struck.done == strikes
        lines = daemon.faults.injected()
        assert [(line.process, line.kind) for line in lines] == [
            (strike.process, strike.do) for strike in strikes
        ]


def test_a_strike_that_cannot_be_carried_out_fails_the_block(tmp_path: Path) -> None:
    with (
        Daemon(tmp_path) as daemon,
        pytest.raises(AssertionError, match="no child 'nobody'"),
        Strikes(daemon, [Strike(at=0.0, process="nobody")]),
    ):
        pass

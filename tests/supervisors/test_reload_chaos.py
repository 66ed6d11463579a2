"""Reloads while children and supervisors are killed: each is done or undone, as a whole."""

from __future__ import annotations

import os
import random
import signal
from contextlib import suppress
from threading import Event as Flag
from threading import Thread

import pytest

from holdfast.errors import HoldfastError
from holdfast.supervisors.settings import ACTORS
from tests.daemon import Daemon
from tests.supervisors.reload_rig import BASE, Load, agent, answer_of, pids, reload

TEAM = "\n[supervisors.team]\nmax_restarts = 1000\n"


def configs() -> list[str]:
    other = BASE.replace("[agents.idle]", "[agents.other]")
    return [
        BASE,
        BASE.replace("1000\nbackoff", "999\nbackoff") + "[actors.log]\ncapacity = 500\n",
        other + agent("new") + TEAM + agent("member", parent='"team"'),
        BASE + TEAM + agent("member", parent='"team"') + agent("second", parent='"team"'),
        BASE + TEAM + "[actors.sessions]\nnice = 1\n",
        BASE + agent("broken", "Missing"),
        BASE + agent("bad", "Named", options={"no": "such"}),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_kills_in_the_middle_of_reloads_lose_nothing_and_leave_one_config(
    daemon: Daemon, seed: int
) -> None:
    """Slow: some 40 reloads, with a kill every 50 ms."""
    draw = random.Random(seed)
    enough = Flag()

    def kill_around() -> None:
        while not enough.wait(0.05):
            with suppress(HoldfastError, AssertionError, ProcessLookupError):
                known = [pid for name, pid in pids(daemon).items() if name != "root"]
                os.kill(draw.choice(known), signal.SIGKILL)

    killer = Thread(target=kill_around)
    done = 0
    with Load(daemon, f"chaos {seed}") as load:
        killer.start()
        try:
            for _ in range(40):
                with suppress(HoldfastError):
                    done += reload(daemon, draw.choice(configs())).is_applied
        finally:
            enough.set()
            killer.join()
    assert done > 0

    def is_settled() -> bool | None:
        try:
            return reload(daemon, BASE + agent("last")).is_applied
        except HoldfastError:  # a supervisor that was killed is not back yet
            return None

    daemon.until(is_settled)
    assert answer_of(daemon, "idle") == answer_of(daemon, "last") == "hello"
    assert set(pids(daemon)) == {"root", "state", "agents", "idle", "last", *ACTORS}
    assert load.stored(daemon) == list(range(load.count))

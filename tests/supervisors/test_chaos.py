"""The chaos soak: faults from a seed at everything in the tree, and what holds all the same."""

from __future__ import annotations

import os
import random
import resource
import sqlite3
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from holdfast.actors.messages.supervisor import ChildStatus
from tests.daemon import TIMEOUT, Daemon
from tests.supervisors.chaos import ACTORS, Eye, config, inflict, plan

SEEDS = [int(seed) for seed in os.environ.get("HOLDFAST_SEED", "40").split(",")]
RECOVERY = 5.0  # seconds from the last fault until every actor runs
MOST_FDS = 20  # of the root, above those at the beginning
MOST_RSS = 16 * 1024 * 1024  # bytes, likewise


def run_of(child: ChildStatus) -> dict[str, str]:
    return {child.id: child.state} | {
        name: state for below in child.children for name, state in run_of(below).items()
    }


def is_all_running(daemon: Daemon) -> bool:
    states = run_of(daemon.tree().root)
    return set(ACTORS) <= set(states) and set(states.values()) == {"running"}


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def committed(daemon: Daemon) -> list[int]:
    """The numbers in the events of the test, as they were committed."""
    with closing(sqlite3.connect(f"file:{daemon.database}?mode=ro", uri=True)) as viewer:
        sql = "SELECT data FROM events WHERE type = 'chaos:sent' ORDER BY seq"
        found = [int(data) for (data,) in viewer.execute(sql)]
        assert viewer.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return found


def buried(daemon: Daemon) -> dict[str, set[int]]:
    """The numbers in dead letters by agent: what two kills had found in hand."""
    with closing(sqlite3.connect(f"file:{daemon.database}?mode=ro", uri=True)) as viewer:
        found: dict[str, set[int]] = {}
        for actor, body in viewer.execute("SELECT actor, body FROM dead_letters"):
            verb, number = msgspec.msgpack.decode(body)
            if verb == "count":
                found.setdefault(actor, set()).add(number)
        return found


def test_a_seed_is_a_plan() -> None:
    assert plan(7, 10.0) == plan(7, 10.0) != plan(8, 10.0)
    assert plan(7, 20.0)[: len(plan(7, 10.0))] == plan(7, 10.0)
    assert {fault.kind for fault in plan(7, 60.0)} == {
        "kill",
        "stop",
        "exit",
        "slow",
        "bad",
        "flood",
    }


def test_the_eye_sees_what_it_is_for() -> None:
    """Two processes of one actor, and a zombie that nobody reaps."""
    eye = Eye(os.getpid())
    children = []
    for _ in range(2):
        if (pid := os.fork()) == 0:
            Path("/proc/self/comm").write_text("writer")
            threading.Event().wait()
        children.append(pid)
    deadline = time.monotonic() + TIMEOUT
    while not eye.violations:
        assert time.monotonic() < deadline
        eye._look()
    assert "2 processes of 'writer'" in eye.violations[0]
    for pid in children:
        os.kill(pid, 9)
    while not any("zombie" in violation for violation in eye.violations):
        assert time.monotonic() < deadline
        eye._look()
    for pid in children:
        os.waitpid(pid, 0)


@pytest.mark.parametrize(
    ("seed", "seconds"),
    [
        *(pytest.param(seed, 3.0, id=f"{seed}-3s") for seed in SEEDS),
        pytest.param(
            random.SystemRandom().randrange(2**32), 600.0, id="10min", marks=pytest.mark.slow
        ),
    ],
)
def test_chaos_leaves_one_process_an_actor_no_zombie_and_every_message(
    tmp_path: Path, seed: int, seconds: float
) -> None:
    """Scenario 40."""
    print(f"seed {seed}")
    sent: Counter[str] = Counter()
    with Daemon(tmp_path, config(tmp_path)) as daemon:
        root = daemon.process.pid
        before = descriptors(root), resident(root)
        eye = Eye(root)
        eye.start()
        clock = threading.Event()
        emitted = 0
        try:
            for fault in plan(seed, seconds):
                clock.wait(fault.pause)
                inflict(daemon, fault, sent)
                for _ in range(10):
                    daemon.hub.events.emit("chaos:sent", emitted)
                    emitted += 1
            clock.wait(1.0)  # until the last stopped one goes on
            last = time.monotonic()
            daemon.until(lambda: is_all_running(daemon))
            assert time.monotonic() - last < RECOVERY
            daemon.hub.flush(timeout=TIMEOUT)
        finally:
            eye.stop()
        assert eye.violations == []
        assert eye.looks > seconds
        after = descriptors(root), resident(root)
        assert after[0] <= before[0] + MOST_FDS
        assert after[1] <= before[1] + MOST_RSS
        assert committed(daemon) == list(range(emitted))
        letters = buried(daemon)
        for name, count in sent.items():
            handled = set(map(int, (tmp_path / f"handled-{name}").read_text().split()))
            assert handled | letters.get(name, set()) == set(range(count)), name
    assert daemon.process.returncode == 0

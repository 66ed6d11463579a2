"""Killing at moments that depend on progress, not on time: the same work for every machine."""

from __future__ import annotations

import os
import random
import select
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial

from tests.daemon import TIMEOUT, Daemon

# Hundreds of kills; and the wait between two restarts does not grow.
CONFIG = """
[daemon]
name = "test"
[supervisors.root]
max_restarts = 10_000
[supervisors.state]
max_restarts = 10_000
backoff = 0.01
backoff_factor = 1.0
[supervisors.agents]
max_restarts = 10_000
backoff = 0.01
backoff_factor = 1.0
"""

LOOK = 2  # milliseconds between looks at the progress; leaves the cores to those who work


def chance() -> random.Random:
    """Seeded from the environment, or anew; said, so that a failure can be repeated."""
    seed = int(os.environ.get("HOLDFAST_SEED", 0)) or random.SystemRandom().randrange(1, 2**32)
    print(f"HOLDFAST_SEED={seed}")
    return random.Random(seed)


@contextmanager
def committed(daemon: Daemon) -> Iterator[Callable[[], int]]:
    """Says how many events are committed; to be asked in the thread that opens it."""
    with closing(sqlite3.connect(f"file:{daemon.database}?mode=ro", uri=True)) as viewer:

        def newest() -> int:
            (seq,) = viewer.execute("SELECT max(seq) FROM events").fetchone()
            return seq or 0

        yield newest


def kill_together(
    daemon: Daemon, names: Sequence[str], *, moment: Callable[[], object] = lambda: None
) -> None:
    """SIGKILL all of them before any of them can be restarted, and see them die.

    ``moment`` returns when it is time to.
    """
    watches = [daemon.until(partial(daemon.watched, name))[1] for name in names]
    try:
        moment()
        for watch in watches:
            signal.pidfd_send_signal(watch, signal.SIGKILL)
        for name, watch in zip(names, watches, strict=True):
            assert select.select([watch], [], [], TIMEOUT)[0], f"{name} does not die"
    finally:
        for watch in watches:
            os.close(watch)


def wait_for(
    progress: Callable[[], int], target: int, *, timeout: float = TIMEOUT, look: int = LOOK
) -> int:
    """The progress once it is at least ``target``; asserts that it gets there."""
    deadline = time.monotonic() + timeout
    pause = select.poll()
    while (now := progress()) < target:
        assert time.monotonic() < deadline, f"stuck at {now} of {target}"
        if look:
            pause.poll(look)
    return now


def fire(
    daemon: Daemon,
    *,
    chance: random.Random,
    victims: Sequence[Sequence[str]],
    at_a_step: Sequence[str],
    progress: Callable[[], int],
    total: int,
    kills: int,
) -> None:
    """Kill one of ``victims`` (each may be several at a time) ``kills`` times before ``total``.

    Every other time ``at_a_step``, within microseconds of the next progress: between a COMMIT and
    its answer.  There is progress between two kills: what is in hand at two deaths is poison.
    """

    def at_the_next_step() -> None:
        wait_for(progress, min(total, progress() + 1), look=0)

    done = progress()
    for left in range(kills, 0, -1):
        mean = (total - done) / (left + 1)
        done = wait_for(progress, done + int(mean * chance.uniform(0.3, 1.4)))
        if left % 2:
            kill_together(daemon, at_a_step, moment=at_the_next_step)
        else:
            kill_together(daemon, chance.choice(victims))

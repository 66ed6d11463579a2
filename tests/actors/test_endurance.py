"""Full load without a pause: nothing grows."""

from __future__ import annotations

import select
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.actors.measuring import MIB, descriptors, processes, rss
from tests.actors.sending import Sender, orders, senders
from tests.daemon import Daemon

SENDERS = 4
FLUSH_EVERY = 200  # events of each; so many are under way at most
GROWTH = 16 * MIB  # of any process after the warm-up: the allocator's play, slow caches
OPEN = 5  # descriptors of a sender that is connected, at least: Python has started by then
WAL = 256 * MIB  # four thousand pages of 16 KiB are copied back at a time; some more come meanwhile


class Sample:
    """One look at every process."""

    def __init__(self, daemon: Daemon, started: list[Sender]) -> None:
        self.pids = processes(daemon) | {
            f"sender {n}": sender.process.pid for n, sender in enumerate(started)
        }
        self.rss = {name: rss(pid) for name, pid in self.pids.items()}
        self.descriptors = {name: descriptors(pid) for name, pid in self.pids.items()}
        wal = daemon.database.with_name(daemon.database.name + "-wal")
        self.wal = wal.stat().st_size


def samples(
    daemon: Daemon, started: list[Sender], seconds: float, every: float
) -> Iterator[Sample]:
    """Looks, for so long; asserts that the senders live."""
    outputs = [sender.process.stdout for sender in started if sender.process.stdout]
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ended, _, _ = select.select(outputs, [], [], every)
        assert not ended, "a sender has ended"
        yield Sample(daemon, started)


@pytest.mark.slow  # ten minutes, since slow growth shows late
def test_ten_minutes_of_full_load_leave_everything_as_it_was_after_the_first(
    tmp_path: Path,
) -> None:
    check_that_nothing_grows(tmp_path, warm_up=60.0, seconds=540.0, every=2.0, cache=0)


@pytest.mark.slow  # seconds of full load
def test_some_seconds_of_full_load_leave_everything_as_it_was(tmp_path: Path) -> None:
    # The writer's page cache is not full after so short a time.
    check_that_nothing_grows(tmp_path, warm_up=3.0, seconds=5.0, every=0.25, cache=64 * MIB)


def check_that_nothing_grows(
    folder: Path, *, warm_up: float, seconds: float, every: float, cache: int
) -> None:
    """The base is the most that was seen during the warm-up."""
    try:
        _check_that_nothing_grows(folder, warm_up, seconds, every, cache)
    finally:
        shutil.rmtree(folder / "var" / "lib", ignore_errors=True)  # gigabytes


def _check_that_nothing_grows(
    folder: Path, warm_up: float, seconds: float, every: float, cache: int
) -> None:
    what = orders(SENDERS, count=0, flush_every=FLUSH_EVERY, timeout=60.0)
    with Daemon(folder) as daemon, senders(daemon, what) as started:
        daemon.until(lambda: all(descriptors(each.process.pid) > OPEN for each in started))
        first = list(samples(daemon, started, warm_up, every))
        base = {name: max(sample.rss[name] for sample in first) for name in first[-1].rss}
        open_then = {
            name: max(sample.descriptors[name] for sample in first) for name in first[-1].rss
        }
        worst: dict[str, int] = {}  # KiB
        for sample in samples(daemon, started, seconds, every):
            assert sample.pids == first[-1].pids, "something was restarted"
            more = {name: sample.rss[name] - base[name] for name in base}
            more["writer"] -= cache
            assert max(more.values()) < GROWTH, more
            worst = {name: max(more[name] // 1024, worst.get(name, 0)) for name in more}
            for name, count in sample.descriptors.items():
                assert count <= open_then[name] + 2, f"{name} has {count} descriptors"
            assert sample.wal < WAL
        for sender in started:
            assert sender.process.stdin is not None
            sender.process.stdin.close()
        outcomes = [sender.outcome() for sender in started]
        assert {(each.pending, each.dropped, each.rejected) for each in outcomes} == {(0, 0, 0)}
        sent = sum(each.sent for each in outcomes)
        print(f"{sent} events in {warm_up + seconds} s; the most growth {worst}")
        assert daemon.hub.events.count(types="n", timeout=300.0) == sent

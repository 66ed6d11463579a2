"""How long handlers take: the histogram that every mailbox keeps."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from holdfast.actors.handling import BUCKETS, Handling, bound, quantile
from holdfast.actors.mailbox import Mailbox
from holdfast.actors.threaded import ThreadedDriver
from holdfast.clock import SystemClock
from tests.actors.test_mailbox import driver, listener
from tests.clock import ManualClock
from tests.daemon import Daemon
from tests.holdfast.conftest import Run, run

__all__ = ["driver", "listener", "run"]


def critic(folder: Path, listener: socket.socket, clock: ManualClock, **changes: Any) -> Mailbox:
    address = lambda to: str(folder / to)  # noqa: E731 - an argument
    return Mailbox(
        name="critic",
        incarnation="1.1",
        clock=clock,
        listener=listener,
        address=address,
        **changes,
    )


def filled(box: Mailbox) -> dict[int, int]:
    return {bucket: count for bucket, count in enumerate(box.handling.counts) if count}


@pytest.mark.parametrize("batch_limit", [0, 10])
def test_a_handler_counts_in_the_bucket_of_what_it_took(
    tmp_path: Path, listener: socket.socket, driver: ThreadedDriver, batch_limit: int
) -> None:
    clock = ManualClock()
    box = critic(tmp_path, listener, clock, batch_limit=batch_limit)
    took = (0.0, 0.000_005, 0.000_005, 0.25, 3.0)
    for seconds in took:
        driver.send_tell("critic", "tell")
        box.get()
        clock.advance(seconds)
        assert box.pump(lambda: True, 0)  # as an ask of its handler would: no look between two
    box.deliver("end")
    box.get()
    wanted = {0: 1, 3: 2, 18: 1, 22: 1}  # 0 us, 4 to 8 us, 0.13 to 0.26 s, 2.1 to 4.2 s
    assert filled(box) == wanted
    assert box.handling.seconds == pytest.approx(sum(took))
    box.close()


def test_neighbours_between_two_looks_count_with_their_mean_and_a_long_one_with_itself(
    tmp_path: Path, listener: socket.socket
) -> None:
    clock = ManualClock()
    box = critic(tmp_path, listener, clock)
    box.deliver("first")
    box.get()
    for number in range(10):
        box.deliver(number)
    for number in range(10):
        clock.advance(0.000_020 if number % 2 else 0.000_040)
        assert box.get().message == number
    clock.advance(1.5)
    box.deliver("end")
    box.get()
    assert filled(box) == {5: 10, 21: 1}  # 16 to 32 us; 1.05 to 2.1 s
    assert box.handling.seconds == pytest.approx(1.5 + 10 * 0.000_030)
    box.close()


def test_a_share_is_done_within_the_bucket_where_it_is() -> None:
    counts = [0, 0, 0, 90, 0, 0, 0, 0, 0, 9, 0, 1]
    assert quantile(counts, 0.5) == pytest.approx(4e-6 + 4e-6 * 50 / 90)
    assert bound(8) < quantile(counts, 0.95) < bound(9)
    assert bound(8) < quantile(counts, 0.99) <= bound(9)
    assert bound(10) < quantile(counts, 0.999) <= bound(11)
    assert quantile([], 0.5) == quantile([0, 0], 0.99) == 0.0


def test_any_time_has_a_bucket() -> None:
    year = 366 * 86_400
    assert int(1_000 * year * 1e6).bit_length() < BUCKETS


def test_a_rate_is_that_of_the_last_seconds_and_not_of_a_whole_life() -> None:
    handling = Handling(100.0)
    assert handling.rate(100.0, 0) == 0.0
    for second in range(1, 11):
        handling.sample(100.0 + second, 500 * second)
        handling.sample(100.1 + second, 500 * second)  # too soon to tell anything
    assert handling.rate(110.0, 5_000) == pytest.approx(500.0)
    for second in (11, 12, 13):
        handling.sample(100.0 + second, 5_000)
    assert handling.rate(113.0, 5_000) == 0.0
    assert handling.rate(113.0, 0) == 0.0  # never below


def test_status_has_the_figures_of_every_process(tmp_path: Path, run: Run) -> None:
    with Daemon(tmp_path) as daemon:
        for number in range(50):
            daemon.hub.state.create("agent", {"n": number})
        killed = daemon.kill("query")
        daemon.wait_for_another("query", killed)
        tree = json.loads(run("status", "--json").stdout)["root"]
    (state,) = (child for child in tree["children"] if child["id"] == "state")
    found = {child["id"]: child for child in state["children"]}
    writer, query = found["writer"], found["query"]
    assert writer["handled"] >= 50
    assert sum(writer["handling"]) >= 50
    assert 0 < writer["p50"] <= writer["p99"] <= writer["handling_seconds"] < 30
    assert writer["rate"] > 0
    assert [last["signal"] for last in query["exits"]] == [9]
    assert query["exits"][-1] == query["last_exit"]
    assert writer["exits"] == []
    for child in (tree, state, *found.values()):
        assert child["cpu"] >= 0 < child["rss"]
        assert {"rate", "p50", "p99", "handling", "handling_seconds", "exits"} <= set(child)
        assert SystemClock().monotonic() > child["handling_seconds"]

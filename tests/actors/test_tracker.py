"""Requests in flight and rate limits with a real daemon, from both clients and from agents."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec
import pytest

import holdfast
from holdfast.actors.messages.barrier import Collect, Collected, Restore, Restored
from holdfast.actors.messages.checkpoints import Create, Created
from holdfast.actors.tracker_calls import Retry, SlidingWindow, TokenBucket
from holdfast.errors import CapacityError, Conflict, InvalidInputError
from tests.daemon import CONFIG, TIMEOUT, Daemon
from tests.lending import lending

ROOT = Path(__file__).resolve().parents[2]
TRACKER = """
[actors.tracker]
max_requests = 5
limits = { llm = { kind = "sliding_window", limit = 2, period = 0.3 } }
"""
WORKER = f"""
[agents.worker]
class = "tests.actors.tracking:Worker"
python_path = ["{ROOT}"]
"""


# No checkpoint of it is made, so that its tracker begins anew with nothing.
shared, daemon = lending(CONFIG + TRACKER + WORKER, "tracker", "worker")


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, CONFIG + TRACKER + WORKER) as daemon:
        yield daemon


def test_a_request_is_followed_from_its_beginning_to_its_end(daemon: Daemon) -> None:
    tracker = daemon.hub.tracker
    begun = tracker.begin("r1", "llm", {"prompt": "hi"}, deadline=60)
    assert (begun.status, begun.attempt, begun.payload) == ("running", 1, {"prompt": "hi"})
    assert begun.deadline_us == begun.began_us + 60_000_000
    updated = tracker.update("r1", {"tokens": 7})
    assert updated is not None
    assert updated.progress == {"tokens": 7}
    assert [one.id for one in tracker.list(status="running", kind="llm")] == ["r1"]
    assert tracker.list(owner="nobody") == []
    done = tracker.finish("r1", {"text": "hello"})
    assert done is not None
    assert (done.status, done.result) == ("finished", {"text": "hello"})
    assert tracker.cancel("r1") == done, "the first end counts"
    assert tracker.get("r1") == done
    assert tracker.get("r2") is None
    assert tracker.update("r2", 1) is None
    stats = tracker.stats()
    assert (stats.in_flight, stats.kept, stats.began) == (0, 1, 1)


def test_both_clients_say_the_same(daemon: Daemon) -> None:
    async def use() -> None:
        async with holdfast.aio.connect(daemon.run_dir) as hub:
            tracker = hub.tracker
            assert await tracker.begin("r", "llm") == daemon.hub.tracker.get("r")
            await tracker.update("r", 1)
            failed = await tracker.fail("r", "no answer")
            assert failed == daemon.hub.tracker.get("r")
            assert failed is not None
            assert (failed.status, failed.reason) == ("failed", "no answer")
            assert await tracker.list() == daemon.hub.tracker.list()
            assert (await tracker.acquire("k", limit=TokenBucket(1, 1))).granted
            assert await tracker.limits() == daemon.hub.tracker.limits()
            assert await tracker.take() == await tracker.interrupted() == []
            assert await tracker.stats() == daemon.hub.tracker.stats()
            assert await tracker.cancel("nobody") is None
            assert await tracker.finish("nobody") is None

    asyncio.run(use())


def test_a_request_that_is_late_expires_and_that_is_told_once(daemon: Daemon) -> None:
    daemon.hub.tracker.begin("late", "llm", deadline=0.1)
    daemon.hub.tracker.begin("in time", "llm", deadline=0.2)
    daemon.hub.tracker.finish("in time")
    told = partial(daemon.hub.events.query, types="tracker:request_expired", after=daemon.since)
    daemon.until(told)
    late = daemon.hub.tracker.finish("late", "too late")
    assert late is not None
    assert (late.status, late.result) == ("expired", None)
    (event,) = daemon.hub.events.query(types="tracker:*", after=daemon.since)
    assert (event.subject, event.data["id"]) == ("late", "late")


def test_more_than_the_table_holds_is_refused_and_changes_nothing(daemon: Daemon) -> None:
    tracker = daemon.hub.tracker
    for n in range(5):
        tracker.begin(f"r{n}", "llm")
    with pytest.raises(CapacityError, match="max_requests"):
        tracker.begin("r5", "llm")
    assert len(tracker.list()) == 5
    tracker.finish("r0")
    tracker.begin("r5", "llm")


def test_a_failed_request_is_taken_again_when_it_is_due_by_one_of_those_who_wait(
    daemon: Daemon,
) -> None:
    tracker = daemon.hub.tracker
    tracker.begin("r", "llm", 7, retry=Retry(max_attempts=2, backoff=0.2))
    failed = tracker.fail("r", "busy")
    assert failed is not None
    assert failed.status == "retrying"
    assert failed.next_at_us == failed.changed_us + 200_000
    assert [one.id for one in tracker.interrupted()] == ["r"]
    assert tracker.take() == []

    async def take() -> list[list[str]]:
        async with holdfast.aio.connect(daemon.run_dir) as hub:
            takes = [hub.tracker.take(wait=0.6) for _ in range(4)]
            return [[one.id for one in found] for found in await asyncio.gather(*takes)]

    began = time.monotonic()
    assert sorted(asyncio.run(take())) == [[], [], [], ["r"]]
    assert time.monotonic() - began >= 0.55
    with pytest.raises(Conflict):
        tracker.finish("r", attempt=1)
    last = tracker.fail("r", "busy", attempt=2)
    assert last is not None
    assert last.status == "failed"


def test_the_requests_of_an_agent_that_dies_are_handed_to_its_next_life(daemon: Daemon) -> None:
    worker = daemon.hub.ref("worker")
    assert worker.ask(["begin", "r1"], timeout=TIMEOUT) == "worker"
    daemon.hub.tracker.begin("mine", "llm")
    daemon.hub.tracker.begin("named", "llm", owner="worker")
    pid = daemon.pid("worker")
    daemon.kill("worker")
    daemon.wait_for_another("worker", pid)
    daemon.until(lambda: len(daemon.hub.tracker.interrupted()) == 2)
    found = daemon.hub.tracker.interrupted(owner="worker")
    assert {one.id for one in found} == {"r1", "named"}
    assert found[0].reason == "its owner worker has ended: signal"
    assert daemon.hub.ref("worker").ask(["take"], timeout=TIMEOUT) == ["r1", "named"]
    assert daemon.hub.ref("worker").ask(["take"], timeout=TIMEOUT) == []
    taken = daemon.hub.tracker.get("r1")
    assert taken is not None
    assert (taken.status, taken.owner, taken.attempt) == ("running", "worker", 2)
    # The next life is watched as well.
    daemon.kill("worker")
    daemon.until(lambda: len(daemon.hub.tracker.interrupted()) == 2)
    assert {one.id for one in daemon.hub.tracker.list(status="running")} == {"mine"}
    interrupted = partial(daemon.hub.events.query, types="tracker:interrupted", after=daemon.since)
    daemon.until(lambda: len(interrupted()) >= 2)


def test_permits_come_in_turn_and_the_actor_answers_meanwhile(daemon: Daemon) -> None:
    order: list[int] = []

    async def acquire() -> float:
        async with holdfast.aio.connect(daemon.run_dir) as hub:

            async def one(n: int) -> None:
                permit = await hub.tracker.acquire("llm", wait=TIMEOUT)
                assert permit.granted
                order.append(n)

            waiting = [asyncio.create_task(one(n)) for n in range(6)]
            while (await hub.tracker.stats()).waiting < 4:
                pass
            refused = await hub.tracker.acquire("llm")
            assert not refused.granted
            began = time.monotonic()
            await asyncio.gather(*waiting)
            return time.monotonic() - began

    assert asyncio.run(acquire()) >= 0.5
    assert order == list(range(6))
    (limiter,) = daemon.hub.tracker.limits()
    assert (limiter.key, limiter.configured, limiter.granted) == ("llm", True, 6)


def test_who_dies_waiting_costs_nothing(daemon: Daemon) -> None:
    slow = SlidingWindow(limit=1, period=0.5)
    assert daemon.hub.tracker.acquire("k", limit=slow).granted
    waiting = holdfast.connect(daemon.run_dir)
    thread = threading.Thread(target=_acquire_until_closed, args=(waiting, slow))
    thread.start()
    daemon.until(lambda: daemon.hub.tracker.stats().waiting == 1)
    waiting.abandon()
    thread.join(TIMEOUT)
    assert daemon.hub.tracker.acquire("k", wait=TIMEOUT).granted
    (limiter,) = [one for one in daemon.hub.tracker.limits() if one.key == "k"]
    assert limiter.granted == 2


def _acquire_until_closed(hub: holdfast.Hub, limit: SlidingWindow) -> None:
    with pytest.raises(holdfast.HoldfastError):
        hub.tracker.acquire("k", limit=limit, wait=TIMEOUT)


def test_permits_wait_out_the_death_of_the_tracker(daemon: Daemon) -> None:
    slow = SlidingWindow(limit=1, period=3_600)
    assert daemon.hub.tracker.acquire("k", limit=slow).granted
    result: list[bool] = []

    def acquire() -> None:
        with holdfast.connect(daemon.run_dir) as hub:
            result.append(hub.tracker.acquire("k", limit=slow, wait=3_600, timeout=1).granted)

    thread = threading.Thread(target=acquire)
    thread.start()
    daemon.until(lambda: daemon.hub.tracker.stats().waiting == 1)
    daemon.kill("tracker")  # what it counted is lost, and that is said
    thread.join(TIMEOUT)
    assert result == [True]


def test_what_a_checkpoint_collected_is_handed_back_as_interrupted(daemon: Daemon) -> None:
    """Scenario: the tracker's process dies, and a daemon checkpoint is restored."""
    tracker = daemon.hub.tracker
    tracker.begin("plain", "llm", {"n": 1})
    tracker.begin("retried", "llm", retry=Retry(backoff=0.1))
    tracker.begin("over", "llm", deadline=0.1)
    hour = SlidingWindow(limit=1, period=3_600)
    assert tracker.acquire("hour", limit=hour).granted
    collected = msgspec.convert(daemon.hub.ask("tracker", Collect("c1")), Collected)
    assert collected.count == 3
    daemon.kill("tracker")
    assert tracker.list(timeout=TIMEOUT) == []
    tracker.begin("newer", "llm")
    restored = daemon.hub.ask("tracker", Restore("c1", collected.state))
    assert msgspec.convert(restored, Restored) == Restored(3, 0)
    again = daemon.hub.ask("tracker", Restore("c1", collected.state))
    assert msgspec.convert(again, Restored) == Restored(0, 3)
    daemon.until(lambda: tracker.list(status="expired") != [])
    taken = tracker.take(limit=5, wait=TIMEOUT)
    while len(taken) < 2:  # one of them waits before it is tried again
        taken += tracker.take(limit=5, wait=TIMEOUT)
    assert {one.id for one in taken} == {"plain", "retried"}
    assert {one.attempt for one in taken} == {2}
    assert next(one for one in taken if one.id == "plain").payload == {"n": 1}
    assert not tracker.acquire("hour", limit=hour).granted
    assert {one.id for one in tracker.list(status="running")} == {"plain", "retried", "newer"}


def test_a_tracker_that_starts_anew_takes_its_part_of_the_newest_checkpoint(
    own: Daemon,
) -> None:
    """After SIGKILL of its process, and after a stop of the whole own."""
    hour = SlidingWindow(limit=1, period=3_600)
    own.hub.tracker.begin("r1", "llm", {"n": 1})
    assert own.hub.tracker.acquire("hour", limit=hour).granted
    created = msgspec.convert(own.hub.ask("checkpoints", Create("command")), Created)
    assert {one.name: one.count for one in created.participants}["tracker"] == 1
    own.hub.tracker.begin("since", "llm")
    own.kill("tracker")
    (taken,) = own.hub.tracker.take(wait=TIMEOUT)
    assert (taken.id, taken.payload, taken.attempt) == ("r1", {"n": 1}, 2)
    assert taken.reason == f"restored from checkpoint {created.id}"
    assert own.hub.tracker.get("since") is None, "lost, as the page says"
    assert not own.hub.tracker.acquire("hour", limit=hour).granted
    own.hub.tracker.finish("r1")
    own.hub.tracker.begin("r2", "llm")
    assert own.stop() == 0  # makes a checkpoint
    own.restart()
    (taken,) = own.hub.tracker.take(wait=TIMEOUT)
    assert taken.id == "r2"
    assert not own.hub.tracker.acquire("hour", limit=hour).granted


def test_a_state_that_cannot_be_read_changes_nothing(daemon: Daemon) -> None:
    for state in ("", "{}", '{"requests": [1], "limiters": []}'):
        with pytest.raises(InvalidInputError, match="state"):
            daemon.hub.ask("tracker", Restore("c1", state))
    assert daemon.hub.tracker.list() == []


BAD: dict[str, Callable[[holdfast.Hub], object]] = {
    "id = ''": lambda hub: hub.tracker.begin("", "llm"),
    "kind = ''": lambda hub: hub.tracker.begin("a", ""),
    "deadline = 0": lambda hub: hub.tracker.begin("a", "llm", deadline=0),
    "deadline = nan": lambda hub: hub.tracker.begin("a", "llm", deadline=float("nan")),
    "payload of ": lambda hub: hub.tracker.begin("a", "llm", "x" * 300_000),
    "retry.factor": lambda hub: hub.tracker.begin("a", "llm", retry=Retry(factor=0)),
    "data: NaN": lambda hub: hub.tracker.begin("a", "llm", float("nan")),
    "status = 'maybe'": lambda hub: hub.tracker.list(status="maybe"),  # type: ignore[arg-type]  # bad on purpose
    "limit = 0": lambda hub: hub.tracker.take(limit=0),
    "key = 'nobody'": lambda hub: hub.tracker.acquire("nobody"),
    "cost = 9": lambda hub: hub.tracker.acquire("llm", 9),
}


def test_bad_input_is_refused_by_name_and_changes_nothing(daemon: Daemon) -> None:
    """Scenario D17."""
    pid = daemon.pid("tracker")
    for message, call in BAD.items():
        with pytest.raises(InvalidInputError) as refused:
            call(daemon.hub)
        assert message in str(refused.value)
    assert daemon.hub.tracker.list() == []
    assert daemon.pid("tracker") == pid


def test_an_idle_tracker_uses_no_processor_time(daemon: Daemon) -> None:
    pid = daemon.pid("tracker")
    daemon.hub.tracker.begin("r", "llm", deadline=3_600)
    stat = Path(f"/proc/{pid}/status")

    def switches() -> int:
        lines = stat.read_text().splitlines()
        return int(next(one for one in lines if one.startswith("voluntary")).split()[1])

    os.kill(pid, signal.SIGCONT)  # a process that runs; nothing changes
    before = switches()
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(asyncio.Event().wait(), 2.0))
    assert switches() - before <= 10, "a sign of life each second"

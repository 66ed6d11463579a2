"""Subscriptions: history, then live, whoever is killed (scenario D4); by filter, at a rate."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path

import pytest

import holdfast
from holdfast import aio
from holdfast.actors import following
from holdfast.actors.following import Gap, Start
from holdfast.actors.messages import log
from holdfast.errors import HoldfastError, InvalidInputError
from tests.actors.firing import CONFIG, chance, committed, fire, wait_for
from tests.actors.sending import orders, senders
from tests.daemon import TIMEOUT, Daemon

SENDERS = 2
COUNT = 6_000  # events of each
LAST = "last"
LOOK = 10.0  # seconds; what ends the subscribers of a test that has failed

SMALL_RING = CONFIG + "[actors.log]\ncapacity = 1_000\n"

Filter = dict[str, str]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """For tests that kill nobody; each uses types of its own."""
    with Daemon(tmp_path_factory.mktemp("daemon"), SMALL_RING) as daemon:
        yield daemon


def subscribe(daemon: Daemon, filter: Filter, last: int) -> list[int]:
    """The numbers from the first event to ``last``, in the order they came."""
    seen: list[int] = []
    with holdfast.connect(daemon.run_dir) as hub:
        for event in hub.events.subscribe(**filter, start="first", timeout=LOOK):  # type: ignore[arg-type]  # of one type each
            seen.append(event.seq)
            if event.data == last:
                return seen
    raise AssertionError("it ended")


def subscribe_in_a_loop(daemon: Daemon, filter: Filter, last: int) -> list[int]:
    async def main() -> list[int]:
        seen: list[int] = []
        async with aio.connect(daemon.run_dir) as hub:
            subscription = hub.events.subscribe(**filter, start="first", timeout=LOOK)  # type: ignore[arg-type]  # as above
            async for event in subscription:
                seen.append(event.seq)
                if event.data == last:
                    return seen
        raise AssertionError("it ended")

    return asyncio.run(main())


WAYS: tuple[Callable[[Daemon, Filter, int], list[int]], ...] = (subscribe, subscribe_in_a_loop)
FILTERS: dict[str, Filter] = {
    "type = 'n'": {"types": "n"},
    "source = 's0'": {"source": "s0"},
    "source = 's1' AND type GLOB '[n]*'": {"source": "s1", "types": "n*"},
}


def test_filtered_subscribers_get_every_event_once_whoever_is_killed(tmp_path: Path) -> None:
    """Scenario D4; the ring is small, so that who joins late reads from ``query``, also killed."""
    random = chance()
    total = SENDERS * COUNT

    def join(way: Callable[[Daemon, Filter, int], list[int]], filter: Filter, at: int) -> list[int]:
        with committed(daemon) as newest:
            wait_for(newest, at)
        return way(daemon, filter, COUNT - 1)

    with (
        ThreadPoolExecutor(len(WAYS) * len(FILTERS)) as pool,
        Daemon(tmp_path, SMALL_RING) as daemon,
        committed(daemon) as progress,
        senders(daemon, orders(SENDERS, count=COUNT)) as started,
    ):
        joined = [
            (sql, pool.submit(join, way, filter, random.randrange(total)))
            for way in WAYS
            for sql, filter in FILTERS.items()
        ]
        fire(
            daemon,
            chance=random,
            victims=[["log"], ["writer"], ["query"], ["log", "query"], ["log", "writer"]],
            at_a_step=["writer"],
            progress=progress,
            total=total,
            kills=12,
        )
        for sender in started:
            assert sender.finish().pending == 0
        with closing(sqlite3.connect(f"file:{daemon.database}?mode=ro", uri=True)) as viewer:
            for sql, future in joined:
                seen = future.result(TIMEOUT)
                rows = viewer.execute(
                    f"SELECT seq FROM events WHERE {sql} AND seq <= ? ORDER BY seq", (seen[-1],)
                )
                assert seen == [seq for (seq,) in rows]
                assert len(seen) >= COUNT


def test_it_begins_where_it_is_told_to(shared: Daemon) -> None:
    hub = shared.hub
    for n in range(5):
        hub.events.emit("start", n, time_us=1_000_000 * (n + 1))
    hub.flush()
    third = hub.events.query(types="start")[2]
    now = hub.events.subscribe(types="start")
    hub.events.emit("start", 5)
    starts: list[tuple[Start, int]] = [
        ("first", 0),
        (third.seq, 3),
        (datetime.fromtimestamp(2.5, UTC), 2),
        (third.cursor, 3),
    ]
    assert next(now).data == 5
    for start, first in starts:
        assert next(hub.events.subscribe(types="start", start=start)).data == first
    late = hub.events.subscribe(types="start", start=datetime.fromtimestamp(2e9, UTC))
    hub.events.emit("start", 6)
    assert next(late).data == 6


@pytest.mark.parametrize("start", ["last", "1.x", -1, True, 1.5, None])
def test_a_start_that_means_nothing_is_refused(shared: Daemon, start: object) -> None:
    with pytest.raises(InvalidInputError, match=r"start = |cursor"):
        shared.hub.events.subscribe(start=start)  # type: ignore[arg-type]  # the point


def test_what_makes_no_sense_is_refused_before_anything_is_asked(shared: Daemon) -> None:
    refused = shared.hub.events.subscribe
    for wrong in (
        {"rate": 0.0},
        {"rate": float("nan")},
        {"burst": 3},
        {"rate": 1.0, "burst": 0},
        {"max_in_flight": 0},
        {"timeout": 0.0},
        {"name": ""},
        {"name": "a\nb"},
        {"change_filter": True},
        {"types": ["x"] * 65},
    ):
        with pytest.raises(InvalidInputError):
            refused(**wrong)


def test_one_that_stood_still_reads_from_the_database_and_goes_on_live(shared: Daemon) -> None:
    hub = shared.hub
    slow = hub.events.subscribe(types="slow", max_in_flight=10)
    for n in range(3_000):  # three times the ring
        hub.events.emit("slow", n)
    assert [event.data for event in islice(slow, 2_000)] == list(range(2_000))
    for n in range(3_000, 3_100):
        hub.events.emit("slow", n)
    assert [event.data for event in islice(slow, 1_100)] == list(range(2_000, 3_100))
    assert slow.missed == 0


def test_its_position_is_where_another_one_can_go_on(shared: Daemon) -> None:
    hub = shared.hub
    first = hub.events.subscribe(types="on", max_in_flight=7)
    for n in range(20):
        hub.events.emit("on", n)
    seen = [event.data for event in islice(first, 11)]
    second = hub.events.subscribe(types="on", start=first.position)
    assert [*seen, *(event.data for event in islice(second, 9))] == list(range(20))


def test_a_rate_is_kept_and_a_burst_let_through(shared: Daemon) -> None:
    hub = shared.hub
    for n in range(60):
        hub.events.emit("rate", n)
    hub.flush()
    subscription = hub.events.subscribe(types="rate", start="first", rate=200.0, burst=20)
    began = time.monotonic()
    assert [event.data for event in islice(subscription, 60)] == list(range(60))
    assert time.monotonic() - began >= (60 - 20) / 200.0 - 0.01


def test_several_threads_share_one_and_each_event_goes_to_one_of_them(shared: Daemon) -> None:
    hub = shared.hub
    subscription = hub.events.subscribe(types="shared")
    for n in range(400):
        hub.events.emit("shared", n)
    with ThreadPoolExecutor(4) as pool:
        parts = [pool.submit(lambda: [e.data for e in islice(subscription, 100)]) for _ in range(4)]
        found = [part.result(TIMEOUT) for part in parts]
    assert all(part == sorted(part) for part in found)
    assert sorted(chain.from_iterable(found)) == list(range(400))


def test_closing_the_hub_ends_who_waits(shared: Daemon) -> None:
    hub = holdfast.connect(shared.run_dir)
    subscription = hub.events.subscribe(types="never")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, subscription)
        wait_for(lambda: stats(shared).fetches, 1)
        hub.close()
        with pytest.raises(HoldfastError, match="closed"):
            waiting.result(TIMEOUT)


def test_a_closed_one_hands_out_nothing_more(shared: Daemon) -> None:
    with shared.hub.events.subscribe(start="first") as subscription:
        next(subscription)
    assert list(subscription) == []


def test_cancelled_steps_leave_one_fetch_at_most(shared: Daemon) -> None:
    async def main() -> None:
        async with aio.connect(shared.run_dir) as hub, hub.events.subscribe(types="no") as waiting:
            for _ in range(100):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(anext(waiting), 0.002)
            await hub.ask("log", log.Barrier())
            assert stats(shared).fetches <= before + 1

    before = stats(shared).fetches  # those of a closed hub wait until their time is over
    asyncio.run(main())


def test_a_hundred_of_one_program_get_each_its_own(shared: Daemon) -> None:
    many, each = 100, 30

    async def main() -> None:
        async with aio.connect(shared.run_dir) as hub:
            subscriptions = [await hub.events.subscribe(session=f"own{n}") for n in range(many)]

            async def read(subscription: aio.AsyncSubscription) -> list[object]:
                return [(await anext(subscription)).data for _ in range(each)]

            reading = asyncio.gather(*map(read, subscriptions))
            for n in range(many * each):
                await hub.events.emit("own", n, session=f"own{n % many}")
            for n, found in enumerate(await asyncio.wait_for(reading, TIMEOUT)):
                assert found == list(range(n, many * each, many))

    asyncio.run(main())


# -- gaps --------------------------------------------------------------------------------------


def test_events_that_were_deleted_before_they_came_are_told(tmp_path: Path) -> None:
    with Daemon(tmp_path, SMALL_RING) as daemon:
        hub = daemon.hub
        for n in range(3_000):
            hub.events.emit("n", n)
        hub.flush()
        reader = hub.events.subscribe(types="n", start="first", max_in_flight=100)
        first = [next(reader) for _ in range(100)]
        delete_up_to(daemon, 1_500)
        gaps: list[Gap] = []
        newcomer = hub.events.subscribe(types="n", start="first", on_gap=gaps.append)
        came = [event.seq for event in islice(newcomer, 400)]
        assert gaps == [Gap(1, 1_500)]
        assert (came[0], newcomer.missed) == (1_501, 1_500)
        second = next(reader)
        assert (second.seq, reader.missed) == (1_501, 1_500 - first[-1].seq)
        only_late = hub.events.subscribe(types="n", start=2_000, on_gap=gaps.append)
        assert next(only_late).seq == 2_001
        assert len(gaps) == 1


def test_what_is_rare_is_found_span_by_span_and_a_gap_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "SPAN", 100)
    with Daemon(tmp_path, SMALL_RING) as daemon:
        hub = daemon.hub
        for n in range(3_000):
            hub.events.emit("rare" if n % 700 == 0 else "n", n)
        hub.flush()
        delete_up_to(daemon, 1_000)
        gaps: list[Gap] = []
        rare = hub.events.subscribe(types="rare", start="first", on_gap=gaps.append)
        assert [next(rare).data for _ in range(3)] == [1_400, 2_100, 2_800]
        assert gaps == [Gap(1, 1_000)]
        assert rare.missed == 1_000


def test_who_asks_for_everything_is_told_of_every_hole(tmp_path: Path) -> None:
    with Daemon(tmp_path, SMALL_RING) as daemon:
        hub = daemon.hub
        for n in range(3_000):
            hub.events.emit("n", n)
        hub.flush()
        delete(daemon, 100, 149)
        delete(daemon, 700, 700)
        daemon.kill("log")
        gaps: list[Gap] = []
        every = hub.events.subscribe(start="first", on_gap=gaps.append)
        seqs = [next(every).seq for _ in range(2_900)]
        assert seqs == [n for n in range(1, 2_952) if n != 700 and not 100 <= n <= 149]
        assert gaps == [Gap(100, 149), Gap(700, 700)]
        assert every.missed == 51


def delete_up_to(daemon: Daemon, seq: int) -> None:
    delete(daemon, 1, seq)


def delete(daemon: Daemon, first: int, last: int) -> None:
    """As retention does."""
    with closing(sqlite3.connect(daemon.database, timeout=TIMEOUT)) as connection, connection:
        connection.execute("DELETE FROM events WHERE seq BETWEEN ? AND ?", (first, last))


# -- query(wait=) ------------------------------------------------------------------------------


def test_a_query_waits_for_the_first_that_matches(shared: Daemon) -> None:
    hub = shared.hub
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(hub.events.query, types="waited", wait=TIMEOUT)
        wait_for(lambda: stats(shared).fetches, 1)
        assert not waiting.done()
        hub.events.emit("waited", 1)
        (event,) = waiting.result(TIMEOUT)
    assert event.data == 1
    assert hub.events.query(types="waited", wait=TIMEOUT) == [event]  # at once


def test_a_query_waits_no_longer_than_it_was_told_to(shared: Daemon) -> None:
    began = time.monotonic()
    assert shared.hub.events.query(types="never", wait=0.3) == []
    assert time.monotonic() - began >= 0.3


def test_a_query_waits_on_when_the_log_is_killed(tmp_path: Path) -> None:
    with Daemon(tmp_path, SMALL_RING) as daemon, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(daemon.hub.events.query, types="waited", wait=TIMEOUT)
        wait_for(lambda: stats(daemon).fetches, 1)
        daemon.kill("log")
        wait_for(lambda: stats(daemon).fetches, 1)
        daemon.hub.events.emit("waited", 1)
        assert [event.data for event in waiting.result(TIMEOUT)] == [1]


def stats(daemon: Daemon) -> log.LogStats:
    found = daemon.hub._driver.ask_once("log:read", log.Stats(), TIMEOUT)
    assert isinstance(found, log.LogStats)
    return found


def test_time_in_a_subscription_does_not_hold_up_other_calls(shared: Daemon) -> None:
    hub = shared.hub
    subscription = hub.events.subscribe(types="other")
    came = threading.Event()

    def read() -> None:
        next(subscription)
        came.set()

    reader = threading.Thread(target=read)
    reader.start()
    wait_for(lambda: stats(shared).fetches, 1)
    for _ in range(20):
        hub.events.query(limit=1)
    assert not came.is_set()
    hub.events.emit("other", 1)
    assert came.wait(TIMEOUT)
    reader.join(TIMEOUT)

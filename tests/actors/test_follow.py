"""History followed by what comes, while what keeps both is killed (scenario D4)."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import holdfast
from holdfast import aio
from tests.actors.firing import CONFIG, chance, committed, fire, wait_for
from tests.actors.sending import orders, senders
from tests.daemon import TIMEOUT, Daemon

SENDERS = 2
COUNT = 6_000  # events of each
FOLLOWERS = 3  # of each kind
LOOK = 10.0  # seconds a look may take; what ends the followers of a test that has failed
LAST = "last"  # the type of an event behind all others

Seen = list[tuple[int, str, Any]]


# A small ring: who joins late reads its history from the database.
SMALL_RING = CONFIG + "[actors.log]\ncapacity = 2_000\n"


def wait_until(daemon: Daemon, events: int) -> None:
    """So many are committed."""
    with committed(daemon) as newest:
        wait_for(newest, events)


def follow(daemon: Daemon, joins_at: int) -> Seen:
    """Every event from the first to LAST, with a hub of its own."""
    wait_until(daemon, joins_at)
    seen: Seen = []
    with holdfast.connect(daemon.run_dir) as hub:
        for event in hub.events.follow(after=0, timeout=LOOK):
            seen.append((event.seq, event.type, event.data))
            if event.type == LAST:
                break
    return seen


def follow_in_a_loop(daemon: Daemon, joins_at: int) -> Seen:
    """The same with the asyncio client."""

    async def main() -> Seen:
        seen: Seen = []
        async with aio.connect(daemon.run_dir) as hub:
            async for event in hub.events.follow(after=0, timeout=LOOK):
                seen.append((event.seq, event.type, event.data))
                if event.type == LAST:
                    break
        return seen

    wait_until(daemon, joins_at)
    return asyncio.run(main())


WAYS: tuple[Callable[[Daemon, int], Seen], ...] = (follow, follow_in_a_loop)


def test_who_follows_from_the_start_gets_every_event_once_whoever_is_killed(
    tmp_path: Path,
) -> None:
    """Scenario D4: subscribers join at random points while ``log`` and ``writer`` are killed."""
    total = SENDERS * COUNT
    random = chance()
    with (
        ThreadPoolExecutor(2 * FOLLOWERS) as pool,  # waits for followers, who need an end
        Daemon(tmp_path, SMALL_RING) as daemon,
        committed(daemon) as progress,
        senders(daemon, orders(SENDERS, count=COUNT)) as started,
    ):
        following: list[Future[Seen]] = [
            pool.submit(way, daemon, random.randrange(total))
            for way in WAYS
            for _ in range(FOLLOWERS)
        ]
        fire(
            daemon,
            chance=random,
            victims=[["log"], ["writer"], ["log", "writer"]],
            at_a_step=["writer"],
            progress=progress,
            total=total,
            kills=8,
        )
        for sender in started:
            assert sender.finish().pending == 0
        daemon.hub.events.emit(LAST)
        daemon.hub.flush(timeout=TIMEOUT)
        every = stored_up_to_last(daemon)
        assert len(every) > total
        for future in following:
            assert future.result(TIMEOUT) == every


def stored_up_to_last(daemon: Daemon) -> Seen:
    with closing(sqlite3.connect(f"file:{daemon.database}?mode=ro", uri=True)) as viewer:
        rows = viewer.execute("SELECT seq, type, data FROM events ORDER BY seq").fetchall()
    found = [(seq, type, json.loads(data)) for seq, type, data in rows]
    assert [seq for seq, _, _ in found] == list(range(1, len(found) + 1)), "a hole"
    return found[: 1 + [type for _, type, _ in found].index(LAST)]

"""Large data through a real daemon: the same to whoever asks, whatever was restarted."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import holdfast
from holdfast import aio
from tests.actors.overloading import rows
from tests.commandline import command_line
from tests.daemon import CONFIG, TIMEOUT, Daemon

# A small ring: most is read from the database, and the ring has to be refilled.
SMALL_RING = CONFIG + "[actors.log]\ncapacity = 20\n"
COUNT = 60


def data_of(n: int) -> object:
    """Every third is large, of those every second is the same."""
    if n % 3:
        return n
    return ["x" * 20, 0 if n % 2 else n] * 2_000


def test_large_data_reads_the_same_from_the_ring_the_database_and_a_refilled_ring(
    tmp_path: Path,
) -> None:
    expected = [data_of(n) for n in range(COUNT)]
    with Daemon(tmp_path, SMALL_RING) as daemon, holdfast.connect(daemon.run_dir) as hub:
        for n in range(COUNT):
            hub.events.emit("n", data_of(n))
        hub.flush(timeout=TIMEOUT)

        def read() -> None:
            events = hub.events.query(types="n", limit=COUNT)
            assert [event.data for event in events] == expected
            assert events[1].payload is None
            assert events[0].payload is not None
            assert events[0].payload.bytes > 20 * 2_000
            newest = hub.events.query(types="n", limit=10, reverse=True)
            assert newest == events[::-1][:10]
            tail = [event for event in hub.events.tail(10) if event.type == "n"]
            assert tail == events[-len(tail) :]
            after = hub.events.query(types="n", after=events[-10].seq)
            assert after == events[-9:]
            bare = hub.events.query(types="n", limit=COUNT, payloads=False)
            assert [event.payload for event in bare] == [event.payload for event in events]
            assert [event.data for event in bare] == [
                None if event.payload else event.data for event in events
            ]

        read()
        daemon.kill("log")
        read()
        assert rows(daemon, "SELECT count(*) FROM payloads") == [(COUNT // 6,)]


def test_more_large_data_than_fits_in_a_reply_is_fetched_in_turns(tmp_path: Path) -> None:
    data = [f"{n}" * 1_000_000 for n in range(9)]
    with Daemon(tmp_path) as daemon, holdfast.connect(daemon.run_dir) as hub:
        for text in data:
            hub.events.emit("n", text)
        hub.flush(timeout=TIMEOUT)
        assert [event.data for event in hub.events.query(types="n")] == data

        async def read() -> list[object]:
            async with aio.connect(daemon.run_dir) as other:
                return [event.data for event in await other.events.query(types="n")]

        assert asyncio.run(read()) == data


def test_an_export_has_the_large_data(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon, holdfast.connect(daemon.run_dir) as hub:
        hub.events.emit("n", data_of(0))
        hub.flush(timeout=TIMEOUT)
        printed = command_line(daemon.folder, "events", "export", "--type", "n").stdout
        assert [json.loads(line)["data"] for line in printed.splitlines()] == [data_of(0)]

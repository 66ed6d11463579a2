"""Streams from programs: compare-and-append by many at once while the writer is killed."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import pytest

import holdfast
from holdfast import aio
from holdfast.errors import Conflict, InvalidInputError
from tests.commandline import command_line
from tests.daemon import CONFIG, TIMEOUT, Daemon

WRITERS = 4
COUNT = 40  # events of each
KILLS = 4


def test_every_version_is_one_writers_though_the_writer_actor_is_killed(tmp_path: Path) -> None:
    """Each counts up what it reads: had one append been lost or repeated, the sum would tell."""
    with Daemon(tmp_path, CONFIG + "[actors.log]\ncapacity = 50\n") as daemon:
        milestones: SimpleQueue[int] = SimpleQueue()

        def count_up(name: int) -> int:
            conflicts = 0
            with holdfast.connect(daemon.run_dir) as hub:
                done, version = 0, 0
                while done < COUNT:
                    try:
                        version = hub.events.append(
                            "sum",
                            [("add", [name, done])],
                            expected_version=version,
                            timeout=TIMEOUT,
                        )
                    except Conflict as error:
                        version, conflicts = int(error.current or 0), conflicts + 1
                        continue
                    done += 1
                    if done % (COUNT // 2) == 0:
                        milestones.put(name)
            return conflicts

        with ThreadPoolExecutor(WRITERS) as pool:
            counting = [pool.submit(count_up, name) for name in range(WRITERS)]
            for _ in range(KILLS):
                milestones.get(timeout=TIMEOUT)
                daemon.kill("writer")
            assert sum(each.result(TIMEOUT) for each in counting) > 0, "they never met"
        read = daemon.hub.events.read_stream("sum", limit=1_000)
        assert [each.version for each in read] == list(range(1, WRITERS * COUNT + 1))
        assert daemon.hub.events.stream_version("sum") == WRITERS * COUNT
        for name in range(WRITERS):
            mine = [each.event.data[1] for each in read if each.event.data[0] == name]
            assert mine == list(range(COUNT))
        # The log, which they did not come by, has them too.
        assert daemon.hub.events.query(types="add", limit=1_000) == [each.event for each in read]


def test_append_takes_many_at_once_and_says_what_it_expects(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        events = daemon.hub.events
        large = ["x" * 20_000]
        assert events.append("a", [("t", 1), ("u", large)], expected_version="none") == 2
        for expected in ("none", 0, 1, 3):
            with pytest.raises(Conflict, match=r" is 2$"):
                events.append("a", [("t", 2)], expected_version=expected)
        assert events.append("a", [("t", 3)], session="s") == 3
        read = events.read_stream("a", after_version=1)
        assert [(each.version, each.event.data) for each in read] == [(2, large), (3, 3)]
        assert {each.event.subject for each in read} == {"a"}
        assert read[1].event.session == "s"
        bad: list[dict[str, object]] = [
            {"events": []},
            {"events": [("t", object())]},
            {"events": [("", 1)]},
            {"expected_version": -1},
            {"expected_version": True},
            {"expected_version": "some"},
            {"stream": ""},
        ]
        for each in bad:
            arguments = {"stream": "a", "events": [("t", 1)], **each}
            with pytest.raises(InvalidInputError):
                events.append(**arguments)  # type: ignore[arg-type]  # bad ones

        async def from_a_loop() -> int:
            async with aio.connect(daemon.run_dir) as hub:
                version = await hub.events.append("a", [("t", 4)], expected_version=3)
                (last,) = await hub.events.read_stream("a", after_version=3)
                assert last.event.data == 4
                return version

        assert asyncio.run(from_a_loop()) == 4


def test_the_command_line_appends_or_exits_with_one(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:

        def run(*arguments: str) -> tuple[int, str]:
            done = command_line(daemon.folder, "events", "append", *arguments)
            return done.returncode, done.stdout.strip()

        assert run("a", "t", '{"n": 1}', "--expected-version", "none") == (0, "1")
        assert run("a", "t", "2", "--expected-version", "none") == (1, "")
        assert run("a", "t", "--json") == (0, '{"version": 2}')
        assert run("a", "t", "{")[0] == 2
        assert run("a", "t", "--expected-version", "-1")[0] == 2
        data = [each.event.data for each in daemon.hub.events.read_stream("a")]
        assert data == [{"n": 1}, None]

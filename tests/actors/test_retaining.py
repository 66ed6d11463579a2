"""Retention in a real daemon: the ring, subscribers and the command line see the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import holdfast
from holdfast.actors.following import Gap
from holdfast.actors.messages.writer import Prune
from tests.actors.overloading import rows
from tests.actors.test_full_disk import fill, is_said, small_disk
from tests.commandline import command_line
from tests.daemon import CONFIG, TIMEOUT, Daemon

# No round but those that are asked for: the first one would come 30 s after the start.
RULES = """
[retention]
period = 3600.0
[retention.types."tool:*"]
max_count = 50
[retention.types."noise"]
max_count = 1
"""


def prune(daemon: Daemon, *arguments: str) -> dict[str, Any]:
    done = command_line(daemon.folder, "events", "prune", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def emit(hub: holdfast.Hub, count: int) -> None:
    for n in range(count):
        hub.events.emit(("tool:call", "chat", "noise")[n % 3], n)
    hub.flush(timeout=TIMEOUT)


def test_holes_are_the_same_in_the_ring_the_database_and_a_refilled_ring(tmp_path: Path) -> None:
    with Daemon(tmp_path, CONFIG + RULES) as daemon, holdfast.connect(daemon.run_dir) as hub:
        emit(hub, 600)
        plan = prune(daemon, "--dry-run")
        assert [(each["rule"], each["count"]) for each in plan["deleted"]] == [
            ("tool:*", 150),
            ("noise", 199),
        ]
        assert hub.events.count(types="tool:*") == 200
        done = prune(daemon)
        assert done["deleted"] == plan["deleted"]
        expected = [n for n in range(600) if n % 3 == 1 or (n % 3 == 0 and n >= 450) or n == 599]

        def read() -> list[int]:
            events = hub.events.query(types=("tool:*", "chat", "noise"), limit=1_000)
            newest = hub.events.query(types=("tool:*", "chat", "noise"), limit=90, reverse=True)
            assert newest == events[::-1][:90]
            followed = hub.events.subscribe(
                types=("tool:*", "chat", "noise"), start=events[200].seq
            )
            assert [next(followed) for _ in range(40)] == events[201:241]
            return [event.data for event in events]

        assert read() == expected
        last = hub.events.query(limit=1, reverse=True)[0].seq
        daemon.kill("log")
        assert read() == expected
        hub.events.emit("chat", 600)
        hub.flush(timeout=TIMEOUT)
        assert hub.events.query(types="chat", after=last)[-1].data == 600
        assert rows(daemon, "SELECT sum(count) FROM deleted") == [(349,)]


def test_rounds_come_by_themselves_and_a_subscriber_is_told_of_the_gap(tmp_path: Path) -> None:
    rules = "[retention]\nmax_count = 20\nperiod = 0.05\n"
    with Daemon(tmp_path, CONFIG + rules) as daemon, holdfast.connect(daemon.run_dir) as hub:
        gaps: list[Gap] = []
        late = hub.events.subscribe(types="chat", start="first", on_gap=gaps.append)
        emit(hub, 300)
        daemon.until(lambda: rows(daemon, "SELECT count(*) <= 20 FROM events") == [(1,)])
        daemon.until(lambda: hub.events.count() <= 20)
        first = next(late)
        assert gaps
        assert gaps[0].first == 1
        assert gaps[-1].last < first.seq
        assert late.missed > 200


def test_a_named_subscriber_keeps_what_it_has_not_acknowledged(tmp_path: Path) -> None:
    rules = "[retention]\nmax_count = 20\nperiod = 3600.0\n"
    with Daemon(tmp_path, CONFIG + rules) as daemon, holdfast.connect(daemon.run_dir) as hub:
        subscription = hub.events.subscribe(types="chat", start="first", name="reader")
        emit(hub, 300)
        seen = [next(subscription) for _ in range(60)]
        subscription.ack(seen[-1].seq, wait=True)
        prune(daemon)
        assert rows(daemon, "SELECT min(seq) FROM events") == [(seen[-1].seq + 1,)]
        assert [next(subscription).data for _ in range(40)] == list(range(181, 300, 3))


def test_retention_waits_for_room_on_a_full_disk(tmp_path: Path) -> None:
    disk = tmp_path / "var" / "lib"
    rules = "[retention]\nmax_count = 10\nperiod = 0.1\n"
    with small_disk(disk), Daemon(tmp_path, CONFIG + rules) as daemon:
        pid = daemon.pid("writer")
        daemon.until(lambda: rows(daemon, "SELECT count(*) <= 10 FROM events") == [(1,)])
        daemon.hub.events.emit("n")
        daemon.hub.flush(timeout=TIMEOUT)
        filler = fill(disk)
        for _ in range(200):
            daemon.hub.events.emit("n", "x" * 1_000)
        daemon.until(lambda: is_said(daemon, "disk is full"))
        filler.unlink()
        daemon.hub.flush(timeout=TIMEOUT)
        daemon.until(lambda: rows(daemon, "SELECT count(*) <= 10 FROM events") == [(1,)])
        assert daemon.pid("writer") == pid
        assert rows(daemon, "PRAGMA integrity_check") == [("ok",)]


def test_the_ring_holds_nothing_that_is_deleted_though_the_writer_is_killed(
    tmp_path: Path,
) -> None:
    rules = "[retention]\nperiod = 0.02\n[retention.types.a]\nmax_count = 30\n"
    with Daemon(tmp_path, CONFIG + rules) as daemon:
        for life in range(6):
            for n in range(300):
                daemon.hub.events.emit("ab"[n % 2], [life, n])
            daemon.hub.flush(timeout=TIMEOUT)
            daemon.kill("writer")
        few = "SELECT count(*) <= 30 FROM events WHERE type = 'a'"
        daemon.until(lambda: rows(daemon, few) == [(1,)])
        sql = "SELECT seq FROM events WHERE type IN ('a', 'b') ORDER BY seq"

        def is_same() -> bool:
            held = [event.seq for event in daemon.hub.events.tail(5_000) if event.type in "ab"]
            return held == [seq for (seq,) in rows(daemon, sql)]

        daemon.until(is_same)


def test_a_stop_in_the_middle_of_a_round_leaves_an_empty_log_and_no_half_slice(
    tmp_path: Path,
) -> None:
    """Scenario 15; what is left goes on after the next start."""
    rules = "[retention]\nmax_count = 1\nperiod = 0.5\n"
    with Daemon(tmp_path, CONFIG + rules) as daemon:
        for n in range(20_000):
            daemon.hub.events.emit("n", n)
        daemon.hub.flush(timeout=TIMEOUT)
        daemon.until(lambda: rows(daemon, "SELECT sum(count) > 100 FROM deleted") == [(1,)])
        daemon.stop()
        log = daemon.database.with_name(daemon.database.name + "-wal")
        assert not log.exists() or log.stat().st_size == 0
        left, deleted = rows(
            daemon, "SELECT (SELECT count(*) FROM events), (SELECT sum(count) FROM deleted)"
        )[0]
        last = rows(daemon, "SELECT max(seq) FROM events")[0][0]
        assert left + deleted == last
        daemon.restart()
        daemon.until(lambda: rows(daemon, "SELECT count(*) < 50 FROM events") == [(1,)])
        daemon.stop()


def test_retention_lets_commits_in_between(tmp_path: Path) -> None:
    """How long they take is measured by benchmarks/retention.py."""
    rules = "[retention]\nmax_count = 1\nperiod = 3600.0\n"
    with Daemon(tmp_path, CONFIG + rules) as daemon, holdfast.connect(daemon.run_dir) as other:
        for n in range(30_000):
            daemon.hub.events.emit("n", n)
        daemon.hub.flush(timeout=TIMEOUT)
        pruning = other.ref("writer").ask(Prune(False), block=False, timeout=TIMEOUT)
        committed = 0
        while rows(daemon, "SELECT min(seq) < 20000 FROM events") == [(1,)]:
            daemon.hub.events.emit("m")
            daemon.hub.flush(timeout=TIMEOUT)
            committed += 1
        assert committed > 20, "retention did not let anybody in"
        pruning.get()

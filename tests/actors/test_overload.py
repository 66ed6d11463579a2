"""The overload modes of the event log (scenario 34), and that nothing is lost uncounted (D3)."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import holdfast
from holdfast.actors.blocks import Block
from holdfast.actors.messages.writer import Relay, Skip
from holdfast.actors.overload import Overload, Switch, Thresholds
from holdfast.actors.relays import Frame, Relays
from holdfast.errors import ConfigError
from holdfast.storage.records import Origin, RawEvent
from holdfast.supervisors.config import parse_settings
from tests.actors.overloading import (
    check_conservation,
    committed,
    emit,
    notices,
    rows,
    stats,
    stopped,
    wait_for_mode,
)
from tests.daemon import CONFIG, TIMEOUT, Daemon

# One hub may have 2,500 events under way: a quarter of the log's mailbox.
MODES = """
[actors.log]
sync_at = 200
drop_at = 1_000
flush_at = 2_000
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, CONFIG + MODES) as daemon:
        yield daemon


def test_by_default_nothing_is_ever_dropped(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        hub = daemon.hub
        with stopped(daemon, "writer"):
            emit(hub, 0, 20_000)
            assert daemon.until(lambda: stats(daemon).load >= 2_500)
            assert stats(daemon).mode == "async"
        hub.flush(timeout=TIMEOUT)
        assert committed(daemon) == list(range(20_000))
        assert (hub.events.dropped, notices(daemon)) == (0, [])


def test_each_mode_is_entered_once_with_one_notice_that_counts(daemon: Daemon) -> None:
    hub = daemon.hub
    with stopped(daemon, "writer"):
        emit(hub, 0, 2_500)
        wait_for_mode(daemon, "flush")
    hub.flush(timeout=TIMEOUT)
    wait_for_mode(daemon, "async")
    daemon.until(lambda: stats(daemon).load == 0 and notices(daemon)[-1]["mode"] == "async")
    told = notices(daemon)
    assert [notice["mode"] for notice in told] == ["sync", "drop", "flush", "sync", "async"]
    assert [notice["before"] for notice in told] == ["async", "sync", "drop", "flush", "sync"]
    assert told[2]["flushed"] > 0
    assert sum(notice["dropped"] for notice in told) == stats(daemon).dropped > 1_000
    reasons = dict(rows(daemon, "SELECT reason, sum(count) FROM dropped GROUP BY reason"))
    assert sum(reasons.values()) == stats(daemon).dropped
    assert reasons["overload:flush"] == told[2]["flushed"]
    assert set(reasons) == {"overload:drop", "overload:flush"}
    check_conservation(daemon, hub)


def test_after_an_overload_events_are_kept_again(daemon: Daemon) -> None:
    hub = daemon.hub
    with stopped(daemon, "writer"):
        emit(hub, 0, 2_500)
        wait_for_mode(daemon, "flush")
    hub.flush(timeout=TIMEOUT)
    wait_for_mode(daemon, "async")
    before = hub.events.dropped
    emit(hub, 2_500, 100)
    hub.flush(timeout=TIMEOUT)
    assert committed(daemon)[-100:] == list(range(2_500, 2_600))
    assert hub.events.dropped == before


def test_in_sync_mode_a_sender_has_one_frame_under_way(tmp_path: Path) -> None:
    with Daemon(tmp_path, CONFIG + "[actors.log]\nsync_at = 100\n") as daemon:
        hub = daemon.hub
        with stopped(daemon, "writer"):
            emit(hub, 0, 150)
            wait_for_mode(daemon, "sync")
            with holdfast.connect(daemon.run_dir, source="late") as late:
                emit(late, 0, 5_000)
                daemon.until(lambda: stats(daemon).load > 150)
                # A frame holds at most 512 events; the rest waits with its sender.
                for _ in range(20):
                    assert 150 < stats(daemon).load <= 150 + 512
                assert late.events.pending == 5_000
                os.kill(daemon.pid("writer"), signal.SIGCONT)
                late.flush(timeout=TIMEOUT)
                assert late.events.dropped == 0
        wait_for_mode(daemon, "async")
        assert len(committed(daemon)) == 5_150
        assert {notice["mode"] for notice in notices(daemon)} == {"sync", "async"}


@pytest.mark.parametrize(
    "victims",
    [
        ["log", "writer"],
        *(pytest.param([one], marks=pytest.mark.slow) for one in ("log", "writer")),
    ],
)
def test_what_is_dropped_is_counted_once_whoever_is_killed(
    daemon: Daemon, victims: list[str]
) -> None:
    """Scenario D3, with frames and tombstones under way at the moment of death."""
    hub = daemon.hub
    for _ in range(4):
        emit(hub, hub.events.accepted, 1)
        hub.flush(timeout=TIMEOUT)  # its acknowledgement brings the whole window back
        with stopped(daemon, "writer"):
            emit(hub, hub.events.accepted, 2_500)
            wait_for_mode(daemon, "flush")
            for victim in victims:
                daemon.kill(victim)
        hub.flush(timeout=TIMEOUT)
        wait_for_mode(daemon, "async")
    check_conservation(daemon, hub)
    assert rows(daemon, "PRAGMA integrity_check") == [("ok",)]


def test_several_senders_are_dropped_and_counted_each_for_itself(daemon: Daemon) -> None:
    hubs = [holdfast.connect(daemon.run_dir, source=f"s{n}") for n in range(3)]
    with stopped(daemon, "writer"):
        for hub in hubs:
            emit(hub, 0, 2_000)
        wait_for_mode(daemon, "flush")
    for hub in hubs:
        hub.flush(timeout=TIMEOUT)
        source = f"s{hubs.index(hub)}"
        (count,) = rows(daemon, f"SELECT count(*) FROM events WHERE source = '{source}'")[0]
        assert count + hub.events.dropped == hub.events.accepted == 2_000
        hub.close()
    (total,) = rows(daemon, "SELECT sum(count) FROM dropped")[0]
    assert total == sum(hub.events.dropped for hub in hubs) > 0


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("drop_at = 1", r"\[actors.log\] drop_at = 1: expected 0, or events > 1"),
        ("sync_at = 20\ndrop_at = 10", r"drop_at = 10: expected .* >= sync_at, which is 20"),
        ("drop_at = 20\nflush_at = 10", r"flush_at = 10: expected .* >= drop_at, which is 20"),
        ("sync_at = 20\ndrop_at = 30\nflush_at = 25", "flush_at = 25: expected"),
        ("flush_at = 10", "flush_at = 10: expected drop_at to be set as well"),
        ("drop_at = 10001", "drop_at = 10001: expected at most mailbox_limit, 10000"),
        ("sync_at = -1", "sync_at = -1: expected a whole number >= 0"),
    ],
)
def test_thresholds_out_of_order_are_refused_at_load(keys: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_settings(f"[actors.log]\n{keys}\n", file="test.toml")


@pytest.mark.parametrize(
    "keys", ["sync_at = 1", "drop_at = 2", "sync_at = 5\ndrop_at = 5\nflush_at = 5"]
)
def test_thresholds_may_be_left_out_or_equal(keys: str) -> None:
    parse_settings(f"[actors.log]\n{keys}\n", file="test.toml")


# -- the rules, without a process -------------------------------------------------------------


def test_modes_follow_the_load_up_at_once() -> None:
    overload = Overload(Thresholds(10, 20, 30))
    assert overload.look(9) is None
    assert overload.look(10) == Switch("async", "sync", 10)
    assert overload.look(15) is None
    assert overload.look(35) == Switch("sync", "flush", 35)
    assert overload.look(25) is None
    assert overload.is_dropping


def test_dropping_ends_at_half_of_its_threshold() -> None:
    overload = Overload(Thresholds(5, 20, 0))
    overload.look(20)
    assert overload.look(11) is None
    assert overload.look(10) == Switch("drop", "sync", 10)
    without_sync = Overload(Thresholds(0, 20, 0))
    without_sync.look(20)
    assert without_sync.look(10) == Switch("drop", "async", 10)


def test_senders_are_let_go_after_one_period_below_the_threshold() -> None:
    overload = Overload(Thresholds(10, 0, 0))
    overload.look(10)
    assert overload.look_for_calm(0) is None, "it was high within this period"
    overload.look(12)
    assert overload.look_for_calm(3) is None
    assert overload.look_for_calm(3) == Switch("sync", "async", 3)


def frame(first: int, count: int, *, own: bool = False) -> Frame:
    events: list[RawEvent] = [
        (n, "n", "s", None, None, None, None, None, 0, None, "1") for n in range(count)
    ]
    origin = Origin("s", "1", "log", first)
    delivery: Any = None if own else object()
    return Frame(Relay(origin, msgspec.Raw(b"\x90")), count, Block.of(events), delivery)


def test_the_writer_is_given_a_bounded_share_and_flush_takes_the_rest() -> None:
    relays = Relays(hand_limit=100)
    frames = [frame(1 + 60 * n, 60) for n in range(4)]
    for each in frames:
        relays.add(each)
    handed = [relays.take(), relays.take(), relays.take()]
    assert handed == [frames[0], frames[1], None]
    assert relays.bury_all("overload:flush") == 120
    assert [type(each.message) for each in frames] == [Relay, Relay, Skip, Skip]
    assert (relays.load, relays.events) == (240, 120)
    relays.settle(frames[0])
    assert relays.take() is frames[2]
    assert relays.take() is frames[3], "a tombstone weighs one"
    for each in frames[1:]:
        relays.settle(each)
    assert (relays.load, relays.events, len(relays), relays._handed) == (0, 0, 0, 0)


def test_what_the_disk_refused_can_be_flushed_and_the_logs_own_events_cannot() -> None:
    relays = Relays(hand_limit=1_000)
    refused, own = frame(1, 60), frame(1, 1, own=True)
    for each in (refused, own):
        relays.add(each)
        assert relays.take() is each
    assert relays.put_off(refused)
    assert not relays.put_off(own)
    assert relays.bury_all("overload:flush") == 60
    assert relays.take_refused() == [refused, own]
    assert isinstance(own.message, Relay)
    relays.settle(refused)
    relays.settle(own)
    assert (relays.load, relays._handed) == (0, 0)

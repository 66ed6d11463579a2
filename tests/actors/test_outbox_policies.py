"""What a full outbox means (scenario 33): wait, fail, or be counted; never more memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import holdfast
from holdfast.actors.entry import Entry
from holdfast.actors.messages import log
from holdfast.actors.outbox import Outbox, OutboxLimits, Policy
from holdfast.errors import ConfigError, InvalidInputError, OutboxFullError
from holdfast.supervisors.config import parse_settings
from tests.actors.overloading import check_conservation, committed, emit, rows, stopped
from tests.actors.test_agents import AGENT
from tests.daemon import CONFIG, TIMEOUT, Daemon

encode = msgspec.msgpack.encode
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path) as daemon:
        yield daemon


def small(daemon: Daemon, policy: Policy, *, timeout: float = 30.0) -> holdfast.Hub:
    """A hub that holds a hundred messages."""
    return holdfast.connect(
        daemon.run_dir,
        source="small",
        outbox_messages=100,
        outbox_policy=policy,
        outbox_timeout=timeout,
    )


def reasons(daemon: Daemon) -> set[tuple[str, str]]:
    return {
        (stream, reason) for stream, reason in rows(daemon, "SELECT stream, reason FROM dropped")
    }


def test_block_waits_for_room_and_loses_nothing(daemon: Daemon) -> None:
    with small(daemon, "block") as hub:
        with stopped(daemon, "writer"):
            emit(hub, 0, 100)
            more = threading.Thread(target=emit, args=(hub, 100, 1_000))
            more.start()
            with holdfast.connect(daemon.run_dir) as other:
                for _ in range(20):
                    other.ask("log", log.Stats(), timeout=TIMEOUT)
                assert hub.events.accepted == 100
        more.join(TIMEOUT)
        assert not more.is_alive()
        hub.flush(timeout=TIMEOUT)
        assert (hub.events.accepted, hub.events.dropped, hub.events.rejected) == (1_100, 0, 0)
    assert committed(daemon) == list(range(1_100))


@pytest.mark.parametrize(("policy", "timeout"), [("block", 0.1), ("fail", 30.0)])
def test_what_found_no_room_raises_and_was_not_emitted(
    daemon: Daemon, policy: Policy, timeout: float
) -> None:
    with small(daemon, policy, timeout=timeout) as hub:
        with stopped(daemon, "writer"):
            emit(hub, 0, 100)
            for _ in range(3):
                with pytest.raises(OutboxFullError, match="100 messages to 'log' wait"):
                    hub.events.emit("n", -1)
        hub.flush(timeout=TIMEOUT)
        emit(hub, 100, 1)
        hub.flush(timeout=TIMEOUT)
        assert (hub.events.accepted, hub.events.dropped, hub.events.rejected) == (101, 0, 3)
    assert committed(daemon) == list(range(101))


def test_ring_only_never_waits_and_every_loss_is_a_row(daemon: Daemon) -> None:
    with small(daemon, "ring_only") as hub:
        with stopped(daemon, "writer"):
            emit(hub, 0, 50_000)
        hub.flush(timeout=TIMEOUT)
        emit(hub, 50_000, 50)
        hub.flush(timeout=TIMEOUT)
        assert hub.events.dropped >= 49_900
        assert hub.events.rejected == 0
        check_conservation(daemon, hub)
        assert set(range(100)) | set(range(50_000, 50_050)) <= set(committed(daemon))
    assert reasons(daemon) == {("log", "ring_only")}


def test_what_is_kept_in_memory_only_is_seen_there_in_its_place(daemon: Daemon) -> None:
    with small(daemon, "ring_only") as hub:
        with stopped(daemon, "writer"):
            emit(hub, 0, 300)
        hub.flush(timeout=TIMEOUT)
        emit(hub, 300, 50)
        hub.flush(timeout=TIMEOUT)
        stored = committed(daemon)
        seen = hub.events.query(types="n", limit=1_000, visibility="memory")
        assert [event.data for event in seen] == list(range(350))
        assert [event.data for event in seen if event.seq] == stored
        found = hub.events.query(types="n", limit=1_000)
        assert [event.data for event in found] == stored
        newest = hub.events.query(types="n", limit=100, reverse=True, visibility="memory")
        assert [event.data for event in newest] == list(range(349, 249, -1))
        tail = hub.events.tail(100, visibility="memory")
        assert [event.data for event in tail] == list(range(250, 350))


@pytest.mark.parametrize("victims", [["log"], ["writer"], ["log", "writer"]])
def test_a_loss_is_recorded_once_whoever_is_killed(daemon: Daemon, victims: list[str]) -> None:
    with small(daemon, "ring_only") as hub:
        for _ in range(3):
            with stopped(daemon, "writer"):
                emit(hub, hub.events.accepted, 1_000)
                for victim in victims:
                    daemon.kill(victim)
                emit(hub, hub.events.accepted, 1_000)
            hub.flush(timeout=TIMEOUT)
        assert hub.events.dropped > 3_000
        check_conservation(daemon, hub)


@pytest.mark.parametrize(("policy", "rejected"), [("fail", 1), ("ring_only", 0)])
def test_an_agents_outbox_is_set_in_its_table(tmp_path: Path, policy: str, rejected: int) -> None:
    agent = (
        f'[agents.flooder]\nclass = "tests.actors.flooder:Flooder"\npython_path = ["{ROOT}"]\n'
        f'outbox_messages = 20\noutbox_policy = "{policy}"\n'
    )
    with Daemon(tmp_path, CONFIG + agent) as daemon:
        ref = daemon.hub.ref("flooder")
        ref.ask(0, timeout=TIMEOUT)
        with stopped(daemon, "writer"):
            answer = ref.ask(1_000, timeout=TIMEOUT)
        assert answer == {"accepted": 20 if rejected else 1_000, "rejected": rejected}
        emitted = answer["accepted"]
        daemon.until(
            lambda: (
                len(committed(daemon))
                + int(rows(daemon, "SELECT coalesce(sum(count), 0) FROM dropped")[0][0])
                == emitted
            )
        )


@pytest.mark.parametrize(
    "keys", ["outbox_messages = 0", 'outbox_policy = "drop"', "outbox_timeout = -1.0"]
)
def test_limits_that_mean_nothing_are_refused(tmp_path: Path, keys: str) -> None:
    name = keys.partition(" ")[0]
    agent = f'[agents.a]\nclass = "tests.actors.flooder:Flooder"\npython_path = ["{ROOT}"]\n'
    with pytest.raises(ConfigError, match=rf"\[agents.a\] {name}"):
        parse_settings(agent + keys, file="test.toml")
    arguments: dict[str, Any] = {name: msgspec.json.decode(keys.partition("= ")[2])}
    with pytest.raises(InvalidInputError, match=name):
        holdfast.connect(tmp_path, **arguments)


# -- the outbox alone -------------------------------------------------------------------------


def outbox(**limits: Any) -> Outbox:
    return Outbox(
        lambda items: encode(["pack", items]),
        lambda count, items: encode(["omit", count, items]),
        OutboxLimits(policy="ring_only", **limits),
    )


def drained(box: Outbox) -> list[Entry]:
    return list(iter(lambda: box.next(10_000), None))


def taken(box: Outbox) -> list[Any]:
    entries = drained(box)
    return [(entry.first, entry.count, msgspec.msgpack.decode(entry.body)) for entry in entries]


def test_a_tombstone_stands_between_what_came_before_and_after_it() -> None:
    box = outbox(messages=2)
    box.join("offer", b"a")
    box.join("offer", b"b")
    assert box.is_full
    box.omit(b"c")
    box.omit(b"d")
    assert (box.accepted, box.pending) == (4, 4)
    box.join("offer", b"e")
    assert taken(box) == [
        (1, 2, ["pack", [b"a", b"b"]]),
        (3, 2, ["omit", 2, [b"c", b"d"]]),
        (5, 1, ["pack", [b"e"]]),
    ]


def test_what_was_omitted_takes_no_room() -> None:
    box = outbox(messages=2)
    box.join("offer", b"a")
    box.join("offer", b"b")
    for _ in range(10_000):
        box.omit(bytes(8))
    entries = drained(box)
    assert [(entry.first, entry.count) for entry in entries] == [(1, 2), (3, 10_000)]
    assert len(msgspec.msgpack.decode(entries[1].body)[2]) == 512, "only the last are brought"
    box.trim(2)
    assert not box.is_full
    assert box.pending == 10_000
    box.trim(10_002)
    assert (box.pending, box.pending_bytes) == (0, 0)
    box.join("offer", b"b")
    assert not box.is_full
    box.join("offer", b"c")
    assert box.is_full, "what was omitted leaves no room behind"


def test_the_bytes_of_what_is_omitted_are_bounded() -> None:
    box = outbox(messages=1)
    box.join("offer", b"a")
    for _ in range(200):
        box.omit(bytes(200_000))
        box.next(1)
    assert box.pending == 201
    assert box.pending_bytes < 2 * 2**20


def test_packing_never_lowers_a_count() -> None:
    """``flush`` reads it from another thread: what it misses would not be waited for."""
    counts: list[int] = []

    def pack(items: list[bytes]) -> bytes:
        counts.append(box.accepted)
        return b"".join(items)

    box = Outbox(pack)
    for _ in range(600):
        box.join("offer", bytes(8))
    assert [entry.count for entry in drained(box)] == [512, 88]
    assert counts == [600, 600]
    assert (box.accepted, box.pending) == (600, 600)


def with_agents(policy: Policy, timeout: float) -> str:
    """Agent ``one`` may have ten messages under way to each actor."""
    more = f'outbox_messages = 10\noutbox_policy = "{policy}"\noutbox_timeout = {timeout}\n'
    return (
        CONFIG
        + AGENT.format(name="one", root=ROOT, more=more)
        + AGENT.format(name="two", root=ROOT, more="")
    )


@pytest.mark.parametrize(
    ("policy", "timeout"), [("block", 0.2), ("fail", 60.0), ("ring_only", 0.2)]
)
def test_the_policy_of_an_agent_holds_for_what_it_tells_others_too(
    tmp_path: Path, policy: Policy, timeout: float
) -> None:
    with Daemon(tmp_path, with_agents(policy, timeout)) as daemon:
        one, two = daemon.hub.ref("one"), daemon.hub.ref("two")
        with stopped(daemon, "two"):
            for told in (10, 0):
                answer = one.ask(["tell_many", ["two", 20]], timeout=TIMEOUT)
                assert answer == [told, "OutboxFullError"]
            traffic = daemon.child("one").traffic
            assert (traffic.pending, traffic.rejected) == (10, 2)
        daemon.until(lambda: daemon.child("one").traffic.pending == 0)
        assert one.ask(["tell_many", ["two", 1]], timeout=TIMEOUT) == [1, None]
        daemon.until(lambda: daemon.child("one").traffic.pending == 0)
        seen = two.ask(["recall", None], timeout=TIMEOUT)
        assert [n for n, _ in seen] == [*range(10), 0]


def test_an_agent_that_waits_for_room_goes_on_when_there_is_some(tmp_path: Path) -> None:
    with Daemon(tmp_path, with_agents("block", TIMEOUT)) as daemon:
        with stopped(daemon, "two"):
            telling = daemon.hub.ref("one").ask(["tell_many", ["two", 50]], block=False)
            daemon.until(lambda: daemon.child("one").traffic.pending == 10)
        assert telling.get(timeout=TIMEOUT) == [50, None]
        seen = daemon.hub.ref("two").ask(["recall", None], timeout=TIMEOUT)
        assert [n for n, _ in seen][:40] == list(range(40))

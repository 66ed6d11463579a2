"""A consumer that stands still while producers flood it (scenario 33)."""

from __future__ import annotations

import os
import signal
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast.actors.messages import log
from holdfast.actors.outbox import Policy
from tests.actors.firing import wait_for
from tests.actors.measuring import MIB, processes, rss
from tests.actors.overloading import rows, stats, stopped
from tests.actors.scribe import entries, length
from tests.actors.sending import ROOT, Outcome, Sender, orders, senders
from tests.daemon import CONFIG, TIMEOUT, Daemon

PRODUCERS = 4
EACH = 25_000
GROWTH = 50 * MIB
AT_ONCE = 0.1  # seconds

AGENTS = """
[agents.scribe]
class = "tests.actors.scribe:Scribe"
python_path = ["{root}"]
options = {{ path = "{path}" }}
[agents.puppet]
class = "tests.actors.agents:Puppet"
python_path = ["{root}"]
mailbox_limit = 10
"""


@pytest.fixture
def handled(tmp_path: Path) -> Path:
    return tmp_path / "handled"


@pytest.fixture
def daemon(tmp_path: Path, handled: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, CONFIG + AGENTS.format(root=ROOT, path=handled)) as daemon:
        yield daemon


def memory(daemon: Daemon, started: list[Sender]) -> dict[str, int]:
    pids = processes(daemon) | {str(sender.process.pid): sender.process.pid for sender in started}
    return {name: rss(pid) for name, pid in pids.items()}


def check_growth(before: dict[str, int], after: dict[str, int]) -> None:
    """Of the tree; a producer is measured against an interpreter that has sent nothing."""
    idle = before["puppet"]
    growth = {name: now - before.get(name, idle) for name, now in after.items()}
    print({name: more // 1024 for name, more in growth.items()}, "KiB")
    assert max(growth.values()) < GROWTH, growth


def seconds_of(call: Callable[[], object]) -> float:
    """The median of some calls: others share the machine, and the first status waits for whoever
    stands still."""
    taken = []
    for _ in range(9):
        began = time.monotonic()
        call()
        taken.append(time.monotonic() - began)
    return statistics.median(taken)


def check_that_the_others_answer_at_once(daemon: Daemon) -> None:
    """Status, and whoever does not stand still, from a sender that has nothing under way."""
    with holdfast.connect(daemon.run_dir) as hub:
        calls: list[Callable[[], object]] = [
            daemon.tree,
            lambda: hub.ref("puppet").ask(["echo", 1], timeout=TIMEOUT),
            lambda: hub.sessions.get("nobody", timeout=TIMEOUT),
            lambda: hub.ask("log", log.Stats(), timeout=TIMEOUT),
            lambda: hub.events.tail(1, timeout=TIMEOUT),
        ]
        for call in calls:
            assert seconds_of(call) < AT_ONCE


POLICIES: list[Any] = [
    pytest.param("block", {}, Outcome(EACH, 0, 0, 0, EACH), id="block"),
    pytest.param(
        "block",
        {"outbox_messages": EACH - 5, "outbox_timeout": 0.05},
        Outcome(EACH - 5, 5, 0, 0, EACH - 5),
        id="block, timeout",
        marks=pytest.mark.slow,  # the same flood once more
    ),
    pytest.param(
        "fail",
        {"outbox_messages": 5_000},
        Outcome(5_000, EACH - 5_000, 0, 0, 5_000),
        id="fail",
        marks=pytest.mark.slow,  # of one producer: test_outbox_policies
    ),
    pytest.param(
        "ring_only",
        {"outbox_messages": 5_000},
        Outcome(EACH, 0, 0, 0, EACH),
        id="ring_only",
        marks=pytest.mark.slow,
    ),
]


@pytest.mark.parametrize(("policy", "limits", "at_once"), POLICIES)
def test_a_flood_of_events_is_bounded_and_counted_while_the_writer_stands_still(
    daemon: Daemon, policy: Policy, limits: dict[str, Any], at_once: Outcome
) -> None:
    """Scenario 33: a hundred thousand events of four producers."""
    what = orders(PRODUCERS, count=EACH, size=100, stay=True, outbox_policy=policy, **limits)
    before = memory(daemon, [])
    with stopped(daemon, "writer"), senders(daemon, what) as started:
        assert [sender.outcome() for sender in started] == [at_once] * PRODUCERS
        assert stats(daemon).load > 0
        check_that_the_others_answer_at_once(daemon)
        check_growth(before, memory(daemon, started))
        os.kill(daemon.pid("writer"), signal.SIGCONT)
        ended = [sender.finish() for sender in started]
    assert {(each.sent, each.rejected, each.pending) for each in ended} == {
        (at_once.sent, at_once.rejected, 0)
    }
    dropped = sum(each.dropped for each in ended)
    assert (dropped > 0) == (policy == "ring_only")
    ((stored,),) = rows(daemon, "SELECT count(*) FROM events WHERE type = 'n'")
    ((noted,),) = rows(daemon, "SELECT coalesce(sum(count), 0) FROM dropped")
    assert stored + dropped == PRODUCERS * at_once.sent
    assert noted == dropped


def test_a_flood_of_tells_is_bounded_while_an_agent_stands_still(
    daemon: Daemon, handled: Path
) -> None:
    """Scenario 33: a hundred thousand tells of four producers; all are handled in the end."""
    before = memory(daemon, [])
    what = orders(PRODUCERS, count=EACH, to="scribe", stay=True)
    with stopped(daemon, "scribe"), senders(daemon, what) as started:
        assert {sender.outcome().sent for sender in started} == {EACH}
        assert length(handled) == 0
        check_that_the_others_answer_at_once(daemon)
        check_growth(before, memory(daemon, started))
        os.kill(daemon.pid("scribe"), signal.SIGCONT)
        wait_for(lambda: length(handled), PRODUCERS * EACH)
        check_growth(before, memory(daemon, started))
        for sender in started:
            sender.finish()
    by_sender: dict[int, list[int]] = {name: [] for name in range(PRODUCERS)}
    for entry in entries(handled):
        by_sender[entry.sender].append(entry.n)
    assert by_sender == {name: list(range(EACH)) for name in range(PRODUCERS)}


def test_an_agent_that_floods_itself_goes_on(daemon: Daemon) -> None:
    """Scenario 33: two thousand tells to itself, through a mailbox for ten."""
    ref = daemon.hub.ref("puppet")
    ref.tell(["flood", ["puppet", 2_000]])

    def seen() -> int:
        answer: Any = ref.ask(["recall", None], timeout=TIMEOUT)
        return len(answer)

    wait_for(seen, 2_000)
    numbers: Any = ref.ask(["recall", None], timeout=TIMEOUT)
    assert numbers == [[n, False] for n in range(2_000)]


def test_an_agent_that_asks_itself_times_out_and_goes_on(daemon: Daemon) -> None:
    """Scenario 33."""
    ref = daemon.hub.ref("puppet")
    answer = ref.ask(["ask", ["puppet", ["echo", 1], 0.2]], timeout=TIMEOUT)
    assert answer == "AskTimeout"
    assert ref.ask(["echo", 2], timeout=TIMEOUT) == 2


def test_an_actor_without_descriptors_says_so_once_and_goes_on_when_there_are_some(
    tmp_path: Path,
) -> None:
    limited = (
        '[agents.one]\nclass = "tests.actors.agents:Puppet"\nnofile = 32\n'
        f'python_path = ["{ROOT}"]\n'
    )
    with Daemon(tmp_path, CONFIG + limited) as daemon:
        clients = []
        for _ in range(40):
            client = socket.socket(socket.AF_UNIX)
            client.connect(str(daemon.run_dir / "one.sock"))
            clients.append(client)
        daemon.until(lambda: "cannot accept a connection" in daemon.log.read_text())
        before = daemon.child("one").cpu
        daemon.until(lambda: daemon.child("one").uptime > 3.0)
        assert daemon.child("one").cpu - before < 0.5  # it does not spin
        assert daemon.log.read_text().count("cannot accept a connection") == 1
        for client in clients:
            client.close()
        assert daemon.hub.ref("one").ask(["echo", 1], timeout=TIMEOUT) == 1

"""What is under way when an actor dies, and what is sent while it is down (scenarios 28, 29)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast.errors import ActorDied, AskTimeoutError, OutboxFullError
from tests.actors.firing import wait_for
from tests.actors.overloading import rows
from tests.actors.scribe import HUNG, entries, length
from tests.actors.sending import ROOT
from tests.daemon import TIMEOUT, Daemon

ROUNDS = 5

# The first restart is at once, the next one waits.
CONFIG = """
[daemon]
name = "test"
[supervisors.agents]
max_restarts = 1000
backoff = {backoff}
backoff_factor = 1.0
backoff_jitter = 0.0
[agents.scribe]
class = "tests.actors.scribe:Stumbler"
python_path = ["{root}"]
options = {{ path = "{path}" }}
"""


@pytest.fixture
def handled(tmp_path: Path) -> Path:
    return tmp_path / "handled"


@pytest.fixture
def backoff() -> float:
    return 0.0


@pytest.fixture
def daemon(tmp_path: Path, handled: Path, backoff: float) -> Iterator[Daemon]:
    with Daemon(tmp_path, CONFIG.format(root=ROOT, path=handled, backoff=backoff)) as daemon:
        yield daemon


def is_served(future: Any) -> bool:
    try:
        future.get(timeout=TIMEOUT)
    except ActorDied:
        return False
    return True


def test_of_a_hundred_messages_behind_the_one_in_hand_each_is_handled_once(
    daemon: Daemon, handled: Path
) -> None:
    """Scenario 28: that one fails within 100 ms of the death; sent = handled + failed.

    A question that is sent again after the death is one that its next life, within 80 ms, knew
    not to have been in hand; on a busy machine it may come later, and then they fail.
    """
    ref = daemon.hub.ref("scribe")
    waited, served, expected = [], [], 0
    for round in range(ROUNDS):
        hung = ref.ask("hang", block=False)
        asked = []
        for n in range(50):
            ref.tell([2 * round, n])
            asked.append(ref.ask([2 * round + 1, n], block=False))
        expected += 1
        wait_for(partial(length, handled), expected)
        daemon.kill("scribe")
        began = time.monotonic()
        with pytest.raises(ActorDied) as died:
            hung.get(timeout=TIMEOUT)
        waited.append(time.monotonic() - began)
        assert died.value.started
        served.append(sum(map(is_served, asked)))
        daemon.hub.flush(timeout=TIMEOUT)
        expected += 50 + served[-1]
        assert length(handled) == expected
    assert sorted(served)[ROUNDS // 2] == 50, served
    assert sorted(waited)[ROUNDS // 2] < 1.0, waited  # a hundredth, when nothing else runs
    everything = list(entries(handled))
    assert sum(entry.sender == HUNG for entry in everything) == ROUNDS
    for sender in range(2 * ROUNDS):
        found = [entry.n for entry in everything if entry.sender == sender]
        assert found == list(range(50)) or (sender % 2 and not found)
    assert rows(daemon, "SELECT count(*) FROM dead_letters") == [(0,)]


@pytest.mark.parametrize("backoff", [4.0])
def test_what_is_sent_while_a_restart_waits_fails_again_and_waits_is_bounded_and_not_lost(
    daemon: Daemon, handled: Path
) -> None:
    """Scenario 29: nobody hears of a refused connection, and each ask ends as it was told to."""
    with holdfast.connect(daemon.run_dir, outbox_messages=100, outbox_policy="fail") as hub:
        ref = hub.ref("scribe")
        ref.ask(None, timeout=TIMEOUT)
        handled.with_name(handled.name + ".stumble").touch()
        daemon.kill("scribe")
        daemon.until(lambda: daemon.child("scribe").state == "backoff")
        with pytest.raises(ActorDied) as died:
            ref.ask([1, 99], timeout=TIMEOUT, on_restarting="fail")
        assert not died.value.started
        waits = ref.ask([1, 0], block=False, timeout=TIMEOUT)
        began = time.monotonic()
        with pytest.raises(AskTimeoutError):
            ref.ask([1, 98], timeout=0.2)
        assert time.monotonic() - began >= 0.2  # and while the restart waits: see below
        for n in range(100):
            ref.tell([0, n])
        with pytest.raises(OutboxFullError, match="100 messages to 'scribe' wait"):
            ref.tell([0, 100])
        assert daemon.child("scribe").state == "backoff", "too slow to show anything"
        assert waits.get(timeout=TIMEOUT) is None
        hub.flush(timeout=TIMEOUT)
    found = [(entry.sender, entry.n) for entry in entries(handled)]
    assert found == [(1, 0), *((0, n) for n in range(100))]
    assert daemon.child("scribe").restarts == 2
    assert "it stumbles, once" in daemon.log.read_text()

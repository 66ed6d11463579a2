"""Checkpoints of agents, in a daemon whose processes are killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from pathlib import Path

import pytest

import holdfast
from holdfast.errors import InvalidInputError, OwnedError
from tests import forkserver
from tests.daemon import CONFIG, TIMEOUT, Daemon
from tests.daemon import ForkedDaemon as Kit

KEEPER = "\n[agents.keeper]\nclass = 'tests.actors.keepers:Keeper'\npython_path = [{path!r}]\n"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> object:
    with Daemon(tmp_path_factory.mktemp("checkpoints")) as daemon:
        yield daemon


def test_a_checkpoint_is_got_by_id_and_by_name(daemon: Daemon) -> None:
    hub = daemon.hub
    for n in range(3):
        assert hub.checkpoints.put("t1", {"n": n, "text": "ä" * 9_000}) == n + 1
    assert hub.checkpoints.pin("t1", 2, "good") == 0
    newest, second, good = (
        hub.checkpoints.get("t1"),
        hub.checkpoints.get("t1", 2),
        hub.checkpoints.get("t1", pin="good"),
    )
    assert newest is not None
    assert (newest.id, newest.parent, newest.state["n"]) == (3, ("t1", 2), 2)
    assert second == good
    assert good is not None
    assert good.pins == ("good",)
    assert good.state == {"n": 1, "text": "ä" * 9_000}
    assert hub.checkpoints.get("t1", 4) is None
    assert hub.checkpoints.get("t1", pin="bad") is None
    assert hub.checkpoints.unpin("t1", "good") is True


def test_a_thread_forks_and_its_history_goes_through_the_fork(daemon: Daemon) -> None:
    hub = daemon.hub
    for n in range(3):
        hub.checkpoints.put("t2", n)
    assert hub.checkpoints.fork("t2", 2, "t2-other") == 1
    assert hub.checkpoints.put("t2-other", "on") == 2
    history = hub.checkpoints.history("t2-other")
    assert [(info.agent, info.id) for info in history] == [
        ("t2-other", 2),
        ("t2-other", 1),
        ("t2", 2),
        ("t2", 1),
    ]
    assert {"t2", "t2-other"} <= set(hub.checkpoints.threads())
    with pytest.raises(InvalidInputError, match="fork into a new one"):
        hub.checkpoints.fork("t2", 1, "t2-other")


def test_pruning_says_what_it_would_do_and_does_it(daemon: Daemon) -> None:
    hub = daemon.hub
    for n in range(120):
        hub.checkpoints.put("t3", n)
    hub.checkpoints.pin("t3", 5, "kept")
    plan = hub.checkpoints.prune("t3", keep_last=2, dry_run=True)
    assert plan.count == 117
    assert len(hub.checkpoints.infos("t3", 1_000)) == 120
    done = hub.checkpoints.prune("t3", keep_last=2)
    assert done.checkpoints == plan.checkpoints
    assert [info.id for info in hub.checkpoints.infos("t3")] == [120, 119, 5]
    assert hub.checkpoints.prune("t3", max_age=3_600).count == 0
    with pytest.raises(InvalidInputError, match="keep_last, max_age, or both"):
        hub.checkpoints.prune("t3")


def test_a_state_of_50_megabytes_goes_in_and_comes_out(daemon: Daemon) -> None:
    """Six times what a message may have; a second one sends only what is new."""
    hub = daemon.hub
    noise = random.Random(7)
    state = {"blob": noise.randbytes(20_000_000).hex(), "words": ["ä" * 100] * 50_000, "n": 1}
    assert hub.checkpoints.put("t4", state, timeout=2 * TIMEOUT) == 1
    found = hub.checkpoints.get("t4", timeout=2 * TIMEOUT)
    assert found is not None
    assert found.size > 50_000_000
    assert found.state == state
    state["n"] = 2
    before = daemon.database.stat().st_size
    assert hub.checkpoints.put("t4", state, timeout=2 * TIMEOUT) == 2
    assert daemon.database.stat().st_size - before < 32 * 2**20  # a late copy of the log at most
    again = hub.checkpoints.list("t4", timeout=2 * TIMEOUT)
    assert [each.state["n"] for each in again] == [2, 1]


# -- one writer a thread ------------------------------------------------------------------------

WRITER = """
import sys, holdfast
hub = holdfast.connect(sys.argv[1])
print(hub.checkpoints.put(sys.argv[3], sys.argv[2]), flush=True)
sys.stdin.readline()
try:
    print(hub.checkpoints.put(sys.argv[3], "late"), flush=True)
except holdfast.OwnedError as error:
    print("OwnedError:", error, flush=True)
sys.stdin.readline()
hub.close()
"""


def start_writer(daemon: Daemon, text: str, thread: str) -> subprocess.Popen[str]:
    return forkserver.Popen[str](
        ["-c", WRITER, str(daemon.run_dir), text, thread],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def say(process: subprocess.Popen[str]) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return process.stdout.readline()


def test_a_second_process_is_refused_and_one_that_was_taken_over_too(daemon: Daemon) -> None:
    with start_writer(daemon, "first", "shared") as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "1\n"
        with pytest.raises(OwnedError, match=f"client/{first.pid}-.*takeover=True"):
            daemon.hub.checkpoints.put("shared", "second")
        assert daemon.hub.checkpoints.put("shared", "second", takeover=True) == 2
        line = say(first)
        assert line.startswith("OwnedError: thread 'shared'"), line
        assert f" by client/{os.getpid()}-" in line
        say(first)
    assert daemon.hub.checkpoints.put("shared", "third") == 3
    assert [each.state for each in daemon.hub.checkpoints.list("shared")] == [
        "third",
        "second",
        "first",
    ]


def test_the_thread_of_a_program_that_was_killed_is_free(daemon: Daemon) -> None:
    with holdfast.connect(daemon.run_dir) as hub:
        hub.checkpoints.claim("freed", takeover=True)
    with start_writer(daemon, "to be killed", "freed") as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip().isdigit()
        with pytest.raises(OwnedError):
            daemon.hub.checkpoints.claim("freed")
        process.send_signal(signal.SIGKILL)
        process.wait(TIMEOUT)
        # The hub of the other test was taken over, and has to say that it wants it back.
        with holdfast.connect(daemon.run_dir) as hub:
            assert hub.checkpoints.put("freed", "after") > 1


def test_the_next_life_of_an_agent_goes_on_with_its_thread(tmp_path: Path) -> None:
    with Daemon(tmp_path, CONFIG + KEEPER.format(path=str(ROOT))) as daemon:
        _kill_and_go_on(daemon)


def _kill_and_go_on(daemon: Daemon) -> None:
    keeper = daemon.ref("keeper")
    assert keeper.ask({"save": {"step": 1}}, timeout=TIMEOUT) == 1
    with pytest.raises(OwnedError, match=r"keeper\.hub"):
        daemon.hub.checkpoints.put("keeper", "not mine")
    pid = daemon.kill("keeper")
    daemon.wait_for_another("keeper", pid)
    assert daemon.ref("keeper").ask("restored", timeout=TIMEOUT) == {"step": 1}
    assert daemon.ref("keeper").ask({"save": {"step": 2}}, timeout=TIMEOUT) == 2


# -- killed while it is written -----------------------------------------------------------------


def test_a_put_that_is_killed_leaves_the_one_before_whole(tmp_path: Path) -> None:
    """Scenarios 37 and D11: the root, and so everything, dies at any moment of a put."""
    noise = random.Random(3)
    acknowledged = 0
    with Kit(tmp_path, CONFIG, profile={}) as daemon:
        for _ in range(4):
            hub = daemon.hub
            base = acknowledged
            program = _putting(daemon, base)
            assert program.stdout is not None
            for line in program.stdout:
                acknowledged = int(line)
                if acknowledged >= base + 3 and noise.random() < 0.5:
                    daemon.kill("root")
                    break
            program.kill()  # it waits for an answer that nobody gives any more
            acknowledged = max([acknowledged, *map(int, program.stdout.read().split())])
            program.wait(TIMEOUT)
            program.stdout.close()
            daemon.restart()
            hub = daemon.hub
            found = hub.checkpoints.get("big")
            assert found is not None
            assert found.id >= acknowledged
            for id in range(1, found.id + 1):
                each = hub.checkpoints.get("big", id)
                assert each is not None
                assert each.state["n"] == id
                assert len(each.state["turns"]) == id * 40
            acknowledged = found.id


PUTTING = """
import sys, holdfast
hub = holdfast.connect(sys.argv[1])
n = int(sys.argv[2])
try:
    while True:
        n += 1
        turns = [f"turn {i} " * 40 for i in range(n * 40)]
        assert hub.checkpoints.put("big", {"n": n, "turns": turns}, takeover=True) == n
        print(n, flush=True)
except holdfast.HoldfastError:
    pass
"""


def _putting(daemon: Kit, base: int) -> subprocess.Popen[str]:
    return forkserver.Popen[str](
        ["-c", PUTTING, str(daemon.run_dir), str(base)],
        stdout=subprocess.PIPE,
        text=True,
    )

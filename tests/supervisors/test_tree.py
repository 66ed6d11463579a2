"""The daemon as a whole: from a config file to an exit code."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.actors.messages.supervisor import GetTree, Tree
from holdfast.supervisors.settings import ACTORS
from tests import forkserver
from tests.daemon import CONFIG, TIMEOUT, Daemon
from tests.supervisors.trees import PROJECT

AGENT = """
[agents.sick]
class = "tests.supervisors.agents_for_tests:{kind}"
python_path = ["{project}"]
options = {options}
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, CONFIG) as daemon:
        yield daemon


def start(folder: Path, config: str, *more: str) -> subprocess.CompletedProcess[str]:
    """A daemon that is expected to end by itself."""
    (folder / "bad.toml").write_text(config)
    return forkserver.run(
        *("holdfast", "start", "bad.toml", *more),
        folder=folder,
        environment=os.environ,
        stdin="",
        timeout=TIMEOUT,
    )


def test_the_default_tree_starts_in_order_and_stops_without_a_trace(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, CONFIG)
    with daemon:
        root = daemon.tree().root
        assert [child.id for child in root.children] == ["state", "agents"]
        state = root.children[0]
        actors = list(ACTORS)
        assert [child.id for child in state.children] == actors
        assert (tmp_path / "var/run/root.pid").read_text() == f"{root.pid}\n"
        assert daemon.stop() == 0
    # Scenario 20, D15: the log of the database is gone, and so is all that a daemon owns.
    assert sorted(path.name for path in (tmp_path / "var/run").iterdir()) == []
    left = {path.name for path in (tmp_path / "var/lib").iterdir()} - {"holdfast.db.lock"}
    assert left == {"backend", "boot", "holdfast.db", "log"}
    logs = {"root", "state", "agents", *actors}
    assert {path.name for path in (tmp_path / "var/lib/log").iterdir()} <= {
        f"{a}.log" for a in logs
    }


def test_the_ready_line_names_daemon_pid_and_run_directory(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 80) / ("e" * 80)  # deeper than a socket's address is long
    (tmp_path / "c.toml").write_text('[daemon]\nname = "mine"\n')
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "holdfast",
            "start",
            "c.toml",
            "--run-dir",
            deep,
            "--data-dir",
            deep,
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"ready mine pid={process.pid} run_dir={deep}\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT) == 0
    assert "root.lock" not in os.listdir(deep)


def test_a_second_daemon_on_the_data_directory_is_refused(daemon: Daemon) -> None:
    # Scenario 27
    refused = start(daemon.folder, CONFIG, "--run-dir", "other")
    assert refused.returncode == 1
    assert refused.stdout == ""
    data = daemon.folder / "var/lib"
    assert refused.stderr.strip() == (
        f"holdfast: {data}: belongs to a running daemon, pid {daemon.process.pid}: "
        "stop it, or use another directory"
    )
    assert not (daemon.folder / "other").exists()
    daemon.hub.events.emit("still:here")
    daemon.hub.flush()


def test_a_second_daemon_on_the_run_directory_is_refused(daemon: Daemon) -> None:
    refused = start(daemon.folder, CONFIG, "--data-dir", "other")
    assert refused.returncode == 1
    assert f"{daemon.run_dir}: belongs to a running daemon" in refused.stderr
    assert os.listdir(daemon.folder / "other") == []
    assert daemon.tree().root.state == "running"


def test_a_bad_config_is_refused_before_anything_is_touched(tmp_path: Path) -> None:
    refused = start(tmp_path, "[actors.log]\ncapacity = -1\n")
    assert refused.returncode == 3
    assert refused.stderr == (
        "holdfast: bad.toml: [actors.log] capacity = -1: expected a whole number >= 1\n"
    )
    assert os.listdir(tmp_path) == ["bad.toml"]


def test_an_agent_that_cannot_be_imported_is_named_with_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import no_such_module\n")
    refused = start(tmp_path, '[agents.sick]\nclass = "broken:Agent"\n')
    assert refused.returncode == 3
    assert "child 'sick' ([agents.sick] in bad.toml) did not start" in refused.stderr
    assert "No module named 'no_such_module'" in refused.stderr
    assert "broken.py" in refused.stderr
    assert os.listdir(tmp_path / "var/run") == []


def test_an_agent_that_fails_to_start_ends_the_start(tmp_path: Path) -> None:
    # Scenario 8
    config = AGENT.format(kind="FailsToStart", project=PROJECT, options='{ when = "/" }')
    failed = start(tmp_path, config)
    assert failed.returncode == 1
    assert "child 'sick' ([agents.sick] in bad.toml) did not start: exit, code 1" in failed.stderr
    assert "RuntimeError: the moon is wrong" in failed.stderr
    assert failed.stdout == ""
    stopped = [line.split()[-3] for line in failed.stderr.splitlines() if "is stopped" in line]
    assert stopped == [*reversed(ACTORS), "state"]


def test_options_that_no_request_can_carry_are_named(tmp_path: Path) -> None:
    config = AGENT.format(kind="Idle", project=PROJECT, options=f'{{ when = "{"x" * 1_000_000}" }}')
    failed = start(tmp_path, config)
    assert failed.returncode == 1
    assert "child 'agents'" in failed.stderr
    assert "cannot be forked: its options are over 200 KB" in failed.stderr


def test_reports_are_events_too(daemon: Daemon) -> None:
    # Scenario 1
    pid = daemon.kill("query")
    daemon.wait_for_another("query", pid)
    assert daemon.stop() == 0
    with sqlite3.connect(f"file:{daemon.database}?mode=ro", uri=True) as connection:
        rows = connection.execute(
            "SELECT type, source, data FROM events WHERE subject = 'query' ORDER BY seq"
        ).fetchall()
    connection.close()
    assert [(type_, source) for type_, source, _ in rows] == [
        ("supervisor:progress", "supervisor/state"),
        ("supervisor:child_terminated", "supervisor/state"),
        ("supervisor:progress", "supervisor/state"),
    ]
    first, death, second = (json.loads(data) for _, _, data in rows)
    assert death["pid"] == first["pid"] == pid
    assert death["exit"]["kind"] == "signal"
    assert death["exit"]["signal"] == 9
    assert (second["incarnation"], second["restarts"]) == (2, 1)


def test_incarnations_never_repeat(daemon: Daemon) -> None:
    seen = set()
    for _ in range(2):
        for _ in range(2):
            pid = daemon.kill("query")
            daemon.wait_for_another("query", pid)
        pid = daemon.kill("state")
        daemon.wait_for_another("state", pid)
        tree = daemon.hub.ref("root").ask(GetTree(), timeout=TIMEOUT)
        assert isinstance(tree, Tree)
        boot = tree.root.incarnation
        state = tree.root.children[0]
        for actor in state.children:
            seen.add((boot, state.incarnation, actor.id, actor.incarnation))
        assert daemon.stop() == 0
        daemon.restart()
    assert {boot for boot, *_ in seen} == {1, 2}
    assert len(seen) == 2 * len(ACTORS)

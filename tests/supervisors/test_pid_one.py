"""As process 1 of a container: every orphan is its child, and no signal has a default."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Self

import pytest

from holdfast.testing.processes import descendants
from tests.daemon import CONFIG, TIMEOUT, Daemon
from tests.supervisors.trees import PROJECT

AGENT = f"""
[agents.a]
class = "tests.supervisors.agents_with_programs:Starts"
python_path = ["{PROJECT}"]
options = {{ ways = ["as_child", "double_forked"] }}
parent = "root"                  # its orphans are process 1's, not another supervisor's
[agents.b]
class = "tests.supervisors.agents_for_tests:Idle"
python_path = ["{PROJECT}"]
"""


@cache
def unshare() -> list[str]:
    """The command that makes process 1 of what follows; a user may need a namespace of users."""
    alone = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    for command in (alone, [*alone, "--user", "--map-root-user"]):
        if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
            return command
    raise AssertionError("no namespace of processes can be made here")


class Contained(Daemon):
    """A daemon that is process 1 of its own namespace."""

    def spawn(self) -> None:
        command = [*unshare(), sys.executable, "-m", "holdfast", "start", "test.toml"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    def wait_ready(self) -> Self:
        """Its pid is not that of ``process``, which is unshare."""
        self.ready_line()
        return self

    def ready_line(self) -> str:
        """What it prints when every child is ready."""
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], TIMEOUT)[0]
        line = self.process.stdout.readline().decode()
        assert line.startswith("ready "), self.log.read_text()
        return line

    @property
    def first(self) -> int:
        """Process 1, as it is called outside."""
        return children_of(self.process.pid)[0]

    def signal(self, number: int) -> int:
        """Signal process 1; the exit code that unshare passes on."""
        os.kill(self.first, number)
        return self.process.wait(TIMEOUT)

    def start_again(self) -> None:
        """In the same folder, after its end."""
        self.end()
        self.spawn()
        self.wait_ready()

    def end(self) -> None:
        """Whatever still runs of it."""
        self.process.kill()
        self.process.wait(TIMEOUT)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Contained]:
    daemon = Contained(tmp_path, CONFIG + AGENT)
    try:
        yield daemon
    finally:
        daemon._abandon_hub()
        daemon.end()


def test_process_one_says_so_and_stops_in_order(daemon: Contained) -> None:
    assert daemon.ready_line() == f"ready test pid=1 run_dir={daemon.run_dir}\n"
    assert (daemon.run_dir / "root.pid").read_text() == "1\n"
    assert daemon.signal(signal.SIGTERM) == 0
    stopped = [
        line.split()[-3] for line in daemon.log.read_text().splitlines() if "is stopped" in line
    ]
    assert (stopped[:3], stopped[-1]) == (["a", "b", "agents"], "state")
    assert list(daemon.run_dir.iterdir()) == []


def test_process_one_restarts_what_is_killed(daemon: Contained) -> None:
    daemon.wait_ready()
    for victim in ("b", "a", "agents", "state", "zygote:root"):
        old = named(daemon, "b")[0]
        killed = named(daemon, victim)[0]
        os.kill(killed, signal.SIGKILL)
        daemon.until(lambda: set(named(daemon, victim)) - {killed})  # noqa: B023
        if victim in ("b", "agents", "zygote:root"):
            daemon.until(lambda: set(named(daemon, "b")) - {old})  # noqa: B023
    assert daemon.tree().root.pid == 1
    daemon.until(lambda: not zombies(daemon))
    assert daemon.signal(signal.SIGTERM) == 0


def test_process_one_reaps_strangers(daemon: Contained) -> None:
    daemon.wait_ready()
    adopted = set(named(daemon, "sleep")) & set(children_of(daemon.first))
    assert len(adopted) == 1
    for pid in adopted:
        os.kill(pid, signal.SIGTERM)
        daemon.until(lambda: not Path(f"/proc/{pid}").exists())  # noqa: B023
    assert zombies(daemon) == []
    assert daemon.signal(signal.SIGTERM) == 0


def test_nothing_survives_process_one(daemon: Contained) -> None:
    # Scenario 25
    daemon.wait_ready()
    watches = [os.pidfd_open(pid) for pid in descendants(daemon.process.pid)]
    os.kill(daemon.first, signal.SIGKILL)
    for watch in watches:
        assert select.select([watch], [], [], TIMEOUT)[0]
        os.close(watch)
    daemon.start_again()
    assert daemon.signal(signal.SIGTERM) == 0


def named(daemon: Contained, name: str) -> list[int]:
    """The processes below process 1 that show this name."""
    found = []
    for pid in descendants(daemon.first):
        with suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text().strip() == name:
                found.append(pid)
    return found


def zombies(daemon: Contained) -> list[int]:
    return [pid for pid, one in descendants(daemon.first).items() if one.state == "Z"]


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

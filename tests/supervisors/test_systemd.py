"""Under systemd: what it is told, on a socket of the test's own, and the unit file."""

from __future__ import annotations

import os
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.daemon import CONFIG, TIMEOUT
from tests.supervisors.conftest import Grow
from tests.supervisors.specs import starts
from tests.supervisors.trees import PROJECT, child

UNIT = PROJECT / "configs" / "holdfast.service"


class Manager:
    """The socket that a service manager listens on."""

    def __init__(self, address: str) -> None:
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(f"\0{address[1:]}" if address.startswith("@") else address)

    def hear(self, timeout: float = TIMEOUT) -> dict[str, str]:
        """The next message by variable; empty when none comes."""
        if not select.select([self._sock], [], [], timeout)[0]:
            return {}
        lines = self._sock.recv(65536).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def expect(self, variable: str) -> dict[str, str]:
        """The next message that has the variable."""
        while message := self.hear():
            if variable in message:
                return message
        raise AssertionError(f"no {variable}")

    def close(self) -> None:
        self._sock.close()


@pytest.fixture(params=["path", "abstract"])
def manager(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Manager]:
    path = tmp_path / "notify"
    address = str(path) if request.param == "path" else f"@holdfast-test-{os.getpid()}"
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    manager = Manager(address)
    yield manager
    manager.close()
    path.unlink(missing_ok=True)


def test_systemd_hears_of_the_start_of_the_stop_and_signs_of_life(
    grow: Grow, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    tree = grow(child("a"), starts("b")).ready()
    ready = manager.expect("READY")
    assert ready["READY"] == "1"
    assert ready["MAINPID"] == str(tree.process.pid)
    assert ready["STATUS"] == f"test runs in {tree.run_dir}"
    for _ in range(3):
        assert manager.expect("WATCHDOG") == {"WATCHDOG": "1"}
    environ = tree.ask("environment", "b")
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & set(environ)
    tree.process.terminate()
    assert manager.expect("STOPPING")["STOPPING"] == "1"
    assert tree.outcome() == 0


def test_a_root_that_stands_still_gives_no_sign_of_life(
    grow: Grow, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "100000")
    tree = grow(child("a")).ready()
    manager.expect("WATCHDOG")
    tree.kill("root", signal.SIGSTOP)
    tree.until(lambda: state_of(tree.process.pid) == "T")
    while manager.hear(0):
        pass
    assert manager.hear(0.3) == {}
    tree.kill("root", signal.SIGCONT)
    manager.expect("WATCHDOG")
    assert tree.end() == 0


def test_a_watchdog_for_another_process_is_none_of_ours(
    grow: Grow, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "100000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    tree = grow(child("a")).ready()
    heard = [manager.expect("READY"), manager.hear(0.3)]
    assert ["WATCHDOG" in message for message in heard] == [False, False]
    assert tree.end() == 0


def test_a_manager_that_is_gone_holds_nothing_up(
    grow: Grow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    monkeypatch.setenv("WATCHDOG_USEC", "1000")
    assert grow(child("a")).ready().end() == 0


def test_the_unit_file_starts_a_daemon_that_says_so(
    tmp_path: Path, manager: Manager, run_unit: Callable[[], subprocess.Popen[bytes]]
) -> None:
    process = run_unit()
    manager.expect("READY")
    assert (tmp_path / "run" / "root.pid").exists()
    assert (tmp_path / "state" / "holdfast.db").exists()
    process.send_signal(signal.SIGHUP)
    assert int(manager.expect("RELOADING")["MONOTONIC_USEC"]) > 0
    assert manager.expect("READY")["STATUS"] == "reloaded"
    process.terminate()
    manager.expect("STOPPING")
    assert process.wait(TIMEOUT) == 0


@pytest.fixture
def run_unit(tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Runs the command of the unit file, its paths put into the test's folder."""
    config = tmp_path / "holdfast.toml"
    config.write_text(CONFIG)
    line = UNIT.read_text().replace("\\\n", "").partition("ExecStart=")[2].splitlines()[0]
    for name, value in (
        ("/opt/holdfast/bin/python", sys.executable),
        ("/etc/holdfast/holdfast.toml", str(config)),
        ("${STATE_DIRECTORY}", str(tmp_path / "state")),
        ("${RUNTIME_DIRECTORY}", str(tmp_path / "run")),
    ):
        assert name in line
        line = line.replace(name, value)
    started = []

    def run() -> subprocess.Popen[bytes]:
        null = subprocess.DEVNULL
        started.append(subprocess.Popen(shlex.split(line), cwd=PROJECT, stdout=null, stderr=null))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()


def test_the_unit_file_is_one_for_systemd(tmp_path: Path) -> None:
    text = UNIT.read_text()
    for line in ("Type=notify", "KillMode=mixed", "Restart=on-failure", "OOMPolicy=continue"):
        assert f"\n{line}\n" in text
    if (analyze := shutil.which("systemd-analyze")) is None:
        return  # nothing else knows the syntax
    unit = tmp_path / "holdfast.service"
    unit.write_text(text.replace("/opt/holdfast/bin/python", sys.executable))
    checked = subprocess.run(
        [analyze, "verify", str(unit)], capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def state_of(pid: int) -> str:
    """The letter that /proc shows."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]

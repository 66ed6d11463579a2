"""The fixtures, in pytest's hands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.testing.projects import PLUGIN, run_pytest, write


@pytest.mark.slow  # a pytest within this one, and daemons of its own
def test_several_daemons_of_one_test_are_apart(tmp_path: Path) -> None:
    test = """
def test_two(holdfast_daemon):
    one, two = holdfast_daemon(), holdfast_daemon({"daemon": {"name": "other"}})
    one.hub.events.emit("only:here")
    one.hub.flush()
    assert two.hub.events.count(types="only:*") == 0
    assert (one.tree().name, two.tree().name) == ("test", "other")
    assert one.folder.parent == two.folder.parent
"""
    write(tmp_path, {"conftest.py": PLUGIN, "test_it.py": test})
    counts, output = run_pytest(tmp_path)
    assert counts == {"passed": 1}, output


@pytest.mark.slow  # a pytest within this one, with daemons of its own
def test_a_daemon_that_dies_is_an_error_of_the_test(tmp_path: Path) -> None:
    test = """
import os, select, signal

def test_it(holdfast_daemon):
    pid = holdfast_daemon().process.pid
    watch = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    assert select.select([watch], [], [], 20)[0]
    os.close(watch)
"""
    write(tmp_path, {"conftest.py": PLUGIN, "test_it.py": test})
    counts, output = run_pytest(tmp_path)
    assert counts == {"passed": 1, "error": 1}
    assert "DaemonEndedError: the daemon ended during the test: killed by SIGKILL" in output


def test_a_failure_shows_the_log(tmp_path: Path) -> None:
    test = """
def test_it(holdfast_daemon):
    holdfast_daemon()
    assert False, "mine"
"""
    write(tmp_path, {"conftest.py": PLUGIN, "test_it.py": test})
    counts, output = run_pytest(tmp_path)
    assert counts == {"failed": 1}
    assert "log of holdfast" in output
    assert "checkpoints is ready" in output


@pytest.mark.slow  # a pytest within this one, with daemons of its own
def test_a_process_that_a_test_leaves_fails_it(tmp_path: Path) -> None:
    """Below pytest, and orphaned; the daemon of a test that asks for it late is no such process."""
    test = """
import subprocess

STARTED = []

def test_child(no_processes_left):
    STARTED.append(subprocess.Popen(["sleep", "1000"]))

def test_orphan(no_processes_left):
    subprocess.run("setsid sleep 1000 & echo $! >> orphan", shell=True, check=True)

def test_in_order(holdfast_daemon, no_processes_left):
    holdfast_daemon()

def test_none(no_processes_left):
    subprocess.run(["true"], check=True)

def test_the_end():
    for process in STARTED:
        process.kill()
        process.wait()
    subprocess.run("kill -9 $(cat orphan)", shell=True, check=True)
"""
    quick = "import holdfast.testing.pytest_plugin as plugin\n\nplugin.GONE_WITHIN = 0.5\n"
    write(tmp_path, {"conftest.py": PLUGIN + quick, "test_it.py": test})
    counts, output = run_pytest(tmp_path)
    assert counts == {"passed": 5, "error": 2}, output
    assert "ERROR test_it.py::test_child - AssertionError: processes left behind: sleep[" in output
    assert "ERROR test_it.py::test_orphan - AssertionError: processes left behind: sleep[" in output


@pytest.mark.slow  # a pytest within this one, and daemons of its own
def test_the_plugin_may_be_imported_before_pytest_does(tmp_path: Path) -> None:
    plugin = "from holdfast.testing.pytest_plugin import no_processes_left\n" + PLUGIN
    write(tmp_path, {"conftest.py": plugin, "test_it.py": "def test_it():\n    pass\n"})
    counts, output = run_pytest(tmp_path, "-W", "error")
    assert counts == {"passed": 1}, output


def test_only_the_plugin_needs_pytest() -> None:
    program = "import holdfast.testing, sys; print('pytest' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True)
    assert done.stdout == b"False\n"


def test_no_run_of_pytest_loads_the_kit_unasked(tmp_path: Path) -> None:
    test = "def test_it():\n    import sys\n    assert 'holdfast' not in sys.modules\n"
    write(tmp_path, {"test_it.py": test})
    counts, output = run_pytest(tmp_path, installed=True)
    assert counts == {"passed": 1}, output

"""The processes of a daemon under test: ``holdfast start`` in a folder, and all that is below it.

The end of the test, or of the test's process, is theirs.  The data stays in the folder.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self, TypeVar

from holdfast.testing.faults.arming import Faults
from holdfast.testing.processes import (
    Process,
    descendants,
    is_alive,
    lasting,
    list_text,
    marked,
    send,
)

__all__ = ["TIMEOUT", "DaemonEndedError", "DaemonProcess", "tail"]

T = TypeVar("T")

TIMEOUT: Final = 30.0  # seconds; a bound on failure, never the expected duration
GONE_WITHIN: Final = 5.0  # seconds after the root's end; a bound on failure: it takes milliseconds
PERIOD: Final = 0.005  # seconds between looks at what no descriptor tells of
TAIL: Final = 4_000  # characters of the log that a failure shows
MARK: Final = "HOLDFAST_TEST_DAEMON"  # in the environment of everything below a daemon

_pause = threading.Event().wait


class DaemonEndedError(AssertionError):
    """The daemon ended, did not start or stop in order, or left processes behind.

    The test had not asked for it.  ``code`` is its exit code, negative for a signal, None while
    it runs; ``log`` what it logged.
    """

    def __init__(self, what: str, *, code: int | None, log: str) -> None:
        super().__init__(f"{what}\n{tail(log)}")
        self.code = code
        self.log = log


class DaemonProcess:
    """Started, watched and stopped; what it is asked is ``Daemon``'s."""

    def __init__(self, folder: Path, *, timeout: float, is_rigged: bool = False) -> None:
        self.folder = folder
        self.run_dir = folder / "var" / "run"
        self.config_file = folder / "test.toml"
        self.log_file = folder / "daemon.log"
        self.process: subprocess.Popen[bytes]
        self.timeout = timeout
        self._faults = Faults(folder / "faults.json") if is_rigged else None
        self._module = "holdfast.testing.faults" if is_rigged else "holdfast"
        self._mark = f"{MARK}={uuid.uuid4().hex}"
        self._log_start = 0  # where in the log this life of it begins
        self._leash = -1
        self._below: set[Process] = set()  # of the tree, whoever is their parent later
        self._paused: set[Process] = set()

    @property
    def log(self) -> str:
        """What the daemon, and its agents, wrote so far to standard output and error."""
        return self._text()

    def spawn(self) -> None:
        """Start the command, without waiting for anything."""
        name, _, value = self._mark.partition("=")
        environment = {k: v for k, v in os.environ.items() if k != "HOLDFAST_RUN_DIR"}
        environment |= self._faults.environment if self._faults else {}
        directories = ("--data-dir", "var/lib", "--run-dir", "var/run")
        reading, self._leash = os.pipe()
        with self.log_file.open("ab") as log:
            self._log_start = log.tell()
            arguments = ["start", self.config_file.name, *directories]
            # What agents print is in the log at once, and fills no pipe.
            environment |= {name: value, "PYTHONUNBUFFERED": "1"}
            self.process = self._run(arguments, environment, reading, log.fileno())
        _put_on_leash(reading, self.process.pid)
        os.close(reading)

    def _run(
        self, arguments: list[str], environment: dict[str, str], stdin: int, output: int
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", self._module, *arguments],
            cwd=self.folder,
            env=environment,
            stdin=stdin,
            stdout=output,
            stderr=output,
            process_group=0,  # a Ctrl-C is the test's, which then stops this in order
        )

    def wait_ready(self) -> Self:
        """Until the line that says so.  Raises DaemonEndedError."""
        wanted = f" pid={self.process.pid} run_dir=".encode()
        deadline = time.monotonic() + self.timeout
        while not any(
            line.startswith(b"ready ") and wanted in line
            for line in self._log_from(self._log_start).splitlines()
        ):
            if (code := self.process.poll()) is not None:
                raise self._ended(f"the daemon did not start: {_end_text(code)}")
            if time.monotonic() > deadline:
                raise self._ended(f"the daemon is not ready after {self.timeout:g} s")
            _pause(PERIOD)
        return self

    def stop(self) -> int:
        """Stop it in order, and wait; its exit code."""
        self._remember()
        self._resume_all()
        self.process.terminate()
        return self.process.wait(self.timeout)

    def until(self, condition: Callable[[], T | None], timeout: float | None = None) -> T:
        """What ``condition`` says as soon as it is true.

        Raises AssertionError when that does not come, DaemonEndedError when the daemon ends first.
        """
        seconds = self.timeout if timeout is None else timeout
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            self._check()
            if time.monotonic() > deadline:
                raise AssertionError(f"did not come within {seconds:g} s\n{tail(self._text())}")
            _pause(PERIOD)
        return value

    # -- its end ------------------------------------------------------------------------------

    def _end(self) -> list[str]:
        """Have it gone, with all that was below it; what was wrong with that."""
        wrong = []
        if self.process.returncode is None:
            if (code := self.process.poll()) is not None:
                wrong.append(f"the daemon ended during the test: {_end_text(code)}")
            else:
                wrong += self._stop_or_kill()
        self._resume_all()
        self._unleash()
        if left := lasting(self._left, within=GONE_WITHIN):
            for process in left:
                send(process, signal.SIGKILL)
            wrong.append(f"processes left behind, killed now: {list_text(left)}")
        return wrong

    def _stop_or_kill(self) -> list[str]:
        try:
            code = self.stop()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return [f"the daemon did not stop within {self.timeout:g} s"]
        return [f"the daemon did not stop in order: {_end_text(code)}"] if code else []

    def _left(self) -> dict[int, Process]:
        """What still lives of this daemon."""
        found = {process.pid: process for process in self._below} | marked(self._mark)
        return {pid: process for pid, process in found.items() if is_alive(process)}

    def _remember(self) -> None:
        """Also those with an environment of their own, which ``marked`` does not find."""
        self._below |= set(descendants(self.process.pid).values())

    def _resume_all(self) -> None:
        for process in list(self._paused):
            self._resume(process)

    def _resume(self, process: Process) -> None:
        self._paused.discard(process)
        send(process, signal.SIGCONT)

    def _unleash(self) -> None:
        if self._leash >= 0:
            os.close(self._leash)
            self._leash = -1

    def _check(self) -> None:
        """Raise DaemonEndedError when it has ended and the test does not know of that."""
        if self.process.returncode is None and (code := self.process.poll()) is not None:
            raise self._ended(f"the daemon ended during the test: {_end_text(code)}")

    def _check_running(self) -> None:
        """Raise DaemonEndedError when there is nobody to ask."""
        self._check()
        if self.process.returncode is not None:
            raise self._ended(f"the daemon has ended: {_end_text(self.process.returncode)}")

    def _ended(self, what: str) -> DaemonEndedError:
        return DaemonEndedError(what, code=self.process.poll(), log=self._text())

    def _text(self) -> str:
        return self._log_from(0).decode(errors="replace")

    def _log_from(self, offset: int) -> bytes:
        with self.log_file.open("rb") as log:
            log.seek(offset)
            return log.read()


def tail(log: str) -> str:
    """The end of a log, as a failure shows it."""
    return f"the daemon's log:\n{log if len(log) <= TAIL else '...' + log[-TAIL:]}"


def _put_on_leash(reading: int, pid: int) -> None:
    """Have the kernel stop the daemon when nobody holds the other end of its standard input.

    So it ends with the test's process, however that ends.  Not PDEATHSIG: that is the death of
    the *thread* that started it.
    """
    fcntl.fcntl(reading, fcntl.F_SETOWN, pid)
    fcntl.fcntl(reading, fcntl.F_SETSIG, signal.SIGTERM)
    fcntl.fcntl(reading, fcntl.F_SETFL, fcntl.fcntl(reading, fcntl.F_GETFL) | os.O_ASYNC)


def _end_text(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"

"""A real daemon for a test: started from a config, asked, killed, stopped."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import holdfast
from holdfast.actors.hub import Hub
from holdfast.actors.messages.supervisor import ChildStatus, GetTree, Tree

T = TypeVar("T")

TIMEOUT = 30.0  # seconds; a bound on failure, never the expected duration

# Tests kill more than the default intensity allows.
CONFIG = """
[daemon]
name = "test"
[supervisors.root]
max_restarts = 1000
[supervisors.state]
max_restarts = 1000
[supervisors.agents]
max_restarts = 1000
"""


class Daemon:
    """``holdfast start`` in a folder of its own; a context manager that stops it."""

    def __init__(self, folder: Path, config: str = CONFIG) -> None:
        self.folder = folder
        self.run_dir = folder / "var" / "run"
        self.database = folder / "var" / "lib" / "holdfast.db"
        self.log = folder / "daemon.log"
        (folder / "test.toml").write_text(config)
        self.process = self.spawn()
        self._hub: Hub | None = None

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start the command, without waiting for anything."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "holdfast", "start", "test.toml"],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    def wait_ready(self) -> Self:
        """Until the line that says so."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], TIMEOUT)
        line = self.process.stdout.readline() if ready else b""
        assert line.startswith(b"ready "), self.log.read_text()
        return self

    def restart(self) -> Self:
        """Start it again in the same folder, after its end."""
        self.process.wait(TIMEOUT)
        self._close()
        self.process = self.spawn()
        return self.wait_ready()

    @property
    def hub(self) -> Hub:
        """One hub for the test; closed with the daemon."""
        if self._hub is None:
            self._hub = holdfast.connect(self.run_dir, source="test")
        return self._hub

    def tree(self) -> Tree:
        """What the root says of everything below it."""
        tree = self.hub.ref("root").ask(GetTree(), timeout=TIMEOUT)
        assert isinstance(tree, Tree)
        return tree

    def child(self, name: str) -> ChildStatus:
        """One process of the tree."""
        waiting = [self.tree().root]
        while waiting:
            child = waiting.pop()
            if child.id == name:
                return child
            waiting += child.children
        raise AssertionError(f"no child {name!r}")

    def pid(self, name: str) -> int:
        """The process of an actor that runs."""
        return self.until(lambda: self.child(name).pid)

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """Signal an actor's process and wait for its death; the pid it had."""
        pid, watch = self.until(lambda: self.watched(name))
        try:
            signal.pidfd_send_signal(watch, number)
            assert select.select([watch], [], [], TIMEOUT)[0], f"{name} does not die"
        finally:
            os.close(watch)
        return pid

    def watched(self, name: str) -> tuple[int, int] | None:
        """The actor's process with a descriptor of it; None when it has died meanwhile."""
        pid = self.pid(name)
        try:
            return pid, os.pidfd_open(pid)
        except ProcessLookupError:
            return None

    def wait_for_another(self, name: str, pid: int) -> ChildStatus:
        """Until ``name`` runs again as another process than ``pid``."""

        def restarted() -> ChildStatus | None:
            child = self.child(name)
            return child if child.state == "running" and child.pid != pid else None

        return self.until(restarted)

    def until(self, condition: Callable[[], T | None]) -> T:
        """What ``condition`` says as soon as it is true; asserts that it comes to be."""
        deadline = time.monotonic() + TIMEOUT
        while not (value := condition()):
            assert time.monotonic() < deadline, f"did not come: {self.log.read_text()[-2000:]}"
        return value

    def stop(self) -> int:
        """SIGTERM and its exit code."""
        self.process.terminate()
        return self.process.wait(TIMEOUT)

    def _close(self) -> None:
        if self._hub is not None:
            self._hub.abandon()
            self._hub = None
        if self.process.stdout is not None:
            self.process.stdout.close()

    def __enter__(self) -> Self:
        return self.wait_ready()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()
        with suppress(ProcessLookupError):
            self.process.terminate()
        try:
            self.process.wait(TIMEOUT)
        finally:
            self.process.kill()
            self.process.wait()

"""A real daemon for a test, as ``holdfast.testing`` has it, started when it is made.

Forked from a server that has imported it: see ``tests.forkserver``.
"""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Self, cast

from holdfast import testing
from holdfast.actors.messages.supervisor import ChildStatus
from holdfast.testing import TIMEOUT
from holdfast.testing.processes import Process, is_alive
from tests import forkserver

__all__ = ["CONFIG", "TIMEOUT", "Daemon", "ForkedDaemon"]

# Tests kill more than the default intensity allows, and do not wait because something was killed
# before; all else is as users have it.
CONFIG = """
[daemon]
name = "test"
[supervisors.root]
max_restarts = 1000
[supervisors.state]
max_restarts = 1000
stable_after = 0.0
[supervisors.agents]
max_restarts = 1000
stable_after = 0.0
"""


class ForkedDaemon(testing.Daemon):
    """The kit's, but for how its process is made."""

    since = 0  # the ``seq`` of the last event before it was lent to a test

    def _run(
        self, arguments: list[str], environment: dict[str, str], stdin: int, output: int
    ) -> subprocess.Popen[bytes]:
        forked = forkserver.fork(
            self._module,
            *arguments,
            folder=self.folder,
            environment=environment,
            streams=(stdin, output, output),
            postgresql=forkserver.POSTGRESQL in self.config_file.read_text(),
        )
        return cast("subprocess.Popen[bytes]", forked)

    @contextmanager
    def lent(self, *anew: str) -> Iterator[Self]:
        """To one of the tests that share it: with a hub of its own, and whole again for the next.

        ``anew`` remember nothing of the one before.  What that has left in the database is there:
        events up to ``since``, and all under names that are not this test's.  A new root would be
        left behind: who kills that has its own daemon.
        """
        self.since = self._newest()
        yield self
        killed = {name: self.kill(name) for name in anew}
        for name, pid in killed.items():
            self.wait_until_running(name, after=pid)
        self.until(lambda: _is_whole(self.tree().root))
        self._abandon_hub()

    def _newest(self) -> int:
        uri = f"file:{self.database}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            (newest,) = connection.execute("SELECT max(seq) FROM events").fetchone()
        return int(newest or 0)

    def _left(self) -> dict[int, Process]:
        """Without the mark, which a forked process cannot have: ``conftest`` looks for the rest."""
        return {process.pid: process for process in self._below if is_alive(process)}


def _is_whole(child: ChildStatus) -> bool:
    return child.state == "running" and all(map(_is_whole, child.children))


class Daemon(ForkedDaemon):
    """``holdfast start`` in a folder of its own; a context manager that stops it."""

    def __init__(self, folder: Path, config: str = CONFIG) -> None:
        super().__init__(folder, config, profile={})
        self.spawn()

    def __enter__(self) -> Self:
        return self.wait_ready()

    @property
    def log(self) -> Path:  # type: ignore[override]  # older than the kit, whose log is the text
        return self.log_file

    def wait_for_another(self, name: str, pid: int) -> ChildStatus:
        """Until ``name`` runs again as another process than ``pid``."""
        return self.wait_until_running(name, after=pid)

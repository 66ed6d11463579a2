"""A real daemon in a folder of its own, for as long as a benchmark runs."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import holdfast
from holdfast.cli.daemon import Processes, tree_of, walk

__all__ = ["ROOT", "Daemon", "running_daemon"]

ROOT: Final = Path(__file__).resolve().parent.parent
DEADLINE: Final = 30.0  # seconds for a start

# A benchmark kills on purpose, hundreds of times: every restart is immediate and none too many.
_CONFIG: Final = """
[daemon]
name = "bench"
log_level = "ERROR"
"""
_SUPERVISOR: Final = """
[supervisors.{name}]
max_restarts = 1_000_000
backoff = 0
backoff_max = 0
"""
_AGENT: Final = """
[agents.{name}]
class = "benchmarks.agents:{class_name}"
python_path = ["{root}"]
"""


class Daemon:
    """Where it is, and which processes are in it."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.run_dir: Final = folder / "run"
        self.database: Final = folder / "lib" / "holdfast.db"
        self.process = process

    def connect(self) -> holdfast.Hub:
        """A hub to it."""
        return holdfast.connect(self.run_dir, source="agent/benchmark")

    def pids(self, hub: holdfast.Hub) -> dict[str, int]:
        """The running actors' processes by name."""
        tree = walk(tree_of(hub).root)
        return {child.id: child.pid for _, child in tree if child.pid is not None}


@contextmanager
def running_daemon(**agents: str) -> Iterator[Daemon]:
    """Start the default tree and ``agents`` (name: class in benchmarks.agents); clean up."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-bench-"))
    try:
        config = folder / "bench.toml"
        text = _CONFIG
        for name in ("root", "state", "agents"):
            text += _SUPERVISOR.format(name=name)
        for name, class_name in agents.items():
            text += _AGENT.format(name=name, class_name=class_name, root=ROOT)
        config.write_text(text)
        with _started(config, folder) as process:
            yield Daemon(folder, process)
    finally:
        shutil.rmtree(folder)


@contextmanager
def _started(config: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "holdfast", "start", str(config)]
    command += ["--data-dir", str(folder / "lib"), "--run-dir", str(folder / "run")]
    with (
        (folder / "daemon.log").open("w+b") as log,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log) as process,
    ):
        try:
            assert process.stdout is not None
            ready, _, _ = select.select([process.stdout], [], [], DEADLINE)
            line = process.stdout.readline() if ready else b""
            if not line.startswith(b"ready"):
                log.seek(0)
                raise holdfast.StartError(
                    f"the daemon of the benchmark did not start: {log.read()[-2000:]!r}"
                )
            yield process
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop it, by force if need be; returns when no process of it is left."""
    if process.poll() is not None:
        return
    family = Processes(process.pid)
    try:
        os.kill(process.pid, signal.SIGTERM)
        try:
            process.wait(15.0)
        except subprocess.TimeoutExpired:
            process.kill()
        family.wait(5.0)
    finally:
        family.close()

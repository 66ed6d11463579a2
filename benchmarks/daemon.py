"""A real daemon in a folder of its own, for as long as a benchmark runs."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import holdfast
from benchmarks.processes import ending
from holdfast.cli.daemon import tree_of, walk
from holdfast.storage.ports import Durability
from holdfast.supervisors.settings import Start

__all__ = ["ROOT", "Daemon", "running_daemon"]

ROOT: Final = Path(__file__).resolve().parent.parent
DEADLINE: Final = 30.0  # seconds for a start

# A benchmark kills on purpose, hundreds of times: every restart is immediate and none too many.
_CONFIG: Final = """
[daemon]
name = "bench"
log_level = "ERROR"

[storage]
durability = "{durability}"
"""
_SUPERVISOR: Final = """
[supervisors.{name}]
max_restarts = 1_000_000
backoff = 0
backoff_max = 0
start = "{start}"
"""
_AGENT: Final = """
[agents.{name}]
class = "benchmarks.{target}"
python_path = ["{root}"]
"""


class Daemon:
    """Where it is, which processes are in it, and how many seconds it took to be ready."""

    def __init__(
        self, folder: Path, data_dir: Path, process: subprocess.Popen[bytes], seconds: float
    ) -> None:
        self.run_dir: Final = folder / "run"
        self.database: Final = data_dir / "holdfast.db"
        self.process = process
        self.start_seconds: Final = seconds

    def connect(self) -> holdfast.Hub:
        """A hub to it."""
        return holdfast.connect(self.run_dir, source="agent/benchmark")

    def pids(self, hub: holdfast.Hub) -> dict[str, int]:
        """The running actors' processes by name."""
        tree = walk(tree_of(hub).root)
        return {child.id: child.pid for _, child in tree if child.pid is not None}


@contextmanager
def running_daemon(
    agents: Mapping[str, str] = {},  # never changed
    *,
    durability: Durability = "committed",
    data_dir: Path | None = None,
    start: Start = "sequential",
    more: str = "",
) -> Iterator[Daemon]:
    """Start the default tree and ``agents`` (name: "module:Class" in benchmarks); clean up.

    ``data_dir`` has a database already, and keeps it.  ``start`` is the agents'.  ``more`` is
    appended to the config file.
    """
    folder = Path(tempfile.mkdtemp(prefix="holdfast-bench-"))
    try:
        config = folder / "bench.toml"
        text = _CONFIG.format(durability=durability) + more
        for name in ("root", "state", "agents"):
            how = start if name == "agents" else "sequential"
            text += _SUPERVISOR.format(name=name, start=how)
        for name, target in agents.items():
            text += _AGENT.format(name=name, target=target, root=ROOT)
        config.write_text(text)
        data = data_dir or folder / "lib"
        began = time.perf_counter()
        with _started(config, folder, data) as process:
            yield Daemon(folder, data, process, time.perf_counter() - began)
    finally:
        shutil.rmtree(folder)


@contextmanager
def _started(config: Path, folder: Path, data: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "holdfast", "start", str(config)]
    command += ["--data-dir", str(data), "--run-dir", str(folder / "run")]
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
    with ending(process.pid, 5.0):
        os.kill(process.pid, signal.SIGTERM)
        try:
            process.wait(15.0)
        except subprocess.TimeoutExpired:
            process.kill()

"""Scenario D13: many daemons started at once on one new directory."""

from __future__ import annotations

import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.daemon import TIMEOUT


@pytest.mark.parametrize(
    ("daemons", "round"),
    [(5, 0), *(pytest.param(16, n, marks=pytest.mark.slow) for n in range(30))],
)
def test_of_many_daemons_started_at_once_one_owns_the_directory(
    tmp_path: Path, daemons: int, round: int
) -> None:
    (tmp_path / "tree.toml").write_text('[daemon]\nname = "many"\n')
    command = [sys.executable, "-m", "holdfast", "start", "tree.toml"]
    started = [
        subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(daemons)
    ]
    first_lines = []
    for process in started:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], TIMEOUT)[0], "neither ready nor ended"
        first_lines.append(process.stdout.readline())  # empty when it ended without a word
    owners = [p for p, line in zip(started, first_lines, strict=True) if line.startswith("ready ")]
    try:
        assert len(owners) == 1, first_lines
        for process in started:
            if process is not owners[0]:
                _, error = process.communicate(timeout=TIMEOUT)
                assert process.returncode == 1
                assert f"belongs to a running daemon, pid {owners[0].pid}" in error, error
                assert "Traceback" not in error
    finally:
        for process in owners:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=TIMEOUT)
    assert owners[0].returncode == 0

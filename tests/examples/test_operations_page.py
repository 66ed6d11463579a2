"""docs/OPERATIONS.md: its commands run as they stand, on a daemon in the working directory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.actors.overloading import committed
from tests.commandline import environment
from tests.daemon import TIMEOUT, Daemon
from tests.holdfast.conftest import ROOT
from tests.storage.damaging import wipe

BLOCK = re.compile(r"```sh (\w+)\n(.*?)```", re.DOTALL)


def run(folder: Path, script: str) -> str:
    bin_dir = os.path.dirname(sys.executable)
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=folder,
        env=environment() | {"PATH": f"{bin_dir}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        text=True,
        timeout=TIMEOUT,
        check=True,
    )
    return done.stdout


def test_the_commands_of_the_page_back_up_restore_and_repair(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "OPERATIONS.md").read_text(encoding="utf-8")
    blocks = dict(BLOCK.findall(page))
    assert list(blocks) == ["backup", "restore", "repair"]
    with Daemon(tmp_path) as daemon:
        daemon.hub.events.emit("n", 0)
        daemon.hub.flush(timeout=TIMEOUT)
        assert "today.db: whole" in run(tmp_path, blocks["backup"])
        daemon.hub.events.emit("n", 1)
        daemon.hub.flush(timeout=TIMEOUT)
        assert "what was there is at" in run(tmp_path, blocks["restore"])
        daemon.process.wait(TIMEOUT)
        wipe(daemon.database, 1)
        assert "made anew" in run(tmp_path, blocks["repair"])
        daemon.restart()
        assert committed(daemon) == [0]

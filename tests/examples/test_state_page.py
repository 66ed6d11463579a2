"""docs/STATE.md: its examples run as they stand, and its shell lines are commands."""

from __future__ import annotations

import shlex
import subprocess
import sys

from tests.commandline import environment
from tests.daemon import TIMEOUT, Daemon
from tests.examples.test_pages import blocks
from tests.holdfast.conftest import ROOT, Run

PAGE = "STATE.md"


def test_the_program_and_the_commands_of_the_page_on_state_run(daemon: Daemon, run: Run) -> None:
    program = "".join(blocks(PAGE, "python"))
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=daemon.folder,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (shell,) = blocks(PAGE, "sh")
    for line in shell.splitlines():
        words = shlex.split(line, comments=True)
        assert words[0] == "holdfast"
        called = run(*words[1:])
        # The version in the example is that of its reader, not of this program.
        assert called.returncode == (1 if "put" in words else 0), (line, called.stderr)


def test_the_gateway_that_the_page_names_exists() -> None:
    page = (ROOT / "docs" / PAGE).read_text(encoding="utf-8")
    assert "`tests/storage/ksi_gateway.py`" in page
    assert (ROOT / "tests" / "storage" / "ksi_gateway.py").is_file()

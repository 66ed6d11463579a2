"""The command line as a user has it, run to its end in a forked process."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests import forkserver
from tests.daemon import TIMEOUT

__all__ = ["command_line", "environment"]


def environment(**changes: str) -> dict[str, str]:
    """Ours, without what would change what the command line does."""
    unwanted = ("HOLDFAST_RUN_DIR", "NO_COLOR", "FORCE_COLOR")
    return {key: value for key, value in os.environ.items() if key not in unwanted} | changes


def command_line(
    folder: Path, *arguments: str | Path, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """``holdfast ARGUMENTS`` in ``folder``, which has the default run directory."""
    return forkserver.run(
        "holdfast",
        *arguments,
        folder=folder,
        environment=environment(),
        stdin=stdin,
        timeout=TIMEOUT,
    )

"""A real daemon and its command line, as a user runs them."""

from __future__ import annotations

import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests import forkserver
from tests.commandline import command_line, environment
from tests.daemon import TIMEOUT, Daemon

ROOT = Path(__file__).resolve().parents[2]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "holdfast", *map(str, arguments)]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run the command line to its end, in a folder of its own."""
    return partial(command_line, tmp_path)


def spawn(
    folder: Path,
    *arguments: str | Path,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.PIPE,
    changes: dict[str, str] | None = None,
) -> subprocess.Popen[str]:
    """Run the command line in ``folder``, with changes of the environment, and do not wait."""
    return forkserver.Popen[str](
        ["holdfast", *map(str, arguments)],
        cwd=folder,
        env=environment(**changes or {}),
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )


def next_line(process: subprocess.Popen[str]) -> str:
    """The next line of its standard output; of what was written line by line."""
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], TIMEOUT)[0], "nothing came"
    return process.stdout.readline()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """The default tree, at var/run below a folder of its own."""
    with Daemon(tmp_path) as daemon:
        yield daemon

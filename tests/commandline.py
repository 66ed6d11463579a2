"""The command line as a user has it, run to its end in a forked process."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import click

from holdfast.cli.app import commands
from tests import forkserver
from tests.daemon import TIMEOUT

__all__ = ["command_line", "completed", "environment", "every_command"]


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


def every_command() -> dict[str, click.Command]:
    """Those that are no groups, by the words that call them."""
    found: dict[str, click.Command] = {}
    waiting: list[tuple[tuple[str, ...], click.Command]] = [((), commands)]
    while waiting:
        path, command = waiting.pop()
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                below = command.get_command(context, name)
                assert below is not None
                waiting.append(((*path, name), below))
        else:
            found[" ".join(path)] = command
    return found


def completed(folder: Path, *words: str) -> list[str]:
    """What bash is offered for the last of the words."""
    given = environment(
        _HOLDFAST_COMPLETE="bash_complete",
        COMP_WORDS=shlex.join(["holdfast", *words]),
        COMP_CWORD=str(len(words)),
    )
    done = forkserver.run("holdfast", folder=folder, environment=given, stdin="", timeout=TIMEOUT)
    assert done.stderr == ""
    return [line.removeprefix("plain,") for line in done.stdout.splitlines() if line]

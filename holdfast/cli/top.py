"""``holdfast top``: the tree live in the terminal, with its events and sessions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from holdfast.cli.options import run_dir_option
from holdfast.cli.output import Failure

__all__ = ["top"]

_MISSING: Final = 69


@click.command()
@run_dir_option
@click.option(
    "--interval",
    type=click.FloatRange(min=0.2),
    default=1.0,
    show_default=True,
    help="Seconds between two looks at the daemon.",
)
def top(run_dir: Path, interval: float) -> int:
    """Show the tree live: every process, events as they come, sessions.

    Enter shows all about one actor; r restarts it, s stops or starts it, R reloads the config,
    each after a question.  1, 2, 3 are the three lists, / filters events, space pauses, q ends.
    It follows the daemon through restarts of any actor and of the daemon itself.
    """
    try:
        from holdfast.top.app import TopApp
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "textual":
            raise
        missing = "top needs textual: python -m pip install 'holdfast[top]'"
        raise Failure(missing, code=_MISSING) from None
    # What it draws goes to standard error.
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise Failure("top needs a terminal; holdfast status --json is for programs")
    app = TopApp(run_dir, interval=interval)
    app.run()
    return app.return_code or 0

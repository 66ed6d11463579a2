"""``holdfast completion``: what a shell needs to complete commands, options and names."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from holdfast.cli.output import Failure, write_line

__all__ = ["completion"]

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what to evaluate in SHELL, so that the tab key completes.

    Commands and options, and of a daemon that runs: its actors and the types of its events.
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise Failure(f"this click knows no completion for {shell}")
    root = context.find_root().command
    write_line(kind(root, {}, "holdfast", "_HOLDFAST_COMPLETE").source())
